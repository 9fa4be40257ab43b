"""Requests for orders and stops: their fields, read from JSON bodies and checked.

Sources: https://bybit-exchange.github.io/docs/v5/order/create-order and its neighbours amend-order,
cancel-order, cancel-all, and position/trading-stop. A refusal is 10001 unless Bybit has its own
code for spot. Undocumented parameters are ignored, as at Bybit; documented ones that this exchange
does not support are refused. Numbers are JSON strings, flags booleans, small integers JSON numbers;
a bare number for a string is accepted where Bybit does.

A field is written once: the words that Bybit allows, or the type, or a reader of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.model import (
    Category,
    OfMarket,
    OrderType,
    Side,
    TimeInForce,
    TpslMode,
    TriggerBy,
)
from live_nodes.practice.exchange.refusals import parameter

type Body = Mapping[str, Any]
type Reader = Callable[[Body, str], Any]

LONGEST = 40
LONGEST_LINK = 36
_LINK = re.compile(r"[A-Za-z0-9_-]+")
_SYMBOL = re.compile(r"[A-Z0-9-]{2,40}")
UNSUPPORTED = ("orderIv", "mmp", "bboSideType", "bboLevel")


# --- readers of one field: there, of the documented type, in range; else 10001 --------------------


def text(body: Body, name: str) -> str:
    """Read a string; empty when it is omitted or null."""
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise parameter(f"params error: {name} must be a string")
    return value


def choice(*allowed: str, default: str = "", required: bool = False) -> Reader:
    """Read one of the allowed words; an omitted optional field gives the default."""

    def read(body: Body, name: str) -> str:
        value = text(body, name)
        if not value and not required:
            return default
        if value not in allowed:
            raise parameter(
                f"params error: {name} must be one of {', '.join(allowed)}, was {value[:LONGEST]!r}"
            )
        return value

    return read


def number(body: Body, name: str) -> Decimal | None:
    """Read a number that is not negative; null when it is omitted or empty."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise parameter(f"params error: {name} must be a number in a string")
    written = str(value)
    try:
        parsed = Decimal(written) if len(written) <= LONGEST else None
    except InvalidOperation:
        parsed = None
    if parsed is None or not parsed.is_finite() or parsed < 0 or parsed >= 10**18:
        raise parameter(f"params error: {name} invalid, was {written[:LONGEST]!r}")
    return parsed


def positive(body: Body, name: str) -> Decimal | None:
    """Read a number; null when it is omitted or zero."""
    return number(body, name) or None


def whole(*allowed: int, required: bool = False) -> Reader:
    """Read one of the allowed integers; an omitted optional field gives 0."""

    def read(body: Body, name: str) -> int:
        value = body.get(name)
        if value is None or value == "":
            if required:
                raise parameter(f"params error: {name} is required")
            return 0
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            words = ", ".join(str(a) for a in allowed)
            raise parameter(f"params error: {name} must be one of {words}")
        return value

    return read


def flag(body: Body, name: str) -> bool:
    """Read a boolean; false when it is omitted."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise parameter(f"params error: {name} must be true or false")
    return value


def _symbol(body: Body, name: str) -> str:
    value = text(body, name)
    if not _SYMBOL.fullmatch(value):
        raise parameter("params error: symbol invalid")
    return value


def _any_symbol(body: Body, name: str) -> str:
    return _symbol(body, name) if body.get(name) else ""


def _link_id(body: Body, name: str) -> str:
    value = text(body, name)
    if len(value) > LONGEST_LINK:
        raise parameter(f"params error: OrderLinkId cannot exceed {LONGEST_LINK} characters")
    if value and not _LINK.fullmatch(value):
        raise parameter(
            "params error: OrderLinkId may have letters, digits, dashes and underscores only"
        )
    return value


def _link_of_order(body: Body, name: str) -> str:
    value = _link_id(body, name)
    if not value and not text(body, "orderId"):
        raise parameter("OrderId or orderLinkId is required")
    return value


def _category_of_create(body: Body, name: str) -> str:
    category = str(choice("linear", "spot", required=True)(body, name))
    for other in UNSUPPORTED:
        if body.get(other):
            raise parameter(f"params error: {other} is not supported for {category} here")
    if body.get("smpType") not in (None, "", "None"):
        raise parameter("params error: smpType is not supported here")
    return category


def _qty(body: Body, name: str) -> Decimal:
    value = number(body, name)
    if value is None:
        raise parameter(f"params error: {name} is required")
    return value


def _price(body: Body, name: str) -> Decimal | None:
    """Read the price; Bybit ignores a market order's."""
    return None if body["orderType"] == "Market" else number(body, name)


def _time_in_force(body: Body, name: str) -> str:
    """Read the time in force; "Market order will always use IOC"."""
    value = choice("GTC", "IOC", "FOK", "PostOnly")(body, name)
    if body["orderType"] == "Market":
        if value == "PostOnly":
            raise parameter("params error: a market order cannot be PostOnly")
        return "IOC"
    return str(value or "GTC")


