"""Raw JSON bodies of requests, checked against Bybit's documentation and typed.

What can be said without knowing the symbol or the market; the rest is ``rules`` and ``orders``.
Sources: https://bybit-exchange.github.io/docs/v5/order/create-order and its neighbours
amend-order, cancel-order, cancel-all, and position/trading-stop. Every refusal is 10001 unless
Bybit has a code of its own for spot. Parameters that Bybit does not document are let through, as
Bybit does; documented ones that this exchange cannot honour are refused, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.model import (
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    OrderRequest,
    TradingStopRequest,
)
from live_nodes.practice.wire.fields import choice, flag, number, text, whole

LONGEST_LINK = 36
_LINK = re.compile(r"[A-Za-z0-9_-]+")
_SYMBOL = re.compile(r"[A-Z0-9-]{2,40}")
CATEGORIES = ("linear", "spot")
SIDES = ("Buy", "Sell")
ORDER_TYPES = ("Market", "Limit")
TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "PostOnly")
TRIGGERS = ("LastPrice", "MarkPrice", "IndexPrice")
FILTERS = ("Order", "StopOrder", "tpslOrder")
UNSUPPORTED = ("orderIv", "mmp", "bboSideType", "bboLevel")

type Body = Mapping[str, Any]


def order_request(body: Body) -> OrderRequest:
    """Check and type POST /v5/order/create.

    Raises
    ------
    Refusal
        10001 and what is wrong; 170xxx for spot where Bybit has one.
    """
    category = choice(body, "category", CATEGORIES, required=True)
    spot = category == "spot"
    for name in UNSUPPORTED:
        if body.get(name):
            raise refusals.parameter(f"params error: {name} is not supported for {category} here")
    if body.get("smpType") not in (None, "", "None"):
        raise refusals.parameter("params error: smpType is not supported here")
    order_type = choice(body, "orderType", ORDER_TYPES, required=True)
    market = order_type == "Market"
    qty = number(body, "qty", required=True)
    request = OrderRequest(
        category=category,  # type: ignore[arg-type]
        symbol=symbol_of(body),
        side=choice(body, "side", SIDES, required=True),  # type: ignore[arg-type]
        order_type=order_type,  # type: ignore[arg-type]
        qty=qty or Decimal(0),
        price=None if market else number(body, "price"),
        time_in_force=_time_in_force(body, market),  # type: ignore[arg-type]
        order_link_id=link_id(body),
        market_unit=_market_unit(body, spot, market),  # type: ignore[arg-type]
        is_leverage=whole(body, "isLeverage", (0, 1)) == 1,
        reduce_only=flag(body, "reduceOnly"),
        close_on_trigger=flag(body, "closeOnTrigger"),
        position_idx=whole(body, "positionIdx", (0, 1, 2)),
        trigger_price=number(body, "triggerPrice") or None,
        trigger_direction=whole(body, "triggerDirection", (0, 1, 2)),
        trigger_by=choice(body, "triggerBy", TRIGGERS),  # type: ignore[arg-type]
        order_filter=choice(body, "orderFilter", FILTERS) or "Order",  # type: ignore[arg-type]
        take_profit=number(body, "takeProfit") or None,
        stop_loss=number(body, "stopLoss") or None,
        tp_trigger_by=choice(body, "tpTriggerBy", TRIGGERS),  # type: ignore[arg-type]
        sl_trigger_by=choice(body, "slTriggerBy", TRIGGERS),  # type: ignore[arg-type]
        tpsl_mode=choice(body, "tpslMode", ("Full", "Partial")),  # type: ignore[arg-type]
        tp_order_type=choice(body, "tpOrderType", ORDER_TYPES) or "Market",  # type: ignore[arg-type]
        sl_order_type=choice(body, "slOrderType", ORDER_TYPES) or "Market",  # type: ignore[arg-type]
        tp_limit_price=number(body, "tpLimitPrice") or None,
        sl_limit_price=number(body, "slLimitPrice") or None,
        slippage_type=choice(body, "slippageToleranceType", ("TickSize", "Percent")),  # type: ignore[arg-type]
        slippage=number(body, "slippageTolerance") or None,
    )
    _check_price(request, body)
    _check_trigger(request)
    _check_reduce(request)
    _check_attached(request)
    _check_slippage(request)
    return request


def amend_request(body: Body) -> AmendRequest:
    """Check and type POST /v5/order/amend."""
    order_id, order_link_id = _ids(body)
    request = AmendRequest(
        category=choice(body, "category", CATEGORIES, required=True),  # type: ignore[arg-type]
        symbol=symbol_of(body),
        order_id=order_id,
        order_link_id=order_link_id,
        qty=number(body, "qty"),
        price=number(body, "price"),
        trigger_price=number(body, "triggerPrice"),
        trigger_by=choice(body, "triggerBy", TRIGGERS),  # type: ignore[arg-type]
        take_profit=number(body, "takeProfit"),
        stop_loss=number(body, "stopLoss"),
        tp_trigger_by=choice(body, "tpTriggerBy", TRIGGERS),  # type: ignore[arg-type]
        sl_trigger_by=choice(body, "slTriggerBy", TRIGGERS),  # type: ignore[arg-type]
        tp_limit_price=number(body, "tpLimitPrice"),
        sl_limit_price=number(body, "slLimitPrice"),
    )
    for name, value in (
        ("qty", request.qty),
        ("price", request.price),
        ("triggerPrice", request.trigger_price),
    ):
        if value == 0:
            raise refusals.parameter(f"params error: {name} invalid")
    return request


def cancel_request(body: Body) -> CancelRequest:
    """Check and type POST /v5/order/cancel."""
    order_id, order_link_id = _ids(body)
    return CancelRequest(
        category=choice(body, "category", CATEGORIES, required=True),  # type: ignore[arg-type]
        symbol=symbol_of(body),
        order_id=order_id,
        order_link_id=order_link_id,
        order_filter=choice(body, "orderFilter", FILTERS),  # type: ignore[arg-type]
    )


def cancel_all_request(body: Body) -> CancelAllRequest:
    """Check and type POST /v5/order/cancel-all."""
    category = choice(body, "category", CATEGORIES, required=True)
    request = CancelAllRequest(
        category=category,  # type: ignore[arg-type]
        symbol=symbol_of(body) if body.get("symbol") else "",
        base_coin=text(body, "baseCoin"),
        settle_coin=text(body, "settleCoin"),
        order_filter=choice(body, "orderFilter", FILTERS),  # type: ignore[arg-type]
        stop_order_type=choice(body, "stopOrderType", ("Stop",)),
    )
    if category == "linear" and not (request.symbol or request.base_coin or request.settle_coin):
        raise refusals.parameter("symbol, baseCoin or settleCoin is required")
    if category == "spot" and request.settle_coin:
        raise refusals.parameter("settleCoin is not supported for spot")
    return request


def trading_stop_request(body: Body) -> TradingStopRequest:
    """Check and type POST /v5/position/trading-stop."""
    choice(body, "category", ("linear",), required=True)
    for name in ("trailingStop", "activePrice"):
        if number(body, name):
            raise refusals.parameter(f"params error: {name} is not supported here")
    request = TradingStopRequest(
        category="linear",
        symbol=symbol_of(body),
        tpsl_mode=choice(body, "tpslMode", ("Full", "Partial"), required=True),  # type: ignore[arg-type]
        take_profit=number(body, "takeProfit"),
        stop_loss=number(body, "stopLoss"),
        tp_trigger_by=choice(body, "tpTriggerBy", TRIGGERS) or "LastPrice",  # type: ignore[arg-type]
        sl_trigger_by=choice(body, "slTriggerBy", TRIGGERS) or "LastPrice",  # type: ignore[arg-type]
        tp_size=number(body, "tpSize") or None,
        sl_size=number(body, "slSize") or None,
        tp_order_type=choice(body, "tpOrderType", ORDER_TYPES) or "Market",  # type: ignore[arg-type]
        sl_order_type=choice(body, "slOrderType", ORDER_TYPES) or "Market",  # type: ignore[arg-type]
        tp_limit_price=number(body, "tpLimitPrice") or None,
        sl_limit_price=number(body, "slLimitPrice") or None,
        position_idx=whole(body, "positionIdx", (0, 1, 2), required=True),
    )
    if request.position_idx:
        raise refusals.parameter("position idx not match position mode")
    _check_limits_of_stops(
        request.tpsl_mode, request.tp_order_type, request.sl_order_type,
        request.tp_limit_price, request.sl_limit_price,
    )  # fmt: skip
    if request.tpsl_mode == "Full" and (request.tp_size or request.sl_size):
        raise refusals.parameter("tpSize and slSize are only valid in Partial tpslMode")
    return request


def symbol_of(body: Body) -> str:
    """Give the symbol: upper case, there at all."""
    value = text(body, "symbol")
    if not _SYMBOL.fullmatch(value):
        raise refusals.parameter("params error: symbol invalid")
    return value


def link_id(body: Body) -> str:
    """Give orderLinkId: at most 36 of letters, digits, dash and underscore."""
    value = text(body, "orderLinkId")
    if len(value) > LONGEST_LINK:
        raise refusals.parameter(
            f"params error: OrderLinkId cannot exceed {LONGEST_LINK} characters"
        )
    if value and not _LINK.fullmatch(value):
        raise refusals.parameter(
            "params error: OrderLinkId may have letters, digits, dashes and underscores only"
        )
    return value


def _ids(body: Body) -> tuple[str, str]:
    order_id, order_link_id = text(body, "orderId"), link_id(body)
    if not order_id and not order_link_id:
        raise refusals.parameter("OrderId or orderLinkId is required")
    return order_id, order_link_id


def _time_in_force(body: Body, market: bool) -> str:
    """Give the time in force; "Market order will always use IOC"."""
    value = choice(body, "timeInForce", TIMES_IN_FORCE)
    if market:
        if value == "PostOnly":
            raise refusals.parameter("params error: a market order cannot be PostOnly")
        return "IOC"
    return value or "GTC"


def _market_unit(body: Body, spot: bool, market: bool) -> str:
    """Give the unit of a spot market order: a buy is by value unless it says otherwise."""
    value = choice(body, "marketUnit", ("baseCoin", "quoteCoin"))
    if not spot or not market:
        return ""
    return value or ("quoteCoin" if body.get("side") == "Buy" else "baseCoin")


def _check_price(request: OrderRequest, body: Body) -> None:
    if request.order_type == "Limit" and not request.price:
        raise refusals.parameter("params error: price is required for a limit order")
    # Bybit lets a market order's price be empty or 0; anything else is a mistake of the caller.
    if request.order_type == "Market" and number(body, "price"):
        raise refusals.parameter("params error: a market order takes no price")
    closing = request.reduce_only and request.close_on_trigger
    if not request.qty and not (request.category == "linear" and closing):
        raise refusals.parameter("Qty invalid")


def _check_trigger(request: OrderRequest) -> None:
    spot = request.category == "spot"
    if request.trigger_price is None:
        if request.trigger_direction:
            raise refusals.parameter("params error: triggerDirection without triggerPrice")
        if request.order_filter != "Order" and spot:
            raise refusals.parameter(
                f"params error: orderFilter {request.order_filter} needs a triggerPrice"
            )
        return
    if spot:
        # Bybit's default is "Order", whose trigger it documents no meaning for.
        if request.order_filter == "Order":
            raise refusals.parameter(
                "params error: a spot triggerPrice needs orderFilter StopOrder or tpslOrder"
            )
        if request.trigger_direction or request.trigger_by:
            raise refusals.parameter(
                "params error: triggerDirection and triggerBy are not valid for spot"
            )
    elif request.trigger_direction not in (1, 2):
        raise refusals.parameter("params error: TriggerDirection invalid, it must be 1 or 2")


def _check_reduce(request: OrderRequest) -> None:
    if request.category == "spot":
        if request.reduce_only or request.close_on_trigger:
            raise refusals.parameter("params error: reduceOnly is not supported for spot")
        if request.position_idx:
            raise refusals.parameter("params error: positionIdx is not supported for spot")
        return
    if request.is_leverage:
        raise refusals.parameter("params error: isLeverage is valid for spot only")
    if request.reduce_only and (request.take_profit or request.stop_loss):
        raise refusals.parameter("take profit and stop loss cannot be set when reduceOnly")


def _check_attached(request: OrderRequest) -> None:
    if request.category == "spot":
        if not (request.take_profit or request.stop_loss):
            return
        if request.order_type != "Limit":
            raise refusals.parameter("params error: a spot market order takes no TP/SL")
        if request.tpsl_mode or request.tp_trigger_by or request.sl_trigger_by:
            raise refusals.parameter("params error: tpslMode and tp/slTriggerBy are not for spot")
        mode = "Partial"
    else:
        mode = request.tpsl_mode or "Full"
    for what, value, by in (
        ("takeProfit", request.take_profit, request.tp_trigger_by),
        ("stopLoss", request.stop_loss, request.sl_trigger_by),
    ):
        if by and not value:
            raise refusals.parameter(f"params error: a trigger type without {what}")
    _check_limits_of_stops(
        mode, request.tp_order_type, request.sl_order_type,
        request.tp_limit_price, request.sl_limit_price,
    )  # fmt: skip


def _check_limits_of_stops(
    mode: str, tp_type: str, sl_type: str, tp_limit: Decimal | None, sl_limit: Decimal | None
) -> None:
    """Refuse limit stops outside Partial mode, without their price, and prices without them."""
    for what, kind, limit in (("tp", tp_type, tp_limit), ("sl", sl_type, sl_limit)):
        if kind == "Limit" and mode != "Partial":
            raise refusals.parameter(f"params error: {what}OrderType Limit needs tpslMode Partial")
        if kind == "Limit" and not limit:
            raise refusals.parameter(f"params error: {what}LimitPrice is required")
        if kind == "Market" and limit:
            raise refusals.parameter(f"params error: {what}LimitPrice needs {what}OrderType Limit")


def _check_slippage(request: OrderRequest) -> None:
    kind, amount = request.slippage_type, request.slippage
    if not kind and amount is None:
        return
    if not kind or amount is None:
        raise refusals.parameter(
            "params error: slippageToleranceType and slippageTolerance go together"
        )
    if request.order_type != "Market" or request.trigger_price is not None:
        raise refusals.parameter("params error: slippage tolerance is for market orders only")
    if kind == "TickSize" and (amount % 1 or not 1 <= amount <= 10_000):
        raise refusals.slippage_ticks()
    if kind == "Percent" and (amount % Decimal("0.01") or not Decimal("0.01") <= amount <= 10):
        raise refusals.slippage_percent()
