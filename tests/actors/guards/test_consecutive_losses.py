"""Consecutive losses: rows of round trips, what ends them, and when they are counted anew."""

import pytest

from actors.guards.consecutive_losses import ConsecutiveLosses
from actors.guards.core.decisions import Decisions, Schedule
from config.durations import DAY_NS
from tests.actors.guards.moments import BTC, at
from tests.actors.guards.playing import Player, closed, snapshot


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
