"""Connect a built node, prove its logins, and reconcile it with the venue. Engine-specific.

Replaces `NautilusKernel.start_async`, which waits in a busy loop, starts strategies on a refused
login, trusts an empty answer, and leaves a zombie where it fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import ComponentId, InstrumentId, TradeId

from config.documents import Node
from config.errors import DeskError, GateRefused, some_of
from live_nodes.bybit.links import VenueLinks
from live_nodes.node.account import CacheAccount
from live_nodes.node.build import FEED
from live_nodes.node.context import NodeContext
from live_nodes.node.feed import NodeFeed
from live_nodes.node.preflight import (
    GateFailure,
    balance_gate,
    links_gate,
    orders_gate,
    positions_gate,
    refuse,
)
from live_nodes.node.turns import LAST_PRICE
from strategies.account_value import is_spot

_TICK = 0.05
_ASK_EVERY = 0.5
_RECONCILE_EVERY = 2.0
_PRICES_WITHIN = 10.0


async def connect(context: NodeContext) -> None:
    """Start the engines, connect, and wait until every link is proven, else raise GateRefused."""
    node, kernel, links = context.node, context.kernel, context.links
    kernel._register_executor()
    kernel._start_engines()
    deadline = time.monotonic() + node.gates.connect_timeout
    # Data first: the sandbox needs the instruments, and both clients share one rate limit.
    for engine in (kernel.data_engine, kernel.exec_engine):
        engine.connect()
        tasks = [
            task for client in engine._clients.values() for task in getattr(client, "_tasks", ())
        ]
        while not engine.check_connected():
            await links.tick()
            _raise_failed(node, tasks, links)
            if time.monotonic() > deadline:
                refuse(node.name, links_gate(_lacking(links, "no connection in time")))
                raise GateRefused(
                    f"{node.name}: gate links: {type(engine).__name__} did not connect within "
                    f"{node.gates.connect_timeout:g} s (gates.connect_timeout)"
                )
            await asyncio.sleep(_TICK)
    while lacking := _lacking(links, "connected, but the login is not proven"):
        await links.tick()
        failed = links.failure()
        if failed or time.monotonic() > deadline:
            refuse(node.name, links_gate({"login": failed} if failed else lacking))
        await asyncio.sleep(_TICK)


LeftAlone = Callable[[str, str, int], bool]
"""Whether an order, by instrument, link id and time, is others' and reaches no books."""


async def reconcile(context: NodeContext, left_alone: LeftAlone | None = None) -> None:
    """Reconcile the engine with the venue; raise GateRefused if our own requests differ at last."""
    node, kernel = context.node, context.kernel
    deadline = time.monotonic() + node.gates.reconcile_timeout
    await _reconcile_engine(node, kernel)
    kernel.emulator.start()
    kernel._initialize_portfolio()
    again_at = time.monotonic() + _RECONCILE_EVERY
    while True:
        try:
            failures = await venue_differences(context, left_alone or (lambda *order: False))
        except DeskError as error:
            failures = [
                GateFailure("comparison", str(error), "an answer", "see the venue's status")
            ]
        if not failures:
            return
        if time.monotonic() > deadline:
            refuse(node.name, failures)
        if time.monotonic() > again_at:
            # The adapter takes a failed request for an empty account, so request it once more.
            await _reconcile_engine(node, kernel)
            again_at = time.monotonic() + _RECONCILE_EVERY
        await asyncio.sleep(_ASK_EVERY)


async def venue_differences(context: NodeContext, left_alone: LeftAlone) -> list[GateFailure]:
    """Return where the engine's cache and the venue differ: open orders, positions, balance."""
    cache, rest = context.kernel.cache, context.rest
    account = CacheAccount(cache)
    there = {
        order.order_id: order.quantity - order.filled
        for order in await rest.open_orders(*context.facts.products)
        if not left_alone(order.instrument, order.order_link_id, order.created_ns)
    }
    here = {
        order.venue_order_id.value: order.leaves_qty.as_decimal()
        for order in [*cache.orders_open(), *cache.orders_inflight()]
        if order.venue_order_id is not None
    }
    failures = orders_gate(there, here)
    spot = "SPOT" in context.facts.products
    # Coins of pairs that the node traded once, as a rest too small to be sold, are in no books.
    held = {name: q for name, q in (await rest.positions()).items() if spot or not is_spot(name)}
    failures += positions_gate(held, account.positions())
    tolerance = context.node.gates.balance_tolerance
    return failures + balance_gate(await rest.balance(), account.wallet(), tolerance)


async def await_prices(context: NodeContext) -> NodeFeed:
    """Start the node's own subscriptions and wait a while for a price of each instrument."""
    trader = context.trading_node.trader
    trader.start_actor(ComponentId(FEED))
    feed = next(actor for actor in trader.actors() if actor.id.value == FEED)
    assert isinstance(feed, NodeFeed)
    names = feed.config.instruments
    for name in filter(is_spot, names):
        # Trades are all that the feed has of spot, and a pair may be quiet.
        if await _take_last_price(context, name):
            feed.see_price(name)
    deadline = time.monotonic() + _PRICES_WITHIN
    while feed.missing(names) and time.monotonic() < deadline:
        await asyncio.sleep(_TICK)
    missing = feed.missing(names)
    if missing:
        context.say(f"no price yet of {some_of(missing, 3)}: orders in them will be refused")
    return feed


async def _take_last_price(context: NodeContext, name: str) -> bool:
    cache, now = context.kernel.cache, time.time_ns()
    instrument = cache.instrument(InstrumentId.from_str(name))
    try:
        price = instrument.make_price(await context.rest.price(name))
    except DeskError as error:
        context.say(f"{name}: its last price can't be fetched: {error}")
        return False
    size, side = instrument.make_qty(instrument.size_increment), AggressorSide.NO_AGGRESSOR
    take = context.tape.wrap(LAST_PRICE, cache.add_trade_tick)
    take(TradeTick(instrument.id, price, size, side, TradeId("last"), now, now))
    return True


async def _reconcile_engine(node: Node, kernel: Any) -> None:
    if not kernel.exec_engine.reconciliation:
        return
    seconds = node.gates.reconcile_timeout
    try:
        async with asyncio.timeout(seconds):
            done = await kernel.exec_engine.reconcile_execution_state(timeout_secs=seconds)
    except TimeoutError:
        done = False
    if not done:
        raise GateRefused(
            f"{node.name}: gate reconciliation: the engine could not take over the venue's orders "
            f"and positions within {seconds:g} s; its log says why"
        )


def _raise_failed(node: Node, tasks: list[asyncio.Task[Any]], links: VenueLinks) -> None:
    if links.failure():
        refuse(node.name, links_gate({"login": links.failure()}))
    for task in tasks:
        has_ended = task.get_name() == "_connect" and task.done() and not task.cancelled()
        if has_ended and (error := task.exception()) is not None:
            raise GateRefused(f"{node.name}: gate links: connecting failed: {error}") from error


def _lacking(links: VenueLinks, what: str) -> dict[str, str]:
    lacking = {}
    for name, link in links.by_name().items():
        if not link.connected:
            lacking[name] = "not connected"
        elif not link.proven:
            lacking[name] = what
    return lacking
