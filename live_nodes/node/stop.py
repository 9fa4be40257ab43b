"""Stop a node: cancel own entries, keep or close positions, verify at the venue.

Engine-specific. The engine itself leaves orders and positions open, and dies at a second signal.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import sqlite3
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from actors.records.coins import base_coin
from actors.records.journal import JournalError
from actors.records.order_facts import OrderFacts
from config.errors import DeskError
from live_nodes.bybit.facts import VenueOrder, is_protective, order_text
from live_nodes.bybit.own_coins import sellable
from live_nodes.node.account import CacheAccount
from live_nodes.node.context import NodeContext
from live_nodes.node.report import Say
from live_nodes.reconcile.recovery import Recovery
from strategies.account_value import is_spot
from strategies.base import DeskStrategy
from strategies.order_ids import own_key
from strategies.refusals import Refusal

_POLL = 0.1
_SHARE = 0.4
"""Share of the deadline for cancels, and again for closing; the engine gets the rest.

Closing gets what cancels left: an order that was lost, as with its link, is known as lost after
13 s (`venue_books.UNANSWERED_NS`, ``watch.sweep_settle``), and only then is sent again.
"""
_AGAIN = 1.0
"""Seconds before an open position without an order gets another order."""
_UNLOCK = 3.0
"""Seconds for cancels of others' orders, before the coins are offered all the same."""
STOPPING = Refusal(code="withdrawn", text="the node is stopping")
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequestedError(Exception):
    """A signal or the end of the run's time interrupted the work."""


_STORAGE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EFBIG}
)


def storage_failure(error: BaseException) -> JournalError | None:
    """Return the failure when an error means that the state folder can't be written, else None."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(storage_failure, error.exceptions)), None)
    if isinstance(error, JournalError):
        return error
    if isinstance(error, sqlite3.Error) or (isinstance(error, OSError) and error.errno in _STORAGE):
        return JournalError(error, "the state folder")
    return None


class StopSignal:
    """Handles signals; the first stops in order, a second (`quick`) leaves positions and orders.

    `reason` is empty until a stop is requested. `error` is raised again after the stop.
    `takes_up` is a stop for another release, until someone else requests one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked = asyncio.Event()
        self.reason = ""
        self.quick = False
        self.takes_up = False
        self.error: BaseException | None = None

    def listen(self) -> None:
        """Install the handlers, again after the engine's kernel replaced them."""
        for number in SIGNALS:
            self._loop.add_signal_handler(number, self.request, number.name)
        self._loop.remove_signal_handler(signal.SIGABRT)

    def release_signals(self) -> None:
        """Remove the handlers."""
        for number in SIGNALS:
            self._loop.remove_signal_handler(number)

    def request(self, reason: str) -> None:
        """Request a stop."""
        if self.takes_up:
            self.takes_up, self.reason = False, ""
        if self.reason:
            self.quick = True
        self.reason = self.reason or reason
        self._asked.set()

    def fail(self, error: BaseException) -> None:
        """Request a stop because of an error."""
        error = storage_failure(error) or error
        self.error = self.error or error
        self.takes_up = False
        words = "" if isinstance(error, DeskError) else f"{type(error).__name__}: "
        self.reason = self.reason or f"{words}{error}"
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether a stop was requested."""
        return self._asked.is_set()

    async def wait(self) -> None:
        """Wait until a stop is requested."""
        await self._asked.wait()

    async def guard[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work; raise StopRequestedError, and cancel it, if a stop is requested first."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise StopRequestedError(self.reason)
        finally:
            asked.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def watched(name: str, work: Coroutine[Any, Any, None], stop: StopSignal, say: Say) -> None:
    """Run work that lasts as long as the node; its error ends the node."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})
        error = task.exception()
        if error is not None:
            stop.fail(error)
            say(f"{name} failed: {storage_failure(error) or repr(error)}")
    finally:
        task.cancel()


async def wind_down(
    context: NodeContext, stop: StopSignal, seconds: float, recovery: Recovery | None = None
) -> None:
    """Block entries, cancel orders, close positions, stop strategies, in about `seconds`.

    Orders that protect a position stay at the venue while it is open. With `recovery`, orders of
    others that lock coins to be sold are cancelled, unless ``risk.external`` is ``leave``.
    """
    node, strategies = context.node, context.strategies
    context.gate.hold(no_entry)
    seconds *= _SHARE
    closed_by = time.monotonic() + 2 * seconds

    def ends(order: Any) -> bool:
        return node.on_stop == "flatten" or not order.is_reduce_only

    # Moved stops reach the venue too, or the next start finds orders that never arrived.
    def answered() -> bool:
        return not any(
            strategy.broker.protecting or any(map(ends, strategy.orders_under_way()))
            for strategy in strategies.values()
        )

    for strategy in strategies.values():
        if node.on_stop == "keep":
            strategy.leave_open()
        elif not stop.quick:
            strategy.leave_flat()
    if not stop.quick:
        for strategy in strategies.values():
            strategy.stop_executing()
            for order in strategy.orders_under_way():
                if ends(order):
                    strategy.cancel_order(order)
        await _until(answered, seconds, stop)
    if node.on_stop == "flatten" and not stop.quick:
        await _close(context, closed_by, stop, recovery)
        for strategy in strategies.values():
            # Also an execution whose cancel got no answer.
            for name in strategy.instrument_ids:
                strategy.broker.forget(name)
            # A stop for coins that were sold but for dust would sell others' coins.
            held = _closable(context, strategy)
            for order in strategy.broker.protective_orders():
                if order.instrument_id.value not in held:
                    strategy.broker.cancel(order)
    trader = context.trading_node.trader
    for strategy in strategies.values():
        if strategy.is_running:
            trader.stop_strategy(strategy.id)
    for actor in trader.actors():
        if actor.is_running:
            trader.stop_actor(actor.id)
    if not stop.quick:
        await _until(answered, seconds, stop)


