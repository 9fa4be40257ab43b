"""A node that buys coins and sells perpetuals, killed anywhere: it ends where it wanted to be."""

from __future__ import annotations

import signal
from decimal import Decimal as D
from typing import Any

import pytest

from actors.records.journal_reading import read
from live_nodes.local.folder import node_to_stop
from live_nodes.operate.flatten import flatten_node
from live_nodes.operate.flatten_request import FlattenRequest
from strategies.account_value import fee_explains
from strategies.rebalance.plan import STATE, Progress, decode
from tests.live_nodes.killing import MAKER, TAKER, Ground, KilledNode, targets_of
from tests.live_nodes.test_kill import ends

COINS, PERPS = ["AAAUSDT-SPOT.BYBIT", "BBBUSDT-SPOT.BYBIT"], ["CCCUSDT-LINEAR*", "DDDUSDT-LINEAR*"]
LOT = D("0.01")


def spot_node(ground: Ground, execution: dict[str, Any]) -> KilledNode:
    """Return a node of two strategies: one buys a coin, the other a perpetual, and sells one."""
    params = {"interval": "1h", "every": "1d", "at": "00:00", "fraction": 0.5}
    params |= {"gross_leverage": 0.1, "execution": execution}
    use = "tests.live_nodes.desk_strategies:Steady"
    strategies = {
        "coins": {"use": use, "instruments": COINS, "params": params | {"side": "long_only"}},
        "steady": {"use": use, "instruments": PERPS, "params": params},
    }
    return ground.node(universe={"instruments": [*COINS, *PERPS]}, strategies=strategies)


def plans_of(node: KilledNode) -> dict[str, D]:
    """Return the targets that a dead node's journal has under way."""
    found: dict[str, D] = {}
    for key in ("coins", "steady"):
        kept = node.from_copy(lambda j, key=key: decode(j.load_state(key, STATE), key), Progress())
        found |= {} if kept.plan is None else kept.plan.targets
    return found


def faults_of(node: KilledNode, plans: dict[str, D]) -> list[str]:
    """Return what is not as it must be after a kill and a restart, in words.

    `plans` were under way at the kill: their decisions may not be in the journal.
    """
    account, held = node.at_the_exchange(), node.positions()
    wallet = {row["coin"]: D(row["balance"]) for row in account["wallet"]["coins"]}
    decisions = node.decisions()
    made = [targets_of(decision) for decision in reversed(decisions)]
    wanted = {k: v for targets in (plans, *made) for k, v in targets.items() if v}
    wrong = [f"{name} is open" for name in (r["order_link_id"] for r in account["open_orders"])]
    perps = {name: quantity for name, quantity in wanted.items() if "LINEAR" in name}
    if held != perps or len(perps) != 2 or len(decisions) > 2:
        wrong.append(f"the exchange has {held}, the targets are {perps}, of {len(decisions)}")
    with read(node.folder) as journal:
        explained, unsettled = journal.explained(), journal.unsettled()
    wrong += [f"no outcome of {order}" for order in unsettled]
    for name in COINS:
        coin, target = name[:3], wanted.get(name, D(0))
        bought = sum(
            (D(row["qty"]) for row in account["executions"] if row["fee_coin"] == coin), D(0)
        )
        there = wallet.get(coin, D(0))
        if abs(explained.get(name, D(0)) - there) > D("1e-7"):
            wrong.append(f"the journal explains {explained.get(name)} {coin} of {there}")
        if target and not fee_explains(name, bought, target - there // LOT * LOT, LOT):
            wrong.append(f"{there} {coin} are there, {target} were wanted")
        # What a fee took is bought again by a restart at most.
        if not target <= bought <= target * D("1.003") + LOT:
            wrong.append(f"{bought} {coin} were bought for {target}")
    return wrong


def kill_and_flatten(node: KilledNode, fatal: tuple[str, int]) -> list[str]:
    """Kill at a boundary, restart, flatten past the node; return what is wrong."""
    killed = node.run("--run-once", fatal=fatal)
    if killed.signal != signal.SIGKILL:
        return [f"{fatal} was never reached"]
    plans = plans_of(node)
    again = node.run("--run-once")
    wrong = faults_of(node, plans)
    if again.code != 0:
        wrong.append(f"the restart ended with {again.code}: {again.said}")
    said: list[str] = []
    stopped = node_to_stop(node.file, (), said.append)
    if not flatten_node(stopped, FlattenRequest(node.folder, ""), 30, said.append).flat:
        wrong.append("\n".join(said))
    left = {row["coin"]: D(row["balance"]) for row in node.at_the_exchange()["wallet"]["coins"]}
    wrong += [f"{left[coin]} {coin} stay" for coin in ("AAA", "BBB") if left.get(coin, D(0)) >= LOT]
    return wrong + [f"{name} stays" for name in node.positions()]


@pytest.mark.parametrize(
    ("execution", "fatal"),
    [
        (TAKER, ("trade: sent submit_order", 1)),
        (TAKER, ("trade: send submit_order", 3)),
        (MAKER, ("trade: sent submit_order", 3)),
    ],
    ids=["first sent", "last not sent", "makers"],
)
def test_coins_and_perpetuals_survive_a_kill(
    ground: Ground, execution: dict[str, Any], fatal: tuple[str, int]
) -> None:
    assert kill_and_flatten(spot_node(ground, execution), fatal) == []


@pytest.mark.kill
def test_a_spot_node_may_be_killed_at_the_ends_of_every_kind_of_boundary(ground: Ground) -> None:
    ended = spot_node(ground, TAKER).run("--run-once")
    assert ended.code == 0, ended.said
    wrong = {b: kill_and_flatten(spot_node(ground, TAKER), b) for b in ends(ended.traded)}
    never = [b for b, found in wrong.items() if "never reached" in str(found)]
    assert len(wrong) - len(never) > 10
    assert {b: found for b, found in wrong.items() if found and b not in never} == {}
