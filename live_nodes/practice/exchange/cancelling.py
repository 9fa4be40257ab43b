"""Taking open orders back."""

from __future__ import annotations

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.accounts import Account
from live_nodes.practice.exchange.lifecycle import close_order
from live_nodes.practice.exchange.model import (
    CancelAllRequest,
    CancelRequest,
    Order,
)
from live_nodes.practice.exchange.state import State
from live_nodes.practice.exchange.stops import FULL, forget_full


def find_open(account: Account, order_id: str, order_link_id: str) -> Order | None:
    """Give the open order of an id; ``order_id`` wins when both are given."""
    return account.open.get(order_id or account.by_link.get(order_link_id, ""))


def cancel(state: State, name: str, request: CancelRequest, now_ms: int) -> Order:
    """Take an open order back."""
    account = state.account(name)
    order = find_open(account, request.order_id, request.order_link_id)
    if order is None or order.key != (request.category, request.symbol):
        raise refusals.no_order(request.category)
    return _cancel(state, account, order, now_ms)


def cancel_all(state: State, name: str, request: CancelAllRequest, now_ms: int) -> list[Order]:
    """Take back every open order that the filter names, oldest first.

    Spot takes back normal orders alone unless a filter says otherwise; linear takes all.
    """
    account = state.account(name)
    chosen = [
        o
        for o in account.open.values()
        if o.category == request.category and _meant(state, o, request)
    ]
    return [
        _cancel(state, account, o, now_ms) for o in sorted(chosen, key=lambda order: order.number)
    ]


def _meant(state: State, order: Order, request: CancelAllRequest) -> bool:
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


def _cancel(state: State, account: Account, order: Order, now_ms: int) -> Order:
    ended = close_order(
        state, order, now_ms, cancel_type="CancelByUser",
        reason="EC_NoError" if order.untriggered else "EC_PerCancelRequest",
    )  # fmt: skip
    if order.stop_order_type in FULL and order.untriggered:
        forget_full(account, order)
        state.touch_position(account.name, order.symbol)
    return ended
