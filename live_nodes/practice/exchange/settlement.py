"""What the venue does by itself: funding, liquidation, delisting.

Funding: position value at mark x rate, paid by longs to shorts when positive (Bybit, "Introduction
to Funding Rate"). Liquidation: when the margin balance no longer exceeds the maintenance margin,
all orders go and every position is taken over at its bankruptcy price (execType BustTrade; Bybit's
laddered reduction before that is left out). Delisting: positions close at the mark price without a
fee (execType Delivery: a trade, not an order; https://bybit-exchange.github.io/docs/v5/enum).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from live_nodes.practice.exchange.accounts import Account
from live_nodes.practice.exchange.ids import counted_id
from live_nodes.practice.exchange.lifecycle import close_order
from live_nodes.practice.exchange.margin import bankruptcy_price
from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.matching import close_out
from live_nodes.practice.exchange.model import ZERO, Execution, Order, Side
from live_nodes.practice.exchange.rules import to_tick
from live_nodes.practice.exchange.state import State
from live_nodes.practice.exchange.statements import margins_of

FUNDING_DIGITS = Decimal("1e-8")
MINUTE_MS = 60_000


def settle_funding(state: State, market: Market, rate: Decimal, now_ms: int) -> None:
    """Pay funding on every position, once a boundary (the nearest minute names it)."""
    boundary = (now_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    if market.funded_ms == boundary:
        return
    market.funded_ms = boundary
    state.touch_market(market.key)
    rules, mark = market.symbol, market.value_price
    for name in sorted(market.holders):
        account = state.accounts[name]
        held = account.holding(rules.name)
        value = abs(held.size) * mark
        paid = (held.size * mark * rate).quantize(FUNDING_DIGITS, ROUND_HALF_UP)
        account.pay_funding(rules, paid, now_ms)
        state.touch_position(name, rules.name)
        state.tell_execution(
            Execution(
                account=name,
                exec_id="",
                category="linear",
                symbol=rules.name,
                side="Buy" if held.size > 0 else "Sell",
                exec_type="Funding",
                price=mark,
                qty=abs(held.size),
                value=value,
                fee=paid,
                fee_rate=rate,
                fee_coin=rules.settle,
                is_maker=False,
                time_ms=now_ms,
                order_id=counted_id(state.salt, "funding", state.seq + 1),
                mark_price=mark,
                leverage=held.leverage,
                change=-paid,
                balance=account.coin(rules.settle).balance,
            )
        )


def liquidate_due(state: State, market: Market, now_ms: int) -> None:
    """Take over every account with a position here whose margin balance is used up."""
    for name in sorted(market.holders):
        account = state.accounts[name]
        margins = margins_of(account, state.markets)
        if margins.balance <= margins.maintenance:
            _take_over(state, account, now_ms)


def _take_over(state: State, account: Account, now_ms: int) -> None:
    for order in sorted(account.open.values(), key=lambda o: o.number):
        close_order(state, order, now_ms, cancel_type="CancelAllBeforeLiq")
    balance = margins_of(account, state.markets).balance
    held = sorted((h for h in account.holdings.values() if h.size), key=lambda h: h.symbol)
    markets = [state.markets["linear", h.symbol] for h in held]
    total = sum((abs(h.size) * m.value_price for h, m in zip(held, markets, strict=True)), ZERO)
    for holding, market in zip(held, markets, strict=True):
        rules, mark = market.symbol, market.value_price
        taker = account.fees(rules).taker
        exact = bankruptcy_price(holding.size, mark, balance, total, taker)
        price = max(rules.tick, to_tick(exact, rules.tick, up=holding.size > 0))
        holding.take_profit = holding.stop_loss = None
        number, order_id = state.next_order()
        order = _venue_order(account, market, price, now_ms, "CreateByTakeOver_PassThrough")
        order = replace(order, number=number, order_id=order_id)
        order = close_out(state, market, order, "BustTrade", now_ms)
        state.tell_order(replace(order, status="Filled"))


def deliver(state: State, market: Market, now_ms: int) -> None:
    """Close a delisted market: its orders are cancelled, its positions settled at the mark."""
    key = market.key
    for account in state.accounts.values():
        for order in sorted(account.open.values(), key=lambda o: o.number):
            if order.key == key:
                close_order(state, order, now_ms, cancel_type="CancelBySettle")
    for name in sorted(market.holders):
        account = state.accounts[name]
        order = _venue_order(account, market, market.value_price, now_ms, "CreateBySettle")
        order = replace(order, order_id=counted_id(state.salt, "delivery", state.seq + 1))
        close_out(state, market, order, "Delivery", now_ms)


def _venue_order(
    account: Account, market: Market, price: Decimal, now_ms: int, create_type: str
) -> Order:
    size = account.size(market.symbol.name)
    side: Side = "Sell" if size > 0 else "Buy"
    return Order(
        account=account.name,
        number=0,
        order_id="",
        order_link_id="",
        category="linear",
        symbol=market.symbol.name,
        side=side,
        order_type="Market",
        qty=abs(size),
        price=price,
        time_in_force="IOC",
        status="New",
        created_ms=now_ms,
        updated_ms=now_ms,
        create_type=create_type,
        reduce_only=True,
        last_price_on_created=market.last,
    )
