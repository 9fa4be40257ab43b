from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from live_nodes.practice.exchange.requests import (
    OrderRequest,
    amend_request,
    cancel_all_request,
    cancel_request,
    order_request,
    trading_stop_request,
)
from tests.live_nodes.practice.pure import refused as refusal_of

LIMIT: dict[str, Any] = {
    "category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit",
    "qty": "0.01", "price": "50000",
}  # fmt: skip
MARKET = {k: v for k, v in LIMIT.items() if k != "price"} | {"orderType": "Market"}
SPOT = LIMIT | {"category": "spot"}
SPOT_MARKET = MARKET | {"category": "spot"}
STOP = MARKET | {"triggerPrice": "49000", "triggerDirection": 2}
PROFIT = LIMIT | {"takeProfit": "51000"}
CONDITIONAL = SPOT | {"triggerPrice": "1"}


def changed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a body with fields changed, or left out where the value is None."""
    return {k: v for k, v in (body | changes).items() if v is not None}


def test_a_limit_order_as_nautilus_sends_it() -> None:
    body = LIMIT | {"timeInForce": "PostOnly", "orderLinkId": "bt-xs-abc-1", "reduceOnly": True}
    assert order_request(body) == OrderRequest(
        "linear", "BTCUSDT", "Buy", "Limit", D("0.01"), "PostOnly", "bt-xs-abc-1",
        price=D(50000), reduce_only=True,
    )  # fmt: skip


def test_a_market_order_is_ioc_and_has_no_price() -> None:
    for ignored in ("", "0", "50000"):
        got = order_request(MARKET | {"price": ignored, "timeInForce": "GTC"})
        assert (got.time_in_force, got.price) == ("IOC", None)


def test_a_bracket_s_stop_as_nautilus_sends_it() -> None:
    got = order_request(STOP | {"reduceOnly": True, "triggerBy": "MarkPrice"})
    assert (got.trigger_price, got.trigger_direction, got.trigger_by) == (D(49000), 2, "MarkPrice")


@pytest.mark.parametrize(("side", "unit"), [("Buy", "quoteCoin"), ("Sell", "baseCoin")])
def test_a_spot_market_order_buys_by_value_and_sells_by_quantity(side: str, unit: str) -> None:
    assert order_request(SPOT_MARKET | {"side": side}).market_unit == unit


@pytest.mark.parametrize(
    ("body", "field", "values"),
    [
        # Values of a field (None: left out) that are refused by its name.
        (LIMIT, "category", [None, "inverse", "option"]),
        (LIMIT, "symbol", [None, "btcusdt"]),
        (LIMIT, "side", ["buy"]),
        (LIMIT, "orderType", ["Stop"]),
        (LIMIT, "qty", [None, "-1", "NaN", "1e99", True, ["1"]]),
        (LIMIT, "price", [None, "0"]),
        (LIMIT, "timeInForce", ["GTD"]),
        (LIMIT, "orderLinkId", [7]),
        (LIMIT, "reduceOnly", ["true"]),
        (LIMIT, "positionIdx", [3]),
        (LIMIT, "isLeverage", [1]),
        (LIMIT, "smpType", ["CancelMaker"]),
        (LIMIT, "mmp", [True]),
        (STOP, "triggerDirection", [3]),
        (STOP, "triggerBy", ["Last"]),
        (LIMIT, "triggerDirection", [1]),
        (PROFIT, "reduceOnly", [True]),
        (PROFIT, "tpslMode", ["Half"]),
        (SPOT, "reduceOnly", [True]),
        (SPOT, "positionIdx", [1]),
        (SPOT | {"takeProfit": "51000"}, "tpslMode", ["Full"]),
        (CONDITIONAL | {"orderFilter": "StopOrder"}, "triggerDirection", [1]),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(
    body: dict[str, Any], field: str, values: list[Any]
) -> None:
    for value in values:
        refused = refusal_of(order_request, changed(body, **{field: value}))
        assert (refused.code, field in refused.message) == (10001, True), value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (LIMIT | {"qty": "0"}, "Qty"),
        (MARKET | {"qty": "0", "reduceOnly": True}, "Qty"),
        (MARKET | {"timeInForce": "PostOnly"}, "PostOnly"),
        (LIMIT | {"orderLinkId": "x" * 37}, "36"),
        (LIMIT | {"orderLinkId": "a b"}, "OrderLinkId"),
        (LIMIT | {"orderLinkId": "größe"}, "OrderLinkId"),
        (changed(STOP, triggerDirection=None), "TriggerDirection"),
        (LIMIT | {"tpTriggerBy": "MarkPrice"}, "takeProfit"),
        (PROFIT | {"tpOrderType": "Limit", "tpLimitPrice": "5"}, "Partial"),
        (PROFIT | {"tpslMode": "Partial", "tpOrderType": "Limit"}, "tpLimitPrice"),
        (LIMIT | {"stopLoss": "1", "tpslMode": "Partial", "slLimitPrice": "1"}, "slOrderType"),
        (LIMIT | {"slippageToleranceType": "Percent", "slippageTolerance": "1"}, "slippage"),
        (MARKET | {"slippageTolerance": "1"}, "slippage"),
        (SPOT | {"closeOnTrigger": True}, "reduceOnly"),
        (CONDITIONAL, "orderFilter"),
        (SPOT | {"orderFilter": "StopOrder"}, "triggerPrice"),
        (SPOT_MARKET | {"takeProfit": "51000"}, "TP/SL"),
    ],
)
def test_fields_that_do_not_fit_together_are_refused_by_name(
    body: dict[str, Any], words: str
) -> None:
    refused = refusal_of(order_request, body)
    assert (refused.code, words in refused.message) == (10001, True)


@pytest.mark.parametrize(
    ("kind", "amount", "code"),
    [
        ("TickSize", "0.5", 110108),
        ("TickSize", "10001", 110108),
        ("Percent", "10.01", 110109),
        ("Percent", "0.015", 110109),
    ],
)
def test_slippage_has_codes_of_its_own(kind: str, amount: str, code: int) -> None:
    body = MARKET | {"slippageToleranceType": kind, "slippageTolerance": amount}
    assert refusal_of(order_request, body).code == code


def test_the_longest_link_id_no_quantity_and_undocumented_fields_pass() -> None:
    assert order_request(LIMIT | {"orderLinkId": "a" * 36}).order_link_id == "a" * 36
    body = MARKET | {"qty": "0", "reduceOnly": True, "closeOnTrigger": True}
    assert order_request(body).qty == 0
    assert order_request(LIMIT | {"referer": "x"}).symbol == "BTCUSDT"


FULL = {"category": "linear", "symbol": "BTCUSDT", "tpslMode": "Full", "positionIdx": 0}
IDS = {"category": "linear", "symbol": "BTCUSDT", "orderId": "o"}


def test_an_amendment_distinguishes_left_out_from_zero() -> None:
    got = amend_request(IDS | {"price": "1", "takeProfit": "0"})
    assert (got.price, got.qty, got.take_profit, got.stop_loss) == (1, None, 0, None)


@pytest.mark.parametrize(
    ("call", "body", "words"),
    [
        (amend_request, changed(IDS, orderId=None), "orderLinkId"),
        (amend_request, changed(IDS, qty="0"), "qty"),
        (amend_request, changed(IDS, price="x"), "price"),
        (cancel_request, changed(IDS, orderId=None), "orderLinkId"),
        (cancel_request, changed(IDS, category=None), "category"),
        (cancel_all_request, {"category": "linear"}, "settleCoin"),
        (cancel_all_request, {"category": "spot", "settleCoin": "USDT"}, "settleCoin"),
        (cancel_all_request, {"category": "linear", "symbol": "x"}, "symbol"),
        (cancel_all_request, IDS | {"orderFilter": "All"}, "orderFilter"),
        (trading_stop_request, {"category": "spot", "symbol": "BTCUSDT"}, "category"),
        (trading_stop_request, FULL | {"positionIdx": 1}, "position"),
        (trading_stop_request, FULL | {"trailingStop": "-5"}, "trailingStop"),
        (trading_stop_request, FULL | {"tpSize": "5"}, "tpSize"),
    ],
)  # fmt: skip
def test_the_other_requests_name_what_is_wrong_too(call: Any, body: Any, words: str) -> None:
    refused = refusal_of(call, body)
    assert (refused.code, words in refused.message) == (10001, True)
