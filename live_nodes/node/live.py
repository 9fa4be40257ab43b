"""Run a node once, from preflight to the orderly stop.

preflight → recovery → build → warm-up → connect → reconcile → watch → guards → strategies → run →
stop. A failure before the strategies start raises `GateRefused` (exit code 3) and leaves nothing
running. A later failure ends in an orderly stop.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import socket
import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from nautilus_trader.model.events import OrderEvent

from actors.desk.build import guards_of
from actors.records.journal import JournalError
from config.errors import DeskError, GateRefused, some_of
from live_nodes.bybit.adapter import ClientWiring, end_position_checks, follows
from live_nodes.bybit.links import VenueLinks
from live_nodes.bybit.own_coins import entry_prices
from live_nodes.bybit.rest import TOO_MANY, VenueError, VenueRest
from live_nodes.bybit.spot import SpotWiring
from live_nodes.local.account_lock import hold_account
from live_nodes.node.account import CacheAccount
from live_nodes.node.at_once import handle_at_once
from live_nodes.node.build import (
    DRY_RUN,
    LOG_FILE,
    Intentions,
    build_node,
    factories_of,
    gate_of,
    node_config,
    put_aside_long_log,
    strategies_by_key,
    strategies_of,
)
from live_nodes.node.context import NodeContext, RunContext
from live_nodes.node.memory import MemoryWatch
from live_nodes.node.message_bus import redis_streams
from live_nodes.node.metrics import follow_latency
from live_nodes.node.owners import keep_owners
from live_nodes.node.preflight import Preflight, foreign_positions_gate, held_gate, preflight
from live_nodes.node.recording import begin_recording
from live_nodes.node.report import (
    ExecutionLines,
    Miss,
    RunReport,
    decision_line,
    missed_since,
    order_line,
    outcome_line,
    waiting_lines,
)
from live_nodes.node.risk import NodeRisk
from live_nodes.node.risk_books import FillBooking
from live_nodes.node.start import await_prices, connect, reconcile
from live_nodes.node.stop import (
    STOPPING,
    StopRequestedError,
    StopSignal,
    no_entry,
    storage_failure,
    verify,
    wind_down,
)
from live_nodes.node.supervisor import Supervisor
from live_nodes.node.turns import DATA_NOW, engine_turns, strategy_turns
from live_nodes.node.warm_up import WarmUp
from live_nodes.reconcile.recovery import Recovered, Recovery
from strategies.base import DeskStrategy
from strategies.exits import ProcessEndedError
from strategies.messages import Decision

_SHUTDOWN = "commands.system.shutdown"
"""Topic on which the engine's queues report an error."""
_POLL = 0.1
_PRINT_AFTER = 0.005
_SHOWN = 5
_FINISH_SHARE = 0.3
"""Share of the stop's deadline for a flatten that has begun."""


