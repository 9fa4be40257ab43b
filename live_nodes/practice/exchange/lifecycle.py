"""How an order ends, and how much of a reduce-only order may fill."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from live_nodes.practice.exchange.accounts import Account
from live_nodes.practice.exchange.model import ZERO, Order, OrderStatus, Side
from live_nodes.practice.exchange.state import State


def take_out(state: State, order: Order) -> None:
    """Take an open order out of the book, or from among those that wait for a price."""
    market = state.market(order.key)
    if order.untriggered:
        market.waiting.pop(order.order_id, None)
    else:
        market.book.remove(order.side, order.order_id)


def close_order(
    state: State, order: Order, now_ms: int, *, cancel_type: str, reason: str = "EC_NoError"
) -> Order:
    """End an order that did not fill whole, and tell.

    Bybit: an untriggered one is Deactivated; spot has a name of its own for one that filled in
    part, derivatives say Cancelled (https://bybit-exchange.github.io/docs/v5/enum#orderstatus).
    """
    take_out(state, order)
    status: OrderStatus = "Cancelled"
    if order.untriggered:
        status = "Deactivated"
    elif order.category == "spot" and order.filled:
        status = "PartiallyFilledCanceled"
    return state.tell_order(
        replace(
            order, status=status, cancel_type=cancel_type, reject_reason=reason, updated_ms=now_ms
        )
    )


def reducible(account: Account, symbol: str, side: Side) -> Decimal:
    """Give how much an order of this side could close of the position."""
    size = account.size(symbol)
    return max(ZERO, size if side == "Sell" else -size)
