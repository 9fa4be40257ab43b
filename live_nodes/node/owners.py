"""Keep each position with the strategy that opened it when a document was changed between two runs.

An instrument belongs to the strategy that trades it now: a strategy that was removed, renamed or
given other instruments would leave its positions to nobody, or to one that did not open them and
knows neither their stops nor their exits. Such a document is refused, unless the user leaves them
to others (``policies.external_positions: report``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from actors.records.journal_reading import JournalReader
from catalog.providers.bybit_http import BybitHistory
from config.documents import Node
from config.universe import select
from live_nodes.bybit.facts import VenueOrder, order_text
from live_nodes.bybit.own_coins import sellable
from live_nodes.bybit.rest import VenueRest
from live_nodes.node.context import RunContext
from live_nodes.node.preflight import GateFailure, Preflight
from live_nodes.node.warm_up import listings
from live_nodes.reconcile.recovery import Recovery
from strategies.account_value import is_spot
from strategies.order_ids import Owner, owner_of

_LEFT = "left to others"
"""Name of the node's state: executions that were last in positions which the user left to others,
by instrument."""
_REMEDY = (
    "put it back until that is closed, or close all (perpdesk risk flatten), or start once with "
    "--set watch.policies.external_positions=report: that leaves it to the strategy that trades "
    "the instrument now, or to you"
)


async def keep_owners(
    context: RunContext,
    recovery: Recovery,
    facts: Preflight,
    orders: Collection[VenueOrder],
    held: Mapping[str, Decimal],
) -> None:
    """Refuse a document that takes positions from their strategies, or leave these to others.

    `held` is signed base coin at the venue, `orders` are own protective ones there; those of a
    strategy that is gone are cancelled. Raises GateRefused.
    """
    node, journal = context.node, context.journal
    lost = _lost(node, journal, held)
    dust = await context.gated("owners", _dust(recovery.rest, facts, held, lost))
    lost = {name: why for name, why in lost.items() if name not in dust}
    if node.watch.policies.external_positions == "halt":
        must = "each position with the strategy that opened it"
        context.pass_gates(GateFailure("owners", one, must, _REMEDY) for one in lost.values())
    for line in lost.values():
        context.warn(f"left to others: {line}")
    fills = {name: fill.execution_id for name in lost if (fill := journal.last_own_fill(name))}
    if fills:
        left = _left(journal) | fills
        journal.save_state("node", _LEFT, json.dumps(left).encode())
    orphaned = [order for order in orders if _is_orphan(node, order, held)]
    await context.gated("recovery", recovery.cancel(orphaned))
    for order in orphaned:
        context.say(f"leftover cancelled: {order_text(order)}, which no strategy knows any more")


def _lost(node: Node, journal: JournalReader, held: Mapping[str, Decimal]) -> dict[str, str]:
    """Return why the document would take positions from their strategies, in words, by instrument.

    The newest order in an instrument says whose its position is; what no own order explains is
    others' anyway.
    """
    left, found = _left(journal), {}
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


async def _dust(
    rest: VenueRest, facts: Preflight, held: Mapping[str, Decimal], names: Iterable[str]
) -> set[str]:
    """Return the pairs of which the node has too few coins to sell, or that trade no more."""
    found, infos = set(filter(is_spot, names)), facts.infos
    if not found <= infos.keys():
        infos = await listings({"SPOT": BybitHistory("SPOT", rest.base_url)})
    for name in found & infos.keys():
        if sellable(infos[name], held[name], await rest.price(name)):
            found.remove(name)
    return found


def _is_orphan(node: Node, order: VenueOrder, held: Mapping[str, Decimal]) -> bool:
    """Whether no strategy knows an own protective order any more, and it protects nothing left.

    It would close what another strategy holds in the instrument, now or later. That of a position
    that nobody trades any more stays.
    """
    name, owner = order.instrument, owner_of(order.order_link_id)
    traded = any(c.enabled and select([name], node.universe, c) for c in node.strategies.values())
    lost = owner is not None and bool(_why_not_its(node, owner, name))
    return lost and (traded or name not in held)


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


def _left(journal: JournalReader) -> dict[str, str]:
    saved = journal.load_state("node", _LEFT)
    return {} if saved is None else json.loads(saved)
