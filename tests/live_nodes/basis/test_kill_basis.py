"""A node that is killed while it opens or closes a basis ends with both legs, or with none."""

from __future__ import annotations

import random
import signal
from decimal import Decimal as D
from typing import Any

import msgspec
import pytest

from strategies.basis.decide import BasisMemory
from strategies.basis.trader import STATE
from strategies.hedged.book import PairBook
from strategies.hedged.two_leg_trader import Saved
from tests.live_nodes.basis.basis_nodes import basis_params
from tests.live_nodes.killing import KEY, Ground, KilledNode

LEGS = "AAAUSDT-SPOT.BYBIT", "AAAUSDT-LINEAR.BYBIT"
BETWEEN = ("trade: send submit_order", 2)
LIFE = ("--for", "12s")
"""A second until volatility is known; then it trades at the next look."""


def basis_node(ground: Ground, **two_leg: Any) -> KilledNode:
    params = basis_params(LEGS, two_leg={"budget": 1e6} | two_leg, look="100ms")
    use = "tests.live_nodes.basis.basis_nodes:BasisAtOnce"
    universe = {"instruments": list(LEGS)}
    return ground.node(universe=universe, strategies={KEY: {"use": use, "params": params}})


def closing_node(ground: Ground) -> KilledNode:
    """Return a node that holds both legs, and will close them in its next life."""
    node = basis_node(ground)
    assert node.run(*LIFE).code == 0
    assert faults_of(node) == []
    node.file.write_text(node.file.read_text().replace("BasisAtOnce", "BasisLeaving"))
    return node


def held_of(node: KilledNode) -> tuple[D, D]:
    """Return the coins in whole lots and the perpetual's position at the exchange."""
    coins = {c["coin"]: D(c["balance"]) for c in node.at_the_exchange()["wallet"]["coins"]}
    return coins.get("AAA", D(0)) // D("0.01") * D("0.01"), node.positions().get(LEGS[1], D(0))


def faults_of(node: KilledNode, *, whole: bool = True) -> list[str]:
    """Return what is wrong at the exchange, or in the book of pairs beside it, in words."""
    coins, short = held_of(node)
    account = node.at_the_exchange()
    wrong = [f"order {row['order_link_id']} is open" for row in account["open_orders"]]
    raw = node.from_copy(lambda journal: journal.load_state(KEY, STATE), None)
    book = msgspec.json.decode(raw, type=Saved[BasisMemory]).book if raw else PairBook()
    known = book.positions.held()
    if (known.get(LEGS[0], D(0)), known.get(LEGS[1], D(0))) != (coins, short):
        wrong.append(f"the exchange has {coins} and {short}, the book {known}")
    if book.changes:
        wrong.append(f"left under way: {book.changes}")
    if bool(short) != whole or abs(coins + short) > abs(short) / 50:
        wrong.append(f"{'both legs' if whole else 'none'} wanted, it has {coins} and {short}")
    return wrong


def killed(node: KilledNode, **how: Any) -> bool:
    """Kill a node and start it again for long enough; return whether it died."""
    dead = node.run(*LIFE, **how).signal == signal.SIGKILL
    again = node.run(*LIFE)
    assert again.code == 0, again.said
    return dead


def test_a_node_killed_with_one_leg_on_sends_the_other(ground: Ground) -> None:
    node = basis_node(ground)
    assert killed(node, fatal=BETWEEN)
    assert faults_of(node) == []


def test_a_node_killed_with_one_leg_off_closes_the_other(ground: Ground) -> None:
    node = closing_node(ground)
    assert killed(node, fatal=BETWEEN)
    assert faults_of(node, whole=False) == []


@pytest.mark.kill
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("make", "opens"), [(basis_node, True), (closing_node, False)])
def test_a_node_may_be_killed_at_any_moment(
    ground: Ground, make: Any, opens: bool, seed: int
) -> None:
    node = make(ground)
    killed(node, seconds=random.Random(seed).uniform(3.0, 9.0))
    assert faults_of(node, whole=opens) == []
