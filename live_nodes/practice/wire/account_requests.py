"""What an account may ask of itself: fees, money, positions, orders, fills, and who it is.

Parameters, defaults and limits of https://bybit-exchange.github.io/docs/v5/order/open-order and
its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from live_nodes.practice.exchange.model import PracticeSymbol
from live_nodes.practice.exchange.records import OrderRow
from live_nodes.practice.wire import account_payloads as write
from live_nodes.practice.wire import order_payloads as payloads
from live_nodes.practice.wire.query_fields import category, limit, page, text, window, wrong
from live_nodes.practice.wire.venue import Handler, Json, PracticeRequest, PracticeVenue

DAY_MS = 86_400_000


def open_orders(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/order/realtime: open orders; by an id, or with openOnly=1, final ones too."""
    params = asked.params
    product = category(params)
    one = _one_order(venue, asked, product)
    if one is not None:
        return _orders(product, one, params)
    if product == "linear" and not any(
        params.get(name) for name in ("symbol", "baseCoin", "settleCoin")
    ):
        raise wrong("symbol", "or baseCoin or settleCoin must be given")
    rows = venue.exchange.open_orders(asked.account)
    if str(params.get("openOnly") or "0") == "1":
        rows = venue.exchange.order_history(asked.account)[:500]
    return _orders(product, _chosen(venue, rows, params, product), params)


