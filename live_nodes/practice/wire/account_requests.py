"""REST requests of accounts: https://bybit-exchange.github.io/docs/v5/order/open-order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter, itemgetter
from typing import Any

from live_nodes.practice.exchange.model import DAY_MS
from live_nodes.practice.exchange.records import ExecutionRow, OrderRow, TransferRow
from live_nodes.practice.wire import account_payloads as write
from live_nodes.practice.wire.query_fields import category, limit, page, text, window, wrong
from live_nodes.practice.wire.venue import Handler, Json, PracticeRequest, PracticeVenue


def open_orders(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/order/realtime: open orders; by an id, or with openOnly=1, final ones too."""
    params = request.params
    product = category(params)
    one = _one_order(venue, request, product)
    if one is not None:
        return _orders(product, one, params)
    if product == "linear" and not any(
        params.get(name) for name in ("symbol", "baseCoin", "settleCoin")
    ):
        raise wrong("symbol", "or baseCoin or settleCoin must be given")
    rows = venue.exchange.open_orders(request.account)
    if str(params.get("openOnly") or "0") == "1":
        rows = venue.exchange.order_history(request.account)[:500]
    return _orders(product, _chosen(venue, rows, params, product), params)


def order_history(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/order/history: final orders, of the last seven days by default."""
    params = request.params
    product = category(params)
    one = _one_order(venue, request, product)
    if one is not None:
        return _orders(product, [order for order in one if order.final], params)
    start, end = window(params, request.now_ms)
    status = params.get("orderStatus")
    rows = [
        order
        for order in _chosen(venue, venue.exchange.order_history(request.account), params, product)
        if start <= order.created_ms <= end and (not status or order.status == status)
    ]
    return _orders(product, rows, params)


def _one_order(
    venue: PracticeVenue, request: PracticeRequest, product: str
) -> list[OrderRow] | None:
    ids = [str(request.params.get(name) or "") for name in ("orderId", "orderLinkId")]
    if not any(ids):
        return None
    order = venue.exchange.find_order(request.account, *ids)
    return [order] if order is not None and order.category == product else []


def _chosen(
    venue: PracticeVenue, rows: Iterable[OrderRow], params: Mapping[str, Any], product: str
) -> list[OrderRow]:
    names, kind = _names(venue, params, product), params.get("orderFilter")
    return [
        order
        for order in rows
        if order.category == product
        and (names is None or order.symbol in names)
        and (not kind or order.order_filter == kind)
    ]


def _orders(product: str, rows: list[OrderRow], params: Mapping[str, Any]) -> Json:
    size = limit(params, 20, 50)
    return {"category": product} | page(rows, attrgetter("order_id"), write.order, params, size)


def executions(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/execution/list, of the last seven days by default."""
    params = request.params
    product = category(params)
    names = _names(venue, params, product)
    start, end = window(params, request.now_ms)
    fields = {"order_id": "orderId", "order_link_id": "orderLinkId", "exec_type": "execType"}
    wanted = {name: value for name, field in fields.items() if (value := params.get(field))}
    rows = [
        row
        for row in venue.exchange.executions(request.account)
        if row.category == product
        and (names is None or row.symbol in names)
        and start <= row.time_ms <= end
        and not (wanted and any(getattr(row, name) != wanted[name] for name in wanted))
    ]
    size = limit(params, 50, 100)
    return {"category": product} | page(rows, attrgetter("exec_id"), write.execution, params, size)


def positions(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/position/list: one symbol even when flat, or a settle coin's open ones."""
    params = request.params
    text(params, "category", ("linear",))
    if params.get("symbol"):
        symbol = venue.exchange.symbol(("linear", text(params, "symbol")))
        rows = [venue.exchange.position(request.account, symbol.name)]
    elif params.get("settleCoin") or params.get("baseCoin"):
        names = _names(venue, params, "linear") or set()
        rows = [row for row in venue.exchange.positions(request.account) if row.symbol in names]
    else:
        raise wrong("symbol", "or settleCoin must be given")
    size = limit(params, 20, 200)
    return {"category": "linear"} | page(rows, attrgetter("symbol"), write.position, params, size)


def closed_pnl(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/position/closed-pnl, of the last seven days by default."""
    params = request.params
    text(params, "category", ("linear",))
    start, end = window(params, request.now_ms)
    name = params.get("symbol")
    rows = [
        write.closed_pnl(fills)
        for fills in venue.exchange.closed_by_order(request.account)
        if (not name or fills[0].symbol == name) and start <= fills[0].time_ms <= end
    ]
    size = limit(params, 50, 100)
    return {"category": "linear"} | page(rows, itemgetter("orderId"), dict, params, size)


def wallet_balance(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/account/wallet-balance; `coin` may contain several names, separated by commas."""
    text(request.params, "accountType", ("UNIFIED",))
    wallet = write.wallet(venue.exchange.wallet(request.account))
    wanted = {name for name in str(request.params.get("coin") or "").split(",") if name}
    if wanted:
        wallet["coin"] = [coin for coin in wallet["coin"] if coin["coin"] in wanted]
    return {"list": [wallet]}


def transaction_log(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/account/transaction-log: all that moved money, of the last day by default."""
    params = request.params
    start, end = window(params, request.now_ms, DAY_MS)
    wanted = {name: params.get(name) for name in ("category", "type", "currency")}
    moved: list[ExecutionRow | TransferRow] = [*venue.exchange.executions(request.account)]
    moved += venue.exchange.transfers(request.account)
    rows = [
        row
        for move in sorted(moved, key=lambda one: one.seq, reverse=True)
        if start <= move.time_ms <= end
        for row in _logged(venue, move)
        if all(not value or row[name] == value for name, value in wanted.items())
    ]
    return page(rows, itemgetter("id"), dict, params, limit(params, 20, 50))


def _logged(venue: PracticeVenue, move: ExecutionRow | TransferRow) -> Iterable[Json]:
    if isinstance(move, TransferRow):
        return (write.transferred(move),)
    symbol = venue.exchange.symbol(move.key)
    if move.category == "linear":
        return (write.transaction(move, symbol.settle),)
    return write.transaction(move, symbol.quote), write.coins_moved(move, symbol.base)


def fee_rates(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/account/fee-rate."""
    product = category(request.params)
    name = str(request.params.get("symbol") or "")
    rows = [
        write.fee_rate(symbol.name, venue.exchange.fees(request.account, symbol.key))
        for symbol in venue.exchange.symbols()
        if symbol.category == product and (not name or symbol.name == name)
    ]
    if name and not rows:
        venue.exchange.symbol((product, name))
    return {"category": product, "list": rows}


def account_info(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/account/info: a unified account 2.0 (unifiedMarginStatus 5)."""
    return {
        "marginMode": "REGULAR_MARGIN",
        "updatedTime": str(venue.started_ms), "unifiedMarginStatus": 5, "dcpStatus": "OFF",
        "timeWindow": 10, "smpGroup": 0, "isMasterTrader": False, "spotHedgingStatus": "OFF",
    }  # fmt: skip


def api_key(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """GET /v5/user/query-api."""
    account = request.account
    return write.api_key(account, venue.keys[account][0], venue.key_terms[account], request.now_ms)


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
    name, base, settle = (params.get(field) for field in ("symbol", "baseCoin", "settleCoin"))
    if not name and not base and not settle:
        return None
    return {
        symbol.name
        for symbol in venue.exchange.symbols()
        if symbol.category == product
        and (not name or symbol.name == name)
        and (not base or symbol.base == base)
        and (not settle or product == "spot" or symbol.settle == settle)
    }
