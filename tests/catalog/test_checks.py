"""What `perpdesk validate` knows of the catalog."""

import pytest

import catalog.checks
from config.validate import validate
from tests.catalog.market import candles, write

catalog.checks.register()

DOCUMENT = """\
kind: backtest
name: small
catalog: {catalog}
universe:
  instruments:
    - {pattern}
strategies:
  reversal:
    use: strategies.xs_reversal:XSReversal
    params: {{interval: 1h}}
window: {{start: 2024-01-01, end: 2024-01-02}}
"""


KNOWN = "BTCUSDT-LINEAR.BYBIT"


@pytest.mark.parametrize(
    ("catalog", "pattern", "found"),
    [
        ("c", KNOWN, []),
        ("c", "'*-LINEAR.BYBIT'", []),
        ("c", "BTCUSDC-LINEAR.BYBIT", [(6, KNOWN)]),
        ("c", "BTCCUSDT-LINEAR.BYBIT", [(6, KNOWN)]),
        ("c", "LTCUSDT-LINEAR.BYBIT", [(6, "")]),  # Another coin, no misspelling.
        ("none", "ANY-LINEAR.BYBIT", []),  # Without a catalog instruments are not checked.
    ],
)
def test_an_instrument_that_the_catalog_lacks_is_named_with_its_line(
    tmp_path, catalog, pattern, found
):
    write(tmp_path / "c", BTCUSDT=candles(24), ETHUSDT=candles(24))
    path = tmp_path / "run.yaml"
    path.write_text(DOCUMENT.format(catalog=tmp_path / catalog, pattern=pattern))
    problems = validate(path)
    assert [(problem.line, problem.suggestion) for problem in problems] == found
    assert all(problem.file == str(path) for problem in problems)
