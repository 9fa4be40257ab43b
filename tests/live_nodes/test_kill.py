"""A node that is killed anywhere in a rebalance ends where it wanted to be, and nowhere else.

Each time: SIGKILL, an ordinary restart, and the exchange is asked what it has. Net positions are
the plan's targets, not a lot was traded there and back, no order is left, and one rebalance was
decided on. `make test-live` kills thrice; `make test-kill` at every boundary of a rebalance and at
random moments.
"""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest

from tests.live_nodes.killing import MAKER, TAKER, Ground, KilledNode, faults_of, kill_and_restart

TRIES = 4
"""How often a boundary is tried that not every run has, such as the fifth of some fills."""
BY_MARKET = ("fills", "positions", "order_events")
"""In the names of boundaries of which the market says how many there are; at least one is hit."""
PATIENT: dict[str, Any] = MAKER | {
    "place": "behind",
    "ticks": 500,
    "deadline": "1s",
    "max_leg_imbalance": 1,
}
"""Rests where nobody comes, takes it back at the deadline and takes the market: always alike."""
HALF = ("--force", "--set", "strategies.steady.params.gross_leverage=0.05")
"""Another rebalance on the same day, of exits alone."""


def kill_at(node: KilledNode, boundary: tuple[str, int], *options: str) -> list[str]:
    """Kill at a boundary; return what is wrong afterwards, and whether it was never reached."""
    killing = kill_and_restart(node, *options, fatal=boundary)
    if killing.killed.signal != signal.SIGKILL:
        return [f"{boundary} was never reached"]
    return faults_of(node, killing, decided=2 if options else 1)


def opened(ground: Ground, execution: dict[str, Any]) -> KilledNode:
    """Return a node that has rebalanced once."""
    node = ground.node(execution)
    assert node.run("--run-once").code == 0, node.said()
    return node


def test_a_node_that_is_killed_before_an_order_is_sent_ends_at_its_targets(ground: Ground) -> None:
    """After one is sent: see `test_a_machine_that_dies_with_its_exchange_comes_back_with_it`."""
    assert kill_at(ground.node(TAKER), ("trade: send submit_order", 2)) == []


def test_a_node_that_is_killed_while_makers_rest_ends_at_its_targets(ground: Ground) -> None:
    assert kill_at(ground.node(MAKER), ("trade: sent submit_order", 2)) == []


def boundaries_of(
    ground: Ground, execution: dict[str, Any], *options: str
) -> list[tuple[str, int]]:
    """Return the boundaries that two rebalances both have.

    Into how many executions a large order falls is the market's to say: what only one of them has
    is a fifth of a kind of which there are four.
    """
    found = []
    for _ in range(2):
        node = opened(ground, execution) if options else ground.node(execution)
        ended = node.run("--run-once", *options)
        assert ended.code == 0, ended.said
        found.append(ended.traded)
    return [boundary for boundary in found[0] if boundary in found[1]]


def wrong_after_kills(
    ground: Ground, execution: dict[str, Any], boundaries: list[tuple[str, int]], *options: str
) -> dict[tuple[str, int], list[str]]:
    """Kill a node of its own at each boundary; return what is wrong afterwards, by boundary."""
    wrong: dict[tuple[str, int], list[str]] = {}
    unreached: dict[tuple[str, int], list[str]] = {}
    hit = set()
    for boundary in boundaries:
        for _ in range(TRIES):
            node = opened(ground, execution) if options else ground.node(execution)
            found = kill_at(node, boundary, *options)
            if "never reached" not in " ".join(found):
                hit.add(boundary[0])
                break
        else:
            unreached[boundary] = found
            continue
        if found:
            wrong[boundary] = found
    for boundary, found in unreached.items():
        name = boundary[0]
        if name not in hit or not any(word in name for word in BY_MARKET):
            wrong[boundary] = found
    return wrong


def ends(boundaries: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the first and the last boundary of each kind."""
    last = dict(boundaries)
    return [(name, number) for name, number in boundaries if number in (1, last[name])]


@pytest.mark.kill
def test_a_node_may_be_killed_at_every_boundary_of_a_rebalance(ground: Ground) -> None:
    boundaries = boundaries_of(ground, TAKER)
    kinds = {name for name, _ in boundaries}
    assert {"trade: send submit_order", "trade: sent submit_order"} < kinds
    assert {"trade: commit state rebalance", "trade: commit decisions"} < kinds
    assert any("fills" in name for name in kinds)
    assert len(boundaries) > 20
    assert wrong_after_kills(ground, TAKER, boundaries) == {}


@pytest.mark.kill
def test_exits_may_be_killed_at_the_ends_of_every_kind_of_boundary(ground: Ground) -> None:
    boundaries = ends(boundaries_of(ground, TAKER, *HALF))
    assert ("trade: sent submit_order", 4) in boundaries
    assert wrong_after_kills(ground, TAKER, boundaries, *HALF) == {}


@pytest.mark.kill
@pytest.mark.parametrize("options", [(), HALF], ids=["entries", "exits"])
def test_makers_may_be_killed_at_the_ends_of_every_kind_of_boundary(
    ground: Ground, options: tuple[str, ...]
) -> None:
    boundaries = ends(boundaries_of(ground, PATIENT, *options))
    kinds = {name for name, _ in boundaries}
    assert {"trade: commit state tactic", "trade: commit intents"} < kinds
    assert {f"trade: {x}_order" for x in ("send submit", "send cancel", "sent cancel")} < kinds
    assert wrong_after_kills(ground, PATIENT, boundaries, *options) == {}


@pytest.mark.kill
@pytest.mark.parametrize("seed", range(16))
def test_a_node_may_be_killed_at_any_moment(ground: Ground, seed: int) -> None:
    chance = random.Random(seed)
    execution = TAKER if seed % 2 else MAKER
    began = time.monotonic()
    opened(ground, execution)
    whole = time.monotonic() - began
    node = ground.node(execution)
    killing = kill_and_restart(node, seconds=chance.uniform(0.05, whole))
    assert killing.killed.signal in (signal.SIGKILL, None)
    assert faults_of(node, killing) == []


@pytest.mark.kill
@pytest.mark.parametrize("seed", range(4))
def test_a_node_whose_fills_are_told_late_may_be_killed_at_any_moment(
    ground: Ground, seed: int
) -> None:
    """Not a lot is traded there and back: no execution passes its goal."""
    late = {"model": "late_push", "topic": "execution", "by": 4, "times": 1000}
    ground.tell("/faults", late=late)
    try:
        node = ground.node(MAKER)
        killing = kill_and_restart(node, seconds=random.Random(seed).uniform(2, 12))
        assert faults_of(node, killing) == []
    finally:
        ground.tell("/faults", method="DELETE")


@pytest.mark.kill
def test_a_restart_may_be_killed_as_well(ground: Ground) -> None:
    """Killed with orders sent and nothing known of them, then at every write of the recovery."""
    node = ground.node(TAKER)
    before = kill_and_restart(node, fatal=("trade: sent submit_order", 1))
    recovery = [name for name in before.again.reached if name.startswith("start: commit")]
    assert len(recovery) > 5
    wrong = {}
    for number in range(1, recovery.count("start: commit orders") + 1):
        node = ground.node(TAKER)
        first = node.run("--run-once", fatal=("trade: sent submit_order", 1))
        assert first.signal == signal.SIGKILL
        found = kill_at(node, ("start: commit orders", number))
        if found:
            wrong[number] = found
    assert wrong == {}
