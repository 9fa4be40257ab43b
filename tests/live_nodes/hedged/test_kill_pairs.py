"""A node that is killed while it enters or leaves a pair ends with both legs, or with none."""

from __future__ import annotations

import random
import signal
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from strategies.hedged.book import PairBook
from strategies.hedged.rules import PairsMemory
from strategies.hedged.trader import STATE
from strategies.hedged.two_leg_trader import Saved
from tests.live_nodes.hedged.pair_nodes import VALUE, pairs_params
from tests.live_nodes.killing import KEY, Ground, KilledNode, traded_of

LEGS = ("AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT")
NOW = ("--run-once", "--force")
BETWEEN = ("trade: send submit_order", 2)


def pair_node(ground: Ground, **two_leg: Any) -> KilledNode:
    params = pairs_params(LEGS, two_leg={"budget": 1e6} | two_leg)
    use = "tests.live_nodes.hedged.pair_nodes:PairsAtOnce"
    return ground.node(strategies={KEY: {"use": use, "params": params}})


def leaving_node(ground: Ground) -> KilledNode:
    """Return a node that holds a pair, and will leave it in its next life."""
    node = pair_node(ground)
    assert node.run("--run-once").code == 0
    assert set(node.positions()) == set(LEGS)
    node.file.write_text(node.file.read_text().replace("PairsAtOnce", "PairsLeaving"))
    return node


def faults_of(node: KilledNode, *, whole: bool = True) -> list[str]:
    """Return what is wrong at the exchange, or in the book of pairs beside it, in words."""
    account, held = node.at_the_exchange(), node.positions()
    wrong = [f"order {row['order_link_id']} is open" for row in account["open_orders"]]
    raw = node.from_copy(lambda journal: journal.load_state(KEY, STATE), None)
    book = msgspec.json.decode(raw, type=Saved[PairsMemory]).book if raw else PairBook()
    if book.positions.held() != held:
        wrong.append(f"the exchange has {held}, the pairs {book.positions.held()}")
    if book.changes:
        wrong.append(f"left under way: {book.changes}")
    if set(held) != (set(LEGS) if whole else set()):
        wrong.append(f"{'both legs' if whole else 'none'} wanted, it has {held}")
    for name, quantity in held.items():
        price = Decimal(100 if name == LEGS[0] else 50)
        if not Decimal("0.8") < abs(quantity) * price / VALUE < Decimal("1.2"):
            wrong.append(f"{name}: {quantity} is no leg of {VALUE}")
    if whole and traded_of(account) != {name: abs(quantity) for name, quantity in held.items()}:
        wrong.append(f"traded there and back: {traded_of(account)}, held {held}")
    return wrong


def killed(
    node: KilledNode, fatal: tuple[str, int] | None = None, seconds: float | None = None
) -> bool:
    """Kill a node and start it again to the end; return whether it died."""
    dead = node.run(*NOW, fatal=fatal, seconds=seconds).signal == signal.SIGKILL
    again = node.run(*NOW)
    assert again.code == 0, again.said
    return dead


def test_a_node_killed_between_the_legs_sends_the_second(ground: Ground) -> None:
    node = pair_node(ground)
    assert killed(node, BETWEEN)
    assert faults_of(node) == []


def test_a_node_killed_between_the_legs_that_comes_back_late_has_none(ground: Ground) -> None:
    node = pair_node(ground, deadline="1s")
    assert killed(node, BETWEEN)
    assert faults_of(node, whole=False) == []


def test_a_node_killed_between_the_legs_of_an_exit_closes_the_second(ground: Ground) -> None:
    node = leaving_node(ground)
    assert killed(node, BETWEEN)
    assert faults_of(node, whole=False) == []


@pytest.mark.kill
@pytest.mark.parametrize(("make", "enters"), [(pair_node, True), (leaving_node, False)])
def test_a_node_may_be_killed_at_every_boundary(ground: Ground, make: Any, enters: bool) -> None:
    node = make(ground)
    whole = node.run(*NOW)
    assert len(whole.traded) > 10
    assert faults_of(node, whole=enters) == []
    wrong = {}
    for boundary in whole.traded:
        node = make(ground)
        if killed(node, boundary) and (found := faults_of(node, whole=enters)):
            wrong[boundary] = found
    assert wrong == {}


@pytest.mark.kill
@pytest.mark.parametrize("seed", range(6))
def test_a_node_may_be_killed_at_any_moment_of_an_entry(ground: Ground, seed: int) -> None:
    node = pair_node(ground)
    killed(node, seconds=random.Random(seed).uniform(0.5, 8.0))
    assert faults_of(node) == []