def _market_unit(body: Body, name: str) -> str:
    value = choice("baseCoin", "quoteCoin")(body, name)
    if body["category"] != "spot" or body["orderType"] != "Market":
        return ""
    return str(value or ("quoteCoin" if body.get("side") == "Buy" else "baseCoin"))


def _is_one(body: Body, name: str) -> bool:
    return bool(whole(0, 1)(body, name))


# --- the requests ---------------------------------------------------------------------------------

_Filter = Literal["", "Order", "StopOrder", "tpslOrder"]
_Symbol = Annotated[str, _symbol]
_Positive = Annotated[Decimal | None, positive]
_Side = Annotated[int, whole(0, 1, 2)]


@dataclass(frozen=True, slots=True)
class OrderTerms(OfMarket):
    """What an order asks for, as its request and its row have it; empty fields were omitted."""

    category: Annotated[Category, _category_of_create]
    symbol: _Symbol
    side: Side
    order_type: OrderType
    qty: Annotated[Decimal, _qty]
    time_in_force: Annotated[TimeInForce, _time_in_force] = "GTC"
    order_link_id: Annotated[str, _link_id] = ""
    market_unit: Annotated[Literal["", "baseCoin", "quoteCoin"], _market_unit] = ""
    reduce_only: bool = False
    close_on_trigger: bool = False
    trigger_price: _Positive = None
    trigger_direction: _Side = 0
    trigger_by: TriggerBy = ""
    order_filter: Literal["Order", "StopOrder", "tpslOrder"] = "Order"
    take_profit: _Positive = None
    stop_loss: _Positive = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    tpsl_mode: TpslMode = ""
    tp_order_type: OrderType = "Market"
    sl_order_type: OrderType = "Market"
    tp_limit_price: _Positive = None
    sl_limit_price: _Positive = None


@dataclass(frozen=True, slots=True)
class OrderRequest(OrderTerms):
    """POST /v5/order/create; the tolerance is in ticks or percent."""

    price: Annotated[Decimal | None, _price] = None
    is_leverage: Annotated[bool, _is_one] = False
    position_idx: _Side = 0
    slippage_tolerance_type: Literal["", "TickSize", "Percent"] = ""
    slippage_tolerance: _Positive = None


@dataclass(frozen=True, slots=True)
class AmendRequest:
    """POST /v5/order/amend; null keeps a value, zero removes a TP or SL."""

    category: Category
    symbol: _Symbol
    order_id: str = ""
    order_link_id: Annotated[str, _link_of_order] = ""
    qty: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy = ""
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """POST /v5/order/cancel by one of two ids; ``order_id`` takes precedence."""

    category: Category
    symbol: _Symbol
    order_id: str = ""
    order_link_id: Annotated[str, _link_of_order] = ""
    order_filter: _Filter = ""


@dataclass(frozen=True, slots=True)
class CancelAllRequest:
    """POST /v5/order/cancel-all; linear needs a symbol, a base coin or a settle coin."""

    category: Category
    symbol: Annotated[str, _any_symbol] = ""
    base_coin: str = ""
    settle_coin: str = ""
    order_filter: _Filter = ""
    stop_order_type: Literal["", "Stop"] = ""


@dataclass(frozen=True, slots=True)
class TradingStopRequest:
    """POST /v5/position/trading-stop; null keeps a value, 0 removes it.

    ``trailing_stop`` is a distance in price. ``active_price`` is where it begins; without, at once.
    """

    category: Literal["linear"]
    symbol: _Symbol
    tpsl_mode: Literal["Full", "Partial"]
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = "LastPrice"
    sl_trigger_by: TriggerBy = "LastPrice"
    trailing_stop: Decimal | None = None
    active_price: Decimal | None = None
    tp_size: _Positive = None
    sl_size: _Positive = None
    tp_order_type: OrderType = "Market"
    sl_order_type: OrderType = "Market"
    tp_limit_price: _Positive = None
    sl_limit_price: _Positive = None
    position_idx: Annotated[int, whole(0, 1, 2, required=True)] = 0


