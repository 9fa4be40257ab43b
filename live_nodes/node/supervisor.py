"""Start and stop a node's recorder, audit, throttle, watch and sweep. Engine-specific."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

from live_nodes.bybit.throttle import OrderThrottle
from live_nodes.node.account import CacheAccount
from live_nodes.node.audit import Audit
from live_nodes.node.context import NodeContext
from live_nodes.node.feed import NodeFeed
from live_nodes.node.report import Miss
from live_nodes.node.risk import NodeRisk
from live_nodes.node.stop import StopSignal, watched
from live_nodes.node.watch import NodeWatch
from live_nodes.reconcile.recorder import JournalRecorder
from live_nodes.reconcile.recovery import Recovery
from live_nodes.reconcile.repair import Repairer
from live_nodes.reconcile.sweep import Sweep
from live_nodes.reconcile.venue_books import engine_books
from strategies.messages import Decision
from strategies.order_ids import own_key
from strategies.refusals import Refusal


class Supervisor:
    """Records from the build on, watches from the connection on."""

    def __init__(
        self, context: NodeContext, on_carried_out: Callable[[Decision, list[Miss]], None]
    ) -> None:
        self._context = context
        strategies = context.strategies
        adopts = context.node.watch.policies.foreign_orders == "adopt"
        self._recorder = JournalRecorder(
            context.kernel,
            context.journal,
            lambda name: adopts or own_key(context.node.tag, name) is not None,
        )
        self._audit = Audit(
            context.journal,
            self._holdings,
            lambda key: key in strategies and strategies[key].busy,
            smallest=self._smallest,
            on_carried_out=on_carried_out,
            left=lambda key: key in strategies and bool(strategies[key].unfinished()),
        )
        self._account = CacheAccount(context.kernel.cache)
        self._throttle: OrderThrottle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(
        self,
        feed: NodeFeed,
        recovery: Recovery | None,
        candles: Callable[[int], Awaitable[list[str]]],
        risk: NodeRisk,
        stop: StopSignal,
    ) -> None:
        """Begin to pace and watch; without `recovery` (paper, dry run) nothing is swept."""
        context, kernel = self._context, self._context.kernel
        watch, gate, loop = context.node.watch, context.gate, asyncio.get_running_loop()
        self._throttle = OrderThrottle(
            gate, watch.throttle, kernel.clock.timestamp_ns, loop.call_later
        )
        gate.sender = context.tape.aside(self._throttle)
        self._audit.take_up()
        kernel.msgbus.subscribe("decisions.*", self._audit.on_decision)
        kernel.msgbus.subscribe("executions.*", self._audit.on_executed)
        sweep = None
        if recovery is not None:
            universe = set(context.facts.universe)
            sweep = Sweep(
                recovery,
                Repairer(kernel, recovery.takes_over).repair,
                lambda fills: engine_books(
                    kernel.cache,
                    fills,
                    recovery.own.whole(context.journal.explained()),
                    universe,
                    kernel.clock.timestamp_ns(),
                ),
                watch,
                urgent=lambda: risk.closing,
            )
        self._account.pending_cash = risk.pending_cash.known
        watching = NodeWatch(
            context,
            self._recorder,
            self._account,
            feed,
            risk,
            sweep=sweep,
            audit=self._audit,
            candles=candles,
        )
        gate.hold(context.tape.asks("links", watching.hold()))
        watching.begin()
        work = watched("the watch", watching.run(), stop, context.say)
        self._task = loop.create_task(work, name="watch")

    @property
    def carrying_out(self) -> bool:
        """Whether a decision is still being carried out."""
        return self._audit.is_open

    def still_missed(self, key: str) -> list[Miss]:
        """Return what a strategy's rebalance in an earlier run missed, and misses still."""
        leaving = self._context.strategies[key].verdicts.to_leave()
        return self._audit.still_missed(key, leaving)

    def drop_waiting(self, reason: Refusal) -> None:
        """Deny the entries that wait in the throttle."""
        if self._throttle is not None:
            self._throttle.drop(reason)

    async def stop(self) -> None:
        """Stop watching; take a last snapshot and close the audit files."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._recorder.snapshot(self._account)
        self._audit.close()

    def _smallest(self, name: str) -> Decimal:
        strategies = self._context.strategies.values()
        strategy = next((one for one in strategies if name in one.ids), None)
        if strategy is None:
            # A decision of an earlier run may name an instrument that is traded no more.
            return Decimal(0)
        instrument_id = strategy.instrument_ids[strategy.ids.index(name)]
        lot, price = strategy.market.lot(instrument_id), self._account.price(name)
        least = lot.min_notional / price if price else Decimal(0)
        return max(lot.step, lot.min_quantity, least)

    def _holdings(self, key: str) -> dict[str, str]:
        strategy = self._context.strategies.get(key)
        held = {} if strategy is None else strategy.holdings()
        return {name: f"{held[name]:f}" for name in sorted(held)}
