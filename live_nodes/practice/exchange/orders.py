"""Create, amend and cancel orders; a refused request changes nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.accounts import PracticeAccount
from live_nodes.practice.exchange.book import MarketState
from live_nodes.practice.exchange.matching import place
from live_nodes.practice.exchange.model import ZERO
from live_nodes.practice.exchange.order_checks import (
    affords,
    check_bound,
    check_price,
    check_qty,
    check_status,
    check_stop_sides,
    check_trigger,
    check_value,
    market_limit,
)
from live_nodes.practice.exchange.records import OrderRow
from live_nodes.practice.exchange.refusals import RefusalKind
from live_nodes.practice.exchange.requests import (
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    OrderRequest,
)
from live_nodes.practice.exchange.state import ExchangeState
from live_nodes.practice.exchange.stops import (
    FULL,
    POSITION_STOPS,
    TRAILING,
    WHOLE,
    forget_full,
    wait,
)

MOST_ACTIVE = 500
RESTING = ("GTC", "PostOnly")
MOST_CONDITIONAL = {"linear": 10, "spot": 30}
"""POST /v5/order/create, "Open orders up limit", per symbol and account."""


def create(state: ExchangeState, name: str, request: OrderRequest) -> OrderRow:
    """Check an order, then match it or let it wait for its trigger."""
    account, market = state.account(name), state.market(request.key)
    check_status(market, reduce_only=request.reduce_only)
    if request.position_idx:
        raise refusals.parameter("position idx not match position mode")
    if request.is_leverage:
        raise refusals.NO_MARGIN_TRADING()
    if request.order_link_id and request.order_link_id in account.by_link:
        raise refusals.DUPLICATE_LINK(request.category)
    conditional = request.trigger_price is not None
    closes_all = not request.qty
    request = _with_qty(account, request, conditional)
    _check_steps(market, request, closes_all=closes_all)
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
            raise refusals.NOT_ENOUGH(request.category)
        return wait(state, state.numbered(order))
    if not affords(state, market, order):
        raise refusals.NOT_ENOUGH(request.category)
    return place(state, state.numbered(order))


def _with_qty(account: PracticeAccount, request: OrderRequest, conditional: bool) -> OrderRequest:
    """Cut a live reduce-only order to the position; quantity 0 is all of it.

    One that rests is cut to what other resting ones leave, and refused when they leave nothing;
    one that trades at once goes first, and they are cut (Bybit, "What is a Reduce-Only Order").
    """
    if request.category != "linear" or not request.reduce_only:
        return request
    room = account.reducible(request.symbol, request.side)
    if conditional:
        return replace(request, qty=request.qty or room)
    if not account.size(request.symbol):
        raise refusals.NO_POSITION_TO_REDUCE()
    if not room:
        raise refusals.WRONG_SIDE_TO_REDUCE()
    if request.order_type == "Limit" and request.time_in_force in RESTING:
        room = account.unclaimed(request.symbol, request.side)
        if not room:
            raise refusals.NOTHING_LEFT_TO_REDUCE()
    return replace(request, qty=min(request.qty, room) if request.qty else room)


def _check_steps(market: MarketState, request: OrderRequest, *, closes_all: bool) -> None:
    symbol = market.symbol
    limit = request.order_type == "Limit"
    check_price(symbol, request.price if limit else None)
    check_price(symbol, request.tp_limit_price)
    check_price(symbol, request.sl_limit_price)
    if limit and request.price is not None and request.trigger_price is None:
        check_bound(market, request.side, request.price)
    price = request.price if limit else request.trigger_price
    if price is None:
        price = market.book.against(request.side).best() or market.reference
    by_value = not limit and request.market_unit == "quoteCoin"
    if by_value:
        if request.qty % symbol.tick.min(Decimal("1e-8")):
            raise refusals.AMOUNT_PRECISION()
        check_value(symbol, request.qty, reduce_only=False)
        return
    if not (closes_all and request.qty):
        # All of a position goes, also of one from before the lot grew.
        check_qty(symbol, request.qty, market_order=not limit, reduce_only=request.reduce_only)
    if price:
        check_value(symbol, request.qty * price, reduce_only=request.reduce_only)


def _check_counts(account: PracticeAccount, request: OrderRequest, conditional: bool) -> None:
    mine = [o for o in account.open.values() if o.key == request.key]
    if conditional:
        waiting = sum(o.untriggered and o.stop_order_type not in POSITION_STOPS for o in mine)
        if waiting >= MOST_CONDITIONAL[request.category]:
            raise refusals.TOO_MANY_STOPS()
    elif sum(not o.untriggered for o in mine) >= MOST_ACTIVE:
        raise refusals.TOO_MANY_ORDERS()


def _order(account: PracticeAccount, market: MarketState, request: OrderRequest) -> OrderRow:
    limit = request.order_type == "Limit"
    price = request.price or ZERO
    if not limit and request.trigger_price is None:
        tolerance = request.slippage_tolerance_type, request.slippage_tolerance
        price = market_limit(market, request.side, *tolerance) or ZERO
    linear = request.category == "linear"
    has_stops = bool(request.take_profit or request.stop_loss)
    return OrderRow(
        account=account.name, order_link_id=request.order_link_id, category=request.category,
        symbol=request.symbol, side=request.side, order_type=request.order_type, qty=request.qty,
        price=price if limit or request.trigger_price is None else ZERO,
        time_in_force=request.time_in_force if limit else "IOC",
        reduce_only=request.reduce_only, close_on_trigger=request.close_on_trigger,
        market_unit=request.market_unit, trigger_price=request.trigger_price,
        trigger_direction=request.trigger_direction, last_price_on_created=market.last,
        take_profit=request.take_profit or None, stop_loss=request.stop_loss or None,
        tp_trigger_by=(request.tp_trigger_by or "LastPrice") if request.take_profit else "",
        sl_trigger_by=(request.sl_trigger_by or "LastPrice") if request.stop_loss else "",
        tpsl_mode=(request.tpsl_mode or "Full") if has_stops and linear else "",
        tp_order_type=request.tp_order_type, sl_order_type=request.sl_order_type,
        tp_limit_price=request.tp_limit_price, sl_limit_price=request.sl_limit_price,
        slippage_type=request.slippage_tolerance_type, slippage=request.slippage_tolerance,
    )  # fmt: skip


def _found(
    account: PracticeAccount, request: AmendRequest | CancelRequest, missing: RefusalKind
) -> OrderRow:
    """Return the open order of an id; ``order_id`` takes precedence over ``order_link_id``."""
    link = account.by_link.get(request.order_link_id, "")
    order = account.open.get(request.order_id or link)
    if order is None or order.key != (request.category, request.symbol):
        raise missing(request.category)
    return order


def cancel(state: ExchangeState, name: str, request: CancelRequest) -> OrderRow:
    """Cancel an open order."""
    account = state.account(name)
    return _cancel(state, account, _found(account, request, refusals.NO_ORDER))


def cancel_all(state: ExchangeState, name: str, request: CancelAllRequest) -> list[OrderRow]:
    """Cancel matching orders, oldest first; without a filter, spot cancels normal orders only."""
    account = state.account(name)
    chosen = [
        o
        for o in account.open.values()
        if o.category == request.category and _meant(state, o, request)
    ]
    return [_cancel(state, account, o) for o in sorted(chosen, key=lambda order: order.number)]


def _meant(state: ExchangeState, order: OrderRow, request: CancelAllRequest) -> bool:
    rules = state.market(order.key).symbol
    if request.symbol:
        if order.symbol != request.symbol:
            return False
    elif request.base_coin:
        if rules.base != request.base_coin:
            return False
    elif request.settle_coin and rules.settle != request.settle_coin:
        return False
    if request.stop_order_type and order.stop_order_type != request.stop_order_type:
        return False
    if order.category == "spot":
        return order.order_filter == (request.order_filter or "Order")
    if request.order_filter == "Order":
        return not order.untriggered
    return request.order_filter != "StopOrder" or order.untriggered


def _cancel(state: ExchangeState, account: PracticeAccount, order: OrderRow) -> OrderRow:
    ended = state.close_order(order, cancel_type="CancelByUser",
        reason="EC_NoError" if order.untriggered else "EC_PerCancelRequest",
    )  # fmt: skip
    if order.stop_order_type in WHOLE and order.untriggered:
        forget_full(account, order)
        state.position_changed(account.name, order.symbol)
    return ended


def amend(state: ExchangeState, name: str, request: AmendRequest) -> OrderRow:
    """Change an open order; a new price or a larger quantity moves it to the end of the queue."""
    account = state.account(name)
    order = _found(account, request, refusals.NO_ORDER_TO_AMEND)
    market = state.market(order.key)
    if market.halted:
        raise refusals.NOT_TRADING(request.category)
    changed = _amended(account, market, order, request)
    if changed == order:
        raise refusals.NOTHING_TO_AMEND()
    changed = replace(changed, updated_ms=state.now_ms)
    if order.untriggered:
        return _amend_waiting(state, account, order, changed)
    if (changed.price, changed.qty) == (order.price, order.qty):
        return state.record_order(changed)
    if changed.price == order.price and changed.qty < order.qty:
        resting = market.book.find(order.side, order.order_id)
        assert resting is not None, "a live open order rests in the book"
        resting.leaves = changed.qty - changed.filled
        return state.record_order(changed)
    del account.open[order.order_id]
    if not affords(state, market, changed):
        account.open[order.order_id] = order
        raise refusals.NOT_ENOUGH(request.category)
    state.take_out(order)
    return place(state, changed)


def _amended(
    account: PracticeAccount, market: MarketState, order: OrderRow, request: AmendRequest
) -> OrderRow:
    symbol = market.symbol
    if order.stop_order_type == TRAILING:
        raise refusals.parameter("params error: a trailing stop is changed by trading-stop")
    qty, price = request.qty or order.qty, request.price or order.price
    if request.price is not None:
        if order.order_type == "Market":
            raise refusals.parameter("params error: price cannot be set for a market order")
        check_price(symbol, price)
        if not order.untriggered:
            check_bound(market, order.side, price)
    if request.qty is not None:
        if qty <= order.filled:
            raise refusals.BELOW_FILLED()
        if order.stop_order_type in FULL:
            raise refusals.parameter("qty of a full-position TP/SL cannot be modified")
        check_qty(symbol, qty, market_order=False, reduce_only=order.reduce_only)
        if order.reduce_only and not order.untriggered:
            room = account.unclaimed(order.symbol, order.side, order.order_id)
            qty = min(qty, order.filled + room)
    if price:
        check_value(symbol, qty * price, reduce_only=order.reduce_only)
    changed = replace(order, qty=qty, price=price)
    if request.trigger_price is not None or request.trigger_by:
        if not order.untriggered:
            raise refusals.parameter("triggerPrice can only be modified before the trigger")
        by = request.trigger_by or order.trigger_by or "LastPrice"
        trigger = request.trigger_price or order.trigger_price or ZERO
        wanted = order.trigger_direction if order.category == "linear" else 0
        direction = check_trigger(market, wanted, trigger, by)
        changed = replace(
            changed,
            trigger_price=trigger,
            trigger_direction=direction,
            trigger_by=by if order.category == "linear" else "",
        )
    return _with_stops(market, changed, request)


def _with_stops(market: MarketState, order: OrderRow, request: AmendRequest) -> OrderRow:
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


def _amend_waiting(
    state: ExchangeState, account: PracticeAccount, order: OrderRow, changed: OrderRow
) -> OrderRow:
    if order.stop_order_type in FULL:
        held = account.holding(order.symbol)
        held.set_stop(
            profit=order.stop_order_type == FULL[0],
            price=changed.trigger_price,
            by=changed.trigger_by,
        )
        state.position_changed(account.name, order.symbol)
    state.moved[order.key] = None
    return state.record_order(changed)
