"""The bare one: a trivial Nautilus strategy on the adapter as it comes, no desk.

``python -m tests.bench.live.bare SPEC`` runs it, `SPEC` as of `tests.bench.live.parties`. The one
thing of ours is the address of the public link, which the adapter can't be given.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from nautilus_trader.adapters.bybit import (
    BYBIT,
    BybitDataClientConfig,
    BybitExecClientConfig,
    BybitLiveDataClientFactory,
    BybitLiveExecClientFactory,
)
from nautilus_trader.adapters.bybit.config import _resolve_environment
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveRiskEngineConfig,
    LoggingConfig,
    StrategyConfig,
    TradingNodeConfig,
)
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.live.data_client import LiveDataClient
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import OrderBookDeltas
from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

from live_nodes.local.keys import practice_keys
from tests.bench.live.meter import Meter, Spec

UNLIMITED = "1000000/00:00:01"


class Trivial(Strategy):
    """Answers new sizes at the best bid by market orders of them."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(StrategyConfig(strategy_id="Trivial-bare", order_id_tag="bare"))
        self._signals = [InstrumentId.from_str(name) for name in spec.signals]
        self._traded = None if spec.traded is None else InstrumentId.from_str(spec.traded)
        self._answered = InstrumentId.from_str(spec.answered)
        self._meter = Meter(Path(spec.meter))
        self._every = spec.every
        self._seen: Any = None
        self._changes = 0
        self._side = OrderSide.SELL

    def on_start(self) -> None:
        self._meter.start()
        for instrument_id in self._signals:
            self.subscribe_order_book_deltas(instrument_id, BookType.L2_MBP, 50)

    def on_stop(self) -> None:
        self._meter.stop()

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Answer a size that is new."""
        self._meter.heard(deltas.ts_event)
        if self._traded is None or deltas.instrument_id != self._answered:
            return
        size = self.cache.order_book(deltas.instrument_id).best_bid_size()
        if size is None or size == self._seen:
            return
        self._seen = size
        self._changes += 1
        if self._changes % self._every:
            return
        self._side = OrderSide.BUY if self._side == OrderSide.SELL else OrderSide.SELL
        self.submit_order(self.order_factory.market(self._traded, self._side, size))


class PublicConfig(BybitDataClientConfig, frozen=True):
    """With the public link's address."""

    base_url_ws_public: str = ""


class PublicFactory(LiveDataClientFactory):
    @staticmethod
    def create(  # type: ignore[override]
        loop: Any, name: str, config: PublicConfig, msgbus: Any, cache: Any, clock: Any
    ) -> LiveDataClient:
        client: Any = BybitLiveDataClientFactory.create(loop, name, config, msgbus, cache, clock)
        for product in list(client._ws_clients):
            client._ws_clients[product] = nautilus_pyo3.BybitWebSocketClient.new_public(
                product_type=product,
                environment=_resolve_environment(config.environment),
                url=f"{config.base_url_ws_public}/{product.name.lower()}",
            )
        return client


def plain_node(
    urls: dict[str, str],
    account: str,
    strategy: Strategy,
    *,
    loop: Any = None,
    spot: bool = False,
    client: dict[str, Any] | None = None,
    **settings: Any,
) -> TradingNode:
    """Build a node of one strategy on the adapter as it comes.

    `urls` are the exchange's ``http``, ``ws_public``, ``ws_private`` and ``ws_trade``; `client` has
    more settings of both clients.
    """
    key, secret = practice_keys(account)
    product = nautilus_pyo3.BybitProductType
    shared: dict[str, Any] = {
        "api_key": key, "api_secret": secret, "base_url_http": urls["http"],
        "product_types": (product.LINEAR, product.SPOT) if spot else (product.LINEAR,),
        "instrument_provider": InstrumentProviderConfig(load_all=True),
    } | (client or {})  # fmt: skip
    data = PublicConfig(base_url_ws_public=urls["ws_public"], **shared)
    links = {f"base_url_ws_{name}": urls[f"ws_{name}"] for name in ("private", "trade")}
    execution = BybitExecClientConfig(**links, **shared)
    config = TradingNodeConfig(
        data_clients={BYBIT: data}, exec_clients={BYBIT: execution}, **settings
    )
    node = TradingNode(config, loop=loop)
    node.add_data_client_factory(BYBIT, PublicFactory)
    node.add_exec_client_factory(BYBIT, BybitLiveExecClientFactory)
    node.trader.add_strategy(strategy)
    node.build()
    return node


def run(spec: Spec) -> None:
    """Trade until SIGTERM."""
    links = f"ws://127.0.0.1:{spec.port}/v5"
    urls = {f"ws_{name}": f"{links}/{name}" for name in ("public", "private", "trade")}
    urls["http"] = f"http://127.0.0.1:{spec.port}"
    # The log that ours writes as well.
    log = LoggingConfig(
        log_level="OFF", log_level_file="INFO", log_directory=str(Path(spec.meter).parent),
        log_file_name="node", log_colors=False, use_pyo3=True,
    )  # fmt: skip
    node = plain_node(
        urls,
        spec.account,
        Trivial(spec),
        trader_id="BARE-001",
        logging=log,
        risk_engine=LiveRiskEngineConfig(max_order_submit_rate=UNLIMITED),
        timeout_post_stop=0.1,
    )
    try:
        node.run()
    finally:
        node.dispose()


if __name__ == "__main__":
    run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec))
