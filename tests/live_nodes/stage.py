"""A practice exchange in a thread, whose faults are data, and nodes that run against it.

`stage` gives the exchange, `desk_node` our node and `plain_node` one of plain Nautilus. Nodes live
on a loop of the test's own thread, which runs while a test waits for something.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

from nautilus_trader.accounting.accounts.margin import MarginAccount
from nautilus_trader.config import LoggingConfig
from nautilus_trader.live.config import LiveExecEngineConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import AccountState
from nautilus_trader.model.identifiers import ClientOrderId

import live_nodes.node.live as live_node
from actors.records.journal import Journal
from actors.records.rows import FillRow
from config.documents import Node
from config.load import load
from live_nodes.bybit.adapter import forget_clients
from live_nodes.local.alerts import Alerts, AlertUrl, Pace
from live_nodes.local.heartbeat import Heartbeat
from live_nodes.local.keys import KeyPair, Secret, practice_keys
from live_nodes.node.context import RunContext
from live_nodes.node.live import NodeRun
from live_nodes.node.report import RunOptions
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec, Category, Key
from live_nodes.practice.exchange.requests import CancelAllRequest, OrderRequest
from live_nodes.practice.faults import Faults
from live_nodes.practice.market.feed import Prices
from live_nodes.practice.wire.server import Server, serve
from tests.bench.live import bare
from tests.live_nodes.by_hand import PlainByHand
from tests.live_nodes.documents import node_of
from tests.live_nodes.killing import venue_urls
from tests.live_nodes.practice.background import InThread, in_thread
from tests.live_nodes.practice.still_market import (
    BTC,
    ETH,
    KEYS,
    SPOT,
    Kept,
    StillMarket,
    perpetuals,
)
from tests.waiting import DEADLINE, eventually_async

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
ACCOUNT = "anna"
NAME = "BTCUSDT-LINEAR.BYBIT"


class BreathingMarket(StillMarket):
    """Its prices stand still; sizes and marks change a little ten times a second."""

    step_seconds = 0.02
    halted: Callable[[], Collection[Key]] = frozenset

    def step(self, exchange: Exchange, now_ms: int) -> list[Key]:
        for key in self.books:
            exchange.halt(key, key in self.halted(), now_ms)
        if self.steps % 5 == 0:
            for key in (BTC, ETH, SPOT):
                self.set_bid(key, 30, f"1.{self.steps // 5 % 9 + 1}00")
        return super().step(exchange, now_ms)

    def prices(self, key: Key, now_ms: int) -> Prices:
        prices = super().prices(key, now_ms)
        shift = D("0.1") * (self.steps // 5 % 2)
        return replace(prices, mark=prices.mark + shift)


class Stage(InThread):
    """A running exchange; everything here may be called from the test's thread."""

    def __init__(
        self,
        server: Server,
        market: BreathingMarket,
        faults: Faults,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(server, loop)
        self.market, self.faults = market, faults

    # Faults --------------------------------------------------------------------------------------

    def play(self, name: str, *only: str, **changes: Any) -> None:
        """Start the faults of a scenario now, all or some; `changes` apply to each of them."""
        document = load(str(SCENARIOS / f"{name}.yaml")).document
        chosen = {k: f for k, f in document.faults.items() if not only or k in only}

        def add() -> None:
            for key, fault in chosen.items():
                self.faults.add(key, fault.model_copy(update=changes))
            self.faults.poll()

        self.call(add)

    def end_faults(self) -> None:
        self.call(self.faults.clear)

    def struck(self, name: str) -> int:
        """Return how often a fault has struck."""
        return sum(1 for line in list(self.faults.log) if line["name"] == name)

    # What happened at the exchange ---------------------------------------------------------------

    @property
    def exchange(self) -> Exchange:
        return self.server.venue.exchange

    def open_orders(self) -> dict[str, Any]:
        """Return the account's open orders by link id, or by order id where it has none."""
        found = self.call(lambda: self.exchange.open_orders(ACCOUNT))
        return {order.order_link_id or order.order_id: order for order in found}

    def orders(self) -> list[str]:
        """Return the link ids of all orders that ever arrived, oldest first."""
        there = self.exchange
        both = self.call(lambda: [*there.order_history(ACCOUNT), *there.open_orders(ACCOUNT)])
        return [o.order_link_id for o in sorted(both, key=lambda o: o.created_ms)]

    def position(self, symbol: str = "BTCUSDT") -> D:
        """Return the net position."""
        found = self.call(lambda: self.exchange.position(ACCOUNT, symbol))
        return -found.size if found.side == "Sell" else found.size

    def requests(self, path: str) -> int:
        """Return how many requests of a ``"METHOD path"`` arrived."""
        return self.server.rest.received[path]

    def sent(self, op: str = "order.create") -> int:
        """Return how many operations arrived on the trade link."""
        return self.faults.operations[op]

    def connections(self) -> dict[str, int]:
        return dict(self.call(self.server.sockets.connected))

    # What others do there ------------------------------------------------------------------------

    def order(
        self,
        side: str,
        qty: str,
        price: str | None = None,
        name: str = "",
        symbol: str = "BTCUSDT",
        category: Category = "linear",
        **more: Any,
    ) -> Any:
        """Give an order of the account past the node: by hand, or as a node did that was killed."""
        request = OrderRequest(
            category=category,
            symbol=symbol,
            side=side,  # type: ignore[arg-type]
            order_type="Market" if price is None else "Limit",
            qty=D(qty),
            price=None if price is None else D(price),
            time_in_force="IOC" if price is None else "GTC",
            order_link_id=name,
            **more,
        )

        def send() -> Any:
            order = self.exchange.create(ACCOUNT, request, self.server.venue.clock_ms())
            self.server.venue.settle([(category, symbol)])
            return order

        return self.call(send)

    def delist(self, key: Key) -> None:
        """Take a market off the exchange, which settles its positions at the mark."""

        def end() -> None:
            (symbol,) = (symbol for symbol in self.market.listed if symbol.key == key)
            self.exchange.put_symbol(replace(symbol, status="Closed"), self.server.venue.clock_ms())
            self.market.listed = [symbol for symbol in self.market.listed if symbol.key != key]
            self.server.venue.settle([key])

        self.call(end)

    def change_rules(self, key: Key, **rules: Any) -> None:
        """Change what the exchange says of a market, such as its `lot` or its `status`."""

        def change() -> None:
            (old,) = (symbol for symbol in self.market.listed if symbol.key == key)
            new = replace(old, **rules)
            self.exchange.put_symbol(new, self.server.venue.clock_ms())
            self.market.listed = [new if symbol is old else symbol for symbol in self.market.listed]

        self.call(change)

    def settle_funding(self, rate: str) -> None:
        def settle() -> None:
            self.exchange.settle_funding(BTC, D(rate), self.server.venue.clock_ms())
            self.server.venue.settle([BTC])

        self.call(settle)

    def hit(self, side: str, price: str, qty: str) -> None:
        """Let somebody trade at a price."""
        self.call(lambda: self.market.prints.append((BTC, side, D(price), D(qty))))

    def move(self, price: str) -> None:
        """Let bitcoin jump to a price, mark and book together."""
        self.call(lambda: self.market.move(BTC, D(price), self.server.venue.clock_ms()))

    def cancel_all(self) -> None:
        """Cancel the account's orders in perpetuals past the node."""

        def cancel() -> None:
            everything = CancelAllRequest(category="linear", settle_coin="USDT")
            self.exchange.cancel_all(ACCOUNT, everything, self.server.venue.clock_ms())
            self.server.venue.settle([BTC])

        self.call(cancel)

    def clear(self) -> None:
        """Leave no fault, no open order and no position of the account."""
        self.end_faults()
        self.cancel_all()
        for symbol in ("BTCUSDT", "ETHUSDT"):
            held = self.position(symbol)
            if held:
                self.order("Sell" if held > 0 else "Buy", str(abs(held)), symbol=symbol)


@contextmanager
def stage(**settings: Any) -> Iterator[Stage]:
    """Run an exchange in a thread until the block ends."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Stage]:
        market = BreathingMarket(more=perpetuals(settings.get("coins", 0)))
        faults = Faults(seed=settings.get("seed", 0))
        accounts = [AccountSpec(ACCOUNT, balances=(("USDT", D(100_000)),)), AccountSpec("bert")]
        market.halted = faults.halted
        server = await serve(Exchange(market.listed, accounts), market, KEYS, faults, Kept())
        try:
            yield Stage(server, market, faults, asyncio.get_running_loop())
        finally:
            await server.stop()

    with in_thread(opened) as found:
        yield found


# Nodes -------------------------------------------------------------------------------------------


class Running:
    """A node on a loop of this thread; the loop runs while a test waits."""

    strategy: Any

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    def wait(self, seconds: float) -> None:
        """Let the node run for a while."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def do[T](self, act: Callable[[], T]) -> T:
        """Do something on the node's running loop and return what came of it."""

        async def run() -> T:
            return act()

        return self.loop.run_until_complete(run())

    def until(self, wanted: Callable[[], object], what: str = "it") -> float:
        """Let the node run until something holds; return the seconds that took."""
        began = time.monotonic()
        self.loop.run_until_complete(
            eventually_async(wanted, lambda: f"{what}{self.told()}", poll=0.005)
        )
        return time.monotonic() - began

    def filled(self, side: OrderSide, qty: str = "0.010", **more: Any) -> ClientOrderId:
        """Send a market order and wait until its strategy knows of its fill."""
        order = self.strategy.market_order(side, qty, **more)
        self.until(lambda: self.strategy.status(order) == "FILLED", f"the fill of {qty}")
        return order

    def told(self) -> str:
        return ""

    def denied(self) -> str:
        """Try an entry, which must be denied; return why."""
        order = self.strategy.market_order(OrderSide.BUY)
        self.until(lambda: self.strategy.status(order) in ("DENIED", "FILLED"), "the denial")
        assert self.strategy.status(order) == "DENIED"
        return str(self.strategy.reasons(order)[0])

    def close(self, dispose: Callable[[], None]) -> None:
        """End what still waits on the loop, free the node, close the loop."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        dispose()
        forget_clients()
        asyncio.set_event_loop(None)
        if not self.loop.is_closed():
            self.loop.close()


class Desk(Running):
    """Our node; `said` is what it prints for the person who watches, in order."""

    def __init__(self, stage: Stage, folder: Path, options: RunOptions, **settings: Any) -> None:
        super().__init__(stage)
        self.said: list[str] = []
        self.folder = folder
        told = settings.pop("told", ())
        self.node = desk_document(folder, **settings)
        self.journal = Journal.open(folder, node=self.node.name)
        self.journal.begin_run(environment="practice", document="abc")
        quick = Pace(gather=0.02, pause=0.1, backoff=0.05, backoff_most=0.2)
        self.alerts = Alerts(self.node.name, folder, [AlertUrl(url) for url in told], quick)
        self.live = NodeRun(
            RunContext(
                node=self.node,
                endpoints=stage.where,
                keys=keys(),
                folder=folder,
                journal=self.journal,
                options=options,
                say=self.said.append,
                alerts=self.alerts,
                heartbeat=Heartbeat(folder, self.said.append),
            )
        )
        self.task = self.loop.create_task(self.live.run())

    @property
    def strategy(self) -> Any:  # type: ignore[override]
        return self.live.strategies["hand"]

    def start(self) -> Desk:
        """Wait until it runs; raises what kept it from that."""
        self.until(lambda: self.task.done() or self.runs, "the start")
        if self.task.done():
            self.task.result()
        return self

    @property
    def runs(self) -> bool:
        # What it takes up cancels orders that a test sent before.
        return self.live.resumed is not None

    def stop(self) -> None:
        """Ask it to stop as a user does, and wait for that."""
        try:
            if not self.task.done():
                self.loop.call_soon(signal.raise_signal, signal.SIGTERM)
                self.loop.run_until_complete(asyncio.wait_for(self.task, DEADLINE))
        finally:
            self.close(self.live.dispose)
            self.alerts.close(1.0)
            self.journal.close()

    def told(self) -> str:
        events = "\n".join(str(event) for event in getattr(self.strategy, "events", [])[-8:])
        return "; it said:\n" + "\n".join(self.said) + f"\nand heard last:\n{events}"

    def fills(self) -> list[FillRow]:
        """Return all executions in the journal."""
        return self.journal.fills_since(0)

    def counted(self, name: str) -> int:
        """Return one of the journal's counters."""
        return int(self.journal.counters().get(name, 0))

    def halted(self) -> set[str]:
        """Return the causes that keep entries back now."""
        return {verdict.guard for _, verdict in self.journal.standing()}


class Plain(Running):
    """A node of plain Nautilus."""

    def __init__(self, stage: Stage, strategy: PlainByHand) -> None:
        super().__init__(stage)
        forget_clients()
        self.strategy = strategy
        self.node = bare.plain_node(
            venue_urls(stage.where),
            ACCOUNT,
            strategy,
            loop=self.loop,
            spot=True,
            client={"max_retries": 3, "retry_delay_initial_ms": 200, "retry_delay_max_ms": 2_000},
            trader_id="PLAIN-001",
            logging=LoggingConfig(log_level="OFF"),
            exec_engine=LiveExecEngineConfig(reconciliation_startup_delay_secs=0.5),
            timeout_connection=10.0,
            timeout_reconciliation=5.0,
            timeout_portfolio=5.0,
            timeout_disconnection=2.0,
            timeout_post_stop=0.2,
        )
        self.task = self.loop.create_task(self.node.run_async())

    def stop(self) -> None:
        async def end() -> None:
            await self.node.stop_async()
            await self.task

        try:
            self.loop.run_until_complete(asyncio.wait_for(end(), DEADLINE))
        finally:
            self.close(self.node.dispose)


def keys(name: str = ACCOUNT) -> KeyPair:
    return KeyPair(*map(Secret, practice_keys(name)))


def desk_document(folder: Path, **settings: Any) -> Node:
    """Return a node of one strategy that does what the test tells it.

    The times of the watch are short; feeds are let be silent unless a test asks for it.
    """
    watch = {"sweep_every": 1.0, "sweep_settle": 0.5} | settings.pop("watch", {})
    known: dict[str, Any] = {
        "name": "scene",
        "state": str(folder),
        "universe": {"instruments": (NAME,)},
        "strategies": {"hand": {"use": "tests.live_nodes.by_hand:ByHand"}},
    }
    return node_of(**(known | settings), watch=watch)


@contextmanager
def desk_node(
    stage: Stage, *, options: RunOptions | None = None, folder: Path | None = None, **settings: Any
) -> Iterator[Desk]:
    """Run our node until the block ends."""
    with tempfile.TemporaryDirectory() as made:
        desk = Desk(stage, folder or Path(made), options or RunOptions(), **settings)
        try:
            yield desk.start()
        finally:
            desk.stop()


@contextmanager
def plain_node(stage: Stage, strategy: PlainByHand | None = None) -> Iterator[Plain]:
    """Run a plain node until the block ends."""
    plain = Plain(stage, strategy or PlainByHand())
    try:
        plain.until(lambda: plain.strategy.is_running, "the start")
        yield plain
    finally:
        plain.stop()


_build_node = live_node.build_node


def _node_that_believes_its_venue(*args: Any) -> TradingNode:
    """Build a node in a process that ran backtests, whose account is what the venue reports.

    The engine keeps for the whole process, by the venue's name, that a simulated exchange has its
    balances worked out from fills: a live node would take fees off that the venue took off already.
    """
    node = _build_node(*args)
    kernel = node.kernel
    real = kernel.portfolio.update_account

    def update(event: AccountState) -> None:
        live = event.account_id.get_id() == "UNIFIED"
        if live and kernel.cache.account(event.account_id) is None:
            kernel.cache.add_account(MarginAccount(event, False))
        real(event)

    kernel.msgbus.deregister("Portfolio.update_account", real)
    kernel.msgbus.register("Portfolio.update_account", update)
    return node


live_node.build_node = _node_that_believes_its_venue
