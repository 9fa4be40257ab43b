"""Positions: leverage, modes and TP/SL; funding, liquidation and delisting.

Funding is position value at mark x rate; longs pay shorts when it is positive (Bybit, "Introduction
to Funding Rate"). When the margin balance no longer exceeds the maintenance margin, all orders are
cancelled and the venue takes over every position at its bankruptcy price (execType BustTrade;
Bybit's laddered reduction is left out). Delisting closes positions at the mark price without a fee
(execType Delivery: a trade, not an order; https://bybit-exchange.github.io/docs/v5/enum).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.accounts import PracticeAccount
from live_nodes.practice.exchange.book import MarketState
from live_nodes.practice.exchange.margins import bankruptcy_price, margins_of
from live_nodes.practice.exchange.matching import close_out
from live_nodes.practice.exchange.model import MINUTE_MS, ZERO, Side
from live_nodes.practice.exchange.order_checks import check_price, check_qty, check_stops, to_tick
from live_nodes.practice.exchange.records import ExecutionRow, OrderRow, TransferRow
from live_nodes.practice.exchange.requests import TradingStopRequest
from live_nodes.practice.exchange.state import ExchangeState, counted_id
from live_nodes.practice.exchange.stops import (
    PARTIAL,
    TRAILING,
    StopSetting,
    add_partial,
    clear_full,
    full_stop,
    pair_of,
    set_full,
    set_trailing,
)

MOST_PARTIAL = 20
FORCED = {
    "BustTrade": ("CreateByTakeOver_PassThrough", "CancelAllBeforeLiq"),
    "AdlTrade": ("CreateByAdl_PassThrough", "CancelAllBeforeAdl"),
}
"""How the venue's closing order was created and why others are cancelled, by execType."""
FUNDING_DIGITS = Decimal("1e-8")


def set_leverage(state: ExchangeState, name: str, symbol: str, leverage: Decimal) -> None:
    """Set a symbol's leverage, if the account has the margin for it."""
    account, market = state.account(name), state.market(("linear", symbol))
    rules = market.symbol
    if leverage < 1 or leverage % rules.leverage_step:
        raise refusals.parameter("buyLeverage invalid")
    if leverage > rules.max_leverage:
        raise refusals.LEVERAGE_TOO_HIGH()
    held = account.holding(symbol)
    if held.leverage == leverage:
        raise refusals.LEVERAGE_NOT_MODIFIED()
    before, held.leverage = held.leverage, leverage
    if leverage < before and margins_of(account, state.markets).free < 0:
        held.leverage = before
        raise refusals.LEVERAGE_NEEDS_MARGIN()
    state.position_changed(name, symbol)


def switch_mode(state: ExchangeState, name: str, symbol: str, mode: int) -> None:
    """Switch the position mode; only one-way mode (0) exists."""
    account = state.account(name)
    if symbol:
        state.market(("linear", symbol))
    if mode not in (0, 3):
        raise refusals.parameter("mode invalid")
    if mode == 3:
        if symbol and account.size(symbol):
            raise refusals.MODE_HELD()
        if any(order.key == ("linear", symbol) for order in account.open.values()):
            raise refusals.MODE_ORDERS()
        raise refusals.HEDGE_NOT_SUPPORTED()
    raise refusals.MODE_NOT_MODIFIED()


def set_margin_mode(state: ExchangeState, name: str, mode: str) -> None:
    """Set the margin mode; only cross margin exists, and setting it again is no error."""
    state.account(name)
    if mode not in ("REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN"):
        raise refusals.parameter("setMarginMode invalid")
    if mode != "REGULAR_MARGIN":
        raise refusals.MARGIN_MODE_FAILED()


def trading_stop(state: ExchangeState, name: str, request: TradingStopRequest) -> None:
    """Set, change or remove a position's stops."""
    account, market = state.account(name), state.market(("linear", request.symbol))
    held = account.holding(request.symbol)
    if not held.size:
        raise refusals.NO_POSITION()
    base = market.value_price
    check_stops(
        market, "Buy" if held.size > 0 else "Sell", base, request.take_profit, request.stop_loss,
        request.tp_trigger_by, request.sl_trigger_by,
    )  # fmt: skip
    for price in (request.tp_limit_price, request.sl_limit_price):
        check_price(market.symbol, price)
    trail = _wanted_trail(account, market, request)
    pair = (request.take_profit, request.stop_loss)
    if trail is None or pair != (None, None):
        if request.tpsl_mode == "Partial":
            _partial(state, account, market, request)
        else:
            _full(state, account, request, needed=trail is None)
    if trail is not None:
        set_trailing(state, account, request.symbol, *trail)
    state.position_changed(name, request.symbol)
    state.moved[market.key] = None


