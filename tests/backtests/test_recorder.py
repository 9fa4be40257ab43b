"""What a run leaves in its tables, whatever the length of its slices."""

from __future__ import annotations

from decimal import Decimal as D

import numpy as np
import pyarrow as pa
import pytest
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity

from actors.records.ledger import RoundTrip
from backtests.engine.build import BacktestDesk
from backtests.engine.engine_costs import mended
from backtests.engine.feed import PriceGrid, Settlement
from backtests.engine.market import market_of
from backtests.results.recorder import RunRecorder, decisions_of, follow_prices
from config.documents import FixedBpsSlippage
from strategies.messages import Decision, PairEvent, encode
from tests.builders_engine import (
    A,
    B,
    Candles,
    Script,
    at,
    desk_of,
    feed,
    info,
    price,
    slices,
    taker_fee,
    trading,
    venue,
)

DECISION = Decision(strategy="script", ts=at(1), data_ts=at(1), kind="rebalance", equity="10000")
CURVES = {"z": {"A/B": 2.5}, "spread": {"A/B": 0.02}}
EXTREMES = [(101.0, 103.89), (50.0, 53.0), (103.89, 109.11)]
"""Lowest and highest price of the three positions, by the candles and fills below."""
CANDLE = PairEvent(strategy="script", ts=at(1), kind="candle", facts=CURVES)
ENTERED = PairEvent(strategy="script", ts=at(1), kind="enter", facts={"pair": "A/B"})


def decide(script: Script) -> None:
    script.msgbus.publish("decisions.script", DECISION)
    for event in (ENTERED, CANDLE):
        script.msgbus.publish("pairs.script", event)
    script.trade(A, "10")


def take_back(script: Script) -> None:
    script.trade(B, "1")
    script.cancel_all_orders(InstrumentId.from_str(B))


def leave_a_stop(script: Script) -> None:
    instrument_id, size = InstrumentId.from_str(A), Quantity(D(1), 3)
    script.submit_order(
        script.order_factory.stop_limit(instrument_id, OrderSide.BUY, size, price(151), price(150))
    )


def recorded(per_slice: int) -> tuple[dict[str, pa.Table], BacktestDesk]:
    """Buy A, be refused, take an order back, flip A, hold B to its end, leave a stop."""
    script = Script(
        {
            at(1): decide,
            at(2, 5): trading(A, "0.001"),
            at(2, 6): take_back,
            at(3): trading(B, "5"),
            at(4): trading(A, "-15"),
            at(9): trading(A, "5"),
            at(11): leave_a_stop,
        }
    )
    document = venue(fees=taker_fee("0.001"), slippage=FixedBpsSlippage(bps=D(10)))
    market = market_of([info(A), info(B)], document)
    tape = {
        A: Candles([100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, None]),
        B: Candles([50, 50, 50, 50, 51, 52, 53, None, None, None, None, None]),
    }
    marks = [Settlement(at(hour), A, D("0.001"), D(100)) for hour in (4, 8, 12)]
    parts = slices(market, tape, settlements=marks, delisted={B: 6}, per_slice=per_slice)
    with mended():
        desk = desk_of(market, document, script)
        recorder = RunRecorder(desk, market, at(0), at(24))
        feed(desk, parts, recorder.end_slice)
        recorder.end_run()
        return recorder.tables(), desk


def test_orders_say_what_became_of_them_and_why() -> None:
    tables, _ = recorded(per_slice=12)
    rows = tables["orders"].to_pylist()
    assert [(row["status"], row["side"], row["quantity"], row["filled"]) for row in rows] == [
        ("FILLED", "BUY", "10", "10"),
        ("DENIED", "BUY", "0.001", "0"),
        ("CANCELED", "BUY", "1", "0"),
        ("FILLED", "BUY", "5", "5"),
        ("FILLED", "SELL", "15", "15"),
        ("FILLED", "SELL", "5", "5"),
        ("FILLED", "BUY", "5", "5"),
        ("SUBMITTED", "BUY", "1", "0"),
    ]
    assert "below the venue's minimum" in rows[1]["reason"]
    assert rows[2]["reason"] == "cancelled"
    assert rows[5]["reason"] == "delisting"
    assert rows[7]["ts_closed"] is None
    assert [row["refusal"] for row in rows[:3]] == [None, "gate", None]
    prices = [(row["limit_price"], row["trigger_price"]) for row in rows]
    assert prices == 7 * [(None, None)] + [("151", "150")]


