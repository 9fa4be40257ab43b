"""Positions, wallets, funding, liquidation and delisting: worked out by hand."""

from __future__ import annotations

from decimal import Decimal as D

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec, FeeRates
from live_nodes.practice.exchange.records import ExecutionRow, OrderRow, PositionRow
from live_nodes.practice.wire.account_payloads import closed_pnl
from tests.live_nodes.practice.pure import BTC, ETH, SPOT, T0, Desk, refused, symbol

FREE = FeeRates(D(0), D(0))


def poor(usdt: int, leverage: int = 10, fees: FeeRates | None = FREE) -> Desk:
    """A desk whose only account has little money and pays no fees."""
    return Desk(AccountSpec("anna", (("USDT", D(usdt)),), leverage=D(leverage), linear_fees=fees))


def test_a_position_is_averaged_closed_and_turned_over() -> None:
    desk = poor(100_000)
    desk.order("Buy", 10)  # 10 at 101.
    desk.quote([(99, 10)], [(105, 10)])
    desk.order("Buy", 10)  # 10 at 105.
    position = desk.exchange.position("anna", "BTCUSDT")
    assert (position.side, position.size, position.entry) == ("Buy", 20, 103)
    assert position.unrealised == -60  # At the mark of 100.
    desk.quote([(110, 50)], [(111, 10)])
    desk.order("Sell", 5)  # 5 x (110 - 103).
    assert desk.usdt() == 100_035
    assert desk.exchange.position("anna", "BTCUSDT").entry == 103
    desk.order("Sell", 20)  # 15 x 7, then short 5 at 110.
    position = desk.exchange.position("anna", "BTCUSDT")
    assert (position.side, position.size, position.entry) == ("Sell", 5, 110)
    assert desk.usdt() == 100_140
    assert position.current_realised == 0 + 105
    assert position.total_realised == 140


def test_a_mean_entry_that_never_ends_loses_nothing() -> None:
    desk = poor(100_000)
    desk.quote([(99, 10)], [(100, 1), (101, 2)])
    desk.order("Buy", 3)  # 302 / 3.
    desk.quote([(100, 10)], [])
    for _ in range(3):
        desk.order("Sell", 1)
    assert desk.usdt() == 99_998  # 300 - 302, to the last digit.
    assert desk.exchange.positions("anna") == []


def test_closed_pnl_has_the_fees_of_both_ways_in_it_as_bybit_s_example_has() -> None:
    # GET /v5/position/closed-pnl's example: 3 from 1194.97516667 to 1180.59833333, fee 0.06 %:
    # -43.1305 - 0.0006 x (3584.9255 + 3541.795) = -47.4065323.
    fees = FeeRates(D("0.0006"), D("0.0006"))
    desk = Desk(AccountSpec("anna", linear_fees=fees))
    desk.mark(1200, key=ETH)
    entry, exit_ = D("3584.9255") / 3, D("3541.795") / 3
    desk.quote([], [(entry, 3)], key=ETH)
    desk.order("Buy", 3, key=ETH)
    desk.quote([(exit_, 3)], [], key=ETH)
    closing = desk.order("Sell", 3, key=ETH)
    [fills] = desk.exchange.closed_by_order("anna")
    row = closed_pnl(fills)
    assert closing.closed_pnl.quantize(D("1e-7")) == D("-47.4065323")
    assert D(row["closedPnl"]) == closing.closed_pnl
    shown = [row[name] for name in ("side", "closedSize", "fillCount", "leverage")]
    assert shown == ["Sell", "3", "1", "10"]
    values = [round(D(row[name]), 4) for name in ("cumEntryValue", "cumExitValue")]
    assert values == [D("3584.9255"), D("3541.7950")]


