from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.guards.core.exposure import Held, could_open, held_of
from actors.guards.core.snapshot import Holding, RoundTripEvent
from actors.guards.trades_per_day import TradesPerDay, TradesPerDayParams
from tests.actors.guards.playing import at, closed
from tests.actors.guards.trading import (
    BTC,
    ETH,
    HOUR,
    NOON,
    SECOND,
    Gate,
    asked,
    held,
    look,
    traded,
)

SCOPE = f"instrument:{BTC}"


def gate(limit: int = 2, **params: object) -> Gate:
    made = Gate(TradesPerDay, TradesPerDayParams(limit=limit, **params))
    made.observe(look())
    return made


def trip(player: Gate, ts: int = NOON, name: str = BTC) -> None:
    """Opens and closes a position of one."""
    player.observe(traded(1, ts, name, opened=True), traded(-1, ts, name), closed(5, ts, name=name))


def test_the_day_ends_for_an_instrument_when_its_last_trade_is_closed() -> None:
    player = gate(limit=2)
    trip(player)
    assert player.action(SCOPE) == "none"
    player.observe(traded(1, opened=True))
    # The second of two is open: it may still be added to.
    assert player.action(SCOPE) == "none"
    assert player.ask(asked(1, has=1)) is None
    player.observe(traded(-1))
    verdict = player.verdict(SCOPE)
    assert (player.action(SCOPE), verdict.measured, verdict.limit) == ("halt_entries", 2, 2)
    assert verdict.until == at(1)
    assert verdict.reason == "2 trades opened today, limit 2"
    assert not verdict.transient
    assert player.readings[0].until == at(1)
    assert player.action(f"instrument:{ETH}") == "none"


def test_each_instrument_has_its_own_count() -> None:
    player = gate(limit=1)
    trip(player, name=BTC)
    assert player.ask(asked(name=BTC)) == "1 trades opened today, limit 1"
    assert player.ask(asked(name=ETH)) is None


@pytest.mark.parametrize(
    ("ts", "admitted"),
    [(at(1) - 1, False), (at(1), True), (at(1) + 1, True)],
)
def test_the_count_begins_anew_at_midnight_utc_to_the_nanosecond(ts: int, admitted: bool) -> None:
    player = gate(limit=1)
    trip(player)
    # No snapshot since noon: the order's own time counts.
    assert (player.ask(asked(ts=ts)) is None) == admitted
    player.observe(look(ts))
    assert (player.action(SCOPE) == "none") == admitted


def test_a_burst_in_one_callback_opens_no_more_than_are_left() -> None:
    player = gate(limit=2)
    assert player.ask(asked(1)) is None
    # Turned to and fro before anything is filled: each turn could open one more.
    assert player.ask(asked(-2, buys=1)) is None
    assert player.ask(asked(2, buys=1, sells=1)) == (
        "0 trades opened today, limit 2; with what is under way it could be 3 more"
    )
    player.observe(traded(1, opened=True))
    assert player.ask(asked(-2, has=1, sells=1)) is None
    assert player.ask(asked(2, has=1, sells=2)) == (
        "1 trades opened today, limit 2; with what is under way it could be 3 more"
    )


@pytest.mark.parametrize(
    ("has", "buys", "sells", "quantity", "expected"),
    [
        (0, 0, 0, 1, 1),
        (0, 1, 0, 1, 1),  # Both enlarge the same one.
        (0, 1, 0, -1, 2),  # Buy, sell through zero.
        (0, 2, 0, -1, 3),  # Buy, sell through zero, buy through zero.
        (0, 2, 1, -1, 4),
        (1, 0, 0, 1, 0),  # Adds to what is open.
        (1, 3, 0, 1, 0),
        (1, 0, 0, -2, 1),  # Turns it.
        (1, 0, 1, 1, 2),  # Adds, while an order that turns it is under way.
        (1, 1, 1, -1, 3),
        (-1, 0, 0, -1, 0),
        (-1, 0, 0, 2, 1),
        (-1, 1, 2, 2, 4),
    ],
)
def test_orders_could_open_as_many_trades_as_they_have_ways_through_zero(
    has: int, buys: int, sells: int, quantity: int, expected: int
) -> None:
    assert could_open(asked(quantity, has=has, buys=buys, sells=sells)) == expected


