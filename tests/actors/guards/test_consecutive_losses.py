"""Consecutive losses: rows of round trips, what ends them, and when they are counted anew."""

import msgspec
import pytest

from actors.guards.consecutive_losses import ConsecutiveLosses
from actors.guards.core.decisions import Decisions, Schedule
from config.durations import DAY_NS
from tests.actors.guards.moments import BTC, at
from tests.actors.guards.playing import Player, closed, filled, snapshot

SPOT = "BTCUSDT-SPOT.BYBIT"


def losses(**params: object) -> Player:
    return Player(ConsecutiveLosses, **({"losses": 3} | params)).observe(snapshot(1000, at(0)))


@pytest.mark.parametrize(
    ("of", "halted"),
    [
        ("desk", ["desk"]),
        ("strategies", ["strategy:a"]),
        ("instruments", [f"instrument:{BTC}"]),
    ],
)
def test_whose_round_trips_are_a_row(of: str, halted: list[str]) -> None:
    player = losses(of=of)
    for strategy, name in (("a", "Y"), ("b", BTC), ("a", BTC), ("b", "Z"), ("a", BTC)):
        player.observe(closed(-1, strategy=strategy, name=name))
    assert [latch.scope for latch in player.latches] == halted


def test_a_pause_is_counted_anew_from_its_end() -> None:
    player = losses(release="30m").observe(*[closed(-1, at(0, "12:00"))] * 3)
    # What closes during the halt changes neither its end nor the next row.
    player.observe(closed(-1, at(0, "12:20")), snapshot(1, at(0, "12:29")))
    assert player.verdict().until == at(0, "12:30")
    player.observe(snapshot(1, at(0, "12:30")))
    assert player.action() == "none"
    assert player.observe(*[closed(-1, at(0, "12:31"))] * 2).action() == "none"


def test_a_trip_that_closes_when_the_halt_ends_is_the_first_of_the_next_row() -> None:
    player = losses().observe(*[closed(-1, at(0, "12:00"))] * 3)
    player.observe(closed(-1, at(1)))
    assert player.action() == "none"
    assert player.observe(snapshot(1, at(1))).readings[0].measured == 1
    assert player.observe(closed(-1, at(1))).action() == "none"
    assert player.observe(closed(-1, at(1))).action() == "halt_entries"


def test_a_row_is_counted_anew_from_the_end_of_a_halt_that_covers_a_decision() -> None:
    player = losses()
    player.guard.join(Decisions({"a": Schedule(DAY_NS, 5 * 60 * 10**9)}))
    player.observe(*[closed(-1, at(0, "23:59"))] * 3, closed(-1, at(1, "00:09")))
    assert player.readings[0].measured == 4
    assert player.observe(snapshot(1, at(1, "00:10"))).readings[0].measured == 0


def test_recovered_is_the_next_trip_that_does_not_lose() -> None:
    player = losses(release="recovered").observe(*[closed(-1)] * 3)
    assert player.observe(snapshot(1, at(9))).action() == "halt_entries"
    assert player.observe(closed(0, at(9))).action() == "none"


def leg(name: str, net: float, strategy: str = "a") -> tuple[object, object]:
    """Return the fill that opens a leg, and its end."""
    opened = filled(1, name=name, strategy=strategy, opened=True)
    return opened, closed(net, name=name, strategy=strategy)


def test_legs_that_hedge_each_other_are_one_round_trip_of_what_both_brought() -> None:
    player = losses(of="strategies", legs=[[SPOT, BTC]])
    (spot, sold), (perp, bought) = leg(SPOT, -30), leg(BTC, 29)
    assert player.observe(spot, perp, sold, snapshot(1)).readings == ()
    assert player.observe(bought, snapshot(1)).readings[0].measured == 1
    # What another strategy has of them is none of it.
    player.observe(*leg(BTC, 5, "b"))
    player.observe(spot, sold)
    assert player.action("strategy:a") == "none"
    # An entry that was cut had one leg.
    assert player.observe(spot, spot, sold).action("strategy:a") == "halt_entries"


def test_a_pair_that_earned_ends_a_row_although_a_leg_lost() -> None:
    player = losses(of="desk", losses=2, legs=[[SPOT, BTC]])
    (spot, sold), (perp, bought) = leg(SPOT, -30), leg(BTC, 31)
    player.observe(spot, sold)
    assert player.observe(spot, perp, bought, sold, snapshot(1)).readings[0].measured == 0


def test_a_leg_of_which_coins_are_left_is_counted_when_the_other_opens_again() -> None:
    player = losses(of="desk", losses=2, legs=[[SPOT, BTC]])
    spot, perp, bought = leg(SPOT, 0)[0], *leg(BTC, -3)
    assert player.observe(spot, perp, bought, snapshot(1)).readings[0].measured == 0
    assert player.observe(perp, snapshot(1)).readings[0].measured == 1
    assert player.observe(bought, perp).action() == "halt_entries"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"legs": [[SPOT, BTC], [BTC, "Y"]], "of": "desk"}, f"{BTC} is given twice"),
        ({"legs": [[SPOT, BTC]], "of": "instruments"}, "give of: strategies, or desk"),
    ],
)
def test_legs_that_can_not_count_as_one_are_named(params: dict[str, object], words: str) -> None:
    (problem,) = msgspec.convert(params, ConsecutiveLosses.Config).check()
    assert problem[0].startswith("legs")
    assert words in problem[1]