def test_fills_keep_the_price_that_stood_and_what_it_cost() -> None:
    tables, desk = recorded(per_slice=12)
    rows = tables["fills"].to_pylist()
    # 101 x 1.001 = 101.101 on the worse tick, 10 of them.
    first = rows[0]
    assert (first["price"], first["reference_price"]) == ("101.11", "101")
    assert (D(first["slippage"]), D(first["notional"])) == (D("1.1"), D("1011.1"))
    assert D(first["fee"]) == D("1.0111")
    assert [row["kind"] for row in rows] == ["order", "order", "order", "delisting", "order"]
    assert sum(D(row["fee"]) for row in rows) == desk.accountant.ledger.fees


def test_positions_are_round_trips_with_their_own_costs() -> None:
    tables, desk = recorded(per_slice=12)
    rows = tables["positions"].to_pylist()
    trips = [(row["instrument"], row["side"], row["quantity"], row["open"]) for row in rows]
    assert trips == [(A, "LONG", "10", False), (B, "LONG", "5", False), (A, "SHORT", "5", False)]
    ledger = desk.accountant.ledger
    assert sum(D(row["net"]) for row in rows) == ledger.equity({}) - 10_000
    assert [D(row["funding"]) for row in rows] == [D(-1), D(0), D("0.5")]
    assert [(row["low_px"], row["high_px"]) for row in rows] == EXTREMES
    curve = tables["equity"].to_pydict()
    assert curve["ts"] == [at(hour) for hour in range(13)]
    assert curve["equity"][-1] == pytest.approx(float(ledger.equity({})))


@pytest.mark.parametrize(
    ("opened", "closed", "low", "high"),
    [
        (at(0, 1), at(2, 1), 80.0, 130.0),  # Opened at the open of the first candle.
        (at(0, 1800), at(2, 1), 90.0, 130.0),  # Within it: its wick may have been before.
        (at(0, 1), at(1, 1800), 80.0, 120.0),  # Closed within the second.
        (at(1, 1), None, 70.0, 130.0),
    ],
)
def test_a_position_meets_the_prices_while_it_is_held(
    opened: int, closed: int | None, low: float, high: float
) -> None:
    ts = np.array([at(1), at(2), at(3)])
    wicks = [np.array([[x], [y], [z]]) for x, y, z in ((80.0, 90, 70), (120.0, 130, 100))]
    grid = PriceGrid(ts, np.array([[95.0], [100], [float("nan")]]), *wicks)
    trip = RoundTrip("s", A, True, opened, closed, low=95.0, high=95.0)
    follow_prices(trip, grid, before=at(0), column=0)
    assert (trip.low, trip.high) == (low, high)


def test_mark_prices_are_no_extremes_of_a_position() -> None:
    # The candle went from 94 to 108; the mark price, which only margin looks at, from 60 to 101.
    traded = np.array([[[95.0]], [[108.0]], [[94.0]]])
    one = np.array([[100.0]])
    grid = PriceGrid(np.array([at(1)]), one, one - 40, one + 1, traded=traded)
    trip = RoundTrip("s", A, True, at(0, 1), low=95.0, high=95.0)
    follow_prices(trip, grid, before=at(0), column=0)
    assert (trip.low, trip.high) == (94.0, 108.0)


def test_decisions_come_back_as_they_were_sent() -> None:
    tables, _ = recorded(per_slice=5)
    assert decisions_of(tables["decisions"]) == [DECISION]


def test_what_happens_to_pairs_is_kept_and_their_z_scores_apart() -> None:
    tables, _ = recorded(per_slice=5)
    (event,), (curve,) = (tables[name].to_pylist() for name in ("pair_events", "pair_curves"))
    assert (event["kind"], event["payload"]) == ("enter", encode(ENTERED))
    assert (curve["pair"], curve["z"]) == ("A/B", 2.5)


@pytest.mark.parametrize("per_slice", [1, 2, 5, 7])
def test_the_tables_do_not_depend_on_the_length_of_slices(per_slice: int) -> None:
    whole, _ = recorded(per_slice=12)
    sliced, desk = recorded(per_slice=per_slice)
    for name, table in whole.items():
        assert sliced[name].to_pylist() == table.to_pylist(), name
    # The engine has forgotten what is closed.
    assert len(desk.engine.kernel.cache.orders()) < len(whole["orders"])
