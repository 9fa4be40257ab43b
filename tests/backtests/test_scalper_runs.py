"""The scalper on order books, from books and trades to a closed position, in a whole backtest."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import yaml

from backtests.engine import tick_feed
from backtests.run import RunOutcome, prepare, run
from catalog.series import SNAPSHOT
from config.errors import DeskError
from config.load import load
from config.params import parameter_fields
from strategies.messages import Decision
from strategies.scalper import ScalperConfig
from strategies.scalping.decide import REFUSALS
from strategies.scalping.trader import ScalpTrader
from strategies.signals.scalper_parameters import SIGNALS
from tests.backtests.book_runs import BOOKS_FROM, document, write_books

MINUTE = 60 * 10**9

EASY = {"entry": 0.1, "exit": 0.0}
SOON: dict[str, Any] = {
    "signals": {
        "levels": 5,
        "large_trades": {"least_orders": 10},
        "pull_replace": {"least_orders": 10},
        "volatility_regime": {"short_s": 8, "warm_s": 10, "extreme": 100},
    },
    "fusion": {"thresholds": {"low": EASY, "normal": EASY, "high": EASY}},
    "protection": {"atr": 10, "least_bps": 40, "trail_after": 0.5, "time_stop": "30s"},
    "execution": {"reprice_every": "4s", "least_rest": "2s", "deadline": "20s"},
    "calibration": [[0.1, 50]],
}
"""Books change every two seconds, trades come every four: the signals are warm after a minute."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("books")
    write_books(made)
    return made


def played(folder: Path, **params: Any) -> RunOutcome:
    file = document(folder, market="book", latency={"orders": {"base": 10}})
    text = yaml.safe_load(file.read_text())
    text["window"]["end"] = "2023-11-15 03:12"
    text["strategies"] = {"scalp": {"use": "strategies.scalper:Scalper", "params": SOON | params}}
    file.write_text(yaml.safe_dump(text))
    return run(prepare(load(file).document))


def payloads(outcome: RunOutcome) -> list[bytes]:
    return list(outcome.tables["decisions"].column("payload").to_pylist())


def decisions(outcome: RunOutcome) -> list[Decision]:
    return [msgspec.json.decode(payload, type=Decision) for payload in payloads(outcome)]


@pytest.fixture(scope="module")
def usual(folder: Path) -> RunOutcome:
    return played(folder)


def held_at(outcome: RunOutcome, instrument: str, ts: int) -> Decimal:
    """Return the position at a time, by the fills until then."""
    fills = [
        Decimal(fill["quantity"]) * (1 if fill["side"] == "BUY" else -1)
        for fill in outcome.tables["fills"].to_pylist()
        if fill["instrument"] == instrument and fill["ts"] <= ts
    ]
    return sum(fills, Decimal(0))


def split(outcome: RunOutcome) -> tuple[list[Any], list[Any]]:
    """Return the orders of brackets, and entries."""
    orders = outcome.tables["orders"].to_pylist()
    brackets = [order for order in orders if order["reason"].startswith(("stop", "t"))]
    entries = [order for order in orders if order["reason"].startswith("score +")]
    entries += [order for order in orders if order["reason"].startswith("score -")]
    return brackets, entries


def test_scores_become_positions_with_a_bracket_and_exits(usual: RunOutcome) -> None:
    trips = usual.tables["positions"].to_pylist()
    assert len(trips) >= 3
    brackets, entries = split(usual)
    assert {order["type"] for order in brackets} >= {"STOP_MARKET", "LIMIT"}
    protected = {(order["instrument"], order["side"]) for order in brackets}
    for trip in trips:
        exit_side = "SELL" if trip["side"] == "LONG" else "BUY"
        assert (trip["instrument"], exit_side) in protected
    said = [decision for decision in decisions(usual) if decision.kind == "scalp"]
    assert len(said) >= len(trips)
    for decision in said:
        (target,) = [each for each in decision.targets if each.order != "0"]
        assert set(target.scores) == set(SIGNALS)  # type: ignore[arg-type]
        assert target.reason == decision.note
    assert {order["decision_id"] for order in entries} <= {decision.id for decision in said}


def test_a_bracket_is_reduce_only_and_for_no_more_than_is_held(usual: RunOutcome) -> None:
    brackets, _ = split(usual)
    for order in brackets:
        held = held_at(usual, order["instrument"], order["ts_created"])
        # One that left before the exit it crossed was known is refused by the venue.
        assert order["reduce_only"] or order["type"] == "MARKET"
        assert Decimal(order["quantity"]) <= abs(held)
        assert (order["side"] == "SELL") == (held > 0)