async def _close(
    context: NodeContext, deadline: float, stop: StopSignal, recovery: Recovery | None
) -> None:
    # An order that the venue rejects, such as for its rate limit, is sent again.
    strategies, held_by = context.strategies.values(), partial(_closable, context)
    closing = sum(len(held_by(strategy)) for strategy in strategies)
    if closing:
        context.say(f"closing {closing} position{'' if closing == 1 else 's'}")
    for strategy in strategies:
        for name in strategy.holdings().keys() - held_by(strategy).keys():
            coins = strategy.holdings()[name].normalize()
            context.say(f"{name}: {coins:f} is too little to be sold; it stays")

    def waiting(*, spot: bool) -> Iterator[tuple[DeskStrategy, str, Decimal]]:
        for strategy in strategies:
            for name, quantity in sorted(held_by(strategy).items()):
                if is_spot(name) == spot and not strategy.orders_under_way({name}):
                    yield strategy, name, quantity

    def send(*, spot: bool) -> None:
        for strategy, name, quantity in waiting(spot=spot):
            place = strategy.ids.index(name)
            strategy.send_market(strategy.instrument_ids[place], -quantity, "stop")

    while closing and time.monotonic() < deadline and not stop.quick:
        send(spot=False)
        to_sell = {name: quantity for _, name, quantity in waiting(spot=True)}
        if to_sell and recovery is not None and context.node.risk.external != "leave":
            # Before the sale: while one is under way, too few coins seem to be free.
            unlocking = asyncio.create_task(_unlock(context, recovery, to_sell))
            await _until(unlocking.done, min(_UNLOCK, deadline - time.monotonic()), stop)
            unlocking.cancel()
        if not stop.quick:
            send(spot=True)
        await _until(
            lambda: not any(held_by(strategy) for strategy in strategies),
            min(_AGAIN, deadline - time.monotonic()),
            stop,
        )
        closing = sum(len(held_by(strategy)) for strategy in strategies)


async def _unlock(context: NodeContext, recovery: Recovery, coins: Mapping[str, Decimal]) -> None:
    """Cancel orders of others that leave too few of these coins to sell, by pair."""
    try:
        orders = recovery.of_others(await context.rest.open_orders("SPOT"))
        locking = locking_orders(orders, coins, await context.rest.coins())
        await recovery.cancel(locking)
    except DeskError as error:
        context.say(f"orders of others that lock coins can't be cancelled yet: {error}")
        return
    for order in locking:
        context.say(f"others' {order_text(order)} is cancelled, as it locks coins to be sold")


def locking_orders(
    orders: Collection[VenueOrder], coins: Mapping[str, Decimal], wallet: Mapping[str, Decimal]
) -> list[VenueOrder]:
    """Return the sales among orders that leave too few coins, by pair, in a wallet."""
    # Conditional ones lock none before their trigger.
    sales = [o for o in orders if o.side == "Sell" and not o.order_filter and o.instrument in coins]
    free = {name: wallet.get(base_coin(name), Decimal(0)) for name in coins}
    for order in sales:
        free[order.instrument] -= order.quantity - order.filled
    return [order for order in sales if free[order.instrument] < coins[order.instrument]]


def _closable(context: NodeContext, strategy: DeskStrategy) -> dict[str, Decimal]:
    return {n: q for n, q in strategy.holdings().items() if not _is_dust(context, n, q)}


def _is_dust(context: NodeContext, name: str, quantity: Decimal) -> bool:
    """Whether it is less than the venue's smallest order, which only coins can't be closed by."""
    if not is_spot(name):
        return False
    price = CacheAccount(context.kernel.cache).price(name)
    return not sellable(context.facts.infos[name], quantity, price)


async def verify(context: NodeContext, recovery: Recovery, seconds: float) -> list[str]:
    """Check orders and positions at the venue after the stop; return problems as text."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            wrong = await _left(context, recovery)
        except DeskError as error:
            wrong = [f"the venue could not be asked: {error}"]
        if not wrong or time.monotonic() > deadline:
            return wrong
        await asyncio.sleep(_POLL * 5)


async def _left(context: NodeContext, recovery: Recovery) -> list[str]:
    node, rest, facts = context.node, context.rest, context.facts
    wrong = [
        f"order {order.order_link_id} is still open at the venue"
        for order in await rest.open_orders(*facts.products)
        if own_key(node.tag, order.order_link_id) is not None
        and not recovery.is_others_order(order)
        and not (node.on_stop == "keep" and is_protective(order))
    ]
    if node.on_stop == "flatten":
        wrong += [
            f"{name}: {quantity:f} is still held at the venue"
            for name, quantity in (await rest.positions()).items()
            if name in facts.universe and not _is_dust(context, name, quantity)
        ]
    return wrong


def no_entry(facts: OrderFacts) -> Refusal | None:
    """Refuse every entry: a `Hold`."""
    return None if facts.is_exit else STOPPING


async def _until(done: Callable[[], bool], seconds: float, stop: StopSignal) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline and not stop.quick:
        await asyncio.sleep(_POLL)
