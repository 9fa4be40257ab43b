"""A node that is killed while it enters or places its stops has each position protected again."""

from __future__ import annotations

import signal
from decimal import Decimal

import pytest

from strategies.order_ids import is_protective
from tests.live_nodes.killing import Ground, KilledNode, kill_and_restart
from tests.live_nodes.test_kill import HALF

STOPS = {"stop": 30.0, "catastrophic": 50.0, "take": [{"at": 1.0, "fraction": 0.5}]}


def faults_of(node: KilledNode, *, whole: bool = False) -> list[str]:
    """Return what is wrong with what protects its positions at the exchange, in words.

    ``whole``: its take-profit is for all of each position, not for a half.
    """
    account, held = node.at_the_exchange(), node.positions()
    wrong = [] if len(held) == 4 else [f"it holds {held}"]
    found: dict[tuple[str, str], Decimal] = {}
    for row in account["open_orders"]:
        name, side = f"{row['symbol']}-LINEAR.BYBIT", -1 if row["side"] == "Sell" else 1
        kind = row["stop_order_type"] or "take"
        if kind != "StopLoss" and not is_protective(row["order_link_id"]):
            wrong.append(f"order {row['order_link_id']} is open")
        key = (name, kind)
        found[key] = found.get(key, Decimal(0)) - side * Decimal(row["qty"])
    for name, quantity in held.items():
        taken = found.pop((name, "take"), Decimal(0))
        if taken != quantity if whole else not 0 < taken / quantity <= Decimal("0.5"):
            wrong.append(f"{name}: takes profit on {taken} of {quantity}")
        # One stop of its own, and the one that is attached to its entry, for exactly all of it.
        wrong += [
            f"{name}: its {kind} is not for {quantity}"
            for kind in ("Stop", "StopLoss")
            if found.pop((name, kind), None) != quantity
        ]
    wrong += [f"{key} is left" for key in found]
    return wrong


@pytest.mark.parametrize("number", [2, 6])
def test_a_killed_node_s_positions_are_protected_again(ground: Ground, number: int) -> None:
    node = ground.node(params={"protection": STOPS})
    killing = kill_and_restart(node, fatal=("trade: sent submit_order", number))
    assert killing.killed.signal == signal.SIGKILL, killing.killed.reached
    assert killing.again.code == 0, killing.again.said
    # The end of a run waits for the stops that it moves.
    assert faults_of(node) == [], killing.again.said
    assert faults_of(node) == [], killing.again.said


def test_a_killed_node_with_stops_at_rest_finishes_its_rebalance(ground: Ground) -> None:
    """The restart moves the stops of what was filled; their ends must not end the rebalance."""
    node = ground.node(params={"protection": STOPS})
    assert node.run("--run-once").code == 0, node.said()
    killing = kill_and_restart(node, *HALF, fatal=("trade: sent submit_order", 3))
    assert killing.killed.signal == signal.SIGKILL, killing.killed.reached
    assert killing.plan is not None
    assert node.positions() == killing.before | killing.plan.targets, killing.again.said
    assert killing.again.code == 0, killing.again.said
