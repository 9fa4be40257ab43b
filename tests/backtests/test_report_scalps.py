"""The report's section on a scalper, of a whole run on books."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from backtests.report.page import render
from backtests.results.recorder import decisions_of
from backtests.results.result import Result, read
from backtests.session import backtest_document
from strategies.signals.scalper_parameters import SIGNALS
from tests.backtests.report_pages import charts_of, section, without_plotly, words
from tests.backtests.test_screen_scalps import scalper_file


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("scalped")
    return read(backtest_document(scalper_file(folder), (), out=folder / "result"))


@pytest.fixture(scope="module")
def page(result: Result) -> str:
    return without_plotly(render(result))


def test_refusals_are_counted_by_code(result: Result, page: str) -> None:
    counted: Counter[str] = Counter()
    for decision in decisions_of(result.table("decisions")):
        counted.update(decision.refusals or {})
    said, total = words(section(page, "scalper")), sum(counted.values())
    for code, count in counted.items():
        assert f"{count:,} {100 * count / total:.1f} %" in said.partition(f" {code} ")[2]


def test_what_was_learned_is_shown_for_each_instrument(result: Result, page: str) -> None:
    said, charts = words(section(page, "scalper")), charts_of(page)
    last: dict[str, Any] = {}
    for decision in decisions_of(result.table("decisions")):
        assert decision.kind == "wait" or not any(t.learned for t in decision.targets)
        last |= {t.instrument: t.learned for t in decision.targets if t.learned}
    assert len(last) == 3
    for name, learned in last.items():
        own = said.partition(f"{name.partition('-')[0]}: what scores were worth")[2]
        for _, samples, _ in learned.calibration:
            assert f" {samples:,.0f} " in own
        assert learned.weights.keys() == set(SIGNALS)
        assert sum(learned.weights.values()) == pytest.approx(1.0, abs=1e-3)
    weights = [spec for key, spec in charts.items() if key.startswith("weights")]
    assert [len(spec["data"]) for spec in weights] == [8, 8, 8]


def test_trades_are_shown_in_r_with_their_excursions(result: Result, page: str) -> None:
    said, points = words(section(page, "scalper")), charts_of(page)["excursions"]["data"]
    closed = [trip for trip in result.table("positions").to_pylist() if not trip["open"]]
    shown = sum(len(part["x"]) for part in points)
    assert 0 < shown <= len(closed)
    assert f" All {shown} " in said
    assert all(x >= 0 <= y for part in points for x, y in zip(part["x"], part["y"], strict=True))
