"""Nautilus's real Bybit adapter against the practice exchange: data, orders, fills, positions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from nautilus_trader.adapters.bybit import (
    BYBIT,
    BybitDataClientConfig,
    BybitExecClientConfig,
    BybitLiveDataClientFactory,
    BybitLiveExecClientFactory,
    BybitProductType,
)
from nautilus_trader.adapters.bybit.config import _resolve_environment
from nautilus_trader.adapters.bybit.factories import (
    get_cached_bybit_http_client,
    get_cached_bybit_instrument_provider,
)
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveExecEngineConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

from tests.live_nodes.practice.background import Background, background
from tests.live_nodes.practice.still_market import BTC, KEYS, SPOT, D
from tests.waiting import DEADLINE

LINEAR_ID = InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT")
SPOT_ID = InstrumentId.from_str("BTCUSDT-SPOT.BYBIT")
BARS = BarType.from_str("BTCUSDT-LINEAR.BYBIT-1-MINUTE-LAST-EXTERNAL")
PRODUCTS = (BybitProductType.LINEAR, BybitProductType.SPOT)


class PublicConfig(BybitDataClientConfig, frozen=True):  # type: ignore[call-arg, misc]
    base_url_ws_public: str = ""


class PublicFactory(BybitLiveDataClientFactory):
    @staticmethod
    def create(loop: Any, name: Any, config: Any, msgbus: Any, cache: Any, clock: Any) -> Any:
        client: Any = BybitLiveDataClientFactory.create(loop, name, config, msgbus, cache, clock)
        for product in list(client._ws_clients):
            client._ws_clients[product] = nautilus_pyo3.BybitWebSocketClient.new_public(
                product_type=product,
                environment=_resolve_environment(config.environment),
                url=f"{config.base_url_ws_public}/{product.name.lower()}",
            )
        return client


class Listening(Strategy):
    """Subscribes to everything, and acts for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.received: Counter[str] = Counter()
        self.events: list[Any] = []

    def on_start(self) -> None:
        for instrument in (LINEAR_ID, SPOT_ID):
            self.subscribe_order_book_deltas(instrument, BookType.L2_MBP, 50)
            self.subscribe_trade_ticks(instrument)
        self.subscribe_mark_prices(LINEAR_ID)
        self.subscribe_index_prices(LINEAR_ID)
        self.subscribe_funding_rates(LINEAR_ID)
        self.subscribe_bars(BARS)
        self.request_bars(BARS, start=self.clock.utc_now() - timedelta(minutes=30))

    def on_order_book_deltas(self, deltas: Any) -> None:
        self.received[f"book {deltas.instrument_id.symbol}"] += 1

    def on_trade_tick(self, tick: Any) -> None:
        self.received[f"trade {tick.instrument_id.symbol}"] += 1

    def on_mark_price(self, update: Any) -> None:
        self.received["mark"] += 1

    def on_index_price(self, update: Any) -> None:
        self.received["index"] += 1

    def on_funding_rate(self, update: Any) -> None:
        self.received["funding"] += 1

    def on_historical_data(self, data: Any) -> None:
        self.received["history"] += 1

    def on_order_event(self, event: Any) -> None:
        self.events.append(event)

    def limit(self, side: OrderSide, price: str, qty: str = "0.010", **more: Any) -> Any:
        instrument = self.cache.instrument(more.pop("at", LINEAR_ID))
        order = self.order_factory.limit(
            instrument.id,
            side,
            instrument.make_qty(Decimal(qty)),
            instrument.make_price(Decimal(price)),
            **more,
        )
        self.submit_order(order)
        return order

    def market_order(self, side: OrderSide, qty: str, **more: Any) -> Any:
        instrument = self.cache.instrument(LINEAR_ID)
        order = self.order_factory.market(
            instrument.id, side, instrument.make_qty(Decimal(qty)), **more
        )
        self.submit_order(order)
        return order

    def protect(self, side: OrderSide, trigger: str, qty: str) -> Any:
        instrument = self.cache.instrument(LINEAR_ID)
        order = self.order_factory.stop_market(
            instrument.id,
            side,
            instrument.make_qty(Decimal(qty)),
            instrument.make_price(Decimal(trigger)),
            reduce_only=True,
        )
        self.submit_order(order)
        return order

    def status(self, order: Any) -> str:
        return str(self.cache.order(order.client_order_id).status_string())

    def position(self) -> Decimal:
        return Decimal(str(self.portfolio.net_position(LINEAR_ID)))


def _node(exchange: Background, loop: asyncio.AbstractEventLoop) -> TradingNode:
    key, secret = KEYS["anna"]
    shared: dict[str, Any] = {
        "api_key": key, "api_secret": secret, "base_url_http": exchange.http,
        "product_types": PRODUCTS, "instrument_provider": InstrumentProviderConfig(load_all=True),
        "max_retries": 3, "retry_delay_initial_ms": 200, "retry_delay_max_ms": 2_000,
    }  # fmt: skip
    config = TradingNodeConfig(
        trader_id="TESTER-001", logging=LoggingConfig(log_level="ERROR", log_colors=False),
        exec_engine=LiveExecEngineConfig(reconciliation_startup_delay_secs=0.5),
        data_clients={BYBIT: PublicConfig(base_url_ws_public=f"{exchange.links}/public", **shared)},
        exec_clients={
            BYBIT: BybitExecClientConfig(
                base_url_ws_private=f"{exchange.links}/private",
                base_url_ws_trade=f"{exchange.links}/trade",
                **shared,
            )
        },
        timeout_connection=20, timeout_reconciliation=10, timeout_portfolio=10,
        timeout_disconnection=2, timeout_post_stop=0.2,
    )  # fmt: skip
    node = TradingNode(config=config, loop=loop)
    node.add_data_client_factory(BYBIT, PublicFactory)
    node.add_exec_client_factory(BYBIT, BybitLiveExecClientFactory)
    return node


