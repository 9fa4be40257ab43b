"""When an order meets the market in a backtest, and at what price."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D

import pytest
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.events import OrderCanceled
from nautilus_trader.model.identifiers import InstrumentId

from config.documents import FixedBpsSlippage
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
    scripted,
    statuses,
    taker_fee,
    trading,
    venue,
)

RISING = Candles([100, 101, 102, 103, 104, 105], closes=[100.5, 101.5, 102.5, 103.5, 104.5, 105.5])
Step = Callable[[Script], None]


def after(candle: int) -> float:
    return candle + 1 / 3600


def cancelling(name: str, side: OrderSide = OrderSide.NO_ORDER_SIDE) -> Callable[[Script], None]:
    def step(script: Script) -> None:
        script.cancel_all_orders(InstrumentId.from_str(name), side)

    return step


@pytest.mark.parametrize(
    ("steps", "fills", "states"),
    [
        # At the close of candle 1: the close was 101.5, the next open is 102.
        ([(at(2), trading(A, "1"))], [(2, 102)], ["FILLED"]),
        # Once a candle has opened, its open is older than the decision: too late for it.
        ([(at(2, 0.001), trading(A, "1"))], [(3, 103)], ["FILLED"]),
        ([(at(2, 1), trading(A, "1"))], [(3, 103)], ["FILLED"]),
        ([(at(2, 300), trading(A, "1"))], [(3, 103)], ["FILLED"]),
        # Cancelling one side leaves the other.
        (
            [
                (at(1, 5), trading(A, "1")),
                (at(1, 5), trading(A, "-2")),
                (at(1, 6), cancelling(A, OrderSide.BUY)),
            ],
            [(2, 102)],
            ["CANCELED", "FILLED"],
        ),
        # Below the next open: immediate, post-only, resting until it is cancelled at the venue.
        ([(at(1, 5), resting(A, "50", 101, time_in_force=TimeInForce.IOC))], [], ["CANCELED"]),
        ([(at(1, 5), resting(A, "50", 101, post_only=True))], [], ["ACCEPTED"]),
        ([(at(1, 5), resting(A, "50", 102, post_only=True))], [], ["REJECTED"]),
        ([(at(1), resting(A, "1", 50)), (at(3), cancelling(A))], [], ["CANCELED"]),
    ],
)
def test_orders_fill_at_the_next_open_rest_or_are_cancelled(
    steps: list[tuple[int, Step]], fills: list[tuple[int, int]], states: list[str]
) -> None:
    script = scripted(*steps)
    desk = play({A: RISING}, script)
    assert fill_times(script) == [(pytest.approx(after(n)), D(price)) for n, price in fills]
    assert statuses(desk) == states


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


def test_cancelling_a_waiting_order_takes_effect_at_once() -> None:
    script = Script({at(1, 5): trading(A, "1"), at(1, 6): cancelling(A)})
    desk = play({A: RISING}, script)
    assert statuses(desk) == ["CANCELED"]
    assert fill_times(script) == []
    (cancelled,) = [event for event in script.heard if isinstance(event, OrderCanceled)]
    assert cancelled.ts_event == at(1, 6)


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


def test_the_orders_of_a_list_wait_and_are_cancelled_one_by_one() -> None:
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


def test_a_change_of_a_waiting_order_follows_behind_it() -> None:
    def change(script: Script) -> None:
        (order,) = script.cache.orders()
        script.modify_order(order, price=price(103))

    script = Script({at(1, 5): resting(A, "1", 50), at(1, 6): change})
    play({A: Candles([105, 104, 104, 103, 102, 101])}, script)
    assert fill_times(script) == [(pytest.approx(after(4)), D(103))]


def test_each_order_counts_its_own_prints() -> None:
    """One comes in while another waits, and one after another was cancelled in its wait."""
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
    # What waited for it is cancelled; what comes later waits for ever.
    assert statuses(desk) == ["FILLED", "CANCELED", "SUBMITTED"]
    assert desk.accountant.ledger.quantities == {}
    fees = D("0.001") * 3 * (D("201.21") + D("202.5"))
    assert desk.accountant.ledger.equity({}) == 10_000 + 3 * (D("202.5") - D("201.21")) - fees
    assert balance(desk.engine) == desk.accountant.ledger.equity({})
    # The strategy gets it like any fill.
    assert [f.last_px.as_decimal() for f in script.fills] == [D("201.21"), D("202.5")]


def test_at_signal_close_an_order_fills_at_the_newest_close() -> None:
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
