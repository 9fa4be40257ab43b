"""What `perpdesk validate` knows of the catalog."""

from __future__ import annotations

from pathlib import Path

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


def document(tmp_path: Path, pattern: str) -> Path:
    """A backtest on a catalog of BTC and ETH."""
    write(tmp_path / "c", BTCUSDT=candles(24), ETHUSDT=candles(24))
    path = tmp_path / "run.yaml"
    path.write_text(DOCUMENT.format(catalog=tmp_path / "c", pattern=pattern))
    return path


@pytest.mark.parametrize("pattern", ["BTCUSDT-LINEAR.BYBIT", "'*-LINEAR.BYBIT'"])
def test_instruments_that_the_catalog_has_are_well(tmp_path, pattern):
    assert validate(document(tmp_path, pattern)) == []


def test_an_instrument_that_the_catalog_lacks_is_named_with_its_line(tmp_path):
    path = document(tmp_path, "BTCUSDC-LINEAR.BYBIT")
    (problem,) = validate(path)
    assert (problem.file, problem.line, problem.suggestion) == (
        str(path),
        6,
        "BTCUSDT-LINEAR.BYBIT",
    )


def test_without_a_catalog_nothing_is_said_of_instruments(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(DOCUMENT.format(catalog=tmp_path / "none", pattern="ANY-LINEAR.BYBIT"))
    assert validate(path) == []
