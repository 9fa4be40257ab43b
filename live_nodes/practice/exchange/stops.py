"""Take-profits and stop-losses of positions, and cutting reduce-only orders.

Bybit (POST /v5/position/trading-stop): a TP/SL is a conditional order of the system; it follows the
position's size and is cancelled when the position closes. ``Full`` covers the whole position (one
pair a symbol), ``Partial`` its own quantity (one pair per setting or fill).

A trailing stop is one more such order for the whole position. It keeps its distance to the best
last price since it began: at once, or when ``activePrice`` is reached (Bybit, "Trailing Stop Orders
(Perpetual and Futures Trading)"). Each of its moves is pushed; Bybit does not say whether it does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from live_nodes.practice.exchange.accounts import PracticeAccount
from live_nodes.practice.exchange.book import MarketState
from live_nodes.practice.exchange.model import ZERO, OrderType, Side, TriggerBy
from live_nodes.practice.exchange.records import OrderRow
from live_nodes.practice.exchange.requests import TradingStopRequest
from live_nodes.practice.exchange.state import ExchangeState

FULL = ("TakeProfit", "StopLoss")
PARTIAL = ("PartialTakeProfit", "PartialStopLoss")
TRAILING = "TrailingStop"
WHOLE = (*FULL, TRAILING)
"""What covers the whole position."""
SPOT_PAIR = "tpslOrder"
SIDES: tuple[Side, ...] = ("Buy", "Sell")
POSITION_STOPS = frozenset({*WHOLE, *PARTIAL})


@dataclass(frozen=True, slots=True)
class StopSetting:
    """One side of a TP/SL pair."""

    profit: bool
    trigger: Decimal
    by: TriggerBy
    order_type: OrderType = "Market"
    limit: Decimal | None = None


def settle_position(state: ExchangeState, account: PracticeAccount, symbol: str) -> None:
    """Cut or cancel reduce-only orders and stops; the user's conditional orders stay.

    Resting ones together do not pass the position: the furthest from the market are cut first.
    """
    size = account.size(symbol)
    market = state.markets["linear", symbol]
    if size:
        market.holders[account.name] = None
    else:
        market.holders.pop(account.name, None)
        account.holding(symbol).clear_stops()
    rooms = {side: account.reducible(symbol, side) for side in SIDES}
    for order in sorted(account.open.values(), key=_nearest_first):
        if order.symbol != symbol or order.category != "linear" or not order.reduce_only:
            continue
        stop = order.stop_order_type in POSITION_STOPS
        if order.untriggered and not stop:
            continue
        room = rooms[order.side] if not order.untriggered else account.reducible(symbol, order.side)
        if not order.untriggered:
            rooms[order.side] -= min(room, order.leaves)
        if not room:
            cancel = "CancelByTpSlTsClear" if order.untriggered else "CancelByReduceOnly"
            state.close_order(order, cancel_type=cancel)
            forget_full(account, order)
        elif order.leaves > room or (order.stop_order_type in WHOLE and order.untriggered):
            _resize(state, market, order, order.filled + room)


def _nearest_first(order: OrderRow) -> tuple[Decimal, int]:
    return (-order.price if order.side == "Buy" else order.price, order.number)


def forget_full(account: PracticeAccount, order: OrderRow) -> None:
    """Remove a fired or cancelled whole-position stop from the position."""
    held = account.holding(order.symbol)
    if order.stop_order_type == FULL[0] and held.take_profit == order.trigger_price:
        held.set_stop(profit=True, price=None)
    elif order.stop_order_type == FULL[1] and held.stop_loss == order.trigger_price:
        held.set_stop(profit=False, price=None)
    elif order.stop_order_type == TRAILING:
        held.trailing_stop = None


def _resize(state: ExchangeState, market: MarketState, order: OrderRow, qty: Decimal) -> None:
    if qty == order.qty:
        return
    resting = market.book.find(order.side, order.order_id)
    if resting is not None:
        resting.leaves = qty - order.filled
    state.record_order(replace(order, qty=qty, updated_ms=state.now_ms))


def pair_of(of: OrderRow | TradingStopRequest) -> list[StopSetting]:
    """Return the TP and SL of an order or a request, those that are set."""
    pair = (
        (True, of.take_profit, of.tp_trigger_by, of.tp_order_type, of.tp_limit_price),
        (False, of.stop_loss, of.sl_trigger_by, of.sl_order_type, of.sl_limit_price),
    )
    return [
        StopSetting(profit, trigger, by, kind, limit)
        for profit, trigger, by, kind, limit in pair
        if trigger
    ]


def attach(state: ExchangeState, account: PracticeAccount, order: OrderRow, qty: Decimal) -> None:
    """Create an order's attached TP/SL for a quantity that just filled."""
    if not order.take_profit and not order.stop_loss:
        return
    pair = pair_of(order)
    if order.category == "linear" and order.tpsl_mode != "Partial":
        if account.size(order.symbol) * (1 if order.side == "Buy" else -1) > 0:
            set_full(state, account, order.symbol, pair)
        return
    rules = state.market(order.key).symbol
    if order.category == "spot":
        keep = 1 - account.fees(rules).taker if order.side == "Buy" else Decimal(1)
        qty = qty * keep // rules.lot * rules.lot
    else:
        qty = min(qty, account.reducible(order.symbol, _other(order.side)))
    if qty:
        add_partial(state, account, order, pair, qty)