def test_margins_follow_the_mark_and_the_leverage() -> None:
    desk = poor(1000)
    desk.order("Buy", 10)  # At 101, mark 100: -10.
    wallet = desk.exchange.wallet("anna")
    assert (wallet.margin_balance, wallet.initial_margin, wallet.available) == (990, 100, 890)
    assert wallet.maintenance_margin == 5
    desk.mark(110)
    wallet = desk.exchange.wallet("anna")
    assert (wallet.margin_balance, wallet.initial_margin, wallet.unrealised) == (1090, 110, 90)
    desk.exchange.set_leverage("anna", "BTCUSDT", D(5), desk.tick())
    assert desk.exchange.wallet("anna").initial_margin == 220


def test_leverage_is_set_once_within_the_symbol_s_range_and_the_account_s_means() -> None:
    desk = poor(100)
    desk.order("Buy", 9)
    for leverage, code in ((10, 110043), (101, 110013), (0, 10001), (2, 110012)):
        got = refused(desk.exchange.set_leverage, "anna", "BTCUSDT", D(leverage), desk.tick())
        assert got.code == code
    desk.events()
    desk.exchange.set_leverage("anna", "BTCUSDT", D(20), desk.tick())
    reply = desk.events()
    assert isinstance(reply[0], PositionRow)
    assert reply[0].leverage == 20


def test_modes_stay_one_way_and_cross() -> None:
    desk = Desk()
    switch, margin = desk.exchange.switch_mode, desk.exchange.set_margin_mode
    assert refused(switch, "anna", "BTCUSDT", 0, T0).code == 110025
    assert refused(switch, "anna", "BTCUSDT", 3, T0).code == 110029
    assert refused(margin, "anna", "ISOLATED_MARGIN", T0).code == 3400045
    margin("anna", "REGULAR_MARGIN", T0)
    assert desk.events() == []


def test_funding_is_paid_by_longs_to_shorts_once_a_boundary() -> None:
    desk = Desk()
    desk.order("Buy", 10)
    desk.order("Sell", 5, account="bert")
    before = {name: desk.usdt(name) for name in ("anna", "bert")}
    desk.events()
    # 10 x 100 x 0.01 % = 0.1.
    desk.exchange.settle_funding(BTC, D("0.0001"), T0 + 10)
    desk.exchange.settle_funding(BTC, D("0.0001"), T0 + 20)
    assert desk.usdt("anna") - before["anna"] == D("-0.1")
    assert desk.usdt("bert") - before["bert"] == D("0.05")
    paid = [e for e in desk.events() if isinstance(e, ExecutionRow)]
    assert [(p.exec_type, p.side, p.qty, p.fee, p.fee_rate) for p in paid] == [
        ("Funding", "Buy", 10, D("0.1"), D("0.0001")),
        ("Funding", "Sell", 5, D("-0.05"), D("0.0001")),
    ]
    assert desk.exchange.position("anna", "BTCUSDT").size == 10
    desk.exchange.settle_funding(BTC, D("-0.0001"), T0 + 8 * 3_600_000)
    assert desk.usdt("anna") == before["anna"]
    desk.order("Sell", 10)
    money = desk.usdt()
    desk.exchange.settle_funding(BTC, D("0.0001"), T0 + 16 * 3_600_000)
    assert desk.usdt() == money


def test_liquidation_comes_at_the_price_that_the_position_named() -> None:
    # 100 USDT, long 9 at 101 without fees: 100 + 9 (p - 101) = 0.5 % x 9 p, p = 809 / 8.955.
    desk = poor(100)
    desk.order("Buy", 9)
    stays = desk.order("Sell", 1, 103)
    price = desk.exchange.position("anna", "BTCUSDT").liquidation_price
    assert price is not None
    assert price.quantize(D("1e-4")) == D("90.3406")
    desk.mark("90.4")
    assert desk.size() == 9
    desk.events()
    desk.mark("90.3")
    assert desk.size() == 0
    assert desk.now_of(stays).cancel_type == "CancelAllBeforeLiq"
    fill = desk.exchange.executions("anna")[0]
    # At the mark 3.7 are left: the price at which nothing is, 90.3 - 3.7 / 9 = 89.8889, up a tick.
    assert (fill.exec_type, fill.price, fill.qty) == ("BustTrade", D("89.9"), 9)
    assert fill.create_type == "CreateByTakeOver_PassThrough"
    assert D(0) <= desk.usdt() < D("0.9")
    orders = [e for e in desk.events() if isinstance(e, OrderRow)]
    assert [o.status for o in orders] == ["Cancelled", "Filled"]
    assert desk.exchange.market(BTC).house == 0


