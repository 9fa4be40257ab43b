"""Keep each position with the strategy that opened it when a document was changed between two runs.

An instrument belongs to the strategy that trades it now: a strategy that was removed, renamed or
given other instruments would leave its positions to nobody, or to one that did not open them and
knows neither their stops nor their exits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal

from actors.records.journal_reading import JournalReader
from config.documents import Node
from config.universe import select
from live_nodes.bybit.facts import VenueOrder
from live_nodes.node.preflight import GateFailure
from strategies.order_ids import Owner, owner_of
from strategies.state import StateStore

_LEFT = "left to others"
"""Name of the node's state: executions that were last in positions which the user left to others,
by instrument."""


def lost_positions(
    node: Node, journal: JournalReader, held: Mapping[str, Decimal]
) -> dict[str, str]:
    """Return why the document would take positions from their strategies, in words, by instrument.

    `held` is signed base coin. The newest order in an instrument says whose its position is; what
    no own order explains is others' anyway.
    """
    left, found = _read(journal.load_state("node", _LEFT)), {}
    for name, quantity in sorted(held.items()):
        if not journal.explained_in(name):
            continue
        fill = journal.last_own_fill(name)
        owner = None if fill is None else owner_of(fill.client_order_id)
        if fill is None or owner is None or left.get(name) == fill.execution_id:
            continue
        if why := _why_not_its(node, owner, name):
            found[name] = f"{owner.key}'s {name} {quantity.normalize():f}: {why}"
    return found


def owners_gate(lost: Iterable[str]) -> list[GateFailure]:
    """Refuse a document that takes positions from their strategies (`lost`, in words)."""
    remedy = (
        "put it back until that is closed, or close all (perpdesk risk flatten), or start once "
        "with --set watch.policies.external_positions=report: that leaves it to the strategy that "
        "trades the instrument now, or to you"
    )
    must = "each position with the strategy that opened it"
    return [GateFailure("owners", one, must, remedy) for one in lost]


def leave_to_others(journal: JournalReader, state: StateStore, lost: Iterable[str]) -> None:
    """Save that positions of `lost` instruments are others' now."""
    fills = {name: fill.execution_id for name in lost if (fill := journal.last_own_fill(name))}
    if fills:
        state.save(_LEFT, json.dumps(_read(state.load(_LEFT)) | fills).encode())


def orphaned_orders(
    node: Node, orders: Iterable[VenueOrder], held: Mapping[str, Decimal]
) -> list[VenueOrder]:
    """Return own protective orders that no strategy knows any more, and that protect nothing left.

    They would close what another strategy holds in the instrument, now or later. Those of a
    position that nobody trades any more stay.
    """

    def is_orphan(order: VenueOrder) -> bool:
        name, owner = order.instrument, owner_of(order.order_link_id)
        traded = any(
            c.enabled and select([name], node.universe, c) for c in node.strategies.values()
        )
        lost = owner is not None and bool(_why_not_its(node, owner, name))
        return lost and (traded or name not in held)

    return [order for order in orders if is_orphan(order)]


def _why_not_its(node: Node, owner: Owner, name: str) -> str:
    key = f"strategies.{owner.key}"
    component = node.strategies.get(owner.key)
    if owner.tag != node.tag:
        return f"tag was {owner.tag} and is {node.tag}"
    if component is None:
        return f"{key} is gone"
    if not component.enabled:
        return f"{key}.enabled is false"
    if not select([name], node.universe, component):
        return f"universe or {key}.instruments lack it"
    return ""


def _read(saved: bytes | None) -> dict[str, str]:
    return {} if saved is None else json.loads(saved)
