"""Requests about positions: leverage, modes, take-profit and stop-loss."""

from __future__ import annotations

from decimal import Decimal

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.accounts import Account
from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.model import Order, TradingStopRequest
from live_nodes.practice.exchange.rules import check_price, check_qty, check_stops
from live_nodes.practice.exchange.state import State
from live_nodes.practice.exchange.statements import margins_of
from live_nodes.practice.exchange.stops import PARTIAL, Stop, add_partial, clear_full, set_full

MOST_PARTIAL = 20
ONE = Decimal(1)


def set_leverage(state: State, name: str, symbol: str, leverage: Decimal) -> None:
    """Set a symbol's leverage, if the margin that it then takes is there."""
    account, market = state.account(name), state.market(("linear", symbol))
    rules = market.symbol
    if leverage < ONE or leverage % rules.leverage_step:
        raise refusals.parameter("buyLeverage invalid")
    if leverage > rules.max_leverage:
        raise refusals.leverage_too_high()
    held = account.holding(symbol)
    if held.leverage == leverage:
        raise refusals.leverage_not_modified()
    before, held.leverage = held.leverage, leverage
    if leverage < before and margins_of(account, state.markets).free < 0:
        held.leverage = before
        raise refusals.leverage_needs_margin()
    state.touch_position(name, symbol)


def switch_mode(state: State, name: str, symbol: str, mode: int) -> None:
    """Answer a switch of position mode: one-way (0) is all there is."""
    state.account(name)
    if symbol:
        state.market(("linear", symbol))
    if mode not in (0, 3):
        raise refusals.parameter("mode invalid")
    if mode == 3:
        raise refusals.hedge_not_supported()
    raise refusals.mode_not_modified()


def set_margin_mode(state: State, name: str, mode: str) -> None:
    """Answer a switch of margin mode: cross margin is all there is, and no change is no error."""
    state.account(name)
    if mode not in ("REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN"):
        raise refusals.parameter("setMarginMode invalid")
    if mode != "REGULAR_MARGIN":
        raise refusals.margin_mode_failed()


def trading_stop(state: State, name: str, request: TradingStopRequest, now_ms: int) -> None:
    """Set, change or take away the stops of a position."""
    account, market = state.account(name), state.market(("linear", request.symbol))
    held = account.holding(request.symbol)
    if not held.size:
        raise refusals.no_position()
    base = market.value_price
    check_stops(
        market, "Buy" if held.size > 0 else "Sell", base, request.take_profit, request.stop_loss,
        request.tp_trigger_by, request.sl_trigger_by,
    )  # fmt: skip
    for price in (request.tp_limit_price, request.sl_limit_price):
        check_price(market.symbol, price)
    if request.tpsl_mode == "Partial":
        _partial(state, account, market, request, now_ms)
    else:
        _full(state, account, request, now_ms)
    state.touch_position(name, request.symbol)
    state.moved[market.key] = None


def _full(state: State, account: Account, request: TradingStopRequest, now_ms: int) -> None:
    held = account.holding(request.symbol)
    asked = (
        (True, request.take_profit, request.tp_trigger_by, held.take_profit, held.tp_trigger_by),
        (False, request.stop_loss, request.sl_trigger_by, held.stop_loss, held.sl_trigger_by),
    )
    changes = [
        (profit, value, by)
        for profit, value, by, old, old_by in asked
        if value is not None and (value or None, by if value else "") != (old, old_by)
    ]
    if not changes:
        raise refusals.not_modified()
    for profit, value, by in changes:
        if value:
            set_full(state, account, request.symbol, [Stop(profit, value, by)], now_ms)
        else:
            clear_full(state, account, request.symbol, profit=profit, now_ms=now_ms)


def _partial(
    state: State, account: Account, market: Market, request: TradingStopRequest, now_ms: int
) -> None:
    pair = [
        (Stop(profit, value, by, kind, limit), size)
        for profit, value, by, kind, limit, size in (
            (True, request.take_profit, request.tp_trigger_by, request.tp_order_type,
             request.tp_limit_price, request.tp_size),
            (False, request.stop_loss, request.sl_trigger_by, request.sl_order_type,
             request.sl_limit_price, request.sl_size),
        )
        if value
    ]  # fmt: skip
    if not pair:
        raise refusals.not_modified()
    sizes = {size for _, size in pair}
    if len(sizes) > 1:
        raise refusals.parameter("tpSize and slSize must equal")
    qty = sizes.pop()
    held = account.holding(request.symbol)
    if qty is None:
        raise refusals.parameter("tpSize or slSize is required in Partial tpslMode")
    check_qty(market.symbol, qty, market_order=False, reduce_only=True)
    if qty > abs(held.size):
        raise refusals.parameter("tpSize or slSize is larger than the position")
    standing = sum(o.stop_order_type in PARTIAL for o in account.open.values()
                   if o.symbol == request.symbol)  # fmt: skip
    if standing + len(pair) > MOST_PARTIAL:
        raise refusals.too_many_partial_stops()
    number, pair_id = state.next_order()
    parent = Order(
        account=account.name, number=number, order_id=pair_id, order_link_id="",
        category="linear", symbol=request.symbol, side="Buy" if held.size > 0 else "Sell",
        order_type="Market", qty=qty, price=market.value_price, time_in_force="IOC",
        status="Filled", created_ms=now_ms, updated_ms=now_ms,
    )  # fmt: skip
    add_partial(state, account, parent, [stop for stop, _ in pair], qty, now_ms)
