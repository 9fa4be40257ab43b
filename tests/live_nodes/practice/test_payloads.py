"""Every payload held to Bybit's documented examples and to those of Nautilus's adapter."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from live_nodes.practice.exchange.model import FeeRates, PracticeSymbol
from live_nodes.practice.exchange.records import (
    ClosedPnl,
    CoinBalance,
    ExecutionRow,
    OrderRow,
    PositionRow,
    Printed,
    WalletRow,
)
from live_nodes.practice.market.feed import Candle, FundingRate, Prices
from live_nodes.practice.wire import account_payloads, market_payloads, spelling
from live_nodes.practice.wire import order_payloads as payloads
from tests.live_nodes.practice.payload_examples import adapter, differences, documented

D = Decimal
NOW = 1_700_000_000_000
LEVELS = [(D("27450.50"), D("1.500")), (D("27450.00"), D("2.000"))]
PERPETUAL = PracticeSymbol(
    category="linear",
    name="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick=D("0.10"),
    lot=D("0.001"),
    min_qty=D("0.001"),
    max_qty=D("1190"),
    max_market_qty=D("500"),
    min_notional=D("5"),
)
SPOT = PracticeSymbol(
    category="spot",
    name="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick=D("0.1"),
    lot=D("0.000001"),
    min_qty=D("0.000011"),
    max_qty=D("83"),
    max_market_qty=D("41.5"),
    min_notional=D("5"),
    funding_minutes=0,
)
ORDER = OrderRow(
    account="anna",
    number=1,
    order_id="5cf98598-39a7-459e-97bf-76ca765ee020",
    order_link_id="t-reversal-a-1",
    category="linear",
    symbol="BTCUSDT",
    side="Buy",
    order_type="Limit",
    qty=D("0.010"),
    price=D("30000.0"),
    time_in_force="PostOnly",
    status="New",
    created_ms=NOW,
    updated_ms=NOW + 5,
    fee_coin="USDT",
)
FILL = ExecutionRow(
    account="anna",
    exec_id="0ab1bdf7-4219-438b-b30a-32ec863018f7",
    category="linear",
    symbol="BTCUSDT",
    side="Sell",
    exec_type="Trade",
    price=D("95900.1"),
    qty=D("0.5"),
    value=D("47950.05"),
    fee=D("26.3725275"),
    fee_rate=D("0.00055"),
    fee_coin="USDT",
    is_maker=False,
    time_ms=NOW,
    order_id="9aac161b-8ed6-450d-9cab-c5cc67c21784",
    order_type="Market",
    seq=7,
)
POSITION = PositionRow(
    account="anna",
    symbol="BTCUSDT",
    side="Buy",
    size=D("0.5"),
    entry=D("50000"),
    mark_price=D("50500.0"),
    value=D("25250"),
    initial_margin=D("2525"),
    maintenance_margin=D("126.25"),
    unrealised=D("250"),
    liquidation_price=D("45123.456789123"),
    created_ms=NOW,
    updated_ms=NOW,
    seq=9,
)
WALLET = WalletRow(
    account="anna",
    margin_mode="REGULAR_MARGIN",
    coins=(
        CoinBalance("USDT", D("1000.5"), usd_price=D(1), order_margin=D("100.25")),
        CoinBalance("BTC", D("0.2"), locked=D("0.1"), usd_price=D(50_000)),
    ),
    equity=D("11000.5"),
    wallet_balance=D("11000.5"),
    margin_balance=D("11000.5"),
    available=D("10900.25"),
    initial_margin=D("100.25"),
)
CANDLE = Candle(
    start_ms=1_672_324_800_000,
    open=D("16649.5"),
    high=D("16677.0"),
    low=D("16608.0"),
    close=D("16677.0"),
    volume=D("2.081"),
    turnover=D("34666.4005"),
)
PRICES = Prices(
    last=D("17216.00"),
    mark=D("17217.33"),
    index=D("17227.36"),
    previous_24h=D("16926.50"),
    high_24h=D("17281.50"),
    low_24h=D("16915.00"),
    volume_24h=D("91705.276"),
    turnover_24h=D("1570383121.943499"),
    previous_1h=D("17238.00"),
    open_interest=D("68744.761"),
    funding_rate=D("-0.000212"),
    next_funding_ms=1_673_280_000_000,
    funding_minutes=480,
)
PRINT = Printed(("linear", "BTCUSDT"), "20f43950", "Buy", D("16578.50"), D("0.001"), NOW, 12)
CLOSED = ClosedPnl(
    account="anna",
    symbol="ETHPERP",
    order_id="5a373bfe",
    side="Sell",
    order_type="Market",
    order_price=D("1122.95"),
    qty=D(3),
    closed_size=D(3),
    entry_value=D("3584.9255"),
    exit_value=D("3541.795"),
    pnl=D("-47.4065323"),
    fill_count=4,
    leverage=D(3),
    exec_type="Trade",
    created_ms=NOW,
    updated_ms=NOW,
)


def _agrees(ours: Any, *examples: Any, lacking: frozenset[str] = frozenset()) -> None:
    for example in examples:
        assert differences(ours, example, lacking) == []


def test_a_perpetual_is_told_as_the_adapter_reads_it() -> None:
    _agrees(
        market_payloads.instrument(PERPETUAL),
        adapter("http_get_instruments_linear")["result"]["list"][0],
        # Numbers of symbols are for internal use, says the documentation.
        adapter("http_get_instruments_linear_symbol_type")["result"]["list"][0]
        | {"symbolId": None},
        lacking=frozenset({"symbolId"}),
    )


def test_a_spot_pair_is_told_as_documented() -> None:
    _agrees(
        market_payloads.instrument(SPOT),
        documented("v5/market/instrument", 1)["result"]["list"][0],
        adapter("http_get_instruments_spot")["result"]["list"][0],
        lacking=frozenset({"symbolId"}),
    )


def test_orders_are_told_as_documented() -> None:
    ours = payloads.order(ORDER)
    _agrees(
        ours,
        documented("v5/order/open-order")["result"]["list"][0] | {"cumFeeDetail": {}},
        documented("v5/order/order-list")["result"]["list"][0] | {"cumFeeDetail": {}},
        *adapter("http_get_orders_realtime")["result"]["list"],
        *adapter("http_get_orders_realtime_tp_sl")["result"]["list"],
        *adapter("http_get_orders_history")["result"]["list"],
    )
    assert (ours["price"], ours["qty"], ours["leavesQty"]) == ("30000.0", "0.010", "0.010")
    assert (ours["leavesValue"], ours["avgPrice"]) == ("300", "")


ORDER_PUSHES = [
    "ws_account_order",
    "ws_account_order_buy_stop_market",
    "ws_account_order_filled",
    "ws_account_order_limit_if_touched",
    "ws_account_order_market_if_touched",
    "ws_account_order_partially_filled_rejected",
    "ws_account_order_sell_market_if_touched",
    "ws_account_order_stop_limit",
    "ws_account_order_stop_loss",
    "ws_account_order_stop_market",
    "ws_account_order_take_profit",
]


@pytest.mark.parametrize("name", ORDER_PUSHES)
def test_order_pushes_have_what_the_adapter_reads(name: str) -> None:
    _agrees(payloads.order_push(ORDER), *adapter(name)["data"])


def test_order_pushes_are_as_documented() -> None:
    example = documented("v5/websocket/private/order", heading="Stream")["data"][0]
    _agrees(payloads.order_push(ORDER), example | {"cumFeeDetail": {}})


def test_fills_are_told_as_documented() -> None:
    _agrees(
        payloads.execution(FILL),
        documented("v5/order/execution")["result"]["list"][0],
        *adapter("http_get_executions")["result"]["list"],
    )


def test_fill_pushes_are_as_documented() -> None:
    _agrees(
        payloads.execution_push(FILL),
        documented("v5/websocket/private/execution", heading="Stream")["data"][0],
        *adapter("ws_account_execution")["data"],
        *adapter("ws_account_execution_adl")["data"],
    )
    _agrees(
        payloads.fast_execution_push(FILL),
        documented("v5/websocket/private/fast-execution", heading="Stream")["data"][0],
        *adapter("ws_account_execution_fast")["data"],
    )


def test_positions_are_told_as_documented() -> None:
    _agrees(
        account_payloads.position(POSITION),
        documented("v5/position/position")["result"]["list"][0],
        *adapter("http_get_positions")["result"]["list"],
    )
    assert account_payloads.position(POSITION)["liqPrice"] == "45123.45678912"


def test_position_pushes_are_as_documented() -> None:
    _agrees(
        account_payloads.position_push(POSITION),
        documented("v5/websocket/private/position", heading="Stream")["data"][0],
        *adapter("ws_account_position")["data"],
        *adapter("ws_account_position_short")["data"],
    )


def test_wallets_are_told_as_documented() -> None:
    ours = account_payloads.wallet(WALLET)
    _agrees(
        ours,
        documented("v5/account/wallet-balance")["result"]["list"][0],
        documented("v5/websocket/private/wallet", heading="Stream")["data"][0],
        *adapter("http_get_wallet_balance")["result"]["list"],
    )
    _agrees(
        ours,
        # The documentation spells this name totalPerpUPL everywhere.
        *adapter("ws_account_wallet")["data"],
        *adapter("ws_account_wallet_small_order")["data"],
        lacking=frozenset({"totalPerpUpl"}),
    )
    usdt, btc = ours["coin"]
    assert usdt["availableToWithdraw"] == "900.25"
    assert (btc["availableToWithdraw"], btc["usdValue"]) == ("0.1", "10000")


def test_closed_gains_and_the_log_are_told_as_documented() -> None:
    closed = account_payloads.closed_pnl(CLOSED)
    _agrees(closed, documented("v5/position/close-pnl")["result"]["list"][0])
    assert closed["avgEntryPrice"] == "1194.97516667"
    for example in documented("v5/account/transaction-log")["result"]["list"]:
        _agrees(account_payloads.transaction(FILL, "USDT"), example)


def test_fees_and_the_key_are_told_as_documented() -> None:
    _agrees(
        account_payloads.fee_rate("ETHUSDT", FeeRates(D("0.0001"), D("0.0006"))),
        documented("v5/account/fee-rate")["result"]["list"][0],
        *adapter("http_get_fee_rate")["result"]["list"],
    )
    _agrees(
        account_payloads.api_key("anna", "practice-anna"),
        documented("v5/user/apikey-info")["result"],
        adapter("http_get_user_query_api")["result"],
    )


def test_books_are_told_as_documented() -> None:
    ours = market_payloads.book("BTCUSDT", LEVELS, LEVELS, 3, 4, NOW)
    _agrees(
        ours,
        documented("v5/market/orderbook")["result"],
        adapter("http_get_orderbook")["result"],
    )
    assert ours["b"] == [["27450.50", "1.500"], ["27450.00", "2.000"]]


def test_tickers_are_told_as_documented() -> None:
    linear = (("linear", "BTCUSDT"), PRICES, LEVELS, LEVELS)
    spot = (("spot", "BTCUSDT"), PRICES, LEVELS, LEVELS)
    _agrees(
        market_payloads.ticker(*linear), documented("v5/market/tickers", 0)["result"]["list"][0]
    )
    _agrees(market_payloads.ticker(*spot), documented("v5/market/tickers", 2)["result"]["list"][0])
    _agrees(market_payloads.ticker_push(*linear), adapter("ws_ticker_linear")["data"])
    _agrees(market_payloads.ticker_push(*spot), documented("v5/websocket/public/ticker", 1)["data"])
    assert market_payloads.ticker(*linear)["price24hPcnt"] == "0.017103"


def test_an_empty_book_has_an_empty_touch() -> None:
    told = market_payloads.ticker(("spot", "BTCUSDT"), PRICES, [], [])
    assert [told[name] for name in ("bid1Price", "bid1Size", "ask1Price", "ask1Size")] == [""] * 4


def test_candles_are_told_as_documented() -> None:
    _agrees(
        market_payloads.kline(CANDLE),
        documented("v5/market/kline")["result"]["list"][0],
        adapter("http_get_klines_linear")["result"]["list"][0],
    )
    assert len(market_payloads.kline(CANDLE)) == 7
    assert market_payloads.price_kline(CANDLE) == market_payloads.kline(CANDLE)[:5]
    assert len(documented("v5/market/mark-kline")["result"]["list"][0]) == 5
    _agrees(
        market_payloads.kline_push(CANDLE, "5", False, NOW),
        documented("v5/websocket/public/kline")["data"][0],
        adapter("ws_kline")["data"][0],
    )
    assert market_payloads.kline_push(CANDLE, "5", False, NOW)["end"] == 1_672_325_099_999


def test_trades_and_funding_are_told_as_documented() -> None:
    _agrees(
        market_payloads.recent_trade("BTCUSDT", PRINT),
        documented("v5/market/recent-trade")["result"]["list"][0],
        adapter("http_get_trades_recent")["result"]["list"][0],
    )
    _agrees(
        market_payloads.public_trade(PRINT),
        documented("v5/websocket/public/trade")["data"][0],
        adapter("ws_public_trade")["data"][0],
    )
    _agrees(
        market_payloads.funding("ETHPERP", FundingRate(NOW, D("0.00010"))),
        documented("v5/market/history-fund-rate")["result"]["list"][0],
        *adapter("http_get_funding_history")["result"]["list"],
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.00000012", "0.00000012"), ("1E+3", "1000"), ("5.00", "5"), ("0", "0"), ("10", "10")],
)
def test_numbers_are_written_without_exponent(value: str, text: str) -> None:
    assert spelling.plain(D(value)) == text


def test_differences_name_what_is_missing_or_of_another_type() -> None:
    example = {"a": "1", "b": [{"c": 1}], "d": True}
    assert differences(example, example) == []
    assert differences({"a": 1, "b": [{"c": 1}, {}], "d": 1}, example) != []
    assert differences({"b": []}, {"a": "1", "b": []}) == [".a: missing"]
    assert differences({"b": [{"c": "1"}]}, {"b": [{"c": 1}]}) == [
        ".b[0].c: string rather than number"
    ]