def test_orders_that_enlarge_what_is_under_way_open_one_trade_together() -> None:
    player = gate(limit=1)
    assert player.ask(asked(1)) is None
    assert player.ask(asked(1, buys=1)) is None
    assert player.ask(asked(3, buys=2)) is None


def test_orders_that_ended_unfilled_count_no_more() -> None:
    player = gate(limit=1)
    assert player.ask(asked(1)) is None
    assert player.ask(asked(-1, buys=1)) is not None
    # The buy was cancelled: nothing is under way.
    assert player.ask(asked(-1)) is None


def test_only_the_orders_own_owner_and_instrument_count() -> None:
    player = gate(limit=1)
    others = (
        asked(1, name=ETH, strategy="a", has=5, sells=3).open_exposure[0],
        asked(1, name=BTC, strategy="b", has=5, sells=3).open_exposure[0],
    )
    order = asked(1)
    assert could_open(replace(order, open_exposure=(*others, *order.open_exposure))) == 1
    assert player.ask(replace(order, open_exposure=(*others, *order.open_exposure))) is None


@pytest.mark.parametrize(
    "other", [held(2), held(1, ETH), held(1, strategy="b"), held(1, strategy="")]
)
def test_what_is_held_follows_the_pulse(other: Holding) -> None:
    before = held_of(look(NOON, held(1)))
    assert held_of(look(NOON, held(1)), before) is before
    after = held_of(look(NOON, other), before)
    own = [Held(other.strategy, other.instrument, other.quantity)] if other.strategy else []
    assert after == tuple(own)


def test_exits_are_no_trades() -> None:
    player = gate(limit=1)
    player.observe(look(NOON, held(1)))
    assert player.ask(asked(-1, has=1, is_exit=True)) is None
    player.observe(traded(-1), closed(1, name=BTC))
    assert player.state.opened == {}
    assert player.ask(asked(1)) is None


def test_what_was_open_at_the_start_is_not_counted_but_a_turn_is() -> None:
    player = Gate(TradesPerDay, TradesPerDayParams(limit=1))
    player.observe(look(NOON, held(1)))
    assert player.ask(asked(-2, has=1)) is None
    player.observe(traded(-2, opened=True), closed(1, name=BTC))
    assert player.ask(asked(2, has=-1)) is not None
    assert player.ask(asked(-1, has=-1)) is None


def test_shrinking_lets_entries_pass() -> None:
    player = gate(limit=1, action="shrink", size=0.5)
    trip(player)
    assert player.verdict(SCOPE).multiplier == 0.5
    assert player.ask(asked()) is None


@given(st.integers(0, 10**9), st.integers(1, 4))
def test_no_order_of_fills_opens_more_trades_a_day_than_the_limit(seed: int, limit: int) -> None:
    """A strategy that knocks at random, against a count of its position's ways from zero."""
    choose = random.Random(seed)
    player = gate(limit=limit)
    now, position = NOON, 0
    under_way: list[int] = []
    opened: dict[int, int] = {}
    for _ in range(80):
        now += choose.choice([0, 0, SECOND, 2 * HOUR])
        match choose.choice(["ask", "ask", "ask", "fill", "fill", "cancel", "snapshot", "exit"]):
            case "ask":
                size = choose.choice([-2, -1, 1, 2])
                buys = sum(x > 0 for x in under_way)
                order = asked(size, now, has=position, buys=buys, sells=len(under_way) - buys)
                if player.ask(order) is None:
                    under_way.append(size)
            case "fill" if under_way:
                size = under_way.pop(choose.randrange(len(under_way)))
                after = position + size
                opens = after != 0 and (position == 0 or position * after < 0)
                closes = position != 0 and (after == 0 or position * after < 0)
                player.observe(traded(size, now, opened=opens))
                if closes:
                    player.observe(
                        RoundTripEvent(ts=now, strategy="a", instrument=BTC, net=Decimal(0))
                    )
                day = now // (86400 * SECOND)
                opened[day] = opened.get(day, 0) + opens
                position = after
            case "cancel" if under_way:
                under_way.pop(choose.randrange(len(under_way)))
            case "exit" if position and not under_way:
                player.observe(traded(-position, now), closed(0, now, name=BTC))
                position = 0
            case _:
                player.observe(look(now, *([held(position)] if position else [])))
                player.restart()
    assert all(count <= limit for count in opened.values()), opened