def test_nothing_opens_while_orders_of_a_bracket_rest(usual: RunOutcome) -> None:
    brackets, entries = split(usual)
    for entry in entries:
        if held_at(usual, entry["instrument"], entry["ts_created"]):
            continue  # The rest of an entry that was filled in part.
        for order in brackets:
            if order["instrument"] == entry["instrument"]:
                began, over = order["ts_created"], order["ts_closed"]
                assert not began < entry["ts_created"] < over


def refusals(outcome: RunOutcome) -> Counter[str]:
    counted: Counter[str] = Counter()
    for decision in decisions(outcome):
        counted.update(decision.refusals or {})
    return counted


@pytest.mark.parametrize(("differs", "least"), [(True, 30), (False, 0)])
def test_after_another_book_that_is_sent_whole_signals_warm_up_anew(
    usual: RunOutcome, tmp_path: Path, differs: bool, least: int
) -> None:
    """What came before a gap in the book is not known, such as which orders were pulled."""

    def again(rows: pa.Table) -> pa.Table:
        if "flags" not in rows.column_names:
            return rows
        moment = BOOKS_FROM + 36 * MINUTE
        ts, size, flags = (rows.column(name).to_numpy() for name in ("ts", "size", "flags"))
        if differs:
            whole = ts == moment
            flags = np.where(whole, SNAPSHOT, flags).astype(np.int8)
            rows = rows.set_column(rows.column_names.index("flags"), "flags", pa.array(flags))
            return rows.filter(pa.array(~(whole & (size == 0))))
        same = rows.filter(pa.array((ts == moment) & (size > 0)))
        for name, value in (("ts", moment + 1), ("flags", SNAPSHOT)):
            column = rows.column_names.index(name)
            values = pa.array([value] * len(same), rows.schema.types[column])
            same = same.set_column(column, name, values)
        return pa.concat_tables([rows, same]).sort_by([("ts", "ascending"), ("seq", "ascending")])

    write_books(tmp_path, spoil=again)
    more = refusals(played(tmp_path))["warm_up"] - refusals(usual)["warm_up"]
    assert more >= least
    assert differs or more <= 3  # One more look an instrument.


def test_refusals_are_counted_and_the_same_run_is_the_same_again(
    folder: Path, usual: RunOutcome
) -> None:
    counted = refusals(usual)
    assert set(counted) <= set(REFUSALS)
    assert counted["warm_up"] > 20
    assert counted["threshold"] > 100
    assert payloads(played(folder)) == payloads(usual)


def test_it_decides_the_same_where_it_reads_the_engines_book(
    folder: Path, usual: RunOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the levels and trades that were read before the run; over several slices."""
    monkeypatch.setattr(tick_feed, "ROWS", 1_000)
    assert payloads(played(folder)) == payloads(usual)
    monkeypatch.setattr(ScalpTrader, "levels_needed", lambda self: 0)
    assert payloads(played(folder)) == payloads(usual)


def test_without_a_calibration_nothing_is_traded_before_it_is_learned(folder: Path) -> None:
    outcome = played(folder, calibration=[])
    assert len(outcome.tables["orders"]) == 0
    assert refusals(outcome)["uncalibrated"] > 5


MOVED: dict[str, Any] = {
    "calibration": [[0.1, 5]],
    "look": "10s",
    "candle": "5s",
    "risk": 0.0005,
    "max_weight": 0.1,
    "max_of_book": 0.01,
    "slippage_bps": 45,
    "pause": "1m",
    "report_every": "2m",
}
ELSEWHERE = {"signals", "fusion", "protection", "execution"}
"""Blocks whose parameters are moved where their parts are tested."""


@pytest.mark.parametrize("name", MOVED)
def test_a_parameter_moves_a_decision(folder: Path, usual: RunOutcome, name: str) -> None:
    assert payloads(played(folder, **{name: MOVED[name]})) != payloads(usual)


def test_every_parameter_is_looked_at() -> None:
    assert MOVED.keys() | ELSEWHERE == parameter_fields(ScalperConfig).keys()


@pytest.mark.parametrize(
    ("market", "kinds", "words"),
    [
        ("candles", ("book", "trades"), "use: reads order books, and this run is on candles"),
        ("book", ("trades",), r"no order book of .*: import them, or leave them out"),
        ("book", ("book",), r"use: reads trades, and .* has none of AAA.*: import them, or leave"),
    ],
)
def test_data_that_are_not_there_are_refused_with_what_to_do(
    tmp_path: Path, market: str, kinds: tuple[str, ...], words: str
) -> None:
    write_books(tmp_path, kinds)
    file = document(tmp_path, market=market)
    text = yaml.safe_load(file.read_text())
    text["strategies"] = {"scalp": {"use": "strategies.scalper:Scalper", "params": SOON}}
    file.write_text(yaml.safe_dump(text))
    with pytest.raises(DeskError, match=words):
        run(prepare(load(file).document))
