"""What ended a run's trading early is said before any figure."""

from typing import Any

import pyarrow as pa
import pytest

from backtests.results.console import figures_table
from backtests.results.interruptions import interruptions
from backtests.results.result import summarise
from backtests.results.summary_text import few
from backtests.results.tables import table
from backtests.run import prepare, run
from config.validate import checked
from tests.backtests.planned import write_planned
from tests.builders import DAY, JANUARY, small_record
from tests.builders_engine import A, B, info

YEAR = 365 * DAY
BTC, ETH = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"


def verdict(day: int, action: str = "flatten", **more: Any) -> dict[str, Any]:
    known = {"guard": "max", "scope": "desk", "multiplier": 1.0, "until": None, "reason": "25 %"}
    return known | {"ts": JANUARY + day * DAY, "action": action} | more


def test_a_spot_pair_is_told_from_the_perpetual() -> None:
    assert few([BTC, "BTCUSDT-SPOT.BYBIT"]) == "BTCUSDT, BTCUSDT-SPOT"


def fill(day: int, kind: str = "order", instrument: str = BTC) -> dict[str, Any]:
    return {"ts": JANUARY + day * DAY, "instrument": instrument, "kind": kind}


def found(
    verdicts: list[dict[str, Any]], fills: list[dict[str, Any]], length: int = YEAR, **delisted: int
) -> list[tuple[str, str, str]]:
    tables = {"verdicts": table("verdicts", verdicts), "fills": pa.Table.from_pylist(fills)}
    infos = [info(name, delisted_ns=delisted.get(name[:3])) for name in (BTC, ETH)]
    return [
        (one.label, one.value, one.words)
        for one in interruptions(tables, infos, None, JANUARY, JANUARY + length)
    ]


def test_a_halt_that_no_time_ends_is_said_with_its_length():
    ((label, value, words),) = found([verdict(65)], [fill(64)])
    assert (label, value) == ("halted by max", "2024-03-06, 300 of 365 days")
    assert words == (
        "Guard max halted the desk from 2024-03-06 00:00 UTC to the end, 300 of 365 days: no time "
        "ends this halt (25 %)."
    )


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        # A harder verdict goes on with the same halt.
        ([verdict(65, "halt_entries"), verdict(100)], "2024-03-06, 300 of 365 days"),
        # It was taken back, and came again.
        ([verdict(10), verdict(20, "none"), verdict(355)], "2024-12-21, 10 of 365 days"),
        # Halts that ended again took a fifth of the year.
        ([verdict(0, until=1), verdict(74, "none")], "74 of 365 days"),
        ([verdict(0, until=1), verdict(72, "none")], None),
        ([verdict(65, "shrink", multiplier=0.5)], None),
        ([verdict(364, ts=JANUARY + YEAR - DAY + 1)], None),
    ],
)
def test_which_halts_are_said(verdicts, said):
    assert [value for _, value, _ in found(verdicts, [fill(364)])] == ([said] if said else [])


@pytest.mark.parametrize(
    ("hours", "days", "said"),
    [
        (6, 1, "6 h of 24 h"),
        (16.5, 1.75, "16.5 h of 42 h"),
        (30, 3, "30 h of 3 days"),
        (48, 3, "2 of 3 days"),
    ],
)
def test_lengths_under_two_days_are_hours(hours: float, days: float, said: str) -> None:
    halt = [verdict(0, until=1), verdict(0, "none", ts=JANUARY + round(hours * DAY / 24))]
    assert [one[1] for one in found(halt, [fill(0)], round(days * DAY))] == [said]


def test_halts_of_many_scopes_are_one_line():
    halts = [verdict(100 + n, scope=f"instrument:{name}") for n, name in enumerate((BTC, ETH))]
    ((_, value, words),) = found(halts, [fill(364)])
    assert value == "2024-04-10, 265 of 365 days"
    assert "halted 2 of its scopes (BTCUSDT, ETHUSDT)" in words


def test_a_run_that_trades_no_more_says_so():
    assert found([], [fill(300)]) == []
    assert found([], [fill(265)])[0][:2] == ("last fill", "2024-09-22 00:00 UTC")


def test_data_that_merely_end_are_no_delisting():
    closed = [fill(200, "delisting"), fill(300, "delisting", ETH), fill(364)]
    ((label, value, words),) = found([], closed, ETH=JANUARY + 300 * DAY)
    assert (label, value) == ("closed as data ended", "1 position")
    assert words.startswith("1 position (BTCUSDT) closed at the last candle of their data")


def test_the_terminals_table_begins_with_them():
    summary = summarise(small_record(interruptions={"halted by max": "2024-03-06"}))
    labels = list(figures_table({"value": summary}).columns[0].cells)
    assert labels[:2] == ["halted by max", "net profit (USDT)"]


def test_a_run_on_data_that_end_early_warns_first(tmp_path):
    closes = {A: [100.0] * 24, B: [100.0] * 10}
    file = write_planned(tmp_path, closes, [(2, A, "1"), (2, B, "1")], {})
    outcome = run(prepare(checked(file).document))
    assert outcome.interruptions == {"closed as data ended": "1 position"}
    assert outcome.warnings[0].startswith(f"1 position ({B.split('-')[0]}) closed at the last")
