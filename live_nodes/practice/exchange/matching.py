"""Match and book orders, and trigger conditional orders.

Each piece is booked with all its effects before the next is matched. Events come in the order of
Bybit's topics: the maker's fill and order, the taker's fill, then the taker's order.

"The conditional order does not occupy the margin. If the margin is insufficient after the
conditional order is triggered, the order will be cancelled" (POST /v5/order/create).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Literal

from live_nodes.practice.exchange.accounts import Booked
from live_nodes.practice.exchange.book import Hit, MarketState, RestingOrder
from live_nodes.practice.exchange.model import ZERO, Side
from live_nodes.practice.exchange.order_checks import affords, market_limit
from live_nodes.practice.exchange.records import ExecutionRow, OrderRow
from live_nodes.practice.exchange.state import ExchangeState
from live_nodes.practice.exchange.stops import attach, forget_full, settle_position, siblings, trail

ExecType = Literal["Trade", "BustTrade", "AdlTrade", "Delivery"]
NOTHING = Booked(ZERO, ZERO, ZERO, ZERO)


def place(state: ExchangeState, order: OrderRow) -> OrderRow:
    """Match a checked order, then rest or end what is left; a market ``price`` 0 is unlimited."""
    market, account = state.market(order.key), state.account(order.account)
    book = market.book
    limit = order.price if order.price or order.order_type == "Limit" else None
    if order.time_in_force == "PostOnly" and book.crosses(order.side, order.price):
        return state.close_order(
            order, cancel_type="UNKNOWN", reason="EC_PostOnlyWillTakeLiquidity"
        )
    by_value = order.market_unit == "quoteCoin" and order.order_type == "Market"
    if by_value:
        left = book.worth(order.side, limit, order.qty, market.symbol.lot)
    else:
        left = order.qty - order.filled
    if order.time_in_force == "FOK" and book.fillable(order.side, limit, left) < left:
        return state.close_order(order, cancel_type="UNKNOWN", reason="EC_CancelForNoFullFill")
    taken = ZERO
    while left > 0:
        most = min(left, account.reducible(order.symbol, order.side)) if order.reduce_only else left
        hit = book.peek(order.side, limit, most) if most else None
        if hit is None:
            break
        book.take(order.side, hit)
        order = _trade(state, market, order.side, hit, order)
        left -= hit.qty
        taken += hit.qty
    if taken and order.category == "linear":
        settle_position(state, account, order.symbol)
    if (order.filled_value if by_value else order.filled) == order.qty:
        order = state.record_order(replace(order, status="Filled"))
    elif order.reduce_only and not account.reducible(order.symbol, order.side):
        order = state.close_order(order, cancel_type="CancelByReduceOnly")
    elif order.order_type == "Market" or order.time_in_force in ("IOC", "FOK"):
        reason = "EC_NoError" if taken else "EC_NoImmediateQtyToFill"
        order = state.close_order(order, cancel_type="UNKNOWN", reason=reason)
    else:
        order = _rest(state, market, order)
    if taken:
        attach(state, account, order, taken)
    return order


def _rest(state: ExchangeState, market: MarketState, order: OrderRow) -> OrderRow:
    resting = RestingOrder(
        order.account, order.order_id, order.side, order.price, order.qty - order.filled,
        state.next_seq(),
    )  # fmt: skip
    market.book.rest(resting)
    return state.record_order(
        replace(
            order, status="PartiallyFilled" if order.filled else "New", priority=resting.priority
        )
    )


def meet_house(state: ExchangeState, market: MarketState) -> None:
    """Fill resting orders that cross the house's new levels, at the orders' prices."""
    book = market.book
    while (met := book.meet()) is not None:
        side, hit = met
        book.take_meeting(side, hit)
        _trade(state, market, side, hit, None)


def house_print(
    state: ExchangeState, market: MarketState, side: Side, price: Decimal, qty: Decimal
) -> None:
    """Execute a house taker's trade: resting orders at these prices fill first."""
    book = market.book
    while qty > 0 and (hit := book.print_hit(side, price, qty)) is not None:
        book.take(side, hit)
        qty -= hit.qty
        if hit.maker is None:
            state.record_print(market, side, price, hit.qty)
        else:
            _trade(state, market, side, hit, None)
    if qty > 0:
        book.take(side, Hit(price, qty, None))
        state.record_print(market, side, price, qty)


def close_out(
    state: ExchangeState, market: MarketState, order: OrderRow, exec_type: ExecType
) -> OrderRow:
    """Fill an order of the venue itself against the house, outside the book."""
    order = _book(state, market, order, order.price, order.qty, exec_type=exec_type)
    market.house += -order.qty if order.side == "Buy" else order.qty
    state.market_changed(market.key)
    settle_position(state, state.account(order.account), order.symbol)
    return order