def _wanted_trail(
    account: PracticeAccount, market: MarketState, request: TradingStopRequest
) -> tuple[Decimal, Decimal | None] | None:
    """Return distance (0 removes it) and activation price of a changed trailing stop, else None."""
    if request.trailing_stop is None and request.active_price is None:
        return None
    standing = full_stop(account, request.symbol, TRAILING)
    now = (ZERO, None) if standing is None else (standing.trailing or ZERO, standing.active_price)
    distance = now[0] if request.trailing_stop is None else request.trailing_stop
    active, last = request.active_price or None, market.last
    if active and not distance:
        raise refusals.parameter("params error: activePrice needs a trailingStop")
    check_price(market.symbol, distance)
    side: Side = "Buy" if account.size(request.symbol) > 0 else "Sell"
    # In profit only: the same side of the last price as a take-profit.
    check_stops(market, side, last, active, None, "LastPrice", "", profit="TrailingProfit")
    if side == "Buy" and distance >= (active or last):
        raise refusals.parameter("params error: trailingStop must be lower than the price")
    return None if (distance, active) == now else (distance, active)


def _full(
    state: ExchangeState, account: PracticeAccount, request: TradingStopRequest, *, needed: bool
) -> None:
    held = account.holding(request.symbol)
    wanted = (
        (True, request.take_profit, request.tp_trigger_by, held.take_profit, held.tp_trigger_by),
        (False, request.stop_loss, request.sl_trigger_by, held.stop_loss, held.sl_trigger_by),
    )
    changes = [
        (profit, value, by)
        for profit, value, by, old, old_by in wanted
        if value is not None and (value or None, by if value else "") != (old, old_by)
    ]
    if needed and not changes:
        raise refusals.NOT_MODIFIED()
    for profit, value, by in changes:
        if value:
            set_full(state, account, request.symbol, [StopSetting(profit, value, by)])
        else:
            clear_full(state, account, request.symbol, profit=profit)


def _partial(
    state: ExchangeState, account: PracticeAccount, market: MarketState, request: TradingStopRequest
) -> None:
    pair = pair_of(request)
    if not pair:
        raise refusals.NOT_MODIFIED()
    sizes = {request.tp_size if stop.profit else request.sl_size for stop in pair}
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
        raise refusals.TOO_MANY_PARTIAL_STOPS()
    parent = OrderRow(
        account=account.name, category="linear", symbol=request.symbol,
        side="Buy" if held.size > 0 else "Sell", order_type="Market", qty=qty,
        price=market.value_price, time_in_force="IOC", status="Filled",
    )  # fmt: skip
    add_partial(state, account, state.numbered(parent), pair, qty)


