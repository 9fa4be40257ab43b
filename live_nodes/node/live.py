"""The course of a live run, visible from its first question to the venue to its last.

    preflight → recovery → build → warm-up → connect → reconcile → watch → guards → strategies → run
    → stop

Whatever fails before the strategies start raises `GateRefused` (exit code 3) and leaves nothing
running; whatever comes after ends in an orderly stop.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

from nautilus_trader.live.node import TradingNode

from actors.gate.gate import OrderGate
from actors.records.journal import Journal
from config.documents import Node
from config.errors import DeskError, GateRefused
from live_nodes.bybit.adapter import Wiring
from live_nodes.bybit.links import Links
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.alerts import Alerts
from live_nodes.local.endpoints import Addresses
from live_nodes.local.heartbeat import Heartbeat
from live_nodes.local.keys import KeyPair
from live_nodes.node.account import CacheAccount
from live_nodes.node.build import (
    LOG_FILE,
    gate_of,
    hold_all,
    make_node,
    node_config,
    put_aside_long_log,
    strategies_by_key,
)
from live_nodes.node.feed import NodeFeed
from live_nodes.node.operator_desk import look_at_markets, node_guards
from live_nodes.node.preflight import GateFailure, Preflight, preflight, refuse, strangers_gate
from live_nodes.node.report import Miss, Options, Report, decision_line, in_words, waiting_lines
from live_nodes.node.risk import Risk
from live_nodes.node.risk_books import Fills
from live_nodes.node.start import connect, hear_prices, reconcile
from live_nodes.node.stop import Stop, StopRequestedError, no_entry, verify, wind_down
from live_nodes.node.supervisor import Minding
from live_nodes.node.warm_up import WarmUp
from live_nodes.reconcile.recovery import Recovery
from strategies.base import DeskStrategy
from strategies.messages import Decision

_POLL = 0.1
_FINISH_SHARE = 0.3
"""Part of the stop's deadline that a flatten under way gets to come to its end."""
Say = Callable[[str], None]