def _trade(
    state: ExchangeState, market: MarketState, side: Side, hit: Hit, taker: OrderRow | None
) -> OrderRow:
    result = taker
    if hit.maker is not None:
        account = state.account(hit.maker.account)
        resting = account.open[hit.maker.order_id]
        maker = _book(state, market, resting, hit.price, hit.qty, maker=True)
        status = "Filled" if maker.filled == maker.qty else "PartiallyFilled"
        maker = state.record_order(replace(maker, status=status))  # type: ignore[arg-type]
    if taker is not None:
        result = _book(state, market, taker, hit.price, hit.qty)
    state.record_print(market, side, hit.price, hit.qty)
    if hit.maker is None or taker is None:
        bought = side == "Buy" if taker is None else side == "Sell"
        market.house += hit.qty if bought else -hit.qty
        state.market_changed(market.key)
    if hit.maker is not None:
        if market.symbol.category == "linear":
            settle_position(state, account, market.symbol.name)
        attach(state, account, maker, hit.qty)
    return result if result is not None else maker


def _book(
    state: ExchangeState,
    market: MarketState,
    order: OrderRow,
    price: Decimal,
    qty: Decimal,
    *,
    maker: bool = False,
    exec_type: ExecType = "Trade",
) -> OrderRow:
    account, rules = state.account(order.account), market.symbol
    fees = account.fees(rules)
    free = exec_type in ("AdlTrade", "Delivery")
    rate = ZERO if free else fees.maker if maker else fees.taker
    value = price * qty
    booked = NOTHING
    if rules.category == "linear":
        paid, coin = value * rate, rules.settle
        before = account.coin(coin).balance
        booked = account.book_linear(rules, order.side, price, qty, paid, state.now_ms)
        state.position_changed(account.name, rules.name)
    else:
        buying = order.side == "Buy"
        paid, coin = (qty * rate, rules.base) if buying else (value * rate, rules.quote)
        before = account.coin(rules.quote).balance
        account.book_spot(rules, order.side, value, qty, paid, state.now_ms)
    balance = account.coin(rules.settle if rules.category == "linear" else rules.quote).balance
    filled = order.filled + qty
    by_value = order.market_unit == "quoteCoin" and order.order_type == "Market"
    state.record_execution(
        ExecutionRow(
            account=account.name, exec_id="", category=rules.category, symbol=rules.name,
            side=order.side, exec_type=exec_type, price=price, qty=qty, value=value, fee=paid,
            fee_rate=rate, fee_coin=coin, is_maker=maker, time_ms=state.now_ms,
            order_id=order.order_id, order_link_id=order.order_link_id, order_type=order.order_type,
            order_price=order.price, order_qty=order.qty,
            leaves=ZERO if by_value else order.qty - filled, closed_size=booked.closed,
            stop_order_type=order.stop_order_type, create_type=order.create_type,
            market_unit=order.market_unit,
            mark_price=market.value_price, pnl=booked.pnl, closed_pnl=booked.net,
            entry_price=booked.entry, leverage=account.leverage(rules.name),
            change=balance - before, balance=balance,
        )
    )  # fmt: skip
    return replace(
        order, filled=filled, filled_value=order.filled_value + value, fee=order.fee + paid,
        fee_coin=coin, closed_pnl=order.closed_pnl + booked.net, status="PartiallyFilled",
        updated_ms=state.now_ms,
    )  # fmt: skip


def fire_due(state: ExchangeState) -> None:
    """Trigger the orders that the moved prices reach, oldest first, until none is due.

    Each round checks again, because a triggered order may move the price; it triggers only once.
    """
    while state.moved:
        key = next(iter(state.moved))
        market = state.markets[key]
        if not market.halted:
            trail(state, market)
        order = None if market.halted else _due(state, market)
        if order is None:
            del state.moved[key]
        else:
            _fire(state, market, order)


def _due(state: ExchangeState, market: MarketState) -> OrderRow | None:
    for order_id, account in market.waiting.items():
        order = state.accounts[account].open[order_id]
        price = market.price_by(order.trigger_by)
        trigger = order.trigger_price
        if not price or trigger is None:
            continue
        if price >= trigger if order.trigger_direction == 1 else price <= trigger:
            return order
    return None


def _fire(state: ExchangeState, market: MarketState, order: OrderRow) -> None:
    account = state.account(order.account)
    del market.waiting[order.order_id]
    order = state.record_order(replace(order, status="Triggered", updated_ms=state.now_ms))
    by_profit = order.create_type.endswith("TakeProfit")
    gone, fired = ("Sl", "Tp") if by_profit else ("Tp", "Sl")
    cancel = f"CancelByOCO{gone}CanceledBy{fired}Triggered"
    for other in siblings(account, order):
        state.close_order(other, cancel_type=cancel)
    if order.category == "linear":
        forget_full(account, order)
        state.position_changed(account.name, order.symbol)
    order = replace(order, status="New")
    if order.reduce_only:
        if order.order_type == "Limit":
            room = account.unclaimed(order.symbol, order.side, order.order_id)
        else:
            room = account.reducible(order.symbol, order.side)
        if not room:
            state.close_order(order, cancel_type="CancelByReduceOnly")
            return
        order = replace(order, qty=min(order.qty, room))
    if order.order_type == "Market":
        order = replace(order, price=market_limit(market, order.side) or ZERO)
    # Remove it from the open orders while it matches: it must not count twice, nor be cut itself.
    account.open.pop(order.order_id, None)
    if not affords(state, market, order):
        state.close_order(order, cancel_type="CancelByCannotAffordOrderCost", reason="EC_Others")
        return
    place(state, order)