def settle_funding(state: ExchangeState, market: MarketState, rate: Decimal) -> None:
    """Settle funding on every position, once per funding time (to the nearest minute)."""
    boundary = (state.now_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    if market.funded_ms == boundary:
        return
    market.funded_ms = boundary
    state.market_changed(market.key)
    rules, mark = market.symbol, market.value_price
    for name in sorted(market.holders):
        account = state.accounts[name]
        held = account.holding(rules.name)
        value = abs(held.size) * mark
        paid = (held.size * mark * rate).quantize(FUNDING_DIGITS, ROUND_HALF_UP)
        account.pay_funding(rules, paid, state.now_ms)
        state.position_changed(name, rules.name)
        state.record_execution(
            ExecutionRow(
                account=name, exec_id="", category="linear", symbol=rules.name,
                side="Buy" if held.size > 0 else "Sell", exec_type="Funding", price=mark,
                qty=abs(held.size), value=value, fee=paid, fee_rate=rate, fee_coin=rules.settle,
                is_maker=False, time_ms=state.now_ms,
                order_id=counted_id(state.salt, "funding", state.seq + 1), mark_price=mark,
                leverage=held.leverage, change=-paid, balance=account.coin(rules.settle).balance,
            )
        )  # fmt: skip


def transfer(state: ExchangeState, name: str, kind: str, coin: str, amount: Decimal) -> TransferRow:
    """Move money into a wallet, or out of it while what trades keep is left."""
    account = state.account(name)
    held = account.coin(coin)
    held.balance += amount
    if amount < 0 and min(held.balance, margins_of(account, state.markets).free) < 0:
        held.balance -= amount
        raise refusals.parameter("insufficient balance")
    seq = state.next_seq()
    row = TransferRow(
        account=name, transfer_id=counted_id(state.salt, "transfer", seq), kind=kind, coin=coin,
        amount=amount, balance=held.balance, time_ms=state.now_ms, seq=seq,
    )  # fmt: skip
    account.transfers.append(row)
    state.events.append(row)
    state.wallet_changed(name)
    return row


def liquidate_due(state: ExchangeState, market: MarketState) -> None:
    """Liquidate every account with a position here that has no margin balance left."""
    for name in sorted(market.holders):
        account = state.accounts[name]
        margins = margins_of(account, state.markets)
        if margins.balance <= margins.maintenance:
            _take_over(state, account)


def _take_over(state: ExchangeState, account: PracticeAccount) -> None:
    for order in sorted(account.open.values(), key=lambda o: o.number):
        state.close_order(order, cancel_type="CancelAllBeforeLiq")
    balance = margins_of(account, state.markets).balance
    held = sorted((h for h in account.holdings.values() if h.size), key=lambda h: h.symbol)
    markets = [state.markets["linear", h.symbol] for h in held]
    total = sum((abs(h.size) * m.value_price for h, m in zip(held, markets, strict=True)), ZERO)
    for holding, market in zip(held, markets, strict=True):
        rules, mark = market.symbol, market.value_price
        taker = account.fees(rules).taker
        exact = bankruptcy_price(holding.size, mark, balance, total, taker)
        price = max(rules.tick, to_tick(exact, rules.tick, up=holding.size > 0))
        _close(state, account, market, abs(holding.size), price, "BustTrade")


def force_close(
    state: ExchangeState,
    name: str | None,
    symbol: str | None,
    part: Decimal,
    exec_type: Literal["BustTrade", "AdlTrade"],
) -> bool:
    """Close a part of positions at the mark price; false when there are none.

    A liquidation cancels all of an account's orders, deleveraging those of the symbol.
    """
    done = False
    for account in state.accounts.values():
        held = [h for h in account.holdings.values() if h.size and symbol in (None, h.symbol)]
        if not held or name not in (None, account.name):
            continue
        done, names = True, {h.symbol for h in held}
        for order in sorted(account.open.values(), key=lambda o: o.number):
            if exec_type == "BustTrade" or order.symbol in names:
                state.close_order(order, cancel_type=FORCED[exec_type][1])
        for holding in held:
            market = state.markets["linear", holding.symbol]
            lot = market.symbol.lot
            qty = max(lot, abs(holding.size) * part // lot * lot)
            _close(state, account, market, qty, market.value_price, exec_type)
    return done


def _close(
    state: ExchangeState,
    account: PracticeAccount,
    market: MarketState,
    qty: Decimal,
    price: Decimal,
    exec_type: Literal["BustTrade", "AdlTrade"],
) -> None:
    account.holding(market.symbol.name).clear_stops()
    order = state.numbered(_venue_order(account, market, price, FORCED[exec_type][0]))
    order = replace(order, qty=qty)
    order = close_out(state, market, order, exec_type)
    state.record_order(replace(order, status="Filled"))


def deliver(state: ExchangeState, market: MarketState) -> None:
    """Close a delisted market: cancel its orders and settle its positions at the mark price."""
    key = market.key
    for account in state.accounts.values():
        for order in sorted(account.open.values(), key=lambda o: o.number):
            if order.key == key:
                state.close_order(order, cancel_type="CancelBySettle")
    for name in sorted(market.holders):
        account = state.accounts[name]
        order = _venue_order(account, market, market.value_price, "CreateBySettle")
        order = replace(order, order_id=counted_id(state.salt, "delivery", state.seq + 1))
        close_out(state, market, order, "Delivery")


def _venue_order(
    account: PracticeAccount, market: MarketState, price: Decimal, create_type: str
) -> OrderRow:
    size = account.size(market.symbol.name)
    side: Side = "Sell" if size > 0 else "Buy"
    return OrderRow(
        account=account.name, category="linear", symbol=market.symbol.name, side=side,
        order_type="Market", qty=abs(size), price=price, time_in_force="IOC",
        create_type=create_type, reduce_only=True, last_price_on_created=market.last,
    )  # fmt: skip
