"""Order checks that need the symbol or prices; ``requests`` checks the rest."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.book import MarketState
from live_nodes.practice.exchange.margins import margins_of, spendable
from live_nodes.practice.exchange.model import PracticeSymbol, Side
from live_nodes.practice.exchange.records import OrderRow
from live_nodes.practice.exchange.requests import OrderRequest
from live_nodes.practice.exchange.state import ExchangeState


def check_price(symbol: PracticeSymbol, price: Decimal | None) -> None:
    """Refuse a price that is not a multiple of the tick."""
    if price is not None and price % symbol.tick:
        raise refusals.PRICE_PRECISION(symbol.category)


def check_qty(
    symbol: PracticeSymbol, qty: Decimal, *, market_order: bool, reduce_only: bool
) -> None:
    """Refuse a quantity off the lot or out of range; Bybit splits larger reduce-only orders."""
    if qty % symbol.lot:
        raise refusals.QTY_PRECISION(symbol.category)
    if qty < symbol.min_qty:
        raise refusals.QTY_TOO_SMALL(symbol.category)
    largest = symbol.max_market_qty if market_order else symbol.max_qty
    if qty > largest and not reduce_only:
        raise refusals.QTY_TOO_LARGE(symbol.category)


def check_value(symbol: PracticeSymbol, value: Decimal, *, reduce_only: bool) -> None:
    """Refuse an order below the least value, unless it is reduce-only."""
    if value < symbol.min_notional and not reduce_only:
        raise refusals.NOTIONAL_TOO_SMALL(
            symbol.category, least=symbol.min_notional, coin=symbol.quote
        )


def check_status(market: MarketState, *, reduce_only: bool) -> None:
    """Refuse an order when the market does not take it."""
    symbol = market.symbol
    if symbol.status == "Delivering":
        if not reduce_only:
            raise refusals.DELISTING()
    elif symbol.status != "Trading":
        raise refusals.NOT_LIVE(symbol.category)
    if market.halted:
        raise refusals.NOT_TRADING(symbol.category)


def price_bound(market: MarketState, side: Side) -> Decimal | None:
    """Return the worst price of an order, rounded to the tick; null if unknown.

    Bybit: a market order becomes an IOC limit order at a slippage limit from the mark price, and
    limit orders must lie within the price limit (``riskParameters.priceLimitRatioX``).
    """
    reference = market.reference
    if not reference:
        return None
    symbol = market.symbol
    if side == "Buy":
        return to_tick(reference * (1 + symbol.price_limit), symbol.tick, up=False)
    return to_tick(reference * (1 - symbol.price_limit), symbol.tick, up=True)


def check_bound(market: MarketState, side: Side, price: Decimal) -> None:
    """Refuse a limit price beyond the price limit."""
    bound = price_bound(market, side)
    if bound is not None and (price > bound if side == "Buy" else price < bound):
        kind = refusals.PRICE_TOO_HIGH if side == "Buy" else refusals.PRICE_TOO_LOW
        raise kind(market.symbol.category, bound=bound)


def market_limit(
    market: MarketState, side: Side, kind: str = "", amount: Decimal | None = None
) -> Decimal | None:
    """Return a market order's limit: best price +- slippage tolerance, else the market's bound."""
    best = market.book.against(side).best()
    if not kind or amount is None or best is None:
        return price_bound(market, side)
    sign = 1 if side == "Buy" else -1
    if kind == "TickSize":
        return best + sign * amount * market.symbol.tick
    return to_tick(best * (1 + sign * amount / 100), market.symbol.tick, up=side == "Sell")


def check_stop_sides(market: MarketState, request: OrderRequest) -> None:
    """Refuse an attached take-profit or stop-loss on the wrong side of the order's price."""
    if request.price is not None and request.order_type == "Limit":
        base = request.price
    else:
        base = request.trigger_price or market.last or market.reference
    check_stops(
        market, request.side, base, request.take_profit, request.stop_loss,
        request.tp_trigger_by or "LastPrice", request.sl_trigger_by or "LastPrice",
    )  # fmt: skip


def check_stops(
    market: MarketState,
    side: Side,
    base: Decimal,
    take_profit: Decimal | None,
    stop_loss: Decimal | None,
    tp_by: str,
    sl_by: str,
    profit: str = "TakeProfit",
) -> None:
    """Refuse a take-profit or stop-loss on the wrong side of a position's base price."""
    long = side == "Buy"
    for what, value, higher, by in (
        (profit, take_profit, long, tp_by),
        ("StopLoss", stop_loss, not long, sl_by),
    ):
        if not value:
            continue
        check_price(market.symbol, value)
        if base and (value <= base if higher else value >= base):
            word = "higher" if higher else "lower"
            raise refusals.STOP_ON_WRONG_SIDE(
                what=what, value=value, side=side, word=word, base=base, by=by
            )


def check_trigger(market: MarketState, direction: int, trigger: Decimal, by: str) -> int:
    """Refuse a trigger that the price has already passed; return its direction (1 up, 2 down)."""
    check_price(market.symbol, trigger)
    current = market.price_by(by) or market.reference
    if not direction:
        return 1 if trigger >= current else 2
    if current and direction == 1 and trigger <= current:
        raise refusals.EXPECT_RISING(trigger=trigger, current=current, by=by)
    if current and direction == 2 and trigger >= current:
        raise refusals.EXPECT_FALLING(trigger=trigger, current=current, by=by)
    return direction


def to_tick(price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """Round a price to the tick."""
    steps = (price / tick).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return steps * tick


def affords(state: ExchangeState, market: MarketState, order: OrderRow) -> bool:
    """Whether free margin (linear) or coins (spot, walking the book) cover a new order."""
    account, rules = state.account(order.account), market.symbol
    market_order = order.order_type == "Market"
    if rules.category == "linear":
        if order.reduce_only:
            return True
        if market_order:
            best = market.book.against(order.side).best()
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
    return spendable(account, coin, margins) >= amount