def set_full(
    state: ExchangeState, account: PracticeAccount, symbol: str, pair: list[StopSetting]
) -> None:
    """Create or change the whole position's TP and/or SL."""
    held = account.holding(symbol)
    side: Side = "Sell" if held.size > 0 else "Buy"
    for stop in pair:
        by: TriggerBy = stop.by or "LastPrice"
        held.set_stop(profit=stop.profit, price=stop.trigger, by=by)
        name = FULL[0] if stop.profit else FULL[1]
        standing = full_stop(account, symbol, name)
        if standing is not None:
            if (standing.trigger_price, standing.trigger_by) != (stop.trigger, by):
                state.record_order(
                    replace(
                        standing, trigger_price=stop.trigger, trigger_by=by, updated_ms=state.now_ms
                    )
                )
            continue
        wait(state, _child(state, account, ("linear", symbol), side, stop, name,
                           abs(held.size)))  # fmt: skip
    state.position_changed(account.name, symbol)


def clear_full(
    state: ExchangeState, account: PracticeAccount, symbol: str, *, profit: bool
) -> None:
    """Remove the whole position's TP or SL, if there is one."""
    held = account.holding(symbol)
    standing = full_stop(account, symbol, FULL[0] if profit else FULL[1])
    if standing is not None:
        state.close_order(standing, cancel_type="CancelByUser")
    held.set_stop(profit=profit, price=None)
    state.position_changed(account.name, symbol)


def set_trailing(
    state: ExchangeState,
    account: PracticeAccount,
    symbol: str,
    distance: Decimal,
    active_price: Decimal | None,
) -> None:
    """Create, change or, with distance 0, remove the position's trailing stop."""
    held, market = account.holding(symbol), state.markets["linear", symbol]
    standing = full_stop(account, symbol, TRAILING)
    held.trailing_stop = distance or None
    if not distance:
        if standing is not None:
            state.close_order(standing, cancel_type="CancelByUser")
        return
    order = standing
    if order is None:
        side: Side = "Sell" if held.size > 0 else "Buy"
        order = _child(state, account, market.key, side, StopSetting(False, ZERO, "LastPrice"),
                       TRAILING, abs(held.size))  # fmt: skip
    order = replace(
        order, create_type="CreateByTrailingStop", trailing=distance, active_price=active_price,
        trigger_price=None, updated_ms=state.now_ms,
    )  # fmt: skip
    wait(state, _trailed(order, market.last))


