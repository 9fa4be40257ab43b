"""Build the engine's node from a document, with its order gate. Engine-specific.

Strategies are configured as in a backtest; only the node's tag and the claims on its instruments
differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from nautilus_trader.adapters.bybit import BYBIT
from nautilus_trader.adapters.bybit.config import BybitDataClientConfig, BybitExecClientConfig
from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig
from nautilus_trader.common.component import LiveClock
from nautilus_trader.config import (
    CacheConfig,
    ImportableActorConfig,
    InstrumentProviderConfig,
    LiveDataEngineConfig,
    LiveExecEngineConfig,
    LiveRiskEngineConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.core import nautilus_pyo3 as engine
from nautilus_trader.live.node import TradingNode
from nautilus_trader.system import kernel as system

from actors.gate.gate import OrderGate
from actors.records.coins import base_coin
from actors.records.journal import Journal
from actors.records.order_facts import Hold, OrderFacts
from backtests.engine.build import strategy_config
from catalog.instruments import VENUE
from config.components import resolve
from config.documents import Node
from live_nodes.bybit.adapter import (
    ClientWiring,
    TakesOver,
    data_factory,
    execution_factory,
    follows,
    forget_clients,
    wait_for_answers,
    wait_for_cancels,
)
from live_nodes.bybit.facts import products_of
from live_nodes.local.endpoints import Endpoints
from live_nodes.local.keys import Secret
from live_nodes.node.account import CacheAccount
from live_nodes.node.context import RunContext
from live_nodes.node.feed import NodeFeed, NodeFeedConfig
from live_nodes.node.message_bus import bus_config
from live_nodes.node.paper import PaperFactory
from live_nodes.node.preflight import Preflight, universe_of
from live_nodes.node.report import Say
from live_nodes.node.tape import Tape
from strategies.account_value import is_spot
from strategies.base import DeskStrategy
from strategies.engine_class import engine_class
from strategies.order_ids import owner_of
from strategies.refusals import Refusal
from strategies.state import MemoryState, StateStore

LOG_FILE = "node"
FEED = "NodeFeed"
_RETRIES = {"max_retries": 3, "retry_delay_initial_ms": 200, "retry_delay_max_ms": 2000}
"""Repeat a request that briefly failed."""


def node_config(
    node: Node,
    endpoints: Endpoints,
    ids: list[str],
    folder: Path,
    *,
    tickers: bool = False,
    message_bus: Secret | None = None,
) -> TradingNodeConfig:
    """Return the configuration of the engine's node for all instruments `ids`, without secrets."""
    universe = universe_of(node, ids)
    products = tuple(getattr(engine.BybitProductType, name) for name in products_of(universe))
    shared: dict[str, Any] = {
        "product_types": products,
        # On paper prices are those of mainnet; practice has addresses of its own.
        "environment": getattr(
            engine.BybitEnvironment, node.environment.upper(), engine.BybitEnvironment.MAINNET
        ),
        "base_url_http": endpoints.http,
        "instrument_provider": InstrumentProviderConfig(load_all=True),
        **_RETRIES,
    }
    paper, coins = node.environment == "paper", sorted({*map(base_coin, filter(is_spot, universe))})
    return TradingNodeConfig(
        trader_id=f"DESK-{node.tag.upper()}",
        logging=LoggingConfig(
            # Standard output is for the command's own output, such as --json.
            log_level="OFF",
            log_level_file="INFO",
            log_directory=str(folder),
            log_file_name=LOG_FILE,
            log_colors=False,
            # Reconnects of the links (Rust code) are logged only through it.
            use_pyo3=True,
        ),
        message_bus=bus_config(message_bus),
        # Strategies keep their own history; the engine's default keeps 10,000 of each.
        cache=CacheConfig(tick_capacity=8, bar_capacity=8),
        # An error while data are handled would otherwise end the process at once, without a stop.
        data_engine=LiveDataEngineConfig(graceful_shutdown_on_exception=True),
        # The desk limits its own rate; the engine would drop, not queue, orders beyond a rate.
        risk_engine=LiveRiskEngineConfig(
            max_order_submit_rate="1000000/00:00:01",
            max_order_modify_rate="1000000/00:00:01",
            graceful_shutdown_on_exception=True,
        ),
        exec_engine=_execution_engine(reconciliation=not paper),
        data_clients={BYBIT: BybitDataClientConfig(**shared)},
        exec_clients={
            BYBIT: SandboxExecutionClientConfig(
                venue=VENUE,
                starting_balances=[f"{node.account.balance} USDT", *(f"0 {c}" for c in coins)],
                account_type="MARGIN",
                oms_type="NETTING",
                default_leverage=Decimal(node.limits.leverage),
            )
            if paper
            else BybitExecClientConfig(
                base_url_ws_private=endpoints.ws_private,
                base_url_ws_trade=endpoints.ws_trade,
                # Nothing is ever borrowed.
                auto_repay_spot_borrows=False,
                **shared,
            )
        },
        actors=[
            ImportableActorConfig(
                actor_path=f"{NodeFeed.__module__}:{NodeFeed.__name__}",
                config_path=f"{NodeFeedConfig.__module__}:{NodeFeedConfig.__name__}",
                config={
                    "instruments": universe,
                    "quotes": paper,
                    "tickers": tickers,
                    "component_id": FEED,
                },
            )
        ],
        timeout_disconnection=5.0,
        timeout_post_stop=0.1,
        timeout_shutdown=2.0,
    )


def strategies_of(node: Node, ids: list[str]) -> list[DeskStrategy]:
    """Return the enabled strategies in the document's order."""
    return [
        engine_class(resolve(component.use, node.allow))(
            strategy_config(key, component, node, ids, node=node.tag, claims=True)
        )
        for key, component in node.strategies.items()
        if component.enabled
    ]


