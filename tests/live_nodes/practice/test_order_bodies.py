from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_nodes.practice.exchange.model import BybitRefusal, OrderRequest
from live_nodes.practice.wire.order_bodies import (
    amend_request,
    cancel_all_request,
    cancel_request,
    order_request,
    trading_stop_request,
)

LIMIT = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.01",
    "price": "50000",
}
MARKET = {k: v for k, v in LIMIT.items() if k != "price"} | {"orderType": "Market"}
SPOT = LIMIT | {"category": "spot"}
STOP = MARKET | {"triggerPrice": "49000", "triggerDirection": 2}


def changed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a body with fields changed, or left out where the value is None."""
    return {k: v for k, v in (body | changes).items() if v is not None}


def test_a_limit_order_as_nautilus_sends_it() -> None:
    body = LIMIT | {"timeInForce": "PostOnly", "orderLinkId": "bt-xs-abc-1", "reduceOnly": True}
    assert order_request(body) == OrderRequest(
        "linear", "BTCUSDT", "Buy", "Limit", D("0.01"), D(50000), "PostOnly", "bt-xs-abc-1",
        reduce_only=True,
    )  # fmt: skip


def test_a_market_order_is_ioc_and_has_no_price() -> None:
    got = order_request(MARKET | {"price": "", "timeInForce": "GTC"})
    assert (got.time_in_force, got.price) == ("IOC", None)


def test_a_bracket_s_stop_as_nautilus_sends_it() -> None:
    got = order_request(STOP | {"reduceOnly": True, "triggerBy": "MarkPrice"})
    assert (got.trigger_price, got.trigger_direction, got.trigger_by) == (D(49000), 2, "MarkPrice")


@pytest.mark.parametrize(("side", "unit"), [("Buy", "quoteCoin"), ("Sell", "baseCoin")])
def test_a_spot_market_order_buys_by_value_and_sells_by_quantity(side: str, unit: str) -> None:
    assert order_request(MARKET | {"category": "spot", "side": side}).market_unit == unit


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (changed(LIMIT, category=None), "category"),
        (changed(LIMIT, category="inverse"), "category"),
        (changed(LIMIT, category="option"), "category"),
        (changed(LIMIT, symbol=None), "symbol"),
        (changed(LIMIT, symbol="btcusdt"), "symbol"),
        (changed(LIMIT, side="buy"), "side"),
        (changed(LIMIT, orderType="Stop"), "orderType"),
        (changed(LIMIT, qty=None), "qty"),
        (changed(LIMIT, qty="-1"), "qty"),
        (changed(LIMIT, qty="NaN"), "qty"),
        (changed(LIMIT, qty="1e99"), "qty"),
        (changed(LIMIT, qty="0"), "Qty"),
        (changed(LIMIT, qty=True), "qty"),
        (changed(LIMIT, qty=["1"]), "qty"),
        (changed(LIMIT, price=None), "price"),
        (changed(LIMIT, price="0"), "price"),
        (changed(MARKET, price="50000"), "price"),
        (changed(MARKET, timeInForce="PostOnly"), "PostOnly"),
        (changed(LIMIT, timeInForce="GTD"), "timeInForce"),
        (changed(LIMIT, orderLinkId="x" * 37), "36"),
        (changed(LIMIT, orderLinkId="a b"), "OrderLinkId"),
        (changed(LIMIT, orderLinkId="größe"), "OrderLinkId"),
        (changed(LIMIT, orderLinkId=7), "orderLinkId"),
        (changed(LIMIT, reduceOnly="true"), "reduceOnly"),
        (changed(LIMIT, positionIdx=3), "positionIdx"),
        (changed(LIMIT, isLeverage=1), "isLeverage"),
        (changed(LIMIT, smpType="CancelMaker"), "smpType"),
        (changed(LIMIT, mmp=True), "mmp"),
        (changed(STOP, triggerDirection=None), "TriggerDirection"),
        (changed(STOP, triggerDirection=3), "triggerDirection"),
        (changed(STOP, triggerBy="Last"), "triggerBy"),
        (changed(LIMIT, triggerDirection=1), "triggerDirection"),
        (changed(LIMIT, takeProfit="51000", reduceOnly=True), "reduceOnly"),
        (changed(LIMIT, tpTriggerBy="MarkPrice"), "takeProfit"),
        (changed(LIMIT, takeProfit="51000", tpslMode="Half"), "tpslMode"),
        (changed(LIMIT, takeProfit="51000", tpOrderType="Limit", tpLimitPrice="5"), "Partial"),
        (
            changed(LIMIT, takeProfit="51000", tpslMode="Partial", tpOrderType="Limit"),
            "tpLimitPrice",
        ),
        (changed(LIMIT, stopLoss="1", tpslMode="Partial", slLimitPrice="1"), "slOrderType"),
        (changed(LIMIT, slippageToleranceType="Percent", slippageTolerance="1"), "slippage"),
        (changed(MARKET, slippageTolerance="1"), "slippage"),
        (changed(SPOT, reduceOnly=True), "reduceOnly"),
        (changed(SPOT, closeOnTrigger=True), "reduceOnly"),
        (changed(SPOT, positionIdx=1), "positionIdx"),
        (changed(SPOT, triggerPrice="1"), "orderFilter"),
        (changed(SPOT, orderFilter="StopOrder"), "triggerPrice"),
        (
            changed(SPOT, triggerPrice="1", orderFilter="StopOrder", triggerDirection=1),
            "triggerDirection",
        ),
        (changed(SPOT, takeProfit="51000", tpslMode="Full"), "tpslMode"),
        (changed(MARKET, category="spot", takeProfit="51000"), "TP/SL"),
    ],
)
def test_what_bybit_s_documentation_does_not_allow_is_refused_by_name(
    body: dict[str, Any], field: str
) -> None:
    with pytest.raises(BybitRefusal) as refused:
        order_request(body)
    assert refused.value.code == 10001
    assert field in refused.value.message


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
    with pytest.raises(BybitRefusal) as refused:
        order_request(MARKET | {"slippageToleranceType": kind, "slippageTolerance": amount})
    assert refused.value.code == code


def test_a_link_id_of_36_characters_passes() -> None:
    assert order_request(LIMIT | {"orderLinkId": "a" * 36}).order_link_id == "a" * 36


def test_quantity_nothing_needs_reduce_only_and_close_on_trigger() -> None:
    body = changed(MARKET, qty="0", reduceOnly=True, closeOnTrigger=True)
    assert order_request(body).qty == 0
    with pytest.raises(BybitRefusal, match="Qty"):
        order_request(changed(MARKET, qty="0", reduceOnly=True))


def test_undocumented_fields_pass_as_they_do_at_bybit() -> None:
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
        (
            cancel_all_request,
            {"category": "linear", "symbol": "BTCUSDT", "orderFilter": "All"},
            "orderFilter",
        ),
        (trading_stop_request, {"category": "spot", "symbol": "BTCUSDT"}, "category"),
        (trading_stop_request, FULL | {"positionIdx": 1}, "position"),
        (trading_stop_request, FULL | {"trailingStop": "5"}, "trailingStop"),
        (trading_stop_request, FULL | {"tpSize": "5"}, "tpSize"),
    ],
)  # fmt: skip
def test_the_other_requests_name_what_is_wrong_too(call: Any, body: Any, words: str) -> None:
    with pytest.raises(BybitRefusal) as refused:
        call(body)
    assert refused.value.code == 10001
    assert words in refused.value.message


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
names = st.sampled_from(
    [*LIMIT, "timeInForce", "orderLinkId", "reduceOnly", "triggerPrice", "triggerDirection",
     "triggerBy", "takeProfit", "stopLoss", "tpslMode", "tpLimitPrice", "slippageTolerance",
     "positionIdx", "isLeverage", "orderFilter", "marketUnit", "orderId", "settleCoin"]
)  # fmt: skip


@given(
    changes=st.dictionaries(names, json, max_size=4),
    call=st.sampled_from(
        [order_request, amend_request, cancel_request, cancel_all_request, trading_stop_request]
    ),
)
def test_whatever_is_sent_is_either_typed_or_refused(changes: dict[str, Any], call: Any) -> None:
    message = "typed"
    try:
        call(LIMIT | changes)
    except BybitRefusal as refusal:
        message = refusal.message
    assert 0 < len(message) < 300
