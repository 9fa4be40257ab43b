import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.examples import desk
from actors.guards.core.exposure import Held, could_open, held_of
from actors.guards.core.snapshot import Holding
from actors.guards.trades_per_day import TradesPerDay
from tests.actors.guards.moments import BTC, ETH, HOUR, NOON, SECOND, at
from tests.actors.guards.playing import Player, closed, filled, held, requested, row

SCOPE = f"instrument:{BTC}"


def trades(limit: int = 2, **params: object) -> Player:
    return Player(TradesPerDay, limit=limit, **params).observe(desk())


def trip(player: Player, ts: int = NOON, name: str = BTC) -> None:
    """Opens and closes a position of one."""
    player.observe(filled(1, ts, name, opened=True), filled(-1, ts, name), closed(5, ts, name=name))


def test_the_day_ends_for_an_instrument_when_its_last_trade_is_closed() -> None:
    player = trades()
    trip(player)
    assert player.action(SCOPE) == "none"
    player.observe(filled(1, opened=True))
    # The second of two is open: it may still be added to.
    assert player.action(SCOPE) == "none"
    assert player.refusal(requested(1, has=1)) is None
    player.observe(filled(-1))
    verdict = player.verdict(SCOPE)
    assert (player.action(SCOPE), verdict.measured, verdict.limit) == ("halt_entries", 2, 2)
    assert verdict.until == at(1)
    assert verdict.reason == "2 trades opened today, limit 2"
    assert not verdict.transient
    assert player.action(f"instrument:{ETH}") == "none"


@pytest.mark.parametrize(
    ("ts", "admitted"),
    [(at(1) - 1, False), (at(1), True)],
)
def test_the_count_begins_anew_at_midnight_utc_to_the_nanosecond(ts: int, admitted: bool) -> None:
    player = trades(limit=1)
    trip(player)
    # No snapshot since noon: the order's own time counts.
    assert (player.refusal(requested(ts=ts)) is None) == admitted
    player.observe(desk(ts))
    assert (player.action(SCOPE) == "none") == admitted


def test_a_burst_in_one_callback_opens_no_more_than_are_left() -> None:
    player = trades()
    assert player.refusal(requested(1)) is None
    # Turned to and fro before anything is filled: each turn could open one more.
    assert player.refusal(requested(-2, buys=1)) is None
    assert player.refusal(requested(2, buys=1, sells=1)) == (
        "0 trades opened today, limit 2; with what is under way it could be 3 more"
    )
    player.observe(filled(1, opened=True))
    assert player.refusal(requested(-2, has=1, sells=1)) is None
    assert player.refusal(requested(2, has=1, sells=2)) == (
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
def test_orders_may_open_one_trade_a_way_through_zero(has, buys, sells, quantity, expected):
    assert could_open(requested(quantity, has=has, buys=buys, sells=sells)) == expected


def test_only_the_orders_own_owner_and_instrument_count() -> None:
    others = (row(ETH, 5, sells=3), row(BTC, 5, sells=3, strategy="b"))
    assert could_open(requested(1, *others)) == 1
    assert trades(limit=1).refusal(requested(1, *others)) is None


@pytest.mark.parametrize(
    "other", [held(2), held(1, ETH), held(1, strategy="b"), held(1, strategy="")]
)
def test_positions_follow_the_snapshot(other: Holding) -> None:
    before = held_of(desk(NOON, held(1)))
    assert held_of(desk(NOON, held(1)), before) is before
    after = held_of(desk(NOON, other), before)
    own = [Held(other.strategy, other.instrument, other.quantity)] if other.strategy else []
    assert after == tuple(own)


def test_exits_are_no_trades() -> None:
    player = trades(limit=1).observe(desk(NOON, held(1)))
    assert player.refusal(requested(-1, has=1, is_exit=True)) is None
    player.observe(filled(-1), closed(1))
    assert player.state.opened == {}
    assert player.refusal(requested(1)) is None


def test_what_was_open_at_the_start_is_not_counted_but_a_turn_is() -> None:
    player = Player(TradesPerDay, limit=1).observe(desk(NOON, held(1)))
    assert player.refusal(requested(-2, has=1)) is None
    player.observe(filled(-2, opened=True), closed(1))
    assert player.refusal(requested(2, has=-1)) is not None
    assert player.refusal(requested(-1, has=-1)) is None


def test_shrinking_lets_entries_pass() -> None:
    player = trades(limit=1, action="shrink", size=0.5)
    trip(player)
    assert player.verdict(SCOPE).multiplier == 0.5
    assert player.refusal(requested()) is None


@given(st.integers(0, 10**9), st.integers(1, 4))
def test_no_order_of_fills_opens_more_trades_a_day_than_the_limit(seed: int, limit: int) -> None:
    """A strategy that sends orders at random, against a count of its position's ways from zero."""
    choose = random.Random(seed)
    player = trades(limit=limit)
    now, position = NOON, 0
    under_way: list[int] = []
    opened: dict[int, int] = {}
    for _ in range(80):
        now += choose.choice([0, 0, SECOND, 2 * HOUR])
        match choose.choice(
            ["order", "order", "order", "fill", "fill", "cancel", "snapshot", "exit"]
        ):
            case "order":
                size = choose.choice([-2, -1, 1, 2])
                buys = sum(x > 0 for x in under_way)
                order = requested(
                    size, ts=now, has=position, buys=buys, sells=len(under_way) - buys
                )
                if player.refusal(order) is None:
                    under_way.append(size)
            case "fill" if under_way:
                size = under_way.pop(choose.randrange(len(under_way)))
                after = position + size
                opens = after != 0 and (position == 0 or position * after < 0)
                closes = position != 0 and (after == 0 or position * after < 0)
                player.observe(filled(size, now, opened=opens))
                if closes:
                    player.observe(closed(0, now))
                day = now // (86400 * SECOND)
                opened[day] = opened.get(day, 0) + opens
                position = after
            case "cancel" if under_way:
                under_way.pop(choose.randrange(len(under_way)))
            case "exit" if position and not under_way:
                player.observe(filled(-position, now), closed(0, now))
                position = 0
            case _:
                player.observe(desk(now, *([held(position)] if position else [])))
    assert all(count <= limit for count in opened.values()), opened
