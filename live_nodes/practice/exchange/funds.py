"""Whether an account can pay for an order."""

from __future__ import annotations

from dataclasses import replace

from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.model import Order
from live_nodes.practice.exchange.state import State
from live_nodes.practice.exchange.statements import margins_of, spendable


def affords(state: State, market: Market, order: Order) -> bool:
    """Whether the account's free margin (linear) or coins (spot) cover an order.

    ``order`` is not among the account's open orders. A market order is reckoned at what it would
    meet: derivatives at the best opposite price, spot by walking the book. An order that takes no
    further margin (it closes, or is smaller than what rests on the other side) always passes.
    """
    account, rules = state.account(order.account), market.symbol
    market_order = order.order_type == "Market"
    if rules.category == "linear":
        if order.reduce_only:
            return True
        if market_order:
            best = market.book.best("Sell" if order.side == "Buy" else "Buy")
            order = replace(order, price=best or market.reference)
        before = margins_of(account, state.markets)
        after = margins_of(account, state.markets, plus=replace(order, status="New"))
        return after.free >= 0 or after.initial <= before.initial
    limit = order.price or None
    by_value = market_order and order.market_unit == "quoteCoin"
    amount = order.qty - order.filled
    if order.side == "Buy":
        coin = rules.quote
        if market_order and not by_value:
            amount = market.book.cost("Buy", limit, amount)
        elif not by_value:
            amount *= order.price
    else:
        coin = rules.base
        if by_value:
            amount = market.book.worth("Sell", limit, amount, rules.lot)
    margins = margins_of(account, state.markets)
    return spendable(account, coin, margins, state.markets) >= amount
