"""REST requests for market data: https://bybit-exchange.github.io/docs/v5/market/instrument."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from typing import Any, cast

from live_nodes.practice.exchange.model import BybitRefusal, Category, Key, PracticeSymbol
from live_nodes.practice.market.feed import INTERVAL_MS, Candle, PriceKind
from live_nodes.practice.wire import market_payloads as write
from live_nodes.practice.wire.query_fields import category, integer, limit, page, text, wrong
from live_nodes.practice.wire.venue import Handler, Json, PracticeRequest, PracticeVenue

MOST_LEVELS = {"linear": 1000, "spot": 200}
SOME_LEVELS = {"linear": 25, "spot": 1}
MOST_TRADES = {"linear": 1000, "spot": 60}
SOME_TRADES = {"linear": 500, "spot": 60}
RISK_LIMIT_PAGE = 30
OPEN_INTEREST_MS = {
    name: minutes * 60_000
    for name, minutes in (
        ("5min", 5), ("15min", 15), ("30min", 30), ("1h", 60), ("4h", 240), ("1d", 1_440)
    )
}  # fmt: skip


def server_time(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/time."""
    now_ms = venue.client_ms()
    nanoseconds = now_ms * 1_000_000 + time.time_ns() % 1_000_000
    return {"timeSecond": str(now_ms // 1_000), "timeNano": str(nanoseconds)}


def instruments(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/instruments-info; without `status`, only trading instruments."""
    params = request.params
    product = category(params)
    status, name = str(params.get("status") or ""), str(params.get("symbol") or "")
    base = str(params.get("baseCoin") or "")
    found = [
        symbol
        for symbol in venue.exchange.symbols()
        if symbol.category == product
        and (not name or symbol.name == name)
        and (not base or symbol.base == base)
        and symbol.status == (status or "Trading")
    ]
    found.sort(key=lambda symbol: symbol.name)
    if product == "spot":
        return {"category": product, "list": [write.instrument(symbol) for symbol in found]}
    size = limit(params, 500, 1000)
    return {"category": product} | page(found, attrgetter("name"), write.instrument, params, size)


def klines(price: PriceKind, venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/kline, mark-price-kline or index-price-kline."""
    params = request.params
    symbol = (_symbol if price == "last" else _perpetual)(venue, params, "linear")
    interval = text(params, "interval")
    if interval not in INTERVAL_MS:
        raise BybitRefusal(10001, "Invalid period!")
    start, end = integer(params, "start"), integer(params, "end")
    size = limit(params, 200, 1000)
    rows: list[Candle] = venue.market.klines(
        symbol.key, interval, start, end, size, request.now_ms, price
    )
    found = [write.kline(row)[: 7 if price == "last" else 5] for row in reversed(rows)]
    return {"symbol": symbol.name, "category": symbol.category, "list": found}


def funding_history(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/funding/history; a start needs an end."""
    params = request.params
    symbol = _perpetual(venue, params)
    start, end = integer(params, "startTime"), integer(params, "endTime")
    if start is not None and end is None:
        raise wrong("endTime", "must be given with startTime")
    size = limit(params, 200, 200)
    rows = venue.market.funding_history(symbol.key, start, end, size, request.now_ms)
    return {"category": symbol.category, "list": [write.funding(symbol.name, row) for row in rows]}


def open_interest(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/open-interest, newest first; none before the launch."""
    params = request.params
    symbol = _perpetual(venue, params)
    every = OPEN_INTEREST_MS[text(params, "intervalTime", tuple(OPEN_INTEREST_MS))]
    start, end = integer(params, "startTime"), integer(params, "endTime")
    cursor = integer(params, "cursor")
    newest = min(n for n in (request.now_ms, end, cursor) if n is not None) // every * every
    oldest = max(symbol.launch_ms, start or 0, 0)
    times = range(newest, oldest - 1, -every)
    size = limit(params, 50, 200)
    return {
        "symbol": symbol.name,
        "category": symbol.category,
        "list": [
            write.open_interest(venue.market.prices(symbol.key, at).open_interest, at)
            for at in times[:size]
        ],
        "nextPageCursor": str(times[size]) if len(times) > size else "",
    }


def risk_limits(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/risk-limit, of all perpetuals or of one."""
    params = request.params
    text(params, "category", ("linear",))
    symbols = [s for s in venue.exchange.symbols() if s.category == "linear"]
    if params.get("symbol"):
        symbols = [_symbol(venue, params)]
    rows = page(symbols, attrgetter("name"), write.risk_limit, params, RISK_LIMIT_PAGE)
    return {"category": "linear"} | rows


def recent_trades(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/recent-trade, newest first."""
    params = request.params
    symbol = _symbol(venue, params)
    product = symbol.category
    size = limit(params, SOME_TRADES[product], MOST_TRADES[product])
    trades = venue.recent_trades(symbol.key, size)
    rows = [write.recent_trade(symbol.name, trade) for trade in trades]
    return {"category": product, "list": rows}


def order_book(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/orderbook."""
    params = request.params
    symbol = _symbol(venue, params)
    product = symbol.category
    size = limit(params, SOME_LEVELS[product], MOST_LEVELS[product])
    bids, asks = venue.book(symbol.key, size)
    update, seq = venue.book_numbers(symbol.key)
    return write.book(symbol.name, bids, asks, update, seq, venue.client_ms())


def tickers(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/market/tickers."""
    product = category(request.params)
    if request.params.get("symbol"):
        chosen = [_symbol(venue, request.params)]
    else:
        chosen = [
            symbol
            for symbol in venue.exchange.symbols()
            if symbol.category == product and symbol.status == "Trading"
        ]
    rows = []
    for symbol in chosen:
        bids, asks = venue.book(symbol.key, 1)
        prices = venue.market.prices(symbol.key, request.now_ms)
        rows.append(write.ticker(symbol.key, prices, bids, asks))
    return {"category": product, "list": rows}


def system_status(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/system/status, filtered by `id` and `state`."""
    wanted = {
        name: str(request.params[name]) for name in ("id", "state") if request.params.get(name)
    }
    rows = venue.announcements.rows(venue.client_ms())
    return {"list": [row for row in rows if all(row[k] == v for k, v in wanted.items())]}


HANDLERS: Mapping[str, Handler] = {
    "/v5/market/time": server_time,
    "/v5/market/instruments-info": instruments,
    "/v5/market/kline": partial(klines, "last"),
    "/v5/market/mark-price-kline": partial(klines, "mark"),
    "/v5/market/index-price-kline": partial(klines, "index"),
    "/v5/market/funding/history": funding_history,
    "/v5/market/open-interest": open_interest,
    "/v5/market/risk-limit": risk_limits,
    "/v5/market/recent-trade": recent_trades,
    "/v5/market/orderbook": order_book,
    "/v5/market/tickers": tickers,
    "/v5/system/status": system_status,
}


def _symbol(venue: PracticeVenue, params: Mapping[str, Any], default: str = "") -> PracticeSymbol:
    product = cast(Category, category(params, default))
    key: Key = (product, text(params, "symbol"))
    return venue.exchange.symbol(key)


def _perpetual(
    venue: PracticeVenue, params: Mapping[str, Any], default: str = ""
) -> PracticeSymbol:
    symbol = _symbol(venue, params, default)
    if symbol.category != "linear":
        raise wrong("category", "must be linear")
    return symbol
