"""From a node's document to a trading node that is ready to connect: the one factory of it.

Engine-specific. The strategies' configurations come from
`backtests.engine.build.strategy_config`, as a
backtest's do; only the node's tag and the claims on its instruments differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from nautilus_trader.adapters.bybit import BYBIT
from nautilus_trader.adapters.bybit.config import BybitDataClientConfig, BybitExecClientConfig
from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig
from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory
from nautilus_trader.config import (
    CacheConfig,
    ImportableActorConfig,
    ImportableStrategyConfig,
    InstrumentProviderConfig,
    LiveExecEngineConfig,
    LiveRiskEngineConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.core import nautilus_pyo3 as engine
from nautilus_trader.live.node import TradingNode

from backtests.engine.build import strategy_config
from catalog.instruments import VENUE
from config.components import resolve
from config.documents import Node
from config.universe import select
from live_nodes.bybit.adapter import Wiring, data_factory, execution_factory, forget_clients
from live_nodes.bybit.terms import products_of
from live_nodes.local.endpoints import Addresses, world
from live_nodes.node.feed import NodeFeed, NodeFeedConfig

LOG_FILE = "node"
FEED = "NodeFeed"
_RETRIES = {"max_retries": 3, "retry_delay_initial_ms": 200, "retry_delay_max_ms": 2000}
"""One short answer of the venue must not fail a request: live.md, "Suggested …"."""


def universe_of(node: Node, ids: Iterable[str]) -> list[str]:
    """Return the ids that the node's enabled strategies trade."""
    there = sorted(ids)
    return sorted(
        {
            name
            for component in node.strategies.values()
            if component.enabled
            for name in select(there, node.universe, component)
        }
    )


def node_config(
    node: Node, where: Addresses, ids: list[str], folder: Path, *, tickers: bool = False
) -> TradingNodeConfig:
    """Return the whole configuration of the engine's node. It holds no secret.

    Parameters
    ----------
    node : Node
        The document.
    where : Addresses
        Of the environment.
    ids : list of str
        All instruments that the venue trades.
    folder : pathlib.Path
        Takes the log.
    tickers : bool
        Whether a guard looks at markets.
    """
    universe = universe_of(node, ids)
    products = tuple(getattr(engine.BybitProductType, name) for name in products_of(universe))
    shared = {
        "product_types": products,
        "environment": world(node.environment),
        "base_url_http": where.http,
        "instrument_provider": InstrumentProviderConfig(load_all=True),
        **_RETRIES,
    }
    paper = node.environment == "paper"
    return TradingNodeConfig(
        trader_id=f"DESK-{node.tag.upper()}",
        logging=LoggingConfig(
            # Standard output belongs to the command, and to machines with --json.
            log_level="OFF",
            log_level_file="INFO",
            log_directory=str(folder),
            log_file_name=LOG_FILE,
            log_colors=False,
            # Reconnects of the links, which are Rust, are logged only through it.
            use_pyo3=True,
        ),
        # Strategies keep their own history; the engine's default keeps 10,000 of each.
        cache=CacheConfig(tick_capacity=8, bar_capacity=8),
        # The desk paces its own orders; the engine would drop, not queue, what is over a rate.
        risk_engine=LiveRiskEngineConfig(
            max_order_submit_rate="1000000/00:00:01", max_order_modify_rate="1000000/00:00:01"
        ),
        exec_engine=_execution_engine(reconciliation=not paper),
        data_clients={BYBIT: BybitDataClientConfig(**shared)},
        exec_clients={
            BYBIT: SandboxExecutionClientConfig(
                venue=VENUE,
                starting_balances=[f"{node.account.balance} USDT"],
                account_type="MARGIN",
                oms_type="NETTING",
                default_leverage=Decimal(node.limits.leverage),
            )
            if paper
            else BybitExecClientConfig(
                base_url_ws_private=where.ws_private, base_url_ws_trade=where.ws_trade, **shared
            )
        },
        strategies=strategies_of(node, ids),
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


def strategies_of(node: Node, ids: list[str]) -> list[ImportableStrategyConfig]:
    """Return the enabled strategies, by address and as plain values, in the document's order."""
    configs = []
    for key, component in node.strategies.items():
        if not component.enabled:
            continue
        config = strategy_config(key, component, node, ids, node=node.tag, claims=True)
        cls = resolve(component.use, node.allow).Config
        configs.append(
            ImportableStrategyConfig(
                strategy_path=component.use,
                config_path=f"{cls.__module__}:{cls.__qualname__}",
                config=config.dict(),
            )
        )
    return configs


def make_node(
    config: TradingNodeConfig, wiring: Wiring, loop: asyncio.AbstractEventLoop
) -> TradingNode:
    """Build the node with its clients, unconnected."""
    forget_clients()
    made = TradingNode(config=config, loop=loop)
    made.add_data_client_factory(BYBIT, data_factory(wiring))
    paper = isinstance(config.exec_clients[BYBIT], SandboxExecutionClientConfig)
    made.add_exec_client_factory(
        BYBIT, SandboxLiveExecClientFactory if paper else execution_factory(wiring)
    )
    made.build()
    return made


def _execution_engine(*, reconciliation: bool) -> LiveExecEngineConfig:
    """Return live.md's suggestion: find what was lost soon, and give no order up too early."""
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
