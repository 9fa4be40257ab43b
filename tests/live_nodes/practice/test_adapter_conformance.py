"""Nautilus's Bybit adapter as it comes, against the practice exchange: data, orders, fills."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import BookType

from tests.live_nodes.by_hand import BTC_ID, BUY, SELL, SPOT_ID, PlainByHand
from tests.live_nodes.practice.still_market import BTC, SPOT, D
from tests.live_nodes.stage import Plain, Stage, plain_node, stage

BARS = BarType.from_str("BTCUSDT-LINEAR.BYBIT-1-MINUTE-LAST-EXTERNAL")


class Subscriber(PlainByHand):
    """Subscribes to every kind of data and counts what comes."""

    def on_start(self) -> None:
        super().on_start()
        self.received: Counter[str] = Counter()
        self.subscribe_order_book_deltas(SPOT_ID, BookType.L2_MBP, 50)
        for instrument in (BTC_ID, SPOT_ID):
            self.subscribe_trade_ticks(instrument)
        self.subscribe_mark_prices(BTC_ID)
        self.subscribe_index_prices(BTC_ID)
        self.subscribe_funding_rates(BTC_ID)
        self.subscribe_bars(BARS)
        self.request_bars(BARS, start=self.clock.utc_now() - timedelta(minutes=30))

    def on_order_book_deltas(self, deltas: Any) -> None:
        self.received[f"book {deltas.instrument_id}"] += 1

    def on_trade_tick(self, tick: Any) -> None:
        self.received[f"trade {tick.instrument_id}"] += 1

    def on_mark_price(self, update: Any) -> None:
        self.received["mark"] += 1

    def on_index_price(self, update: Any) -> None:
        self.received["index"] += 1

    def on_funding_rate(self, update: Any) -> None:
        self.received["funding"] += 1

    def on_historical_data(self, data: Any) -> None:
        self.received["history"] += 1


def _receives_data(node: Plain, exchange: Stage) -> None:
    received, market = node.strategy.received, exchange.market
    names = (f"book {BTC_ID}", f"book {SPOT_ID}", "mark", "index", "funding", "history")
    node.until(lambda: all(received[name] for name in names), "data")
    for key in (BTC, SPOT):
        exchange.call(lambda k=key: market.prints.append((k, "Buy", D("50000.1"), D("0.1"))))
    node.until(lambda: received[f"trade {BTC_ID}"] and received[f"trade {SPOT_ID}"], "trades")
    exchange.call(lambda: market.set_bid(BTC, 0, "7.000"))
    node.until(lambda: node.strategy.best_bid() == ("49999.9", "7.000"), "a book change")
    assert len(node.strategy.cache.order_book(BTC_ID).bids()) == 50


def _trades(node: Plain, exchange: Stage) -> None:
    strategy = node.strategy
    cache = strategy.cache

    def becomes(status: str, *orders: Any) -> None:
        node.until(lambda: {strategy.status(order) for order in orders} == {status}, status)

    resting = strategy.limit(BUY, "49000", post_only=True)
    becomes("ACCEPTED", resting)
    instrument = cache.instrument(BTC_ID)
    quantity, price = instrument.make_qty(D("0.012")), instrument.make_price(D("48990"))
    strategy.modify_order(cache.order(resting), quantity, price)
    node.until(lambda: cache.order(resting).price == price, "the amended price")
    assert cache.order(resting).quantity == quantity
    strategy.cancel_order(cache.order(resting))
    becomes("CANCELED", resting)

    crossing = strategy.limit(BUY, "50001", post_only=True)
    becomes("REJECTED", crossing)
    assert "EC_PostOnlyWillTakeLiquidity" in str(cache.order(crossing).last_event.reason)

    node.filled(BUY, "2")
    assert strategy.net() == 2
    stop = strategy.order_factory.stop_market(
        BTC_ID, SELL, instrument.make_qty(D(1)), instrument.make_price(D(49500)), reduce_only=True
    )
    strategy.submit_order(stop)
    becomes("ACCEPTED", stop.client_order_id)
    exchange.call(lambda: exchange.market.move(BTC, D("49400.0"), 0))
    becomes("FILLED", stop.client_order_id)
    assert strategy.net() == 1

    both = strategy.limit(BUY, "48000"), strategy.limit(BUY, "48001")
    becomes("ACCEPTED", *both)
    strategy.cancel_all_orders(BTC_ID)
    becomes("CANCELED", *both)
    node.filled(SELL, "1", reduce_only=True)
    assert strategy.net() == 0
    strategy.where = SPOT_ID
    spot = strategy.limit(BUY, "49000", "0.5")
    becomes("ACCEPTED", spot)
    strategy.cancel_order(cache.order(spot))
    becomes("CANCELED", spot)


def test_the_adapter_connects_receives_data_and_trades() -> None:
    with stage() as exchange:
        with plain_node(exchange, Subscriber()) as node:
            _receives_data(node, exchange)
            _trades(node, exchange)
        assert exchange.position() == 0
