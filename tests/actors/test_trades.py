"""What fills and orders say of round trips, by hand-made ones."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from actors.records.ledger import Ledger
from actors.records.rows import FillRow
from actors.records.trades import Story, excursions, stories

COIN = "BTCUSDT-LINEAR.BYBIT"


def fill(ts: int, signed: str, price: str, order: str = "", **more: Any) -> FillRow:
    known: dict[str, Any] = {"kind": "order", "reference_price": D(100)}
    return FillRow(
        instrument=COIN,
        ts=ts,
        strategy="s",
        client_order_id=order,
        side="SELL" if signed.startswith("-") else "BUY",
        quantity=abs(D(signed)),
        price=D(price),
        fee=D(0),
        liquidity="TAKER",
        **known | more,
    )


def order(name: str, ts: int, trigger: str | None, reason: str) -> dict[str, Any]:
    about = {"client_order_id": name, "ts_created": ts, "trigger_price": trigger, "reason": reason}
    return about | {"strategy": "s", "instrument": COIN}


def told(fills: list[FillRow], orders: list[dict[str, Any]]) -> tuple[list[Any], list[Story]]:
    ledger = Ledger(D(0))
    for each in fills:
        ledger.follow(each)
    trips = [trip.row() for trip in ledger.closed]
    trips += [trip.row(D(100)) for trip in ledger.open.values()]
    return trips, stories(trips, fills, orders)


def test_a_trip_has_the_risk_of_its_first_stop_and_the_reason_of_its_last_order() -> None:
    fills = [
        fill(10, "1", "101", decision_id="s@9"),
        fill(20, "1", "103", decision_id="s@19"),
        fill(30, "-2", "99", "stop-2"),
    ]
    orders = [order("stop-2", 21, "99.5", "trail"), order("stop-1", 11, "97", "stop")]
    ((trip,), (story,)) = told(fills, orders)
    # Entered at 102 on average; two coins were 5 above the first stop.
    assert (story.risk, story.multiple(trip["net"])) == (D(10), -0.6)
    assert (story.slippage_in, story.slippage_out) == (D(4), D(2))
    assert (story.decision_id, story.reason) == ("s@9", "trail")


def test_a_fill_through_zero_shares_its_slippage_between_two_trips() -> None:
    fills = [fill(10, "2", "100"), fill(20, "-3", "98"), fill(30, "1", "90", kind="liquidation")]
    orders = [order("a", 11, "95", "stop"), order("b", 21, "108", "stop")]
    trips, (long, short) = told(fills, orders)
    assert [trip["side"] for trip in trips] == ["LONG", "SHORT"]
    assert (long.slippage_in, long.slippage_out, long.risk) == (D(0), D(4), D(10))
    assert (short.slippage_in, short.slippage_out, short.risk) == (D(2), D(-10), D(10))
    assert short.reason == "liquidation"


def test_a_stop_from_before_a_trip_is_not_its_first() -> None:
    # It protected what was bought by hand meanwhile, or its position had just been closed.
    second = 10**9
    fills = [fill(9 * second, "1", "100"), fill(12 * second, "-1", "101")]
    # Our clock may be behind the venue's: its own was placed half a second before it opened.
    own = order("own", 9 * second - second // 2, "96", "stop")
    orders = [order("late", 5 * second, "80", "stop"), own]
    ((_,), (story,)) = told(fills, orders)
    assert story.risk == D(4)


def test_without_stop_or_reference_nothing_is_made_up() -> None:
    ((_,), (story,)) = told([fill(10, "1", "100", reference_price=None)], [])
    assert (story.risk, story.multiple(D(5)), story.slippage_in) == (None, None, None)


def test_excursions_are_against_and_for_the_side() -> None:
    row = {"side": "LONG", "entry_px": 100.0, "low_px": 99.0, "high_px": 103.0}
    assert excursions(row) == (pytest.approx(100.0), pytest.approx(300.0))
    assert excursions(row | {"side": "SHORT"}) == (pytest.approx(300.0), pytest.approx(100.0))
    assert excursions(row | {"low_px": None}) == (None, None)
