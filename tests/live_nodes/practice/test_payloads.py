"""Every payload held to Bybit's documented examples and to those of Nautilus's adapter."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from live_nodes.practice.exchange.model import FeeRates
from live_nodes.practice.exchange.records import (
    CoinBalance,
    ExecutionRow,
    OrderRow,
    PositionRow,
    Printed,
    TransferRow,
    WalletRow,
)
from live_nodes.practice.market.feed import Candle, FundingRate, Prices
from live_nodes.practice.wire import account_payloads as account
from live_nodes.practice.wire import market_payloads as write
from live_nodes.practice.wire import spelling
from live_nodes.practice.wire.access import KeyTerms
from tests.live_nodes.practice.payload_examples import adapter, differences, documented
from tests.live_nodes.practice.still_market import SYMBOLS

D = Decimal
NOW = 1_700_000_000_000
LEVELS = [(D("27450.50"), D("1.500")), (D("27450.00"), D("2.000"))]
PERPETUAL, _, SPOT = SYMBOLS
ORDER = OrderRow(
    account="anna", number=1, order_id="5cf98598-39a7-459e-97bf-76ca765ee020",
    order_link_id="t-reversal-a-1", category="linear", symbol="BTCUSDT", side="Buy",
    order_type="Limit", qty=D("0.010"), price=D("30000.0"), time_in_force="PostOnly", status="New",
    created_ms=NOW, updated_ms=NOW + 5, fee_coin="USDT",
)  # fmt: skip
FILL = ExecutionRow(
    account="anna", exec_id="0ab1bdf7-4219-438b-b30a-32ec863018f7", category="linear",
    symbol="BTCUSDT", side="Sell", exec_type="Trade", price=D("95900.1"), qty=D("0.5"),
    value=D("47950.05"), fee=D("26.3725275"), fee_rate=D("0.00055"), fee_coin="USDT",
    is_maker=False, time_ms=NOW, order_id="9aac161b-8ed6-450d-9cab-c5cc67c21784",
    order_type="Market", seq=7,
)  # fmt: skip
TRANSFER = TransferRow("anna", "t-1", "TRANSFER_IN", "USDT", D(50), D(150), NOW, seq=8)
POSITION = PositionRow(
    account="anna", symbol="BTCUSDT", side="Buy", size=D("0.5"), entry=D("50000"),
    mark_price=D("50500.0"), value=D("25250"), initial_margin=D("2525"),
    maintenance_margin=D("126.25"), unrealised=D("250"), liquidation_price=D("45123.456789123"),
    created_ms=NOW, updated_ms=NOW, seq=9,
)  # fmt: skip
WALLET = WalletRow(
    account="anna",
    coins=(
        CoinBalance("USDT", D("1000.5"), usd_price=D(1), order_margin=D("100.25")),
        CoinBalance("BTC", D("0.2"), locked=D("0.1"), usd_price=D(50_000)),
    ),
    equity=D("11000.5"), wallet_balance=D("11000.5"), margin_balance=D("11000.5"),
    available=D("10900.25"), initial_margin=D("100.25"),
)  # fmt: skip
CANDLE = Candle(
    start_ms=1_672_324_800_000, open=D("16649.5"), high=D("16677.0"), low=D("16608.0"),
    close=D("16677.0"), volume=D("2.081"), turnover=D("34666.4005"),
)  # fmt: skip
PRICES = Prices(
    last=D("17216.00"), mark=D("17217.33"), index=D("17227.36"), previous_24h=D("16926.50"),
    high_24h=D("17281.50"), low_24h=D("16915.00"), volume_24h=D("91705.276"),
    turnover_24h=D("1570383121.943499"), previous_1h=D("17238.00"), open_interest=D("68744.761"),
    funding_rate=D("-0.000212"), next_funding_ms=1_673_280_000_000, funding_minutes=480,
)  # fmt: skip
PRINT = Printed(("linear", "BTCUSDT"), "20f43950", "Buy", D("16578.50"), D("0.001"), NOW, 12)
CLOSED = replace(FILL, order_qty=D(3), closed_size=D(3), entry_price=D("3584.9255") / 3)


LINEAR_TICKER = (("linear", "BTCUSDT"), PRICES, LEVELS, LEVELS)
SPOT_TICKER = (("spot", "BTCUSDT"), PRICES, LEVELS, LEVELS)
ORDER_PUSHES = (
    *("", "_buy_stop_market", "_filled", "_limit_if_touched", "_market_if_touched"),
    *("_partially_filled_rejected", "_sell_market_if_touched", "_stop_limit", "_stop_loss"),
    *("_stop_market", "_take_profit"),
)


def examples_of(where: str) -> list[Any]:
    """Return examples: of a page ("docs" and its number), a private "push" or the "adapter".

    The documented orders have coins of their own in ``cumFeeDetail``.
    """
    kind, name, *number = where.split()
    if kind == "docs":
        payload = documented(name, *map(int, number))
    elif kind == "push":
        payload = documented(f"v5/websocket/private/{name}", heading="Stream")
    else:
        payload = adapter(name)
    body = payload["result"] if "result" in payload else payload["data"]
    rows = body.get("list", [body]) if isinstance(body, dict) else body
    if kind == "adapter":
        return list(rows)
    return [row | {"cumFeeDetail": {}} if "cumFeeDetail" in row else row for row in rows]


# What is written, and the examples that it agrees with.
AGREES: dict[str, tuple[Any, *tuple[str, ...]]] = {
    "perpetual": (write.instrument(PERPETUAL), "adapter http_get_instruments_linear"),
    "perpetual of a type": (
        write.instrument(PERPETUAL), "adapter http_get_instruments_linear_symbol_type",
    ),
    "spot": (
        write.instrument(SPOT), "docs v5/market/instrument 1", "adapter http_get_instruments_spot",
    ),
    "order": (
        account.order(ORDER), "docs v5/order/open-order", "docs v5/order/order-list",
        "adapter http_get_orders_realtime", "adapter http_get_orders_realtime_tp_sl",
        "adapter http_get_orders_history",
    ),
    "order push": (
        account.order_push(ORDER), "push order",
        *(f"adapter ws_account_order{kind}" for kind in ORDER_PUSHES),
    ),
    "fill": (account.execution(FILL), "docs v5/order/execution", "adapter http_get_executions"),
    "fill push": (
        account.execution_push(FILL), "push execution",
        "adapter ws_account_execution", "adapter ws_account_execution_adl",
    ),
    "fast fill push": (
        account.fast_execution_push(FILL), "push fast-execution",
        "adapter ws_account_execution_fast",
    ),
    "position": (
        account.position(POSITION), "docs v5/position/position", "adapter http_get_positions",
    ),
    "position push": (
        account.position_push(POSITION), "push position",
        "adapter ws_account_position", "adapter ws_account_position_short",
    ),
    "wallet": (
        account.wallet(WALLET), "docs v5/account/wallet-balance", "push wallet",
        "adapter http_get_wallet_balance",
    ),
    "wallet push": (
        account.wallet(WALLET),
        "adapter ws_account_wallet", "adapter ws_account_wallet_small_order",
    ),
    "closed gain": (account.closed_pnl([CLOSED]), "docs v5/position/close-pnl"),
    "transfer": (account.transferred(TRANSFER), "docs v5/account/transaction-log"),
    "coins moved": (account.coins_moved(FILL, "BTC"), "docs v5/account/transaction-log"),
    "transaction": (account.transaction(FILL, "USDT"), "docs v5/account/transaction-log"),
    "fee rate": (
        account.fee_rate("ETHUSDT", FeeRates(D("0.0001"), D("0.0006"))),
        "docs v5/account/fee-rate", "adapter http_get_fee_rate",
    ),
    "key": (
        account.api_key("anna", "practice-anna", KeyTerms(), 0),
        "docs v5/user/apikey-info", "adapter http_get_user_query_api",
    ),
    "book": (
        write.book("BTCUSDT", LEVELS, LEVELS, 3, 4, NOW),
        "docs v5/market/orderbook", "adapter http_get_orderbook",
    ),
    "linear ticker": (write.ticker(*LINEAR_TICKER), "docs v5/market/tickers"),
    "spot ticker": (write.ticker(*SPOT_TICKER), "docs v5/market/tickers 2"),
    "linear ticker push": (write.ticker_push(*LINEAR_TICKER), "adapter ws_ticker_linear"),
    "spot ticker push": (
        write.ticker_push(*SPOT_TICKER), "docs v5/websocket/public/ticker 1",
    ),
    "candle": (write.kline(CANDLE), "docs v5/market/kline", "adapter http_get_klines_linear"),
    "candle push": (
        write.kline_push(CANDLE, "5", False, NOW),
        "docs v5/websocket/public/kline", "adapter ws_kline",
    ),
    "trade": (
        write.recent_trade("BTCUSDT", PRINT),
        "docs v5/market/recent-trade", "adapter http_get_trades_recent",
    ),
    "liquidation": (
        write.liquidation(FILL), "docs v5/websocket/public/all-liquidation",
    ),
    "open interest": (write.open_interest(D("68744.761"), NOW), "docs v5/market/open-interest"),
    "trade push": (
        write.public_trade(PRINT), "docs v5/websocket/public/trade", "adapter ws_public_trade",
    ),
    "funding": (
        write.funding("ETHPERP", FundingRate(NOW, D("0.00010"))),
        "docs v5/market/history-fund-rate", "adapter http_get_funding_history",
    ),
}  # fmt: skip


LACKING = {
    # Numbers of symbols are for internal use, says the documentation.
    "perpetual of a type": "symbolId",
    "spot": "symbolId",
    # The documentation spells this name totalPerpUPL everywhere.
    "wallet push": "totalPerpUpl",
}


@pytest.mark.parametrize("name", AGREES)
def test_payloads_have_the_keys_and_types_of_the_examples(name: str) -> None:
    ours, *places = AGREES[name]
    for place in places:
        found = examples_of(place)
        assert found
        for example in found:
            assert differences(ours, example, frozenset({LACKING.get(name, "")})) == []


def test_numbers_in_payloads() -> None:
    order = account.order(ORDER)
    assert (order["price"], order["qty"], order["leavesQty"]) == ("30000.0", "0.010", "0.010")
    assert (order["leavesValue"], order["avgPrice"]) == ("300", "")
    assert account.position(POSITION)["liqPrice"] == "45123.45678912"
    usdt, btc = account.wallet(WALLET)["coin"]
    assert usdt["availableToWithdraw"] == "900.25"
    assert (btc["availableToWithdraw"], btc["usdValue"]) == ("0.1", "10000")
    assert account.closed_pnl([CLOSED])["avgEntryPrice"] == "1194.97516667"
    book = write.book("BTCUSDT", LEVELS, LEVELS, 3, 4, NOW)
    assert book["b"] == [["27450.50", "1.500"], ["27450.00", "2.000"]]
    assert write.ticker(*LINEAR_TICKER)["price24hPcnt"] == "0.017103"
    empty = write.ticker(("spot", "BTCUSDT"), PRICES, [], [])
    assert [empty[name] for name in ("bid1Price", "bid1Size", "ask1Price", "ask1Size")] == [""] * 4
    assert len(write.kline(CANDLE)) == 7
    assert write.kline_push(CANDLE, "5", False, NOW)["end"] == 1_672_325_099_999
    # Numbers are written without exponent.
    for value, text in (("0.00000012", "0.00000012"), ("1E+3", "1000"), ("5.00", "5"), ("0", "0")):
        assert spelling.plain(D(value)) == text


def test_differences_name_what_is_missing_or_of_another_type() -> None:
    example = {"a": "1", "b": [{"c": 1}], "d": True}
    assert differences(example, example) == []
    assert differences({"a": 1, "b": [{"c": 1}, {}], "d": 1}, example) != []
    assert differences({"b": []}, {"a": "1", "b": []}) == [".a: missing"]
    assert differences({"b": [{"c": "1"}]}, {"b": [{"c": 1}]}) == [
        ".b[0].c: string rather than number"
    ]