def _on_loop_error(
    stop: StopSignal, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    """Stop the node when a callback could not write, or ended; leave other errors to the loop."""
    error = context.get("exception") or Exception()
    failure = error if isinstance(error, ProcessEndedError) else storage_failure(error)
    if failure is None:
        loop.default_exception_handler(context)
    else:
        stop.fail(failure)


class NodeRun:
    """One run of a node."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        node, options = context.node, context.options
        self.report = RunReport()
        self.links = VenueLinks(
            node.tag, node.watch.half_open, node.watch.heartbeat, trades=not options.dry_run
        )
        self.guards = guards_of(node)
        self.fills = FillBooking(
            context.journal, fresh=context.paper, dry_run=options.dry_run, tape=context.tape
        )
        self.built: NodeContext | None = None
        # Set with `built`.
        self.supervisor: Supervisor
        self.risk: NodeRisk
        self.recovery: Recovery | None = None
        self.started = False
        self.resumed: set[str] | None = None
        self._missed: dict[str, list[Miss]] = {}
        self._executions = ExecutionLines()
        self._memory = MemoryWatch(node.watch.memory, self._say_memory)
        self._waits = ""
        self._limits: set[str] = set()
        self._delays: dict[str, str] = {}
        self._unprotected: dict[str, set[str]] = {}
        self._lock: socket.socket | None = None

    @property
    def strategies(self) -> dict[str, DeskStrategy]:
        """Strategies by key, empty before they are built."""
        return {} if self.built is None else self.built.strategies

    async def run(self) -> RunReport:
        """Start, trade, stop."""
        loop = asyncio.get_running_loop()
        context, stop = self._context, StopSignal(loop)
        stop.listen()
        context.journal.on_failure = stop.fail
        beats = context.heartbeat
        beats.links_down, beats.reconnects = self.links.down, self.links.reconnects
        beats.memory_slope = lambda: self._memory.slope
        loop.set_exception_handler(partial(_on_loop_error, stop))
        beating = asyncio.create_task(context.heartbeat.keep_beating(), name="heartbeat")
        timeout = context.node.gates.request_timeout
        try:
            async with VenueRest(context.endpoints.http, context.keys, timeout=timeout) as rest:
                try:
                    facts = await stop.guard(self._preflight(rest))
                    await self._start(rest, facts, stop)
                    await stop.guard(self._trade(stop))
                except StopRequestedError:
                    context.say(f"stopping: {stop.reason}")
                    self.report.reason = stop.reason
                await self._stop(stop)
            if stop.error is not None:
                raise stop.error
            self.report.takes_up = stop.takes_up
            return self.report
        finally:
            beating.cancel()
            stop.release_signals()
            if self._lock is not None:
                self._lock.close()

    def _waits_out(self, until: float, error: VenueError) -> bool:
        goes_on = error.code in TOO_MANY and time.monotonic() < until
        if goes_on and str(error) not in self._limits:
            self._limits.add(str(error))
            self._context.say(f"waits: {error}")
        return goes_on

    async def _preflight(self, rest: VenueRest) -> Preflight:
        context = self._context
        until = time.monotonic() + context.node.gates.connect_timeout
        rest.waits_out = partial(self._waits_out, until)
        facts = await preflight(context.node, rest, may_set=not context.options.dry_run)
        context.pass_gates(facts.failures)
        context.journal.gate("preflight", passed=True, detail=f"clock {facts.clock.skew:+.4f} s")
        context.say(
            f"{context.endpoints.http}: {len(facts.universe)} instruments of the universe, clock "
            f"{facts.clock.skew * 1000:+.1f} ms"
        )
        for warning in facts.key_warnings:
            context.say(f"warning: {warning}")
        if facts.set_leverages:
            verb = "would set" if context.options.dry_run else "set"
            changes = ", ".join(f"{name} {value:f}" for name, value in facts.set_leverages.items())
            context.say(f"{verb} leverage at the venue: {changes}")
        return facts

    async def _start(self, rest: VenueRest, facts: Preflight, stop: StopSignal) -> None:
        context, node = self._context, self._context.node
        if context.trades_at_venue:
            # Before leftovers are cancelled: they would be the other node's.
            self._lock = hold_account(f"{context.endpoints.http} {facts.user}", node.name)
            self.recovery = Recovery(
                context.journal,
                rest,
                node.tag,
                facts.products,
                node.watch.policies,
                traded=facts.universe,
                lot_of=facts.lot_of,
                warn=context.warn,
            )
            found = await self._recovered(stop.guard(self.recovery.run()))
            context.pass_gates(foreign_positions_gate(found.foreign_positions))
        there: Mapping[str, Decimal] = {}
        if not context.paper:
            there = await stop.guard(context.gated("positions", rest.positions()))
            context.pass_gates(held_gate(there, facts.infos))
            if self.recovery is not None:
                await stop.guard(keep_owners(context, self.recovery, facts, found.kept, there))
        rest.waits_out = lambda _: False
        built = self._build(rest, facts, stop, there)
        warm_up = WarmUp(facts.histories, facts.infos, built.strategies)
        candles = await stop.guard(warm_up.run(time.time_ns(), node.gates.warm_up_timeout))
        context.say(f"warm: {candles} candles")
        try:
            await stop.guard(connect(built))
            context.journal.gate("links", passed=True, detail="connected and logged in")
            if not context.paper:
                left_alone = None if self.recovery is None else self.recovery.leaves_alone
                await stop.guard(reconcile(built, left_alone))
                context.journal.gate("comparison", passed=True, detail="as at the venue")
                if self.recovery is not None:
                    # Nobody saw what ended before the engine took over what was open.
                    cache = built.kernel.cache
                    known = [*cache.orders_open(), *cache.orders_inflight()]
                    names = {order.client_order_id.value for order in known}
                    await self._recovered(stop.guard(self.recovery.settle_ended(names)))
        except GateRefused as error:
            context.journal.gate("start", passed=False, detail=str(error))
            await self._disconnect()
            raise
        # Freeze the objects of the start, so that garbage collection takes less time between
        # orders.
        gc.collect()
        gc.freeze()
        feed = await stop.guard(await_prices(built))
        if not context.options.run_once:
            # One that is to end soon ends at once on a full disk.
            context.journal.keep_rows()
        self.supervisor.start(feed, self.recovery, warm_up.complete, self.risk, stop)
        self.started = True
        if context.release is not None:
            context.release.keep_document(context)
        await stop.guard(self.risk.begin(feed, stop))
        for key, strategy in built.strategies.items():
            # A scheduled strategy has a line a decision; a dry run prints what it would send.
            if not context.options.dry_run:
                topic = f"events.order.{strategy.id}"
                # Before the strategy: the order that it sends on a fill comes after the fill.
                built.kernel.msgbus.subscribe(topic, self._on_order_event, priority=10)
            built.trading_node.trader.start_strategy(strategy.id)
            if strategy.start_note:
                context.say(f"{key}: {strategy.start_note}")
        # A candle may have closed between the request for history and the subscription.
        try:
            await stop.guard(warm_up.top_up(time.time_ns()))
        except DeskError as error:
            # The strategies trade already: they wait for the candle, and the watch fetches it.
            context.say(f"candles of the start can't be fetched yet: {error}")
        self.resumed = {key for key, strategy in built.strategies.items() if strategy.resume()}
        if context.release is not None:
            context.release.started = True
        context.journal.phase("running")
        context.heartbeat.beat("running")
        context.say(f"{node.name} runs (pid {os.getpid()})")

    async def _recovered(self, asked: Awaitable[Recovered]) -> Recovered:
        found = await self._context.gated("recovery", asked)
        for line in found.lines():
            self._context.say(line)
        return found

    def _build(
        self, rest: VenueRest, facts: Preflight, stop: StopSignal, there: Mapping[str, Decimal]
    ) -> NodeContext:
        context, node, endpoints = self._context, self._context.node, self._context.endpoints
        self.links.probe_instrument = facts.universe[0]
        spot = None
        if self.recovery is not None and "SPOT" in facts.products:
            journal, recovery = context.journal, self.recovery
            spot = SpotWiring(rest, recovery.own, lambda: entry_prices(journal, facts.lot_of))
        left_alone, takes_over = None, follows
        if self.recovery is not None:
            left_alone, takes_over = self.recovery.leaves_alone, self.recovery.takes_over
        wiring = ClientWiring(
            *(self.links, context.keys, endpoints, node.watch.heartbeat, spot, left_alone),
            rest=None if context.paper else rest,
        )
        put_aside_long_log(context.folder / f"{LOG_FILE}.log")
        ids, loop = sorted(facts.infos), asyncio.get_running_loop()
        config = node_config(
            node,
            endpoints,
            ids,
            context.folder,
            tickers=any("markets" in guard.guard.needs for guard in self.guards.values()),
            message_bus=context.message_bus,
        )
        begin_recording(context, facts, there, config.actors[0].config["tickers"])
        factories = factories_of(wiring, paper=context.paper)
        with redis_streams(lambda text: context.warn(f"message bus: {text}")):
            trading_node = build_node(
                config, strategies_of(node, ids), factories, loop, context.tape.clock, takes_over
            )
        # The kernel installed its signal handlers when it was built; a second signal would kill it.
        stop.listen()
        # Its own stop, after an error of its queues, would leave orders open.
        bus, kernel = trading_node.kernel.msgbus, trading_node.kernel
        bus.unsubscribe(_SHUTDOWN, kernel._on_shutdown_system)
        bus.subscribe(_SHUTDOWN, lambda command: stop.fail(DeskError(command.reason)))
        if not context.paper:
            # The simulated venue subscribes to data after strategies: it must see prices first.
            handle_at_once(kernel, partial(context.tape.wrap, DATA_NOW))
        engine_turns(context.tape, kernel)
        self.built = built = NodeContext(
            **vars(context),
            rest=rest,
            links=self.links,
            facts=facts,
            trading_node=trading_node,
            gate=gate_of(node, trading_node, context.journal, context.tape),
            strategies=strategies_by_key(context, trading_node, facts, there),
        )
        if context.paper:
            context.say(
                f"paper: begins flat with {node.account.balance:f} USDT and knows nothing of "
                "earlier runs: positions are in memory only, and end with the process"
            )
        strategy_turns(context.tape, built.strategies)
        built.kernel.msgbus.subscribe("decisions.*", self._on_decision)
        follow_latency(built.kernel.msgbus, context.heartbeat.order_latency)
        self.supervisor = Supervisor(built, self._on_carried_out)
        self.risk = NodeRisk(built, self.fills, self.guards, self.recovery)
        if context.options.dry_run:
            # After the guards joined the gate.
            built.gate.observers.append(Intentions(self.report.intended, context.say))
            built.gate.hold(lambda facts: DRY_RUN, exits=True)
        return built

    def _on_decision(self, decision: Decision) -> None:
        self.report.decisions += 1
        self._waits = decision.note if decision.kind == "wait" else ""
        self._context.say(decision_line(decision))

    def _on_order_event(self, event: OrderEvent) -> None:
        # Printing must not delay the order, which leaves some turns of the loop later.
        asyncio.get_running_loop().call_later(_PRINT_AFTER, self._say_order, event)

    def _say_order(self, event: OrderEvent) -> None:
        assert self.built is not None
        order = self.built.kernel.cache.order(event.client_order_id)
        key = event.strategy_id.get_tag()
        strategy = self.strategies.get(key)
        scheduled = strategy is not None and strategy.schedule() is not None
        line = order_line(event, order)
        if line and not (scheduled and self._executions.repeats(event, order)):
            self._context.say(line)

    def _on_carried_out(self, decision: Decision, missed: list[Miss]) -> None:
        if self._context.options.dry_run:
            return
        before = self._missed.get(decision.strategy, [])
        self._missed[decision.strategy] = missed_since(before, decision, missed)
        self.report.missed = [str(miss) for name in self._missed for miss in self._missed[name]]
        self._context.say(outcome_line(decision, missed))

    async def _trade(self, stop: StopSignal) -> None:
        say, options = self._context.say, self._context.options
        resumed = self.resumed or set()
        for key in sorted(resumed):
            say(f"{key}: continues what the last run left unfinished or missed")
        if options.run_once:
            self.report.outcome = await self._once(resumed)
            stop.request(self._waits or self.report.outcome)
        else:
            for key in sorted(self.strategies.keys() - resumed):
                for miss in self.supervisor.still_missed(key):
                    say(f"{key}: since the last decision {miss}")
            for line in waiting_lines(self.strategies, time.time_ns()):
                say(line)
            until = math.inf if options.seconds is None else time.monotonic() + options.seconds
            while time.monotonic() < until:
                self._say_delays()
                self._memory.look()
                self._look_for_restart(stop)
                await asyncio.sleep(min(_POLL, max(until - time.monotonic(), 0.0)))
            stop.request(f"{options.seconds:g} s are over")
        await stop.wait()

    def _say_memory(self, text: str) -> None:
        self._context.warn(text, "memory")
        self._context.journal.note("memory", text)

    def _look_for_restart(self, stop: StopSignal) -> None:
        release, built = self._context.release, self.built
        if release is None or built is None or stop.asked:
            return
        try:
            parts = built, self.supervisor, self.risk
            why = release.look(*parts)
            lasts = self._context.options.seconds is None
            if not why and lasts and built.node.watch.memory.restart == "flat":
                why = release.begin_anew(*parts, self._memory.grows)
        except Exception as error:  # noqa: BLE001 - a stop in order, and raised after it
            stop.fail(error)
            return
        if why:
            stop.request(why)
            stop.takes_up = True

    async def _once(self, resumed: set[str]) -> str:
        force = self._context.options.force
        began = resumed | {
            key
            for key, strategy in self.strategies.items()
            if key not in resumed
            and (force or strategy.due(time.time_ns()) is not None)
            and strategy.run_now(force)
        }
        await self._idle()
        for key in self.strategies:
            self._missed.setdefault(key, self.supervisor.still_missed(key))
        self._note_unfinished()
        if not began:
            done = "not carried out in full" if self.report.missed else "done"
            self._context.say(
                f"nothing is due: the last scheduled decision is {done} (--force decides again)"
            )
            return "nothing due"
        return "waits" if self._waits else "ran once"

    def _note_unfinished(self) -> list[Miss]:
        """Add what strategies leave for the next start to the report, and return it."""
        found = []
        for key, strategy in self.strategies.items():
            left = strategy.unfinished()
            kept = [miss for miss in self._missed.get(key, ()) if miss.instrument not in left]
            waiting = [Miss(name, *left[name], strategy.delay) for name in sorted(left)]
            self._missed[key] = kept + waiting
            found += waiting
        self.report.missed = [str(miss) for misses in self._missed.values() for miss in misses]
        return found

    async def _idle(self) -> None:
        quiet = 0
        while quiet < 3:
            busy = any(strategy.busy for strategy in self.strategies.values())
            quiet = 0 if busy or self.supervisor.carrying_out else quiet + 1
            self._say_delays()
            await asyncio.sleep(_POLL)

    def _say_delays(self) -> None:
        for key, strategy in self.strategies.items():
            if strategy.delay != self._delays.get(key, ""):
                self._delays[key] = strategy.delay
                if strategy.delay:
                    self._context.say(f"{key}: waits ({strategy.delay})")
            self._say_unprotected(key, strategy)

    def _say_unprotected(self, key: str, strategy: DeskStrategy) -> None:
        protector = strategy.broker.protector
        now = set() if protector is None else set(protector.unprotected)
        new, self._unprotected[key] = now - self._unprotected.get(key, set()), now
        if new:
            names = ", ".join(sorted(new))
            self._context.warn(
                f"{key}: no stop protects {names} until a candle with a range arrives"
            )

    async def _stop(self, stop: StopSignal) -> None:
        closes = self._context.node.on_stop == "flatten"
        if stop.takes_up and closes:
            self._keep_positions()
        context, seconds = self._context, self._context.node.stop_deadline
        context.tape.end(stop.reason)
        deadline = time.monotonic() + seconds
        self.report.reason = self.report.reason or stop.reason
        if context.options.run_once and self.report.outcome == "stopped":
            self.report.outcome = "interrupted"
        built = self.built
        if built is None:
            return
        end_position_checks(built.kernel.exec_engine)
        # Stop and close positions also when nothing can be written down.
        if isinstance(stop.error, JournalError):
            context.warn(f"no entries, the node stops: {stop.error}", level="critical")
            context.journal.go_on_in_memory()
        try:
            context.journal.phase("stopping", stop.reason)
        except DeskError as error:
            context.say(f"the journal can't record the stop: {error}")
            context.journal.go_on_in_memory()
        context.heartbeat.beat("stopping")
        if self.started:
            built.gate.hold(no_entry)
            try:
                if context.node.on_stop == "keep":
                    # Before their orders are denied: a plan under way stays for the next start.
                    for strategy in built.strategies.values():
                        strategy.leave_open()
                self.supervisor.drop_waiting(STOPPING)
                await self.risk.finish(seconds * _FINISH_SHARE, stop)
                await wind_down(built, stop, deadline - time.monotonic(), self.recovery)
            except JournalError:
                context.journal.go_on_in_memory()
                await wind_down(built, stop, deadline - time.monotonic(), self.recovery)
            self.report.positions = CacheAccount(built.kernel.cache).positions()
            if context.trades_at_venue and (left_open := self._note_unfinished()):
                names = some_of([str(miss) for miss in left_open], _SHOWN)
                context.say(f"unfinished; the next start continues: {names}")
            if context.trades_at_venue and not stop.quick:
                left = max(0.0, (deadline - time.monotonic()) / 2)
                assert self.recovery is not None
                self.report.left = await verify(built, self.recovery, left)
                for line in self.report.left if stop.error is not None else ():
                    context.say(f"after the stop: {line}")
                await self._take_last_fills(deadline)
            kept = context.node.on_stop == "keep" or (stop.quick and context.trades_at_venue)
            if closes and kept and not stop.takes_up:
                # Hurried, or asked to stop while it stopped for a release.
                names = some_of([*self.report.positions])
                self.report.left += [f"{names} still held"] * bool(names)
        self.report.refusals = built.gate.refusals
        await self._disconnect()

    def _keep_positions(self) -> None:
        node = self._context.node.model_copy(update={"on_stop": "keep"})
        self._context = replace(self._context, node=node)
        self.built = None if self.built is None else replace(self.built, node=node)

    async def _take_last_fills(self, deadline: float) -> None:
        # Fills while connecting come by no push, and no sweep may follow.
        assert self.recovery is not None
        try:
            async with asyncio.timeout(max(1.0, deadline - time.monotonic())):
                await self.recovery.catch_up()
        except (DeskError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            self._context.say(
                f"the journal lacks the last executions ({why}); the next start fetches them"
            )

    async def _disconnect(self) -> None:
        await self.risk.stop()
        await self.supervisor.stop()
        self.links.close()
        if self.built is not None:
            await self.built.trading_node.stop_async()

    def dispose(self) -> None:
        """Free what the engine holds, outside the loop."""
        if self.built is not None:
            self.built.kernel._is_running = False
            self.built.trading_node.dispose()
