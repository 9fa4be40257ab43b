"""Requests about orders: create, amend, cancel, cancel all.

Every check comes before the first change: a refused request leaves nothing behind.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.accounts import Account
from live_nodes.practice.exchange.funds import affords
from live_nodes.practice.exchange.lifecycle import reducible
from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.matching import place
from live_nodes.practice.exchange.model import (
    ZERO,
    Order,
    OrderRequest,
)
from live_nodes.practice.exchange.rules import (
    check_bound,
    check_price,
    check_qty,
    check_status,
    check_stop_sides,
    check_trigger,
    check_value,
    market_limit,
)
from live_nodes.practice.exchange.state import State
from live_nodes.practice.exchange.stops import POSITION_STOPS, wait

MOST_ACTIVE = 500
MOST_CONDITIONAL = {"linear": 10, "spot": 30}
"""POST /v5/order/create, "Open orders up limit", per symbol and account."""


def create(state: State, name: str, request: OrderRequest, now_ms: int) -> Order:
    """Take an order: check it, then let it wait for its trigger or match it."""
    account, market = state.account(name), state.market(request.key)
    check_status(market, reduce_only=request.reduce_only)
    if request.position_idx:
        raise refusals.parameter("position idx not match position mode")
    if request.is_leverage:
        raise refusals.no_margin_trading()
    if request.order_link_id and request.order_link_id in account.by_link:
        raise refusals.duplicate_link(request.category)
    conditional = request.trigger_price is not None
    request = _with_qty(account, request, conditional)
    _check_steps(market, request)
    check_stop_sides(market, request)
    _check_counts(account, request, conditional)
    order = _order(account, market, request)
    if request.trigger_price is not None:
        by = request.trigger_by or "LastPrice"
        direction = check_trigger(market, request.trigger_direction, request.trigger_price, by)
        order = replace(
            order,
            status="Untriggered",
            stop_order_type="tpslOrder" if request.order_filter == "tpslOrder" else "Stop",
            order_filter="StopOrder" if request.category == "linear" else request.order_filter,
            trigger_direction=direction,
            trigger_by=by if request.category == "linear" else "",
        )
        if request.order_filter == "tpslOrder" and not affords(state, market, order):
            raise refusals.not_enough(request.category)
        return wait(state, _numbered(state, order, now_ms))
    if not affords(state, market, order):
        raise refusals.not_enough(request.category)
    return place(state, _numbered(state, order, now_ms), now_ms)


def _with_qty(account: Account, request: OrderRequest, conditional: bool) -> OrderRequest:
    """Cut a live reduce-only order to the position; quantity 0 stands for all of it.

    Bybit cuts the order's own quantity, so that it ends as Filled. A conditional one is cut when
    it triggers.
    """
    if request.category != "linear" or not request.reduce_only:
        return request
    room = reducible(account, request.symbol, request.side)
    if conditional:
        return replace(request, qty=request.qty or room)
    if not account.size(request.symbol):
        raise refusals.no_position_to_reduce()
    if not room:
        raise refusals.wrong_side_to_reduce()
    return replace(request, qty=min(request.qty, room) if request.qty else room)


def _check_steps(market: Market, request: OrderRequest) -> None:
    symbol = market.symbol
    limit = request.order_type == "Limit"
    check_price(symbol, request.price if limit else None)
    check_price(symbol, request.tp_limit_price)
    check_price(symbol, request.sl_limit_price)
    if limit and request.price is not None and request.trigger_price is None:
        check_bound(market, request.side, request.price)
    price = request.price if limit else request.trigger_price
    if price is None:
        best = market.book.best("Sell" if request.side == "Buy" else "Buy")
        price = best or market.reference
    by_value = not limit and request.market_unit == "quoteCoin"
    if by_value:
        if request.qty % symbol.tick.min(Decimal("1e-8")):
            raise refusals.amount_precision()
        check_value(symbol, request.qty, reduce_only=False)
        return
    check_qty(symbol, request.qty, market_order=not limit, reduce_only=request.reduce_only)
    if price:
        check_value(symbol, request.qty * price, reduce_only=request.reduce_only)


def _check_counts(account: Account, request: OrderRequest, conditional: bool) -> None:
    mine = [o for o in account.open.values() if o.key == request.key]
    if conditional:
        waiting = sum(o.untriggered and o.stop_order_type not in POSITION_STOPS for o in mine)
        if waiting >= MOST_CONDITIONAL[request.category]:
            raise refusals.too_many_stops()
    elif sum(not o.untriggered for o in mine) >= MOST_ACTIVE:
        raise refusals.too_many_orders()


def _order(account: Account, market: Market, request: OrderRequest) -> Order:
    """Make the order as it will stand, not yet numbered."""
    limit = request.order_type == "Limit"
    price = request.price or ZERO
    if not limit and request.trigger_price is None:
        slippage = (request.slippage_type, request.slippage)
        price = market_limit(market, slippage, request.side) or ZERO
    linear = request.category == "linear"
    has_stops = bool(request.take_profit or request.stop_loss)
    return Order(
        account=account.name,
        number=0,
        order_id="",
        order_link_id=request.order_link_id,
        category=request.category,
        symbol=request.symbol,
        side=request.side,
        order_type=request.order_type,
        qty=request.qty,
        price=price if limit or request.trigger_price is None else ZERO,
        time_in_force=request.time_in_force if limit else "IOC",
        status="New",
        created_ms=0,
        updated_ms=0,
        reduce_only=request.reduce_only,
        close_on_trigger=request.close_on_trigger,
        market_unit=request.market_unit,
        trigger_price=request.trigger_price,
        trigger_direction=request.trigger_direction,
        last_price_on_created=market.last,
        take_profit=request.take_profit or None,
        stop_loss=request.stop_loss or None,
        tp_trigger_by=(request.tp_trigger_by or "LastPrice") if request.take_profit else "",
        sl_trigger_by=(request.sl_trigger_by or "LastPrice") if request.stop_loss else "",
        tpsl_mode=(request.tpsl_mode or "Full") if has_stops and linear else "",
        tp_order_type=request.tp_order_type,
        sl_order_type=request.sl_order_type,
        tp_limit_price=request.tp_limit_price,
        sl_limit_price=request.sl_limit_price,
        slippage_type=request.slippage_type,
        slippage=request.slippage,
    )


def _numbered(state: State, order: Order, now_ms: int) -> Order:
    number, order_id = state.next_order()
    return replace(order, number=number, order_id=order_id, created_ms=now_ms, updated_ms=now_ms)
