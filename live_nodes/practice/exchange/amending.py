"""Changing open orders; every check comes before the first change."""

from __future__ import annotations

from dataclasses import replace

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.accounts import Account
from live_nodes.practice.exchange.cancelling import find_open
from live_nodes.practice.exchange.funds import affords
from live_nodes.practice.exchange.lifecycle import reducible, take_out
from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.matching import place
from live_nodes.practice.exchange.model import (
    ZERO,
    AmendRequest,
    Order,
    OrderRequest,
)
from live_nodes.practice.exchange.rules import (
    check_bound,
    check_price,
    check_qty,
    check_stop_sides,
    check_trigger,
    check_value,
)
from live_nodes.practice.exchange.state import State
from live_nodes.practice.exchange.stops import FULL


def amend(state: State, name: str, request: AmendRequest, now_ms: int) -> Order:
    """Change an open order; a new price or a larger quantity put it at the end of the queue."""
    account = state.account(name)
    order = find_open(account, request.order_id, request.order_link_id)
    if order is None or order.key != (request.category, request.symbol):
        raise refusals.no_order_to_amend(request.category)
    market = state.market(order.key)
    if market.halted:
        raise refusals.not_trading(request.category)
    changed = _amended(account, market, order, request, now_ms)
    if changed == replace(order, updated_ms=now_ms):
        raise refusals.nothing_to_amend()
    if order.untriggered:
        return _amend_waiting(state, account, order, changed)
    if (changed.price, changed.qty) == (order.price, order.qty):
        return state.tell_order(changed)
    if changed.price == order.price and changed.qty < order.qty:
        resting = market.book.find(order.side, order.order_id)
        assert resting is not None, "a live open order rests in the book"
        resting.leaves = changed.qty - changed.filled
        return state.tell_order(replace(changed, queue_ahead=resting.ahead))
    del account.open[order.order_id]
    if not affords(state, market, changed):
        account.open[order.order_id] = order
        raise refusals.not_enough(request.category)
    take_out(state, order)
    return place(state, changed, now_ms)


def _amended(
    account: Account, market: Market, order: Order, request: AmendRequest, now_ms: int
) -> Order:
    symbol = market.symbol
    qty, price = request.qty or order.qty, request.price or order.price
    if request.price is not None:
        if order.order_type == "Market":
            raise refusals.parameter("params error: price cannot be set for a market order")
        check_price(symbol, price)
        if not order.untriggered:
            check_bound(market, order.side, price)
    if request.qty is not None:
        if qty <= order.filled:
            raise refusals.below_filled()
        if order.stop_order_type in FULL:
            raise refusals.parameter("qty of a full-position TP/SL cannot be modified")
        check_qty(symbol, qty, market_order=False, reduce_only=order.reduce_only)
        if order.reduce_only and not order.untriggered:
            room = reducible(account, order.symbol, order.side)
            qty = min(qty, order.filled + room)
    if price:
        check_value(symbol, qty * price, reduce_only=order.reduce_only)
    changed = replace(order, qty=qty, price=price, updated_ms=now_ms)
    if request.trigger_price is not None or request.trigger_by:
        if not order.untriggered:
            raise refusals.parameter("triggerPrice can only be modified before the trigger")
        by = request.trigger_by or order.trigger_by or "LastPrice"
        trigger = request.trigger_price or order.trigger_price or ZERO
        asked = order.trigger_direction if order.category == "linear" else 0
        direction = check_trigger(market, asked, trigger, by)
        changed = replace(
            changed,
            trigger_price=trigger,
            trigger_direction=direction,
            trigger_by=by if order.category == "linear" else "",
        )
    return _with_stops(market, changed, request)


def _with_stops(market: Market, order: Order, request: AmendRequest) -> Order:
    if request.take_profit is not None:
        order = replace(
            order,
            take_profit=request.take_profit or None,
            tp_trigger_by=request.tp_trigger_by or order.tp_trigger_by or "LastPrice",
        )
    if request.stop_loss is not None:
        order = replace(
            order,
            stop_loss=request.stop_loss or None,
            sl_trigger_by=request.sl_trigger_by or order.sl_trigger_by or "LastPrice",
        )
    if request.take_profit is not None or request.stop_loss is not None:
        if order.reduce_only:
            raise refusals.parameter("take profit and stop loss cannot be set when reduceOnly")
        from_request = OrderRequest(
            order.category, order.symbol, order.side, order.order_type, order.qty,
            price=order.price or None, trigger_price=order.trigger_price,
            take_profit=order.take_profit, stop_loss=order.stop_loss,
        )  # fmt: skip
        check_stop_sides(market, from_request)
        if not order.tpsl_mode and order.category == "linear":
            order = replace(order, tpsl_mode="Full")
    for field, value in (
        ("tp_limit_price", request.tp_limit_price),
        ("sl_limit_price", request.sl_limit_price),
    ):
        if value is not None:
            check_price(market.symbol, value)
            order = replace(order, **{field: value})  # type: ignore[arg-type]
    return order


def _amend_waiting(state: State, account: Account, order: Order, changed: Order) -> Order:
    """Change a conditional order; a whole-position stop shows on its position too."""
    if order.stop_order_type in FULL:
        held = account.holding(order.symbol)
        if order.stop_order_type == FULL[0]:
            held.take_profit, held.tp_trigger_by = changed.trigger_price, changed.trigger_by
        else:
            held.stop_loss, held.sl_trigger_by = changed.trigger_price, changed.trigger_by
        state.touch_position(account.name, order.symbol)
    state.moved[order.key] = None
    return state.tell_order(changed)