def test_liquidation_takes_every_position_and_leaves_others_alone() -> None:
    desk = Desk(AccountSpec("anna", (("USDT", D(200)),), linear_fees=FREE), AccountSpec("bert"))
    desk.order("Sell", 9)
    desk.order("Buy", 9, key=ETH)
    desk.order("Sell", 9, account="bert")
    desk.mark(125)
    assert desk.exchange.positions("anna") == []
    assert D(0) <= desk.usdt() < 2
    assert desk.size("bert") == -9


def test_coins_are_no_collateral() -> None:
    desk = Desk(AccountSpec("anna", (("USDT", D(0)), ("BTC", D(1)))))
    assert desk.exchange.wallet("anna").available == 0
    assert refused(desk.order, "Buy", "0.1", key=ETH).code == 110007


def test_spot_may_not_spend_what_margin_needs() -> None:
    desk = poor(100)
    desk.order("Buy", 9)  # Uses 90, and 9 are lost at the mark.
    assert refused(desk.order, "Buy", "0.1", 99, key=SPOT).code == 170131


def test_delisting_settles_at_the_mark_without_a_fee_and_clears_the_orders() -> None:
    desk = Desk()
    desk.order("Buy", 10)
    stays = desk.order("Sell", 1, 103)
    money = desk.usdt()
    desk.mark(105)
    kept = desk.exchange.rows()
    desk.exchange.put_symbol(symbol(BTC, "BTC", status="Closed"), desk.tick())
    assert desk.size() == 0
    assert desk.usdt() - money == 10 * (105 - 101)
    assert desk.now_of(stays).cancel_type == "CancelBySettle"
    fill = desk.exchange.executions("anna")[0]
    assert (fill.exec_type, fill.price, fill.fee) == ("Delivery", 105, 0)
    assert refused(desk.order, "Buy", 1).code == 110074
    # A market that was delisted while the exchange was down is settled when it returns.
    rules = [symbol(BTC, "BTC", status="Closed"), *desk.symbols[1:]]
    desk.exchange = Exchange(rules, desk.accounts)
    desk.exchange.restore(kept)
    assert desk.size() == 0
    fills = [e for e in desk.events() if isinstance(e, ExecutionRow)]
    assert [(f.exec_type, f.price) for f in fills] == [("Delivery", 105)]


def test_a_flat_position_has_nothing_in_it() -> None:
    position = Desk().exchange.position("anna", "BTCUSDT")
    assert (position.size, position.side, position.initial_margin) == (0, "", 0)
    assert (position.liquidation_price, position.leverage) == (None, 10)


def test_each_account_pays_its_own_fees() -> None:
    rich = AccountSpec("anna", linear_fees=FeeRates(D("-0.0001"), D("0.0002")))
    desk = Desk(rich, AccountSpec("bert"))
    desk.order("Buy", 10)
    assert desk.exchange.executions("anna")[0].fee == D("0.202")
    rests = desk.order("Sell", 5, 102)
    desk.order("Buy", 20, 102, account="bert")
    rebate = desk.exchange.executions("anna")[0]
    assert (rebate.fee, rebate.is_maker) == (D("-0.051"), True)
    assert desk.now_of(rests).fee == D("-0.051")
    assert desk.exchange.fees("bert", BTC).taker == D("0.001")
