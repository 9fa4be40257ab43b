"""Orders on the pure exchange: how they match, rest, end, and what is refused."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec
from live_nodes.practice.exchange.records import (
    ExecutionRow,
    OrderRow,
    PositionRow,
    Printed,
    WalletRow,
)
from live_nodes.practice.exchange.requests import CancelAllRequest, CancelRequest
from tests.live_nodes.practice.pure import BTC, ETH, SPOT, SYMBOLS, Desk, refused, symbol


def test_a_market_order_walks_the_book_and_pays_the_taker_fee() -> None:
    desk = Desk()
    order = desk.order("Buy", 12)
    kinds = [ExecutionRow, Printed, ExecutionRow, Printed, OrderRow, PositionRow, WalletRow]
    assert [type(e) for e in desk.events()][: len(kinds)] == kinds
    assert (order.status, order.filled, order.filled_value) == ("Filled", 12, 10 * 101 + 2 * 102)
    # Its price is the bound that Bybit gives it: 10 % above the mark.
    assert (order.price, order.time_in_force) == (110, "IOC")
    assert order.fee == D("1.214")
    assert desk.usdt() == D("99998.786")
    assert desk.size() == 12


def test_a_limit_order_rests_behind_the_house_and_fills_as_maker() -> None:
    desk = Desk()
    order = desk.order("Buy", 3, 99)
    assert (order.status, order.queue_ahead) == ("New", 10)
    desk.trade("Sell", 99, 11)
    order = desk.now_of(order)
    assert (order.status, order.filled, order.leaves) == ("PartiallyFilled", 1, 2)
    desk.trade("Sell", 99, 5)
    order = desk.now_of(order)
    assert (order.status, order.fee) == ("Filled", D("0.0297"))  # 297 at 0.01 %.
    assert [f.is_maker for f in desk.exchange.executions("anna")] == [True, True]
    assert desk.exchange.open_orders("anna") == []


def test_a_limit_order_that_crosses_takes_what_it_can_and_rests() -> None:
    desk = Desk()
    order = desk.order("Buy", 12, 101)
    assert (order.status, order.filled) == ("PartiallyFilled", 10)
    assert desk.exchange.book(BTC, 1) == ([(D(101), D(2))], [(D(102), D(10))])


def test_two_accounts_trade_with_each_other() -> None:
    desk = Desk()
    rests = desk.order("Sell", 2, 100, account="bert")
    takes = desk.order("Buy", 2, 100)
    assert desk.now_of(rests).status == takes.status == "Filled"
    mine = desk.exchange.executions("anna")[0]
    assert (mine.is_maker, mine.price) == (False, 100)
    assert desk.size("anna") + desk.size("bert") == 0
    assert desk.exchange.market(BTC).house == 0
    # An account may meet itself, and pays both fees: 0.01 maker, 0.1 taker.
    desk = Desk()
    rests = desk.order("Sell", 1, 100)
    takes = desk.order("Buy", 1, 100)
    assert desk.now_of(rests).status == takes.status == "Filled"
    assert (desk.size(), desk.usdt()) == (0, D("99999.89"))


@pytest.mark.parametrize(
    ("force", "price", "qty", "status", "reason", "filled"),
    [
        ("PostOnly", 101, 1, "Cancelled", "EC_PostOnlyWillTakeLiquidity", 0),
        ("PostOnly", 100, 1, "New", "EC_NoError", 0),
        ("IOC", 100, 1, "Cancelled", "EC_NoImmediateQtyToFill", 0),
        ("IOC", 101, 12, "Cancelled", "EC_NoError", 10),
        ("FOK", 101, 12, "Cancelled", "EC_CancelForNoFullFill", 0),
        ("FOK", 102, 12, "Filled", "EC_NoError", 12),
        ("GTC", 102, 12, "Filled", "EC_NoError", 12),
    ],
)
def test_time_in_force(
    force: str, price: int, qty: int, status: str, reason: str, filled: int
) -> None:
    order = Desk().order("Buy", qty, price, time_in_force=force)
    assert (order.status, order.reject_reason, order.filled) == (status, reason, filled)


@pytest.mark.parametrize(
    ("asks", "filled", "reason"),
    [([(101, 1), (120, 10)], 1, "EC_NoError"), ([], 0, "EC_NoImmediateQtyToFill")],
)
def test_a_market_order_dies_at_the_slippage_bound(asks: Any, filled: int, reason: str) -> None:
    desk = Desk()
    desk.quote([(99, 10)], asks)
    order = desk.order("Buy", 5)
    assert (order.status, order.filled, order.leaves) == ("Cancelled", filled, 0)
    assert order.reject_reason == reason


@pytest.mark.parametrize(
    ("kind", "amount", "filled"), [("TickSize", 10, 12), ("TickSize", 9, 10), ("Percent", 1, 12)]
)
def test_a_market_order_may_bring_its_own_slippage(kind: str, amount: int, filled: int) -> None:
    # Best ask 101: +10 ticks of 0.1 is 102; +9 ticks 101.9; +1 % 102.01.
    own = {"slippage_tolerance_type": kind, "slippage_tolerance": amount}
    assert Desk().order("Buy", 12, **own).filled == filled


def test_a_new_price_or_more_quantity_lose_the_place_and_less_keeps_it() -> None:
    desk = Desk()
    desk.quote([(98, 1)], [(101, 10)])
    first = desk.order("Buy", 5, 99)
    second = desk.order("Buy", 5, 99, account="bert")
    desk.amend(first, qty=4)
    desk.trade("Sell", 99, 1)
    assert desk.now_of(first).filled == 1
    desk.amend(first, qty=6)
    desk.trade("Sell", 99, 1)
    assert (desk.now_of(first).filled, desk.now_of(second).filled) == (1, 1)
    desk.amend(second, price="98.9")
    desk.amend(second, price=99)
    desk.trade("Sell", 99, 1)
    assert (desk.now_of(first).filled, desk.now_of(second).filled) == (2, 1)


def test_an_amended_price_may_trade_at_once_and_post_only_dies_of_it() -> None:
    desk = Desk()
    takes = desk.order("Buy", 1, 99)
    assert desk.amend(takes, price=101).status == "Filled"
    posts = desk.order("Buy", 1, 99, time_in_force="PostOnly")
    ended = desk.amend(posts, price=101)
    assert (ended.status, ended.reject_reason) == ("Cancelled", "EC_PostOnlyWillTakeLiquidity")


def test_a_cancel_ends_an_own_order_once() -> None:
    desk = Desk()
    order = desk.order("Buy", 1, 99, order_link_id="mine")
    request = CancelRequest("linear", "BTCUSDT", order_link_id="mine")
    by_id = CancelRequest("linear", "BTCUSDT", order.order_id)
    assert refused(desk.exchange.cancel, "bert", by_id, desk.tick()).code == 110001
    ended = desk.exchange.cancel("anna", request, desk.tick())
    assert (ended.status, ended.cancel_type) == ("Cancelled", "CancelByUser")
    assert ended.leaves == 0
    assert refused(desk.cancel, order).code == 110001
    assert desk.exchange.book(BTC, 1)[0] == [(D(99), D(10))]


def test_cancel_all_takes_what_the_filter_names() -> None:
    desk = Desk()
    desk.order("Buy", 1, 99)
    desk.order("Sell", 1, 103, trigger_price=105, trigger_direction=1)
    desk.order("Buy", 1, 99, key=ETH)
    desk.order("Buy", 1, 99, key=SPOT)
    desk.order("Buy", 1, 99, account="bert")
    for what, cancelled in (
        (CancelAllRequest("linear", "BTCUSDT", order_filter="StopOrder"), 1),
        (CancelAllRequest("linear", "BTCUSDT"), 1),
        (CancelAllRequest("spot"), 1),
        (CancelAllRequest("linear", settle_coin="USDC"), 0),
        (CancelAllRequest("linear", settle_coin="USDT"), 1),
        (CancelAllRequest("linear", settle_coin="USDT"), 0),
    ):
        assert len(desk.exchange.cancel_all("anna", what, desk.tick())) == cancelled
    assert len(desk.exchange.open_orders("bert")) == 1


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"side": "Buy", "qty": "0.0005", "price": 99}, 10001),  # Off the lot.
        ({"side": "Buy", "qty": "0.01", "price": "99.05"}, 10001),  # Off the tick.
        ({"side": "Buy", "qty": 1001, "price": 99}, 10001),  # Larger than the largest.
        ({"side": "Buy", "qty": 501}, 10001),  # Market orders have a bound of their own.
        ({"side": "Buy", "qty": "0.05", "price": 99}, 110094),  # 4.95 USDT.
        ({"side": "Buy", "qty": 1, "price": "110.1"}, 110003),  # Above the price limit.
        ({"side": "Sell", "qty": 1, "price": "89.9"}, 110003),
        ({"side": "Sell", "qty": 1, "price": 99, "reduce_only": True}, 110017),
        ({"side": "Buy", "qty": 1, "position_idx": 1}, 10001),  # Hedge mode.
        ({"side": "Buy", "qty": 1, "key": ("linear", "XYZUSDT")}, 10001),
        ({"side": "Buy", "qty": 1, "key": ("spot", "XYZUSDT")}, 170121),
        ({"side": "Buy", "qty": "0.000001", "price": 99, "key": SPOT}, 170137),
        ({"side": "Buy", "qty": "0.00001", "price": "99.05", "key": SPOT}, 170134),
        ({"side": "Buy", "qty": "0.05", "price": 99, "key": SPOT}, 170140),
        ({"side": "Buy", "qty": 1001, "price": 99, "key": SPOT}, 170135),
        ({"side": "Buy", "qty": 1, "price": 111, "key": SPOT}, 170193),
        ({"side": "Sell", "qty": 1, "price": 89, "key": SPOT}, 170194),
        ({"side": "Sell", "qty": 1, "price": 99, "key": SPOT}, 170131),  # No coins.
        ({"side": "Buy", "qty": 1, "price": 99, "key": SPOT, "is_leverage": True}, 170037),
        ({"side": "Buy", "qty": 1, "price": 99, "take_profit": 98}, 10001),
        ({"side": "Sell", "qty": 1, "price": 101, "stop_loss": 100}, 10001),
        ({"side": "Buy", "qty": 1, "trigger_price": 99, "trigger_direction": 1}, 110092),
        ({"side": "Buy", "qty": 1, "trigger_price": 101, "trigger_direction": 2}, 110093),
    ],
)
def test_refusals_have_bybit_s_codes_and_leave_nothing_behind(
    order: dict[str, Any], code: int
) -> None:
    desk = Desk()
    before = desk.exchange.rows()
    assert refused(desk.order, **order).code == code
    assert desk.exchange.rows() == before
    assert desk.events() == []


def test_without_a_mark_prices_are_limited_around_the_middle_of_the_book_if_there_is_one() -> None:
    desk = Desk()
    desk.exchange = Exchange(SYMBOLS, desk.accounts)
    assert desk.order("Buy", 1, 200, key=ETH).status == "New"
    desk.quote([(99, 10)], [(101, 10)])
    assert refused(desk.order, "Buy", 1, "110.1").code == 110003
    assert desk.order("Buy", 1, 110).status == "Filled"


def test_a_link_id_is_used_once_for_ever() -> None:
    desk = Desk()
    desk.order("Buy", 1, order_link_id="a-1")
    assert refused(desk.order, "Buy", 1, order_link_id="a-1").code == 110072
    assert refused(desk.order, "Buy", 1, 99, key=SPOT, order_link_id="a-1").code == 170141
    assert desk.order("Buy", 1, account="bert", order_link_id="a-1").status == "Filled"


def test_an_order_that_the_margin_does_not_cover_is_refused() -> None:
    # 100 USDT at 10x: a long of 9 at 100 costs 90 + 0.9 + 0.81 = 91.71, one of 10 costs 101.9.
    desk = Desk(AccountSpec("anna", (("USDT", D(100)),)))
    assert refused(desk.order, "Buy", 10, 100).code == 110007
    desk.order("Buy", 9, 100)
    wallet = desk.exchange.wallet("anna")
    assert (wallet.initial_margin, wallet.available) == (D("91.71"), D("8.29"))
    # The other side of the same symbol is free: only the dearer side counts.
    desk.order("Sell", 8, 103)
    assert desk.exchange.wallet("anna").available == D("8.29")
    assert refused(desk.order, "Buy", 1, 100).code == 110007
    # Another symbol is not.
    assert refused(desk.order, "Sell", 1, 103, key=ETH).code == 110007


def test_closing_is_free_however_little_is_left() -> None:
    desk = Desk(AccountSpec("anna", (("USDT", D(100)),)))
    desk.order("Buy", 9)
    desk.mark(98)
    assert desk.exchange.wallet("anna").available == 0
    assert desk.order("Sell", 9).status == "Filled"


def test_spot_takes_coins_and_gives_coins() -> None:
    desk = Desk()
    desk.order("Buy", 2, 101, key=SPOT)
    wallet = desk.exchange.wallet("anna")
    # 202 USDT for 2 BTC, the fee of 0.1 % in BTC.
    assert (wallet.coin("USDT").balance, wallet.coin("BTC").balance) == (D(99798), D("1.998"))
    fill = desk.exchange.executions("anna")[0]
    assert (fill.fee, fill.fee_coin, fill.change) == (D("0.002"), "BTC", D(-202))
    desk.order("Sell", 1, 99, key=SPOT)
    wallet = desk.exchange.wallet("anna")
    assert (wallet.coin("USDT").balance, wallet.coin("BTC").balance) == (D("99896.901"), D("0.998"))


def test_resting_spot_orders_lock_their_coins() -> None:
    desk = Desk(AccountSpec("anna", (("USDT", D(100)), ("BTC", D(1)))))
    desk.order("Buy", "0.5", 99, key=SPOT)
    assert desk.exchange.wallet("anna").coin("USDT").locked == D("49.5")
    assert refused(desk.order, "Buy", "0.52", 99, key=SPOT).code == 170131
    sells = desk.order("Sell", 1, 105, key=SPOT)
    assert refused(desk.order, "Sell", "0.1", 105, key=SPOT).code == 170131
    # What spot locks, linear cannot use either: 50.5 are free, 5 of a 10x long cost 50.95.
    assert refused(desk.order, "Buy", 5, 100).code == 110007
    desk.cancel(sells)
    assert desk.order("Sell", "0.1", 105, key=SPOT).status == "New"


def test_a_spot_market_buy_by_value_spends_up_to_it() -> None:
    desk = Desk()
    order = desk.order("Buy", 1111, key=SPOT, market_unit="quoteCoin")
    # 10 at 101, then 101 / 102 = 0.9901960..., cut to the lot of 0.00001.
    assert order.filled == D("10.99019")
    assert order.filled_value == D("1010") + D("0.99019") * 102
    assert order.status == "PartiallyFilledCanceled"
    exact = desk.order("Buy", 102, key=SPOT, market_unit="quoteCoin")
    assert (exact.status, exact.filled) == ("Filled", 1)
    partly = Desk().order("Buy", 12, 101, key=SPOT, time_in_force="IOC")
    assert (partly.status, partly.filled) == ("PartiallyFilledCanceled", 10)


def test_a_halted_market_takes_cancels_only_and_fills_nothing() -> None:
    desk = Desk()
    order = desk.order("Buy", 1, "99.5")
    stays = desk.order("Buy", 1, 95)
    waits = desk.order("Buy", 1, key=ETH, trigger_price=105, trigger_direction=1)
    for key in (BTC, ETH):
        desk.exchange.halt(key, True, desk.tick())
    assert refused(desk.order, "Buy", 1, 99).code == 110066
    assert refused(desk.amend, order, price=98).code == 110066
    desk.quote([(98, 1)], [(99, 5)])
    desk.trade("Sell", 99, 5)
    desk.mark(105, key=ETH)
    assert (desk.now_of(order).status, desk.now_of(waits).status) == ("New", "Untriggered")
    desk.cancel(stays)
    for key in (BTC, ETH):
        desk.exchange.halt(key, False, desk.tick())
    assert desk.now_of(order).status == desk.now_of(waits).status == "Filled"


def test_markets_that_are_not_live_take_no_orders() -> None:
    desk = Desk()
    desk.order("Buy", 1)
    desk.exchange.put_symbol(symbol(BTC, "BTC", status="Delivering"), desk.tick())
    assert refused(desk.order, "Buy", 1).code == 30228
    assert desk.order("Sell", 1, reduce_only=True).status == "Filled"
    desk.exchange.put_symbol(symbol(BTC, "BTC", status="PreLaunch"), desk.tick())
    assert refused(desk.order, "Buy", 1).code == 110074


def test_amendments_are_checked_like_new_orders() -> None:
    desk = Desk(AccountSpec("anna", (("USDT", D(100)),)))
    order = desk.order("Buy", 9, 99)
    desk.trade("Sell", 99, 11)  # 10 of the house, 1 of ours.
    for changes, code in (
        ({"qty": 1}, 110064),
        ({"qty": "1.0005"}, 10001),
        ({"price": "99.05"}, 10001),
        ({"price": 99}, 10001),
        ({"qty": 20}, 110007),
        ({"price": 120}, 110003),
    ):
        assert refused(desk.amend, order, **changes).code == code, changes
    assert desk.now_of(order).status == "PartiallyFilled"
    assert desk.exchange.book(BTC, 1)[0] == [(D(99), D(8))]


def test_reduce_only_orders_are_cut_to_the_position() -> None:
    desk = Desk()
    desk.order("Buy", 2)
    assert refused(desk.order, "Buy", 1, reduce_only=True).code == 110017
    order = desk.order("Sell", 5, reduce_only=True)
    assert (order.status, order.qty, order.filled) == ("Filled", 2, 2)
    assert desk.size() == 0
    assert refused(desk.order, "Sell", 1, reduce_only=True).code == 110017
    desk.order("Sell", 3)
    # No quantity with both flags closes all.
    order = desk.order("Buy", 0, reduce_only=True, close_on_trigger=True)
    assert (order.status, order.filled, desk.size()) == ("Filled", 3, 0)


def test_resting_reduce_only_orders_together_never_pass_the_position() -> None:
    desk = Desk()
    desk.order("Buy", 5)
    far = desk.order("Sell", 3, 104, reduce_only=True)
    near = desk.order("Sell", 4, 103, reduce_only=True)
    assert (near.qty, desk.now_of(far).qty) == (2, 3)
    more = refused(desk.order, "Sell", 1, 105, reduce_only=True)
    assert (more.code, more.message) == (110017, "orderQty will be truncated to zero")
    assert desk.amend(far, qty=5, price=105).qty == 3
    # What trades at once goes before what rests; the furthest from the market is cut first.
    assert desk.order("Sell", 2, reduce_only=True).filled == 2
    assert (desk.now_of(near).qty, desk.now_of(far).qty) == (2, 1)
    desk.order("Sell", 1)
    gone = desk.now_of(far)
    assert (gone.status, gone.cancel_type, gone.filled) == ("Cancelled", "CancelByReduceOnly", 0)
    desk.trade("Buy", 104, 50)
    assert (desk.now_of(near).status, desk.size()) == ("Filled", 0)


def test_the_501st_active_order_is_refused() -> None:
    desk = Desk(AccountSpec("anna", (("USDT", D(10_000_000)),)))
    for _ in range(500):
        desk.order("Buy", 1, 95)
    assert refused(desk.order, "Buy", 1, 95).code == 110020
    assert desk.order("Buy", 1, 95, key=ETH).status == "New"


def test_prints_show_side_price_and_quantity_without_accounts() -> None:
    desk = Desk()
    desk.order("Buy", 2, "99.5")
    desk.events()
    desk.trade("Sell", "99.5", 5)
    prints = [e for e in desk.events() if isinstance(e, Printed)]
    assert [(p.side, p.price, p.qty) for p in prints] == [
        ("Sell", D("99.5"), D(2)),
        ("Sell", D("99.5"), D(3)),
    ]
    assert len({p.trade_id for p in prints}) == 2
    assert desk.exchange.market(BTC).last == D("99.5")


def test_ids_are_counted_and_salted() -> None:
    first, again, salted = Desk(), Desk(), Desk()
    salted.exchange = Exchange(SYMBOLS, salted.accounts, salt="x")
    salted.mark(100)
    salted.quote([], [(101, 5)])
    order = first.order("Buy", 1)
    assert order == again.order("Buy", 1)
    assert order.order_id != salted.order("Buy", 1).order_id