@cache
def _readers(kind: Any) -> dict[str, tuple[str, Reader]]:
    """Return Bybit's name (``orderType`` of ``order_type``) and the reader of each field."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: (
            re.sub("_([a-z])", lambda found: found[1].upper(), field.name),
            _reader(hints[field.name], field.default),
        )
        for field in fields(kind)
    }


def _reader(hint: Any, default: object) -> Reader:
    if get_origin(hint) is Annotated:
        reader: Reader = hint.__metadata__[0]
        return reader
    if get_origin(hint) is Literal:
        words = [word for word in get_args(hint) if word]
        if default is MISSING:
            return choice(*words, required=True)
        return choice(*words, default=str(default))
    return {bool: flag, str: text}.get(hint, number)


def _read[R](kind: type[R], body: Body) -> R:
    """Read the fields of a request, in the order of its class."""
    readers = _readers(cast(Any, kind))
    return kind(**{name: read(body, theirs) for name, (theirs, read) in readers.items()})


def order_request(body: Body) -> OrderRequest:
    """Check and type POST /v5/order/create. Raises BybitRefusal: 10001, or 170xxx for spot."""
    request = _read(OrderRequest, body)
    _refuse(_wrong_parts(request))
    _check_slippage(request)
    return request


def amend_request(body: Body) -> AmendRequest:
    """Check and type POST /v5/order/amend."""
    request = _read(AmendRequest, body)
    values = {"qty": request.qty, "price": request.price, "triggerPrice": request.trigger_price}
    _refuse((value == 0, f"params error: {name} invalid") for name, value in values.items())
    return request


def cancel_request(body: Body) -> CancelRequest:
    """Check and type POST /v5/order/cancel."""
    return _read(CancelRequest, body)


def cancel_all_request(body: Body) -> CancelAllRequest:
    """Check and type POST /v5/order/cancel-all."""
    request = _read(CancelAllRequest, body)
    linear = request.category == "linear"
    if linear and not (request.symbol or request.base_coin or request.settle_coin):
        raise parameter("symbol, baseCoin or settleCoin is required")
    if not linear and request.settle_coin:
        raise parameter("settleCoin is not supported for spot")
    return request


def trading_stop_request(body: Body) -> TradingStopRequest:
    """Check and type POST /v5/position/trading-stop."""
    request = _read(TradingStopRequest, body)
    if request.position_idx:
        raise parameter("position idx not match position mode")
    _refuse(_wrong_limits(request, request.tpsl_mode))
    if request.tpsl_mode == "Full" and (request.tp_size or request.sl_size):
        raise parameter("tpSize and slSize are only valid in Partial tpslMode")
    return request


# --- fields that must fit each other ---------------------------------------------------------


def _wrong_parts(request: OrderRequest) -> Iterator[tuple[object, str]]:
    """Yield whether each check fails, and the text; in Bybit's order of checks."""
    spot, market = request.category == "spot", request.order_type == "Market"
    closing = request.reduce_only and request.close_on_trigger
    yield not market and not request.price, "params error: price is required for a limit order"
    yield not request.qty and (spot or not closing), "Qty invalid"
    if request.trigger_price is None:
        yield request.trigger_direction, "params error: triggerDirection without triggerPrice"
        kind = request.order_filter
        yield spot and kind != "Order", f"params error: orderFilter {kind} needs a triggerPrice"
    elif spot:
        # Bybit's default is "Order", but it does not document what this trigger means.
        needs = "params error: a spot triggerPrice needs orderFilter StopOrder or tpslOrder"
        yield request.order_filter == "Order", needs
        named = request.trigger_direction or request.trigger_by
        yield named, "params error: triggerDirection and triggerBy are not valid for spot"
    else:
        direction = "params error: TriggerDirection invalid, it must be 1 or 2"
        yield request.trigger_direction not in (1, 2), direction
    stops = request.take_profit or request.stop_loss
    if spot:
        reduces = request.reduce_only or request.close_on_trigger
        yield reduces, "params error: reduceOnly is not supported for spot"
        yield request.position_idx, "params error: positionIdx is not supported for spot"
        if not stops:
            return
        yield market, "params error: a spot market order takes no TP/SL"
        extra = request.tpsl_mode or request.tp_trigger_by or request.sl_trigger_by
        yield extra, "params error: tpslMode and tp/slTriggerBy are not for spot"
    else:
        yield request.is_leverage, "params error: isLeverage is valid for spot only"
        both = "take profit and stop loss cannot be set when reduceOnly"
        yield request.reduce_only and stops, both
    for what, value, by in (
        ("takeProfit", request.take_profit, request.tp_trigger_by),
        ("stopLoss", request.stop_loss, request.sl_trigger_by),
    ):
        yield by and not value, f"params error: a trigger type without {what}"
    mode = "Partial" if spot else request.tpsl_mode or "Full"
    yield from _wrong_limits(request, mode)


def _wrong_limits(
    request: OrderRequest | TradingStopRequest, mode: str
) -> Iterator[tuple[object, str]]:
    for what, kind, limit in (
        ("tp", request.tp_order_type, request.tp_limit_price),
        ("sl", request.sl_order_type, request.sl_limit_price),
    ):
        limited = kind == "Limit"
        needs = f"params error: {what}OrderType Limit needs tpslMode Partial"
        yield limited and mode != "Partial", needs
        yield limited and not limit, f"params error: {what}LimitPrice is required"
        needs = f"params error: {what}LimitPrice needs {what}OrderType Limit"
        yield not limited and limit, needs


def _refuse(parts: Iterable[tuple[object, str]]) -> None:
    for wrong, message in parts:
        if wrong:
            raise parameter(message)


def _check_slippage(request: OrderRequest) -> None:
    kind, amount = request.slippage_tolerance_type, request.slippage_tolerance
    if not kind and amount is None:
        return
    if not kind or amount is None:
        raise parameter("params error: slippageToleranceType and slippageTolerance go together")
    if request.order_type != "Market" or request.trigger_price is not None:
        raise parameter("params error: slippage tolerance is for market orders only")
    if kind == "TickSize" and (amount % 1 or not 1 <= amount <= 10_000):
        raise refusals.SLIPPAGE_TICKS()
    if kind == "Percent" and (amount % Decimal("0.01") or not Decimal("0.01") <= amount <= 10):
        raise refusals.SLIPPAGE_PERCENT()
