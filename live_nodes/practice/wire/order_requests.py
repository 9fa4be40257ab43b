"""REST requests for orders (single, batch, cancel all) and for a position's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from live_nodes.practice.exchange import refusals, requests
from live_nodes.practice.exchange.model import BybitRefusal
from live_nodes.practice.exchange.records import OrderRow
from live_nodes.practice.wire.account_payloads import acknowledgement
from live_nodes.practice.wire.market_payloads import RISK_LIMIT
from live_nodes.practice.wire.query_fields import category, integer, text, wrong
from live_nodes.practice.wire.venue import TOO_MANY, Handler, Json, PracticeRequest, PracticeVenue

MOST_OF_A_BATCH = {"linear": 20, "spot": 10}
ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "create": requests.order_request,
    "amend": requests.amend_request,
    "cancel": requests.cancel_request,
}
"""Reader of each body; the exchange's method has the same name."""


def _act(
    action: str, venue: PracticeVenue, request: PracticeRequest, body: Mapping[str, Any]
) -> Json:
    do: Callable[..., OrderRow] = getattr(venue.exchange, action)
    return acknowledgement(do(request.account, ACTIONS[action](body), request.now_ms))


def _one(action: str, venue: PracticeVenue, request: PracticeRequest) -> Json:
    return _act(action, venue, request, request.params)


def _batch(action: str, venue: PracticeVenue, request: PracticeRequest) -> Json:
    product = category(request.params)
    bodies = request.params.get("request")
    most = MOST_OF_A_BATCH[product]
    if not isinstance(bodies, list) or not 0 < len(bodies) <= most:
        raise wrong("request", f"must be a list of 1 to {most} orders")
    if not all(isinstance(body, dict) for body in bodies):
        raise wrong("request", "must be a list of objects")
    rows: list[Json] = []
    outcomes: list[Json] = []
    for number, body in enumerate(bodies):
        row = {"category": product} | {
            name: str(body.get(name, "")) for name in ("symbol", "orderId", "orderLinkId")
        }
        code, message = 0, "OK"
        try:
            if number >= request.granted:
                raise BybitRefusal(*TOO_MANY)
            row |= _act(action, venue, request, body | {"category": product})
        except BybitRefusal as refusal:
            code, message = refusal.code, refusal.message
        if action == "create":
            row["createAt"] = "" if code else str(request.now_ms)
        rows.append(row)
        outcomes.append({"code": code, "msg": message})
    return {"list": rows, "retExtInfo": {"list": outcomes}}


def cancel_all(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """POST /v5/order/cancel-all."""
    chosen = requests.cancel_all_request(request.params)
    orders = venue.exchange.cancel_all(request.account, chosen, request.now_ms)
    return {"list": [acknowledgement(order) for order in orders], "success": "1"}


def set_leverage(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """POST /v5/position/set-leverage; one-way mode needs one leverage for both sides."""
    params = request.params
    text(params, "category", ("linear",))
    buy, sell = (_decimal(params, name) for name in ("buyLeverage", "sellLeverage"))
    if buy != sell:
        raise wrong("buyLeverage", "must equal sellLeverage in one-way mode")
    symbol = text(params, "symbol")
    venue.exchange.set_leverage(request.account, symbol, buy, request.now_ms)
    return {}


def switch_mode(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """POST /v5/position/switch-mode."""
    params = request.params
    text(params, "category", ("linear",))
    symbol = str(params.get("symbol") or "")
    if not symbol and not params.get("coin"):
        raise wrong("symbol", "or coin must be given")
    mode = integer(params, "mode")
    if mode is None:
        raise wrong("mode", "is missing")
    venue.exchange.switch_mode(request.account, symbol, mode, request.now_ms)
    return {}


def set_margin_mode(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """POST /v5/account/set-margin-mode."""
    mode = text(request.params, "setMarginMode")
    venue.exchange.set_margin_mode(request.account, mode, request.now_ms)
    return {"reasons": []}


def switch_isolated(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """POST /v5/position/switch-isolated: unified accounts set the margin mode of the account."""
    raise refusals.NOT_FOR_UNIFIED()


def set_risk_limit(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """POST /v5/position/set-risk-limit; Bybit chooses the tier itself, and there is one here."""
    text(request.params, "category", ("linear",))
    venue.exchange.symbol(("linear", text(request.params, "symbol")))
    if integer(request.params, "riskId") != 1:
        raise wrong("riskId", "must be 1, the only one of each symbol here")
    return {"category": "linear", "riskId": 1, "riskLimitValue": RISK_LIMIT}


def trading_stop(venue: PracticeVenue, request: PracticeRequest) -> Json:
    """POST /v5/position/trading-stop."""
    wanted = requests.trading_stop_request(request.params)
    venue.exchange.trading_stop(request.account, wanted, request.now_ms)
    return {}


HANDLERS: Mapping[str, Handler] = {
    **{f"/v5/order/{action}": partial(_one, action) for action in ACTIONS},
    **{f"/v5/order/{action}-batch": partial(_batch, action) for action in ACTIONS},
    "/v5/order/cancel-all": cancel_all,
    "/v5/position/set-leverage": set_leverage,
    "/v5/position/switch-mode": switch_mode,
    "/v5/position/switch-isolated": switch_isolated,
    "/v5/position/set-risk-limit": set_risk_limit,
    "/v5/position/trading-stop": trading_stop,
    "/v5/account/set-margin-mode": set_margin_mode,
}


def _decimal(params: Mapping[str, Any], name: str) -> Decimal:
    value = text(params, name)
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise wrong(name, f"must be a number, was {value!r:.40}")
    return number
