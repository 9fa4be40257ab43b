"""Broken documents, each with the exact words and places that a user gets."""

import pytest

from config.errors import DocumentErrors
from config.universe import unknown_instruments
from config.validate import checked, validate
from tests.config.shipped import ROOT

BROKEN = sorted((ROOT / "tests" / "config" / "broken").glob("*.expected"))
CATALOG = ["BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"]


@pytest.mark.parametrize("expected", BROKEN, ids=lambda file: file.stem)
def test_a_broken_document_gets_these_words(expected, monkeypatch):
    def unknown(resolved):
        return unknown_instruments(resolved, CATALOG)

    sources = [lambda resolved: CATALOG] if expected.stem == "05_unknown_instrument" else []
    monkeypatch.setattr("config.validate._sources", sources)
    monkeypatch.setattr("config.validate._checks", {"backtest": [unknown]})
    document = expected.with_suffix(".yaml").relative_to(ROOT)
    problems = validate(document)
    assert [str(problem) for problem in problems] == expected.read_text("utf-8").splitlines()


def test_a_broken_document_is_refused_with_all_its_problems():
    with pytest.raises(DocumentErrors) as refusal:
        checked("tests/config/broken/01_unknown_key.yaml")
    assert len(refusal.value.problems) == 2
    assert refusal.value.exit_code == 2