async def _until(wanted: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not wanted():
        assert loop.time() < deadline, f"{what} did not come in time"
        await asyncio.sleep(0.01)


async def _listens(exchange: Background, strategy: Listening) -> None:
    await _until(lambda: strategy.is_running, "the strategy's start")
    names = ("book BTCUSDT-LINEAR", "book BTCUSDT-SPOT", "mark", "index", "funding")
    await _until(lambda: all(strategy.received[name] for name in names), "data")
    await _until(lambda: strategy.received["history"], "past bars")
    for key, touch in ((BTC, "50000.1"), (SPOT, "50000.1")):
        exchange.call(lambda p, k=key, t=touch: p.market.prints.append((k, "Buy", D(t), D("0.1"))))
    for name in ("trade BTCUSDT-LINEAR", "trade BTCUSDT-SPOT"):
        await _until(lambda name=name: strategy.received[name], name)
    exchange.call(lambda p: p.market.set_bid(BTC, 0, "7.000"))
    book = strategy.cache.order_book(LINEAR_ID)
    await _until(lambda: str(book.best_bid_size()) == "7.000", "a book change")
    assert str(book.best_bid_price()) == "49999.9"
    assert len(book.bids()) == 50


async def _trades(exchange: Background, strategy: Listening) -> None:
    resting = strategy.limit(OrderSide.BUY, "49000", post_only=True)
    await _until(lambda: strategy.status(resting) == "ACCEPTED", "acceptance")
    instrument = strategy.cache.instrument(LINEAR_ID)
    strategy.modify_order(
        strategy.cache.order(resting.client_order_id),
        instrument.make_qty(Decimal("0.012")),
        instrument.make_price(Decimal("48990")),
    )
    current = lambda: strategy.cache.order(resting.client_order_id)  # noqa: E731
    await _until(lambda: str(current().price) == "48990.0", "the amended price")
    assert str(current().quantity) == "0.012"
    strategy.cancel_order(current())
    await _until(lambda: strategy.status(resting) == "CANCELED", "the cancel")

    crossing = strategy.limit(OrderSide.BUY, "50001", post_only=True)
    await _until(lambda: crossing.is_closed, "the post-only rejection")
    assert strategy.status(crossing) == "REJECTED"
    reasons = [str(getattr(event, "reason", "")) for event in strategy.events]
    assert any("EC_PostOnlyWillTakeLiquidity" in reason for reason in reasons)

    bought = strategy.market_order(OrderSide.BUY, "2")
    await _until(lambda: strategy.status(bought) == "FILLED", "the fill")
    assert strategy.position() == 2
    stop = strategy.protect(OrderSide.SELL, "49500", "1")
    await _until(lambda: strategy.status(stop) == "ACCEPTED", "the stop's acceptance")
    exchange.call(lambda p: p.market.move(BTC, D("49400.0"), 0))
    await _until(lambda: strategy.status(stop) == "FILLED", "the stop's fill")
    assert strategy.position() == 1

    one = strategy.limit(OrderSide.BUY, "48000")
    other = strategy.limit(OrderSide.BUY, "48001")
    await _until(
        lambda: {strategy.status(one), strategy.status(other)} == {"ACCEPTED"}, "two orders"
    )
    strategy.cancel_all_orders(LINEAR_ID)
    await _until(
        lambda: {strategy.status(one), strategy.status(other)} == {"CANCELED"}, "cancel all"
    )
    strategy.market_order(OrderSide.SELL, "1", reduce_only=True)
    await _until(lambda: strategy.position() == 0, "the flat position")
    spot = strategy.limit(OrderSide.SELL, "51000", "0.5", at=SPOT_ID)
    await _until(lambda: strategy.status(spot) == "ACCEPTED", "the spot order")
    strategy.cancel_order(strategy.cache.order(spot.client_order_id))
    await _until(lambda: strategy.status(spot) == "CANCELED", "the spot cancel")


def test_the_adapter_connects_receives_data_and_trades() -> None:
    get_cached_bybit_http_client.cache_clear()
    get_cached_bybit_instrument_provider.cache_clear()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with background() as exchange:
        node = _node(exchange, loop)
        strategy = Listening()
        node.trader.add_strategy(strategy)
        node.build()

        async def run() -> None:
            running = asyncio.create_task(node.run_async())
            try:
                await _listens(exchange, strategy)
                await _trades(exchange, strategy)
            finally:
                await node.stop_async()
                await running

        try:
            loop.run_until_complete(asyncio.wait_for(run(), 60))
            held = exchange.call(lambda p: p.server.venue.exchange.position("anna", "BTCUSDT").size)
            assert held == 0
        finally:
            node.dispose()
            get_cached_bybit_http_client.cache_clear()
            get_cached_bybit_instrument_provider.cache_clear()