def order_history(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/order/history: final orders, of the last seven days unless asked otherwise."""
    params = asked.params
    product = category(params)
    one = _one_order(venue, asked, product)
    if one is not None:
        return _orders(product, [order for order in one if order.final], params)
    start, end = window(params, asked.now_ms)
    status = params.get("orderStatus")
    rows = [
        order
        for order in _chosen(venue, venue.exchange.order_history(asked.account), params, product)
        if start <= order.created_ms <= end and (not status or order.status == status)
    ]
    return _orders(product, rows, params)


def _one_order(venue: PracticeVenue, asked: PracticeRequest, product: str) -> list[OrderRow] | None:
    order_id = str(asked.params.get("orderId") or "")
    link_id = str(asked.params.get("orderLinkId") or "")
    if not order_id and not link_id:
        return None
    order = venue.exchange.find_order(asked.account, order_id, link_id)
    return [order] if order is not None and order.category == product else []


def _chosen(
    venue: PracticeVenue, rows: list[OrderRow], params: Mapping[str, Any], product: str
) -> list[OrderRow]:
    names = _names(venue, params, product)
    kind = params.get("orderFilter")
    return [
        order
        for order in rows
        if order.category == product
        and (names is None or order.symbol in names)
        and (not kind or order.order_filter == kind)
    ]


def _orders(product: str, rows: list[OrderRow], params: Mapping[str, Any]) -> Json:
    chosen, cursor = page(rows, [order.order_id for order in rows], params, limit(params, 20, 50))
    return {
        "list": [payloads.order(order) for order in chosen],
        "nextPageCursor": cursor,
        "category": product,
    }


def executions(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/execution/list, of the last seven days unless asked otherwise."""
    params = asked.params
    product = category(params)
    names = _names(venue, params, product)
    start, end = window(params, asked.now_ms)
    order_id, link_id = params.get("orderId"), params.get("orderLinkId")
    kind = params.get("execType")
    rows = [
        row
        for row in venue.exchange.executions(asked.account)
        if row.category == product
        and (names is None or row.symbol in names)
        and start <= row.time_ms <= end
        and (not order_id or row.order_id == order_id)
        and (not link_id or row.order_link_id == link_id)
        and (not kind or row.exec_type == kind)
    ]
    chosen, cursor = page(rows, [row.exec_id for row in rows], params, limit(params, 50, 100))
    return {
        "nextPageCursor": cursor,
        "category": product,
        "list": [payloads.execution(row) for row in chosen],
    }


def positions(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/position/list: one symbol's even when flat, a settle coin's that are open."""
    params = asked.params
    text(params, "category", ("linear",))
    if params.get("symbol"):
        symbol = venue.exchange.symbol(("linear", text(params, "symbol")))
        rows = [venue.exchange.position(asked.account, symbol.name)]
    elif params.get("settleCoin") or params.get("baseCoin"):
        names = _names(venue, params, "linear") or set()
        rows = [row for row in venue.exchange.positions(asked.account) if row.symbol in names]
    else:
        raise wrong("symbol", "or settleCoin must be given")
    chosen, cursor = page(rows, [row.symbol for row in rows], params, limit(params, 20, 200))
    return {
        "list": [write.position(row) for row in chosen],
        "nextPageCursor": cursor,
        "category": "linear",
    }


def closed_pnl(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/position/closed-pnl, of the last seven days unless asked otherwise."""
    params = asked.params
    text(params, "category", ("linear",))
    start, end = window(params, asked.now_ms)
    name = params.get("symbol")
    rows = [
        row
        for row in venue.exchange.closed_pnl(asked.account)
        if (not name or row.symbol == name) and start <= row.created_ms <= end
    ]
    chosen, cursor = page(rows, [row.order_id for row in rows], params, limit(params, 50, 100))
    return {
        "nextPageCursor": cursor,
        "category": "linear",
        "list": [write.closed_pnl(row) for row in chosen],
    }


def wallet_balance(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/account/wallet-balance; `coin` may name several, separated by commas."""
    text(asked.params, "accountType", ("UNIFIED",))
    told = write.wallet(venue.exchange.wallet(asked.account))
    wanted = {name for name in str(asked.params.get("coin") or "").split(",") if name}
    if wanted:
        told["coin"] = [coin for coin in told["coin"] if coin["coin"] in wanted]
    return {"list": [told]}


def transaction_log(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/account/transaction-log: fills and funding, of the last day by default."""
    params = asked.params
    start, end = window(params, asked.now_ms, DAY_MS)
    product, kind = params.get("category"), params.get("type")
    currency = params.get("currency")
    rows = []
    for row in venue.exchange.executions(asked.account):
        if not start <= row.time_ms <= end or (product and row.category != product):
            continue
        told = write.transaction(row, venue.exchange.symbol(row.key).settle)
        if (kind and told["type"] != kind) or (currency and told["currency"] != currency):
            continue
        rows.append(told)
    chosen, cursor = page(rows, [row["tradeId"] for row in rows], params, limit(params, 20, 50))
    return {"nextPageCursor": cursor, "list": chosen}


def fee_rates(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/account/fee-rate."""
    params = asked.params
    product = category(params)
    name = str(params.get("symbol") or "")
    rows = []
    for symbol in venue.exchange.symbols():
        if symbol.category != product or (name and symbol.name != name):
            continue
        fees = venue.exchange.fees(asked.account, symbol.key)
        rows.append(write.fee_rate(symbol.name, fees))
    if name and not rows:
        venue.exchange.symbol(("spot" if product == "spot" else "linear", name))
    return {"category": product, "list": rows}


def account_info(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/account/info: a unified account 2.0 (unifiedMarginStatus 5)."""
    return {
        "marginMode": venue.exchange.wallet(asked.account).margin_mode,
        "updatedTime": str(venue.started_ms),
        "unifiedMarginStatus": 5,
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }


def api_key(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """GET /v5/user/query-api."""
    return write.api_key(asked.account, venue.key_of(asked.account))


HANDLERS: Mapping[str, Handler] = {
    "/v5/order/realtime": open_orders,
    "/v5/order/history": order_history,
    "/v5/execution/list": executions,
    "/v5/position/list": positions,
    "/v5/position/closed-pnl": closed_pnl,
    "/v5/account/wallet-balance": wallet_balance,
    "/v5/account/transaction-log": transaction_log,
    "/v5/account/fee-rate": fee_rates,
    "/v5/account/info": account_info,
    "/v5/user/query-api": api_key,
}


def _names(venue: PracticeVenue, params: Mapping[str, Any], product: str) -> set[str] | None:
    """Return the symbols that symbol, baseCoin and settleCoin choose; None for all."""
    name, base = params.get("symbol"), params.get("baseCoin")
    settle = params.get("settleCoin")
    if not name and not base and not settle:
        return None

    def wanted(symbol: PracticeSymbol) -> bool:
        return (
            symbol.category == product
            and (not name or symbol.name == name)
            and (not base or symbol.base == base)
            and (not settle or product == "spot" or symbol.settle == settle)
        )

    return {symbol.name for symbol in venue.exchange.symbols() if wanted(symbol)}
