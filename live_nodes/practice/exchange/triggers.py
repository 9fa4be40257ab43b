"""Conditional orders: which have reached their price, and what becomes of them.

Untriggered -> Triggered -> New (and on as any order). "The conditional order does not occupy the
margin. If the margin is insufficient after the conditional order is triggered, the order will be
cancelled" (POST /v5/order/create).
"""

from __future__ import annotations

from dataclasses import replace

from live_nodes.practice.exchange.funds import affords
from live_nodes.practice.exchange.lifecycle import close_order, reducible
from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.matching import place
from live_nodes.practice.exchange.model import ZERO, Order
from live_nodes.practice.exchange.rules import market_limit
from live_nodes.practice.exchange.state import State
from live_nodes.practice.exchange.stops import forget_full, siblings


def fire_due(state: State, now_ms: int) -> None:
    """Fire what the moved prices reach, oldest first, until nothing is due any more.

    A fired order may trade and so move the price on; every round looks again. It ends: an order
    fires once, and firing makes no conditional order but a position's own stops.
    """
    while state.moved:
        key = next(iter(state.moved))
        market = state.markets[key]
        order = None if market.halted else _due(state, market)
        if order is None:
            del state.moved[key]
        else:
            _fire(state, market, order, now_ms)


def _due(state: State, market: Market) -> Order | None:
    for order_id, account in market.waiting.items():
        order = state.accounts[account].open[order_id]
        price = market.price_by(order.trigger_by)
        trigger = order.trigger_price
        if not price or trigger is None:
            continue
        if price >= trigger if order.trigger_direction == 1 else price <= trigger:
            return order
    return None


def _fire(state: State, market: Market, order: Order, now_ms: int) -> None:
    account = state.account(order.account)
    del market.waiting[order.order_id]
    order = state.tell_order(replace(order, status="Triggered", updated_ms=now_ms))
    by_profit = order.create_type.endswith("TakeProfit")
    for other in siblings(account, order):
        cancel = (
            "CancelByOCOSlCanceledByTpTriggered"
            if by_profit
            else "CancelByOCOTpCanceledBySlTriggered"
        )
        close_order(state, other, now_ms, cancel_type=cancel)
    if order.category == "linear":
        forget_full(account, order)
        state.touch_position(account.name, order.symbol)
    order = replace(order, status="New")
    if order.reduce_only:
        room = reducible(account, order.symbol, order.side)
        if not room:
            close_order(state, order, now_ms, cancel_type="CancelByReduceOnly")
            return
        order = replace(order, qty=min(order.qty, room))
    if order.order_type == "Market":
        bound = market_limit(market, ("", None), order.side)
        order = replace(order, price=bound or ZERO)
    # It is out of the open orders while it matches: it must not count twice, nor be cut itself.
    account.open.pop(order.order_id, None)
    if not affords(state, market, order):
        close_order(
            state, order, now_ms, cancel_type="CancelByCannotAffordOrderCost", reason="EC_Others"
        )
        return
    place(state, order, now_ms)
