"""What minds a node beside its strategies: recorder, audit files, throttle, watch and sweep.

Engine-specific wiring; what each does is its own file's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from actors.gate.gate import OrderGate
from actors.records.journal import Journal
from config.documents import Node
from live_nodes.bybit.links import Links
from live_nodes.bybit.rest import VenueRest
from live_nodes.bybit.throttle import Throttle
from live_nodes.node.account import CacheAccount
from live_nodes.node.audit import Audit
from live_nodes.node.feed import NodeFeed
from live_nodes.node.preflight import Preflight
from live_nodes.node.report import Miss
from live_nodes.node.risk import Risk
from live_nodes.node.stop import Stop, watched
from live_nodes.node.watch import Watch
from live_nodes.reconcile.recorder import Recorder
from live_nodes.reconcile.recovery import Recovery
from live_nodes.reconcile.repair import Repairer
from live_nodes.reconcile.sweep import Sweep
from live_nodes.reconcile.venue_books import books_of
from strategies.base import DeskStrategy
from strategies.messages import Decision

Say = Callable[[str], None]


class Minding:
    """Records from the moment the node is built, watches from the moment it is connected.

    Parameters
    ----------
    node : Node
        The document.
    kernel : NautilusKernel
        The built node's.
    journal : Journal
        With the run begun.
    links : Links
        Of the node's clients.
    gate : OrderGate
        Installed.
    strategies : mapping of str to DeskStrategy
        By key.
    say : callable
        Takes a line for the person who watches.
    on_carried_out : callable
        Hears of every decision that is carried out, and where it missed its targets.
    """

    def __init__(
        self,
        node: Node,
        kernel: Any,
        journal: Journal,
        links: Links,
        gate: OrderGate,
        strategies: Mapping[str, DeskStrategy],
        say: Say,
        on_carried_out: Callable[[Decision, list[Miss]], None],
    ) -> None:
        self._node, self._kernel, self._journal = node, kernel, journal
        self._links, self._gate, self._strategies, self._say = links, gate, strategies, say
        self._recorder = Recorder(kernel, journal)
        self._audit = Audit(
            journal,
            self._holdings,
            lambda key: key in strategies and strategies[key].busy,
            smallest=self._smallest,
            told=on_carried_out,
        )
        self._account = CacheAccount(kernel.cache)
        self._throttle: Throttle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(
        self,
        rest: VenueRest,
        feed: NodeFeed,
        recovery: Recovery | None,
        facts: Preflight,
        candles: Callable[[int], Awaitable[list[str]]],
        risk: Risk,
        stop: Stop,
    ) -> None:
        """Begin to pace and to watch; what can't go on asks for a stop.

        Parameters
        ----------
        recovery : Recovery, optional
            None in paper trading and dry runs: then nothing is swept.
        candles : callable
            Fetches candles that the feed has missed.
        risk : Risk
            Hears what is found.
        """
        watch = self._node.watch
        loop = asyncio.get_running_loop()
        self._throttle = Throttle(
            self._gate, watch.throttle, self._kernel.clock.timestamp_ns, loop.call_later
        )
        self._gate.sender = self._throttle
        self._audit.take_up()
        self._kernel.msgbus.subscribe("decisions.*", self._audit.on_decision)
        self._kernel.msgbus.subscribe("executions.*", self._audit.on_executed)
        sweep = None
        if recovery is not None:
            universe = set(facts.universe)
            sweep = Sweep(
                rest,
                self._journal,
                recovery,
                Repairer(self._kernel),
                lambda fills: books_of(
                    self._kernel.cache,
                    fills,
                    self._journal.explained(),
                    universe,
                    self._kernel.clock.timestamp_ns(),
                ),
                self._node.tag,
                facts.products,
                watch,
                hurried=lambda: risk.closing,
            )
        watching = Watch(
            self._kernel,
            self._journal,
            self._links,
            rest,
            self._recorder,
            self._account,
            watch,
            self._node.gates.max_clock_skew,
            feed.heard_ns,
            sweep=sweep,
            audit=self._audit,
            candles=candles,
            on_news=self._say,
            listener=risk,
        )
        self._gate.hold(watching.hold())
        work = watched("the watch", watching.run(), stop, self._say)
        self._task = loop.create_task(work, name="watch")

    @property
    def carrying_out(self) -> bool:
        """Whether a decision is still being carried out."""
        return self._audit.is_open

    def quieten(self, reason: str) -> None:
        """Deny what still waits for its turn: the node stops."""
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
        """Return the quantity of the smallest entry that the venue takes."""
        strategy = next((s for s in self._strategies.values() if name in s.ids), None)
        if strategy is None:
            # An earlier run's decision may speak of what is traded no more.
            return Decimal(0)
        instrument_id = strategy.instrument_ids[strategy.ids.index(name)]
        lot, price = strategy.lot(instrument_id), self._account.price(name)
        least = lot.min_notional / price if price else Decimal(0)
        return max(lot.step, lot.min_quantity, least)

    def _holdings(self, key: str) -> dict[str, str]:
        strategy = self._strategies.get(key)
        held = {} if strategy is None else strategy.holdings()
        return {name: f"{held[name]:f}" for name in sorted(held)}