class Live:
    """One run of a node; `run` is the whole of it."""

    def __init__(
        self,
        node: Node,
        where: Addresses,
        keys: KeyPair | None,
        folder: Path,
        journal: Journal,
        options: Options,
        say: Say,
        *,
        alerts: Alerts | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.node, self.where, self.keys, self.folder = node, where, keys, folder
        self.journal, self.options, self.say = journal, options, say
        self.alerts = alerts or Alerts(node.name, folder)
        self.heartbeat = heartbeat or Heartbeat(folder, say)
        self.report = Report()
        watch = node.watch
        self.links = Links(node.tag, watch.half_open, watch.heartbeat, trades=not options.dry_run)
        self.made: TradingNode | None = None
        self.gate: OrderGate | None = None
        self.strategies: dict[str, DeskStrategy] = {}
        self.minding: Minding | None = None
        self.risk: Risk | None = None
        self.guards = node_guards(node)
        self.fills = Fills(journal, anew=self.paper, dry=options.dry_run)
        self.facts: Preflight | None = None
        self.recovery: Recovery | None = None
        self.missed: dict[str, list[Miss]] = {}
        self.waits = ""
        self.started = False

    @property
    def paper(self) -> bool:
        """Whether the account is not at the venue."""
        return self.node.environment == "paper"

    async def run(self) -> Report:
        """Start, trade, stop."""
        stop = Stop(asyncio.get_running_loop())
        stop.listen()
        beating = asyncio.create_task(self.heartbeat.keep_beating(), name="heartbeat")
        timeout = self.node.gates.request_timeout
        try:
            async with VenueRest(self.where.http, self.keys, timeout=timeout) as rest:
                try:
                    self.facts = await stop.guard(self._ask(rest))
                    await self._start(rest, self.facts, stop)
                    await stop.guard(self._trade(stop))
                except StopRequestedError:
                    self.say(f"stopping: {stop.reason}")
                    self.report.reason = stop.reason
                await self._stop(rest, stop)
            if stop.error is not None:
                raise stop.error
            return self.report
        finally:
            beating.cancel()
            stop.deafen()

    # Before anything is built --------------------------------------------------------------------

    async def _ask(self, rest: VenueRest) -> Preflight:
        facts = await preflight(self.node, rest)
        self._pass(facts.failures)
        self.journal.gate("preflight", passed=True, detail=f"clock {facts.clock.skew:+.4f} s")
        self.say(
            f"{self.where.http}: {len(facts.universe)} instruments of the universe, clock "
            f"{facts.clock.skew * 1000:+.1f} ms"
        )
        return facts

    def _pass(self, failures: list[GateFailure]) -> None:
        for failure in failures:
            self.journal.gate(failure.gate, passed=False, detail=str(failure))
        refuse(self.node.name, failures)

    # Until the strategies run --------------------------------------------------------------------

    async def _start(self, rest: VenueRest, facts: Preflight, stop: Stop) -> None:
        recovery = None
        if not self.paper and not self.options.dry_run:
            recovery = self.recovery = Recovery(
                self.journal,
                rest,
                self.node.tag,
                facts.products,
                self.node.watch.policies,
                traded=facts.universe,
            )
            found = await stop.guard(recovery.run())
            for line in found.lines():
                self.say(line)
            self._pass(strangers_gate(found.strange))
        made = self._build(rest, facts, stop)
        warm_up = WarmUp(facts.histories, facts.infos, self.strategies)
        candles = await stop.guard(
            warm_up.run(time.time_ns(), self.node.gates.warm_up_timeout, None)
        )
        self.say(f"warm: {candles} candles")
        try:
            await stop.guard(connect(self.node, made, self.links))
            self.journal.gate("links", passed=True, detail="connected and logged in")
            if not self.paper:
                await stop.guard(reconcile(self.node, made, rest, facts.products))
                self.journal.gate("comparison", passed=True, detail="as at the venue")
        except GateRefused as error:
            self.journal.gate("start", passed=False, detail=str(error))
            await self._disconnect()
            raise
        # What is there by now stays: the collector need not walk through it between two orders.
        gc.collect()
        gc.freeze()
        feed: NodeFeed = await stop.guard(hear_prices(made, self.say))
        assert self.minding is not None
        assert self.risk is not None
        self.minding.start(rest, feed, recovery, facts, warm_up.complete, self.risk, stop)
        self.started = True
        await stop.guard(self.risk.begin(feed, stop))
        for strategy in self.strategies.values():
            made.trader.start_strategy(strategy.id)
        # A candle may have closed between the request for history and the subscription.
        await stop.guard(warm_up.top_up(time.time_ns()))
        self.journal.phase("running")
        self.heartbeat.beat("running")
        self.say(f"{self.node.name} runs (pid {os.getpid()})")

    def _build(self, rest: VenueRest, facts: Preflight, stop: Stop) -> TradingNode:
        node = self.node
        self.links.probe_instrument = facts.universe[0]
        wiring = Wiring(
            self.links,
            self.keys,
            self.where.ws_public,
            self.where.ws_private,
            self.where.ws_trade,
            node.watch.heartbeat,
        )
        put_aside_long_log(self.folder / f"{LOG_FILE}.log")
        config = node_config(
            node, self.where, sorted(facts.infos), self.folder, tickers=look_at_markets(self.guards)
        )
        self.made = made = make_node(config, wiring, asyncio.get_running_loop())
        # The kernel took the signals when it was made, and dies at the second of them.
        stop.listen()
        kernel = made.kernel
        self.gate = gate = gate_of(node, made, self.journal)
        self.strategies = strategies_by_key(node, made, self.journal, self.options, facts)
        if self.paper:
            self.say(
                f"paper: begins flat with {node.account.balance:f} USDT and knows nothing of "
                "earlier runs: positions are in memory only, and end with the process"
            )
        kernel.msgbus.subscribe("decisions.*", self._on_decision)
        self.minding = Minding(
            node,
            kernel,
            self.journal,
            self.links,
            gate,
            self.strategies,
            self.say,
            self._on_carried_out,
        )
        self.risk = Risk(
            node,
            made,
            self.journal,
            self.fills,
            self.guards,
            gate=gate,
            links=self.links,
            rest=rest,
            strategies=self.strategies,
            facts=facts,
            options=self.options,
            alerts=self.alerts,
            heartbeat=self.heartbeat,
            folder=self.folder,
            say=self.say,
        )
        if self.options.dry_run:
            hold_all(gate, self.report, self.say)
        return made

    def _on_decision(self, decision: Decision) -> None:
        self.report.decisions += 1
        self.waits = decision.note if decision.kind == "wait" else ""
        self.say(decision_line(decision))

    def _on_carried_out(self, decision: Decision, missed: list[Miss]) -> None:
        if self.options.dry_run:
            return
        self.missed[decision.strategy] = missed
        self.report.missed = [str(miss) for name in self.missed for miss in self.missed[name]]
        self.say(in_words(decision, missed))

    # While they run ------------------------------------------------------------------------------

    async def _trade(self, stop: Stop) -> None:
        resumed = {key for key, strategy in self.strategies.items() if strategy.resume()}
        for key in sorted(resumed):
            self.say(f"{key}: takes up what is unfinished or was missed")
        if not self.options.run_once:
            for line in waiting_lines(self.strategies, time.time_ns()):
                self.say(line)
        if self.options.run_once:
            self.report.outcome = await self._once(resumed)
            stop.hear(self.waits or self.report.outcome)
        elif self.options.seconds is not None:
            await asyncio.sleep(self.options.seconds)
            stop.hear(f"{self.options.seconds:g} s are over")
        await stop.wait()

    async def _once(self, resumed: set[str]) -> str:
        """Do what is due; what a strategy has taken up by itself just now was it."""
        began = resumed | {
            key
            for key, strategy in self.strategies.items()
            if key not in resumed
            and (self.options.force or strategy.due(time.time_ns()) is not None)
            and strategy.run_now(self.options.force)
        }
        await self._idle()
        if not began:
            self.say(
                "nothing is due: the last stamp of the schedule is done (--force does it again)"
            )
            return "nothing due"
        return "waits" if self.waits else "ran once"

    async def _idle(self) -> None:
        """Wait until no strategy is at work, and the queues behind them are empty."""
        quiet = 0
        while quiet < 3:
            busy = any(strategy.busy for strategy in self.strategies.values())
            busy = busy or (self.minding is not None and self.minding.carrying_out)
            quiet = 0 if busy else quiet + 1
            await asyncio.sleep(_POLL)

    # The way out ---------------------------------------------------------------------------------

    async def _stop(self, rest: VenueRest, stop: Stop) -> None:
        deadline = time.monotonic() + self.node.stop_deadline
        self.report.reason = self.report.reason or stop.reason
        if self.made is None or self.gate is None:
            return
        try:
            self.journal.phase("stopping", stop.reason)
        except DeskError as error:
            # What is being closed is closed all the same.
            self.say(f"that the node stops could not be written down: {error}")
        self.heartbeat.beat("stopping")
        if self.facts is not None and self.started:
            assert self.minding is not None
            assert self.risk is not None
            self.gate.hold(no_entry)
            self.minding.quieten("the node is stopping")
            await self.risk.finish(self.node.stop_deadline * _FINISH_SHARE, stop)
            left = deadline - time.monotonic()
            await wind_down(self.node, self.made, self.strategies, self.gate, stop, self.say, left)
            self.report.positions = CacheAccount(self.made.kernel.cache).positions()
            if not self.paper and not self.options.dry_run and not stop.quick:
                left = max(0.0, (deadline - time.monotonic()) / 2)
                self.report.left = await verify(
                    self.node, rest, self.facts.universe, self.facts.products, left
                )
                await self._take_last_fills(deadline)
        self.report.refusals = self.gate.refusals
        await self._disconnect()

    async def _take_last_fills(self, deadline: float) -> None:
        """Write down what filled unheard, such as while connecting: the sweep may not have come."""
        assert self.recovery is not None
        try:
            async with asyncio.timeout(max(1.0, deadline - time.monotonic())):
                await self.recovery.catch_up()
        except (DeskError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            self.say(f"the last executions are left for the next start to write down: {why}")

    async def _disconnect(self) -> None:
        if self.risk is not None:
            await self.risk.stop()
        if self.minding is not None:
            await self.minding.stop()
        self.links.close()
        if self.made is not None:
            await self.made.stop_async()

    def dispose(self) -> None:
        """Free what the engine holds, outside the loop."""
        if self.made is not None:
            self.made.kernel._is_running = False
            self.made.dispose()
