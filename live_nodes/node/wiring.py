"""What hangs on a built node before it connects: the order gate, the strategies' states, its log.

Engine-specific.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nautilus_trader.live.node import TradingNode

from actors.gate.gate import OrderGate
from actors.records.journal import Journal
from actors.records.order_facts import Hold, OrderFacts
from config.documents import Node
from live_nodes.node.account import CacheAccount
from live_nodes.node.dry_run import DRY_RUN, Intentions, ScratchState
from live_nodes.node.preflight import Preflight
from live_nodes.node.report import Options, Report
from strategies.base import DeskStrategy
from strategies.order_ids import owner_of
from strategies.state import MemoryState, StateStore

LOG_BYTES = 64 * 1024 * 1024
"""Length at which a start puts the log aside."""
Say = Callable[[str], None]


def put_aside_long_log(log: Path) -> None:
    """Begin a new log when the last one has grown long; one old one is kept.

    The engine's own rotation names its files by the time, so that nobody finds the newest.
    """
    if log.is_file() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))


def gate_of(node: Node, made: TradingNode, journal: Journal) -> OrderGate:
    """Return the node's order gate: it writes down, and knows its own ids."""
    kernel = made.kernel
    gate = OrderGate(kernel, CacheAccount(kernel.cache), float(node.limits.leverage))
    gate.observers.append(journal)
    gate.hold(without_our_name(node.tag))
    return gate


def hold_all(gate: OrderGate, report: Report, say: Say) -> None:
    """Let nothing leave, and say what would: a dry run.

    After the guards joined the gate, so that what they refuse is not said to leave.
    """
    gate.observers.append(Intentions(report.intended, say))
    gate.hold(lambda facts: DRY_RUN, exits=True)


def state_of(node: Node, journal: Journal, options: Options, owner: str) -> StateStore:
    """Return what keeps the state of a strategy or a guard in a run of this kind."""
    # Paper positions are in the memory of this process: what was done before is undone.
    state = MemoryState() if node.environment == "paper" else journal.state(owner)
    return ScratchState(state) if options.dry_run else state


def strategies_by_key(
    node: Node, made: TradingNode, journal: Journal, options: Options, facts: Preflight
) -> dict[str, DeskStrategy]:
    """Return the node's strategies, told what they must know before they start."""
    listed = {name: facts.infos[name].listed_ns for name in facts.universe}
    found: dict[str, DeskStrategy] = {}
    for strategy in made.trader.strategies():
        assert isinstance(strategy, DeskStrategy)
        key = strategy.config.key
        strategy.attach_state(state_of(node, journal, options, key))
        strategy.know_listings({name: ns for name, ns in listed.items() if ns})
        strategy.adopts_orders = node.watch.policies.foreign_orders == "adopt"
        found[key] = strategy
    return found


def without_our_name(tag: str) -> Hold:
    """Refuse entries whose id does not say whose they are: nobody could own them later."""

    def held(facts: OrderFacts) -> str | None:
        if facts.operation != "submit":
            return None
        owner = owner_of(facts.client_order_id)
        if owner is not None and (owner.tag, owner.key) == (tag, facts.strategy):
            return None
        return (
            f"order id {facts.client_order_id} lacks the prefix {tag}-{facts.strategy}-: "
            "make orders with client_order_id=self.next_order_id()"
        )

    return held
