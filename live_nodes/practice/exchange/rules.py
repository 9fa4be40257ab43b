"""A market's rules applied to an order: price and quantity steps, bounds, values, stops' sides.

Pure. What a request may look like at all is ``validation``'s; here is what depends on the symbol
and on the prices of the moment.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.model import OrderRequest, Side, Symbol

ONE = Decimal(1)


def check_price(symbol: Symbol, price: Decimal | None) -> None:
    """Refuse a price that is no multiple of the tick."""
    if price is not None and price % symbol.tick:
        raise refusals.price_precision(symbol.category)


def check_qty(symbol: Symbol, qty: Decimal, *, market_order: bool, reduce_only: bool) -> None:
    """Refuse a quantity off the lot or out of bounds.

    A reduce-only order may be larger than the largest order: Bybit splits it up.
    """
    if qty % symbol.lot:
        raise refusals.qty_precision(symbol.category)
    if qty < symbol.min_qty:
        raise refusals.qty_too_small(symbol.category)
    largest = symbol.max_market_qty if market_order else symbol.max_qty
    if qty > largest and not reduce_only:
        raise refusals.qty_too_large(symbol.category)


def check_value(symbol: Symbol, value: Decimal, *, reduce_only: bool) -> None:
    """Refuse an order below the least value; reduce-only orders may be smaller."""
    if value < symbol.min_notional and not reduce_only:
        raise refusals.notional_too_small(symbol.category, symbol.min_notional, symbol.quote)


def check_status(market: Market, *, reduce_only: bool) -> None:
    """Refuse when the market takes no (such) orders."""
    symbol = market.symbol
    if symbol.status == "Delivering":
        if not reduce_only:
            raise refusals.delisting()
    elif symbol.status != "Trading":
        raise refusals.not_live(symbol.category)
    if market.halted:
        raise refusals.not_trading(symbol.category)


def price_bound(market: Market, side: Side) -> Decimal | None:
    """Give how far through the market an order of a side may reach, on the tick; null if unknown.

    Bybit: a market order becomes an IOC limit order at a slippage limit from the mark price, and
    limit orders must lie within the price limit (``riskParameters.priceLimitRatioX``).
    """
    reference = market.reference
    if not reference:
        return None
    symbol = market.symbol
    if side == "Buy":
        return to_tick(reference * (ONE + symbol.price_limit), symbol.tick, up=False)
    return to_tick(reference * (ONE - symbol.price_limit), symbol.tick, up=True)


def check_bound(market: Market, side: Side, price: Decimal) -> None:
    """Refuse a limit price too far through the market."""
    bound = price_bound(market, side)
    if bound is not None and (price > bound if side == "Buy" else price < bound):
        raise refusals.price_out_of_range(market.symbol.category, side == "Buy", bound)


def market_limit(market: Market, request_slippage: tuple[str, Decimal | None], side: Side) -> (
    Decimal | None
):  # fmt: skip
    """Give a market order's limit: its own slippage tolerance, else the market's bound.

    ``TickSize``: best price +- n ticks; ``Percent``: best price x (1 +- n %)
    (POST /v5/order/create, ``slippageToleranceType``).
    """
    kind, amount = request_slippage
    best = market.book.best("Sell" if side == "Buy" else "Buy")
    if not kind or amount is None or best is None:
        return price_bound(market, side)
    sign = 1 if side == "Buy" else -1
    if kind == "TickSize":
        return best + sign * amount * market.symbol.tick
    return to_tick(best * (ONE + sign * amount / 100), market.symbol.tick, up=side == "Sell")


def check_stop_sides(market: Market, request: OrderRequest) -> None:
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
    market: Market,
    side: Side,
    base: Decimal,
    take_profit: Decimal | None,
    stop_loss: Decimal | None,
    tp_by: str,
    sl_by: str,
) -> None:
    """Refuse a take-profit not beyond, or a stop-loss not before, the base price of a position."""
    long = side == "Buy"
    for what, value, higher, by in (
        ("TakeProfit", take_profit, long, tp_by),
        ("StopLoss", stop_loss, not long, sl_by),
    ):
        if not value:
            continue
        check_price(market.symbol, value)
        if base and (value <= base if higher else value >= base):
            raise refusals.stop_on_wrong_side(what, value, side, higher, base, by)


def check_trigger(market: Market, direction: int, trigger: Decimal, by: str) -> int:
    """Refuse a trigger that the price has already passed; give its direction (1 rise, 2 fall).

    Spot names no direction: it follows from where the price is.
    """
    check_price(market.symbol, trigger)
    current = market.price_by(by) or market.reference
    if not direction:
        return 1 if trigger >= current else 2
    if current and direction == 1 and trigger <= current:
        raise refusals.expect_rising(trigger, current, by)
    if current and direction == 2 and trigger >= current:
        raise refusals.expect_falling(trigger, current, by)
    return direction


def to_tick(price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """Round a price to the tick."""
    steps = (price / tick).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return steps * tick
