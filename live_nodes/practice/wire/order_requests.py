"""Orders: create, amend, cancel, one by one, in batches, and all; and a position's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from live_nodes.practice.exchange.model import BybitRefusal
from live_nodes.practice.exchange.records import OrderRow
from live_nodes.practice.wire import order_bodies as validation
from live_nodes.practice.wire.order_payloads import acknowledgement
from live_nodes.practice.wire.query_fields import category, integer, text, wrong
from live_nodes.practice.wire.venue import TOO_MANY, Handler, Json, PracticeRequest, PracticeVenue

MOST_OF_A_BATCH = {"linear": 20, "spot": 10}


def create(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/order/create."""
    return acknowledgement(_create(venue, asked.account, asked.params, asked.now_ms))


def amend(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/order/amend."""
    return acknowledgement(_amend(venue, asked.account, asked.params, asked.now_ms))


def cancel(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/order/cancel."""
    return acknowledgement(_cancel(venue, asked.account, asked.params, asked.now_ms))


def cancel_all(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/order/cancel-all."""
    request = validation.cancel_all_request(asked.params)
    orders = venue.exchange.cancel_all(asked.account, request, asked.now_ms)
    return {"list": [acknowledgement(order) for order in orders], "success": "1"}


def create_batch(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/order/create-batch."""
    return _batch(venue, asked, _create, made=True)


def amend_batch(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/order/amend-batch."""
    return _batch(venue, asked, _amend)


def cancel_batch(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/order/cancel-batch."""
    return _batch(venue, asked, _cancel)


def set_leverage(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/position/set-leverage; one-way mode wants one leverage for both sides."""
    text(asked.params, "category", ("linear",))
    buy, sell = (_decimal(asked.params, name) for name in ("buyLeverage", "sellLeverage"))
    if buy != sell:
        raise wrong("buyLeverage", "must equal sellLeverage in one-way mode")
    symbol = text(asked.params, "symbol")
    venue.exchange.set_leverage(asked.account, symbol, buy, asked.now_ms)
    return {}


def switch_mode(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/position/switch-mode."""
    params = asked.params
    text(params, "category", ("linear",))
    symbol, coin = str(params.get("symbol") or ""), str(params.get("coin") or "")
    if not symbol and not coin:
        raise wrong("symbol", "or coin must be given")
    mode = integer(params, "mode")
    if mode is None:
        raise wrong("mode", "is missing")
    venue.exchange.switch_mode(asked.account, symbol, coin, mode, asked.now_ms)
    return {}


def set_margin_mode(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/account/set-margin-mode."""
    mode = text(asked.params, "setMarginMode")
    venue.exchange.set_margin_mode(asked.account, mode, asked.now_ms)
    return {"reasons": []}


def trading_stop(venue: PracticeVenue, asked: PracticeRequest) -> Json:
    """POST /v5/position/trading-stop."""
    request = validation.trading_stop_request(asked.params)
    venue.exchange.trading_stop(asked.account, request, asked.now_ms)
    return {}


HANDLERS: Mapping[str, Handler] = {
    "/v5/order/create": create,
    "/v5/order/amend": amend,
    "/v5/order/cancel": cancel,
    "/v5/order/cancel-all": cancel_all,
    "/v5/order/create-batch": create_batch,
    "/v5/order/amend-batch": amend_batch,
    "/v5/order/cancel-batch": cancel_batch,
    "/v5/position/set-leverage": set_leverage,
    "/v5/position/switch-mode": switch_mode,
    "/v5/position/trading-stop": trading_stop,
    "/v5/account/set-margin-mode": set_margin_mode,
}


def _create(venue: PracticeVenue, account: str, body: Mapping[str, Any], now_ms: int) -> OrderRow:
    return venue.exchange.create(account, validation.order_request(body), now_ms)


def _amend(venue: PracticeVenue, account: str, body: Mapping[str, Any], now_ms: int) -> OrderRow:
    return venue.exchange.amend(account, validation.amend_request(body), now_ms)


def _cancel(venue: PracticeVenue, account: str, body: Mapping[str, Any], now_ms: int) -> OrderRow:
    return venue.exchange.cancel(account, validation.cancel_request(body), now_ms)


def _batch(
    venue: PracticeVenue,
    asked: PracticeRequest,
    one: Callable[[PracticeVenue, str, Mapping[str, Any], int], OrderRow],
    made: bool = False,
) -> Json:
    product = category(asked.params)
    requests = asked.params.get("request")
    most = MOST_OF_A_BATCH[product]
    if not isinstance(requests, list) or not 0 < len(requests) <= most:
        raise wrong("request", f"must be a list of 1 to {most} orders")
    if not all(isinstance(body, dict) for body in requests):
        raise wrong("request", "must be a list of objects")
    rows: list[Json] = []
    outcomes: list[Json] = []
    for number, body in enumerate(requests):
        row = {
            "category": product,
            "symbol": str(body.get("symbol", "")),
            "orderId": str(body.get("orderId", "")),
            "orderLinkId": str(body.get("orderLinkId", "")),
        }
        code, message = 0, "OK"
        try:
            if number >= asked.granted:
                raise BybitRefusal(*TOO_MANY)
            order = one(venue, asked.account, body | {"category": product}, asked.now_ms)
            row |= acknowledgement(order)
        except BybitRefusal as refusal:
            code, message = refusal.code, refusal.message
        if made:
            row["createAt"] = "" if code else str(asked.now_ms)
        rows.append(row)
        outcomes.append({"code": code, "msg": message})
    return {"list": rows, "retExtInfo": {"list": outcomes}}


def _decimal(params: Mapping[str, Any], name: str) -> Decimal:
    value = text(params, name)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise wrong(name, f"must be a number, was {value!r:.40}") from None
    if not number.is_finite():
        raise wrong(name, f"must be a number, was {value!r:.40}")
    return number