def build_node(
    config: TradingNodeConfig,
    strategies: list[DeskStrategy],
    factories: tuple[type[Any], type[Any]],
    loop: asyncio.AbstractEventLoop,
    clock: type[LiveClock] = LiveClock,
    takes_over: TakesOver = follows,
) -> TradingNode:
    """Build the node unconnected; ``factories`` make its clients of data and of execution."""
    forget_clients()
    # The engine has no other way to be given a clock; its components get clocks of the same class.
    system.LiveClock = clock
    try:
        trading_node = TradingNode(config=config, loop=loop)
    finally:
        system.LiveClock = LiveClock
    wait_for_cancels(trading_node.kernel.exec_engine)
    wait_for_answers(trading_node.kernel.exec_engine, takes_over)
    for strategy in strategies:
        trading_node.trader.add_strategy(strategy)
    trading_node.add_data_client_factory(BYBIT, factories[0])
    trading_node.add_exec_client_factory(BYBIT, factories[1])
    trading_node.build()
    return trading_node


def factories_of(wiring: ClientWiring, *, paper: bool) -> tuple[type[Any], type[Any]]:
    """Return what makes the clients of data and of execution."""
    execution = PaperFactory if paper else execution_factory(wiring)
    return data_factory(wiring), execution


def _execution_engine(*, reconciliation: bool) -> LiveExecEngineConfig:
    # Find lost orders soon, and give no order up too early.
    if not reconciliation:
        return LiveExecEngineConfig(reconciliation=False, inflight_check_interval_ms=0)
    return LiveExecEngineConfig(
        reconciliation=True,
        inflight_check_interval_ms=2_000,
        inflight_check_threshold_ms=5_000,
        inflight_check_retries=8,
        open_check_interval_secs=10.0,
        open_check_open_only=True,
        position_check_interval_secs=30.0,
        reconciliation_startup_delay_secs=10.0,
        generate_missing_orders=True,
        filter_unclaimed_external_orders=False,
        graceful_shutdown_on_exception=True,
    )


LOG_BYTES = 64 * 1024 * 1024
"""Size at which a start renames the log."""


def put_aside_long_log(log: Path) -> None:
    """Rename a long log and begin a new one; one old log is kept.

    The engine's own rotation names files by time, so that the newest is hard to find.
    """
    if log.is_file() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))


def gate_of(node: Node, trading_node: TradingNode, journal: Journal, tape: Tape) -> OrderGate:
    """Return the node's order gate: it journals, and refuses foreign ids."""
    kernel = trading_node.kernel
    gate = OrderGate(kernel, CacheAccount(kernel.cache), float(node.limits.leverage))
    gate.observers.append(journal)
    tape.listen(kernel.msgbus, gate)
    gate.hold(without_our_name(node.tag))
    return gate


def state_of(context: RunContext, owner: str) -> StateStore:
    """Return the state store of a strategy or a guard for this kind of run."""
    # Paper positions live in this process's memory, so earlier state does not apply.
    state = MemoryState() if context.paper else context.journal.state(owner)
    return ScratchState(state) if context.options.dry_run else state


def strategies_by_key(
    context: RunContext, trading_node: TradingNode, facts: Preflight, there: Mapping[str, Decimal]
) -> dict[str, DeskStrategy]:
    """Return strategies by key, ready to start; ``there`` are positions at the venue."""
    listed = {name: facts.infos[name].listed_ns for name in facts.universe}
    found: dict[str, DeskStrategy] = {}
    for strategy in trading_node.trader.strategies():
        assert isinstance(strategy, DeskStrategy)
        key = strategy.config.key
        strategy.attach_state(state_of(context, key))
        strategy.check_state(there)
        strategy.know_listings({name: ns for name, ns in listed.items() if ns})
        strategy.market.leverages.update(facts.leverages)
        # On paper, the simulated venue fills at quotes, which books of the same pair would spoil.
        strategy.market.has_books = not context.paper
        strategy.broker.adopts_orders = context.node.watch.policies.foreign_orders == "adopt"
        found[key] = strategy
    return found


def without_our_name(tag: str) -> Hold:
    """Refuse entries whose order id lacks the node's prefix: their owner could not be found."""

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


DRY_RUN = Refusal(code="dry_run", text="dry run")


class Intentions:
    """Observer of the order gate that prints and keeps the orders of a dry run."""

    def __init__(self, kept: list[dict[str, Any]], say: Say) -> None:
        self._kept, self._say = kept, say

    def intended(self, facts: OrderFacts) -> None:
        """Ignore it: in a dry run no request passes."""

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Print and keep a request that only the dry run blocked."""
        if refusal != DRY_RUN:
            return
        price = "" if facts.price is None else f" at {facts.price:f}"
        quantity = f"{facts.quantity:f} " if facts.quantity else ""
        self._say(f"would {facts.operation} {facts.side} {quantity}{facts.instrument}{price}")
        self._kept.append(
            {
                "operation": facts.operation,
                "strategy": facts.strategy,
                "instrument": facts.instrument,
                "side": facts.side,
                "quantity": f"{facts.quantity:f}",
                "price": None if facts.price is None else f"{facts.price:f}",
                "order_type": facts.order_type,
                "reduce_only": facts.reduce_only,
            }
        )


class ScratchState(MemoryState):
    """Store of a dry run: reads the journal's state, and writes to memory only."""

    def __init__(self, real: StateStore) -> None:
        super().__init__()
        self._real = real

    def load(self, name: str) -> bytes | None:
        """Return the newest value of the name, from this run or before."""
        return super().load(name) or self._real.load(name)
