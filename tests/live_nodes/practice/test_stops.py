"""Conditional orders, and the take-profits and stop-losses of positions."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from live_nodes.practice.exchange.model import AccountSpec
from live_nodes.practice.exchange.records import OrderRow, PositionRow
from live_nodes.practice.exchange.requests import TradingStopRequest
from tests.live_nodes.practice.pure import BTC, SPOT, Desk, refused


def stops(desk: Desk, account: str = "anna") -> list[tuple[str, D | None, D]]:
    """Return the waiting orders as (kind, trigger, quantity), oldest first."""
    waiting = [o for o in desk.exchange.open_orders(account) if o.untriggered]
    return [(o.stop_order_type, o.trigger_price, o.qty) for o in reversed(waiting)]


def set_stops(desk: Desk, **more: Any) -> None:
    values = {k: D(v) if isinstance(v, int) else v for k, v in more.items()}
    request = TradingStopRequest("linear", "BTCUSDT", **{"tpsl_mode": "Full", **values})
    desk.exchange.trading_stop("anna", request, desk.tick())


def statuses(desk: Desk, order: OrderRow) -> list[str]:
    return [
        e.status for e in desk.events() if isinstance(e, OrderRow) and e.order_id == order.order_id
    ]


@pytest.mark.parametrize(
    ("by", "direction", "trigger", "misses", "hits"),
    [
        ("LastPrice", 1, 105, (104, 104, 110), (105, 100, 100)),
        ("LastPrice", 2, 95, (96, 90, 90), (95, 100, 100)),
        ("MarkPrice", 1, 105, (110, 104, 110), (100, 105, 100)),
        ("MarkPrice", 2, 95, (90, 96, 90), (100, 95, 100)),
        ("IndexPrice", 1, 105, (110, 110, 104), (100, 100, 105)),
    ],
)
def test_a_conditional_order_fires_on_its_own_price_in_its_own_direction(
    by: str, direction: int, trigger: int, misses: tuple[int, int, int], hits: tuple[int, int, int]
) -> None:
    desk = Desk()
    order = desk.order("Buy", 1, trigger_price=trigger, trigger_direction=direction, trigger_by=by)
    assert (order.status, order.stop_order_type) == ("Untriggered", "Stop")
    # It holds no margin while it waits.
    assert desk.exchange.wallet("anna").initial_margin == 0
    statuses(desk, order)
    for (last, mark, index), reply in ((misses, []), (hits, ["Triggered", "Filled"])):
        desk.exchange.set_mark(BTC, D(mark), D(index), desk.tick(), D(last))
        assert statuses(desk, order) == reply


def test_a_triggered_limit_order_rests() -> None:
    desk = Desk()
    order = desk.order("Buy", 1, 97, trigger_price=98, trigger_direction=2)
    statuses(desk, order)
    desk.mark(98)
    assert statuses(desk, order) == ["Triggered", "New"]
    assert (D(97), D(1)) in desk.exchange.book(BTC, 9)[0]


def test_a_trade_s_own_print_fires_what_waits_for_it_in_turn() -> None:
    desk = Desk()
    desk.quote([(99, 10)], [(101, 1), (102, 1), (103, 9)])
    second = desk.order("Buy", 1, trigger_price=102, trigger_direction=1)
    first = desk.order("Buy", 1, trigger_price=101, trigger_direction=1)
    desk.order("Buy", 1, account="bert")  # Prints 101; first buys at 102; second at 103.
    assert desk.exchange.executions("anna")[1].order_id == first.order_id
    assert desk.now_of(second).average == 103


def test_a_triggered_order_that_cannot_be_paid_is_cancelled() -> None:
    desk = Desk(AccountSpec("anna", (("USDT", D(100)),)))
    order = desk.order("Buy", 20, trigger_price=105, trigger_direction=1)
    desk.mark(105)
    ended = desk.now_of(order)
    assert (ended.status, ended.cancel_type) == ("Cancelled", "CancelByCannotAffordOrderCost")
    assert desk.size() == 0


def test_a_conditional_reduce_only_order_is_cut_to_the_position_when_it_fires() -> None:
    desk = Desk()
    order = desk.order("Sell", 1, trigger_price=95, trigger_direction=2, reduce_only=True)
    desk.order("Buy", 1)
    desk.order("Sell", 1)
    assert desk.now_of(order).status == "Untriggered"
    desk.mark(95)
    ended = desk.now_of(order)
    assert (ended.status, ended.cancel_type) == ("Cancelled", "CancelByReduceOnly")
    order = desk.order("Sell", 5, trigger_price=90, trigger_direction=2, reduce_only=True)
    desk.order("Buy", 2)
    desk.mark(90)
    assert (desk.now_of(order).status, desk.now_of(order).filled, desk.size()) == ("Filled", 2, 0)


def test_an_untriggered_order_is_deactivated_by_its_cancel_and_can_be_amended() -> None:
    desk = Desk()
    order = desk.order("Buy", 1, trigger_price=105, trigger_direction=1)
    assert desk.amend(order, trigger_price=106).trigger_price == 106
    assert refused(desk.amend, order, trigger_price=99).code == 110092
    assert refused(desk.amend, order, price=99).code == 10001  # A market order has none.
    desk.mark("105.5")
    assert desk.cancel(order).status == "Deactivated"
    desk.mark(107)
    assert desk.size() == 0


def test_the_eleventh_conditional_order_of_a_symbol_is_refused() -> None:
    desk = Desk()
    for _ in range(10):
        desk.order("Buy", 1, trigger_price=105, trigger_direction=1)
    assert refused(desk.order, "Buy", 1, trigger_price=105, trigger_direction=1).code == 110009


def test_attached_stops_come_with_the_fill_and_go_with_the_position() -> None:
    desk = Desk()
    order = desk.order("Buy", 2, 99, take_profit=110, stop_loss=90)
    assert stops(desk) == []
    desk.trade("Sell", 99, 11)
    assert stops(desk) == [("TakeProfit", 110, 1), ("StopLoss", 90, 1)]
    desk.trade("Sell", 99, 5)
    assert desk.now_of(order).status == "Filled"
    assert [(kind, qty) for kind, _, qty in stops(desk)] == [("TakeProfit", 2), ("StopLoss", 2)]
    position = desk.exchange.position("anna", "BTCUSDT")
    assert (position.take_profit, position.stop_loss) == (110, 90)
    desk.order("Sell", 2)
    assert stops(desk) == []
    ended = [o for o in desk.exchange.order_history("anna") if o.stop_order_type]
    assert {(o.status, o.cancel_type) for o in ended} == {("Deactivated", "CancelByTpSlTsClear")}
    position = desk.exchange.position("anna", "BTCUSDT")
    assert (position.take_profit, position.stop_loss) == (None, None)


def test_a_stop_loss_closes_the_whole_position_and_takes_the_profit_s_order_along() -> None:
    desk = Desk()
    desk.order("Buy", 2, take_profit=110, stop_loss=95)
    desk.order("Buy", 3)
    assert [qty for _, _, qty in stops(desk)] == [5, 5]
    desk.mark(95)
    assert (desk.size(), stops(desk)) == (0, [])
    closing = next(o for o in desk.exchange.order_history("anna") if o.status == "Filled")
    assert (closing.stop_order_type, closing.create_type) == ("StopLoss", "CreateByStopLoss")
    assert (closing.reduce_only, closing.filled) == (True, 5)


def test_a_turned_position_loses_its_stops() -> None:
    desk = Desk()
    desk.order("Buy", 2, take_profit=110, stop_loss=95)
    desk.order("Sell", 5)
    position = desk.exchange.position("anna", "BTCUSDT")
    assert (position.signed, position.take_profit, stops(desk)) == (-3, None, [])
    # A short's stops stand the other way.
    desk.order("Sell", 2, take_profit=90, stop_loss=105)
    desk.mark(105)
    assert desk.size() == 0


def test_trading_stop_sets_changes_and_takes_away() -> None:
    desk = Desk()
    assert refused(set_stops, desk, take_profit=110).code == 10001  # No position.
    desk.order("Buy", 2)
    desk.events()
    set_stops(desk, take_profit=110, stop_loss=90, sl_trigger_by="MarkPrice")
    assert stops(desk) == [("TakeProfit", 110, 2), ("StopLoss", 90, 2)]
    reply = [e for e in desk.events() if isinstance(e, PositionRow)]
    assert (reply[-1].take_profit, reply[-1].stop_loss) == (110, 90)
    assert refused(set_stops, desk, take_profit=110).code == 34040
    set_stops(desk, stop_loss=92, sl_trigger_by="MarkPrice")
    assert stops(desk) == [("TakeProfit", 110, 2), ("StopLoss", 92, 2)]
    set_stops(desk, take_profit=0)
    assert stops(desk) == [("StopLoss", 92, 2)]
    assert refused(set_stops, desk, stop_loss=101).code == 10001  # Above the mark.
    desk.mark(100, last=91)
    assert desk.size() == 2  # It looks at the mark.
    desk.mark(92)
    assert desk.size() == 0


@pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
def test_a_trailing_stop_keeps_its_distance_to_the_best_last_price(sign: int) -> None:
    desk, away = Desk(), lambda points: 100 + sign * points
    assert refused(set_stops, desk, trailing_stop=3).code == 10001  # No position.
    desk.order("Buy" if sign > 0 else "Sell", 2)
    desk.mark(100)
    set_stops(desk, trailing_stop=3)
    for points, trigger in ((0, -3), (4, 1), (2, 1), (6, 3), (4, 3)):
        # The mark does not move it.
        desk.mark(100, last=away(points))
        assert stops(desk) == [("TrailingStop", away(trigger), 2)]
    desk.quote([(away(4), 9)], [(away(4), 9)])
    desk.order("Buy" if sign > 0 else "Sell", 1)
    assert stops(desk)[0][2] == 3
    assert desk.exchange.position("anna", "BTCUSDT").trailing_stop == 3
    desk.mark(away(3))
    assert (desk.size(), stops(desk)) == (0, [])
    assert desk.exchange.executions("anna")[0].create_type == "CreateByTrailingStop"
    assert desk.exchange.position("anna", "BTCUSDT").trailing_stop is None


def test_a_trailing_stop_begins_at_its_active_price_and_can_be_changed() -> None:
    desk = Desk()
    desk.order("Buy", 2, stop_loss=90)
    desk.mark(100)
    for wrong in ({"active_price": 104}, {"trailing_stop": 3, "active_price": 99},
                  {"trailing_stop": 100}, {"trailing_stop": D("0.001")}):  # fmt: skip
        assert refused(set_stops, desk, **wrong).code == 10001
    set_stops(desk, trailing_stop=3, active_price=104)
    assert refused(set_stops, desk, trailing_stop=3, active_price=104).code == 34040
    for last, trigger in ((103, None), (96, None), (104, 101), (105, 102)):
        desk.mark(100, last=last)
        assert stops(desk) == [("StopLoss", 90, 2), ("TrailingStop", trigger, 2)]
    kept = desk.exchange.rows()
    set_stops(desk, trailing_stop=5)
    assert stops(desk)[1] == ("TrailingStop", 100, 2)
    (trailing,) = (o for o in desk.exchange.open_orders("anna") if o.trailing)
    assert refused(desk.amend, trailing, trigger_price=99).code == 10001
    set_stops(desk, trailing_stop=0)
    assert stops(desk) == [("StopLoss", 90, 2)]
    assert desk.now_of(trailing).cancel_type == "CancelByUser"
    again = Desk()
    again.exchange.restore(kept)
    again.mark(100, last=106)
    assert stops(again)[1] == ("TrailingStop", 103, 2)
    again.order("Sell", 2)
    assert stops(again) == []
    assert again.now_of(trailing).cancel_type == "CancelByTpSlTsClear"


def test_a_full_stop_can_be_moved_and_cancelled_as_an_order() -> None:
    desk = Desk()
    desk.order("Buy", 2, stop_loss=90)
    stop = desk.exchange.open_orders("anna")[0]
    desk.amend(stop, trigger_price=93)
    assert desk.exchange.position("anna", "BTCUSDT").stop_loss == 93
    assert refused(desk.amend, stop, qty=1).code == 10001
    desk.cancel(stop)
    assert desk.exchange.position("anna", "BTCUSDT").stop_loss is None


def test_partial_stops_cover_what_filled_and_cancel_each_other() -> None:
    desk = Desk()
    desk.order("Buy", 3)
    desk.order("Buy", 2, take_profit=110, stop_loss=95, tpsl_mode="Partial")
    assert stops(desk) == [("PartialTakeProfit", 110, 2), ("PartialStopLoss", 95, 2)]
    desk.mark(95)
    assert (desk.size(), stops(desk)) == (3, [])
    ended = [o for o in desk.exchange.order_history("anna") if o.status == "Deactivated"]
    assert [o.cancel_type for o in ended] == ["CancelByOCOTpCanceledBySlTriggered"]


def test_trading_stop_adds_partial_pairs_with_limits() -> None:
    desk = Desk()
    desk.order("Buy", 5)
    set_stops(
        desk, tpsl_mode="Partial", take_profit=110, tp_size=2, tp_order_type="Limit",
        tp_limit_price=109, stop_loss=90, sl_size=2,
    )  # fmt: skip
    set_stops(desk, tpsl_mode="Partial", stop_loss=95, sl_size=3)
    assert stops(desk) == [
        ("PartialTakeProfit", 110, 2),
        ("PartialStopLoss", 90, 2),
        ("PartialStopLoss", 95, 3),
    ]
    assert refused(set_stops, desk, tpsl_mode="Partial", stop_loss=95, sl_size=9).code == 10001
    assert refused(
        set_stops, desk, tpsl_mode="Partial", stop_loss=95, sl_size=1, take_profit=110, tp_size=2
    ).code == 10001  # fmt: skip
    desk.mark(110)
    # The limit of 109 finds bids at 99 only: it rests, and its other side is gone.
    profit = next(o for o in desk.exchange.open_orders("anna") if not o.untriggered)
    assert (profit.status, profit.price, profit.qty) == ("New", 109, 2)
    assert stops(desk) == [("PartialStopLoss", 95, 3)]
    desk.trade("Buy", 109, 5)
    assert desk.size() == 3


def test_partial_stops_grow_with_fills_and_are_cut_to_the_position() -> None:
    desk = Desk()
    desk.quote([(98, 1)], [(101, 1)])
    desk.order("Buy", 3, 99, stop_loss=90, tpsl_mode="Partial")
    desk.trade("Sell", 99, 1)
    desk.trade("Sell", 99, 2)
    assert stops(desk) == [("PartialStopLoss", 90, 3)]
    desk.order("Sell", 1)
    assert stops(desk) == [("PartialStopLoss", 90, 2)]


def test_spot_conditional_orders_take_their_direction_from_the_price() -> None:
    desk = Desk()
    rises = desk.order("Buy", 1, key=SPOT, trigger_price=105, order_filter="StopOrder",
                       market_unit="baseCoin")  # fmt: skip
    falls = desk.order("Buy", 1, 94, key=SPOT, trigger_price=95, order_filter="StopOrder")
    assert (rises.trigger_direction, falls.trigger_direction) == (1, 2)
    assert desk.exchange.wallet("anna").coin("USDT").locked == 0
    desk.mark(95, key=SPOT)
    assert (desk.now_of(rises).status, desk.now_of(falls).status) == ("Untriggered", "New")
    desk.mark(105, key=SPOT)
    assert desk.now_of(rises).status == "Filled"


def test_a_spot_tpsl_order_holds_its_coins_before_the_trigger() -> None:
    desk = Desk(AccountSpec("anna", (("USDT", D(0)), ("BTC", D(1)))))
    order = desk.order("Sell", 1, key=SPOT, trigger_price=95, order_filter="tpslOrder",
                       market_unit="baseCoin")  # fmt: skip
    assert (order.stop_order_type, order.order_filter) == ("tpslOrder", "tpslOrder")
    assert desk.exchange.wallet("anna").coin("BTC").locked == 1
    assert refused(desk.order, "Sell", 1, 105, key=SPOT).code == 170131
    desk.mark(95, key=SPOT)
    assert desk.now_of(order).status == "Filled"
    assert desk.exchange.wallet("anna").coin("BTC").balance == 0


def test_a_spot_limit_order_brings_its_pair_along() -> None:
    desk = Desk()
    desk.order("Buy", 2, 99, key=SPOT, take_profit=110, stop_loss=95)
    desk.trade("Sell", 99, 12, key=SPOT)
    # The fee is in the coin: what is left over of 2 at the taker's 0.1 %.
    assert stops(desk) == [("tpslOrder", 110, D("1.998")), ("tpslOrder", 95, D("1.998"))]
    desk.mark(95, key=SPOT)
    assert stops(desk) == []
    assert desk.exchange.wallet("anna").coin("BTC").balance < D("0.002")
