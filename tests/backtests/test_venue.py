"""When an order meets the market in a backtest, and at what price."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D

import pytest
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.events import OrderCanceled
from nautilus_trader.model.identifiers import InstrumentId

from config.documents import BasePlusSizeSlippage, FixedBpsSlippage
from tests.builders_engine import (
    A,
    B,
    Candles,
    Script,
    at,
    balance,
    fill_times,
    play,
    price,
    resting,
    statuses,
    taker_fee,
    trading,
    venue,
)

RISING = Candles([100, 101, 102, 103, 104, 105], closes=[100.5, 101.5, 102.5, 103.5, 104.5, 105.5])
KNOWN = {A: 100.0, B: 200.0}


def after(candle: int) -> float:
    return candle + 1 / 3600


def cancelling(name: str, side: OrderSide = OrderSide.NO_ORDER_SIDE) -> Callable[[Script], None]:
    def step(script: Script) -> None:
        script.cancel_all_orders(InstrumentId.from_str(name), side)

    return step


@pytest.mark.parametrize(
    ("sent", "filled"),
    [
        # At the close of candle 1: the close was 101.5, the next open is 102.
        (at(2), (after(2), D(102))),
        # Once a candle has opened, its open is older than the decision: too late for it.
        (at(2, 0.001), (after(3), D(103))),
        (at(2, 1), (after(3), D(103))),
        (at(2, 300), (after(3), D(103))),
    ],
)
def test_an_order_fills_at_the_next_open(sent: int, filled: tuple[float, D]) -> None:
    script = Script({sent: trading(A, "1")})
    play({A: RISING}, script)
    assert fill_times(script) == [(pytest.approx(filled[0]), filled[1])]


def test_each_instrument_keeps_its_own_orders_until_it_trades_through_a_gap() -> None:
    gap = Candles([200, 201, None, None, 204, 205])
    script = Script({at(2): lambda s: (s.trade(A, "1"), s.trade(B, "1"))})
    play({A: RISING, B: gap}, script)
    assert fill_times(script) == [
        (pytest.approx(after(2)), D(102)),
        (pytest.approx(after(4)), D(204)),
    ]


def test_an_order_still_waiting_at_the_end_stays_unfilled() -> None:
    gap = Candles([200, 201, None, None])
    script = Script({at(2): trading(B, "1")})
    desk = play({B: gap}, script)
    assert statuses(desk) == ["SUBMITTED"]
    assert desk.accountant.fills == []
    # The close before the gap is what it is valued at.
    assert desk.accountant.price(B) == 201


def test_waiting_lasts_over_the_edges_of_slices() -> None:
    script = Script({at(2, 5): trading(A, "1")})
    play({A: RISING}, script, per_slice=1)
    assert fill_times(script) == [(pytest.approx(after(3)), D(103))]


def test_slices_of_any_length_give_the_same_fills() -> None:
    stories = []
    for per_slice in (1, 2, 3, 4, 6):
        script = Script(
            {at(1, 5): trading(A, "1"), at(2): trading(A, "2"), at(4): trading(A, "-3")}
        )
        desk = play({A: RISING}, script, per_slice=per_slice)
        stories.append((fill_times(script), balance(desk.engine), desk.accountant.equity()))
    assert all(told == stories[0] for told in stories)
    assert len(stories[0][0]) == 3


def test_cancelling_takes_back_what_waits() -> None:
    script = Script({at(1, 5): trading(A, "1"), at(1, 6): cancelling(A)})
    desk = play({A: RISING}, script)
    assert statuses(desk) == ["CANCELED"]
    assert fill_times(script) == []
    (cancelled,) = [event for event in script.heard if isinstance(event, OrderCanceled)]
    assert cancelled.ts_event == at(1, 6)


def test_cancelling_one_side_leaves_the_other() -> None:
    script = Script(
        {
            at(1, 5): lambda s: (s.trade(A, "1"), s.trade(A, "-2")),
            at(1, 6): cancelling(A, OrderSide.BUY),
        }
    )
    desk = play({A: RISING}, script)
    assert statuses(desk) == ["CANCELED", "FILLED"]


def test_cancelling_one_order_leaves_the_others() -> None:
    def step(script: Script) -> None:
        script.trade(A, "1")
        second = script.trade(A, "2")
        script.trade(A, "3")
        script.cancel_order(script.cache.order(second.client_order_id))

    script = Script({at(1, 5): step})
    desk = play({A: RISING}, script)
    assert statuses(desk) == ["FILLED", "CANCELED", "FILLED"]
    assert desk.accountant.position(A) == 4


def test_the_orders_of_a_list_wait_and_are_taken_back_one_by_one() -> None:
    def step(script: Script) -> None:
        orders = [script.order(A, "1"), script.order(A, "2")]
        script.submit_order_list(script.order_factory.create_list(orders))
        script.cancel_order(script.cache.order(orders[0].client_order_id))

    script = Script({at(1, 5): step})
    desk = play({A: RISING}, script)
    assert statuses(desk) == ["CANCELED", "FILLED"]
    assert fill_times(script) == [(pytest.approx(after(2)), D(102))]


def test_a_limit_order_rests_from_the_next_print_on() -> None:
    falling = Candles([105, 104, 103, 102, 101, 100])
    script = Script({at(1): resting(A, "1", 102.5)})
    desk = play({A: falling}, script, document=venue(slippage=FixedBpsSlippage(bps=D(100))))
    assert fill_times(script) == [(pytest.approx(after(3)), D("102.5"))]
    # Nothing slips: it fills at its price or better.
    assert desk.accountant.ledger.slippage == 0


@pytest.mark.parametrize("now_or_never", [TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC])
def test_a_limit_order_that_takes_fills_whole_and_slips_no_further_than_its_price(
    now_or_never: TimeInForce,
) -> None:
    # RISING opens at 102 next: 1 % of slippage would be 103.02.
    for limit_price, fill in ((110, "103.02"), (103, "103")):
        script = Script({at(1, 5): resting(A, "50", limit_price, time_in_force=now_or_never)})
        desk = play({A: RISING}, script, document=venue(slippage=FixedBpsSlippage(bps=D(100))))
        assert fill_times(script) == [(pytest.approx(after(2)), D(fill))]
        assert script.fills[0].last_qty.as_decimal() == 50
        assert desk.accountant.ledger.slippage == 50 * (D(fill) - 102)


def test_an_immediate_order_below_the_next_open_is_gone() -> None:
    script = Script({at(1, 5): resting(A, "50", 101, time_in_force=TimeInForce.IOC)})
    desk = play({A: RISING}, script)
    assert statuses(desk) == ["CANCELED"]
    assert fill_times(script) == []


@pytest.mark.parametrize(("price_", "fate"), [(101, "ACCEPTED"), (102, "REJECTED")])
def test_a_post_only_order_rests_below_the_next_open_or_is_rejected(
    price_: float, fate: str
) -> None:
    script = Script({at(1, 5): resting(A, "50", price_, post_only=True)})
    desk = play({A: RISING}, script)
    assert statuses(desk) == [fate]
    assert fill_times(script) == []


def test_a_resting_order_is_cancelled_at_the_venue() -> None:
    script = Script(
        {at(1): resting(A, "1", 50, time_in_force=TimeInForce.GTC), at(3): cancelling(A)}
    )
    desk = play({A: RISING}, script)
    assert statuses(desk) == ["CANCELED"]


def test_a_change_of_a_waiting_order_follows_behind_it() -> None:
    def change(script: Script) -> None:
        (order,) = script.cache.orders()
        script.modify_order(order, price=price(103))

    script = Script({at(1, 5): resting(A, "1", 50), at(1, 6): change})
    play({A: Candles([105, 104, 104, 103, 102, 101])}, script)
    assert fill_times(script) == [(pytest.approx(after(3)), D(103))]


@pytest.mark.parametrize(("quantity", "filled"), [("1", "102.11"), ("-1", "101.89")])
def test_a_fill_is_worse_than_the_open_by_the_slippage_on_the_worse_tick(
    quantity: str, filled: str
) -> None:
    """102 x 0.1 % is 0.102: 102.102 and 101.898 lie between ticks."""
    script = Script({at(2): trading(A, quantity)})
    desk = play({A: RISING}, script, document=venue(slippage=FixedBpsSlippage(bps=D(10))))
    assert [p for _, p in fill_times(script)] == [D(filled)]
    ((booked, _),) = desk.accountant.fills
    assert booked.reference_price == 102
    assert booked.slippage == D("0.11")
    assert booked.liquidity == "TAKER"


def test_slippage_grows_with_the_orders_notional() -> None:
    script = Script({at(2): trading(A, "0.5"), at(3): trading(A, "10")})
    desk = play({A: RISING}, script, document=venue(slippage=BasePlusSizeSlippage()))
    # 51 of notional: 0.05 % + 0.51 % of 102 is 0.5712. 1,030: capped, 1.05 % of 103 is 1.0815.
    assert [p for _, p in fill_times(script)] == [D("102.58"), D("104.09")]
    assert desk.accountant.ledger.slippage == D("0.58") * D("0.5") + D("1.09") * 10


def test_an_order_of_any_size_fills_whole_and_takers_pay() -> None:
    script = Script({at(2): trading(A, "400")})
    desk = play({A: RISING}, script, document=venue(fees=taker_fee("0.00055")))
    ((booked, _),) = desk.accountant.fills
    assert booked.quantity == 400
    assert booked.fee == D(400) * 102 * D("0.00055")
    assert balance(desk.engine) == 10_000 - booked.fee


def test_one_candle_later_is_the_second_print() -> None:
    script = Script({at(2): trading(A, "1")})
    play({A: RISING}, script, prints_to_wait=2)
    assert fill_times(script) == [(pytest.approx(after(3)), D(103))]


def test_each_order_counts_its_own_prints() -> None:
    """One comes in while another waits, and one after another was taken back in its wait."""
    script = Script({at(1): trading(A, "1"), at(2): trading(A, "2")})
    play({A: RISING}, script, prints_to_wait=2)
    assert fill_times(script) == [
        (pytest.approx(after(2)), D(102)),
        (pytest.approx(after(3)), D(103)),
    ]

    script = Script({at(1): trading(A, "1"), at(1, 1800): cancelling(A), at(2): trading(A, "2")})
    play({A: RISING}, script, prints_to_wait=2)
    assert fill_times(script) == [(pytest.approx(after(3)), D(103))]


def test_a_delisted_instrument_settles_at_its_last_close_without_slippage() -> None:
    ends = Candles([200, 201, 202, None, None, None], closes=[200, 201, 202.5, None, None, None])
    script = Script({at(1): trading(B, "3"), at(2, 5): trading(B, "1"), at(4): trading(B, "1")})
    desk = play(
        {A: RISING, B: ends},
        script,
        document=venue(slippage=FixedBpsSlippage(bps=D(10)), fees=taker_fee("0.001")),
        delisted={B: 2},
    )
    bought, settled = (fill for fill, _ in desk.accountant.fills)
    assert (bought.price, bought.kind) == (D("201.21"), "order")
    # One nanosecond before the close of its last candle.
    assert (settled.ts, settled.kind) == (at(3) - 1, "delisting")
    assert (settled.price, settled.signed, settled.slippage) == (D("202.5"), D(-3), D(0))
    # What waited for it is taken back; what comes later waits for ever.
    assert statuses(desk) == ["FILLED", "CANCELED", "SUBMITTED"]
    assert desk.accountant.ledger.quantities == {}
    fees = D("0.001") * 3 * (D("201.21") + D("202.5"))
    assert desk.accountant.ledger.equity({}) == 10_000 + 3 * (D("202.5") - D("201.21")) - fees
    assert balance(desk.engine) == desk.accountant.ledger.equity({})
    # The strategy hears of it like of any fill.
    assert [f.last_px.as_decimal() for f in script.fills] == [D("201.21"), D("202.5")]


def test_at_signal_close_an_order_fills_at_the_close_that_it_saw() -> None:
    script = Script({at(2): trading(A, "1"), at(2, 300): trading(A, "1")})
    desk = play(
        {A: RISING},
        script,
        document=venue(fills="signal_close", slippage=FixedBpsSlippage(bps=D(10))),
    )
    # 101.5 x 1.001 is 101.6015, on the worse tick 101.61; five minutes later it still stands.
    assert fill_times(script) == [
        (pytest.approx(2), D("101.61")),
        (pytest.approx(2 + 300 / 3600), D("101.61")),
    ]
    assert [fill.reference_price for fill, _ in desk.accountant.fills] == [D("101.5")] * 2