def trail(state: ExchangeState, market: MarketState) -> None:
    """Move a market's trailing stops after its last price."""
    for order_id, name in market.waiting.items():
        order = state.accounts[name].open[order_id]
        moved = _trailed(order, market.last)
        if moved is not order:
            state.record_order(replace(moved, updated_ms=state.now_ms))


def _trailed(order: OrderRow, last: Decimal) -> OrderRow:
    if order.trailing is None or not last:
        return order
    sign = 1 if order.side == "Sell" else -1
    waits = order.trigger_price is None and order.active_price is not None
    if waits and sign * (last - (order.active_price or ZERO)) < 0:
        return order
    trigger = last - sign * order.trailing
    if order.trigger_price is not None and sign * (trigger - order.trigger_price) <= 0:
        return order
    return replace(order, trigger_price=trigger)


def full_stop(account: PracticeAccount, symbol: str, name: str) -> OrderRow | None:
    """Return the waiting stop of the whole position of a kind, None when there is none."""
    found = (o for o in account.open.values() if o.symbol == symbol and o.untriggered)
    return next((order for order in found if order.stop_order_type == name), None)


def add_partial(
    state: ExchangeState,
    account: PracticeAccount,
    parent: OrderRow,
    pair: list[StopSetting],
    qty: Decimal,
) -> None:
    """Create a TP/SL pair for a quantity; later fills of the parent increase it."""
    for stop in pair:
        linear = parent.category == "linear"
        name = PARTIAL[0 if stop.profit else 1] if linear else SPOT_PAIR
        for order in account.open.values():
            if (
                order.parent_id == parent.order_id
                and order.untriggered
                and (order.stop_order_type, order.trigger_price) == (name, stop.trigger)
            ):
                state.record_order(replace(order, qty=order.qty + qty, updated_ms=state.now_ms))
                break
        else:
            wait(state, _child(state, account, parent.key, _other(parent.side), stop, name,
                               qty, parent.order_id))  # fmt: skip


def wait(state: ExchangeState, order: OrderRow) -> OrderRow:
    """Add a conditional order; it triggers at once if its price is already reached."""
    state.market(order.key).waiting[order.order_id] = order.account
    state.moved[order.key] = None
    return state.record_order(order)


def siblings(account: PracticeAccount, order: OrderRow) -> list[OrderRow]:
    """Return the waiting other orders of a partial TP/SL pair."""
    found = (o for o in account.open.values() if order.parent_id and o.untriggered)
    return [o for o in found if o.parent_id == order.parent_id and o.order_id != order.order_id]


def _other(side: Side) -> Side:
    return "Sell" if side == "Buy" else "Buy"


def _child(
    state: ExchangeState,
    account: PracticeAccount,
    key: tuple[str, str],
    side: Side,
    stop: StopSetting,
    name: str,
    qty: Decimal,
    parent_id: str = "",
) -> OrderRow:
    market = state.markets[key]
    linear = key[0] == "linear"
    words = FULL[0 if stop.profit else 1]
    child = OrderRow(
        account=account.name, category="linear" if linear else "spot", symbol=key[1], side=side,
        order_type=stop.order_type, qty=qty, price=stop.limit or ZERO,
        time_in_force="GTC" if stop.order_type == "Limit" else "IOC", status="Untriggered",
        create_type=f"CreateBy{'Partial' if linear and parent_id else ''}{words}",
        reduce_only=linear, close_on_trigger=linear, market_unit="" if linear else "baseCoin",
        stop_order_type=name, trigger_price=stop.trigger,
        trigger_direction=1 if (side == "Sell") == stop.profit else 2,
        trigger_by=(stop.by or "LastPrice") if linear else "",
        order_filter="StopOrder" if linear else "tpslOrder", last_price_on_created=market.last,
        tpsl_mode="Partial" if parent_id else "Full", parent_id=parent_id,
    )  # fmt: skip
    return state.numbered(child)
