"""The order gate in a real engine, in front of strategies that know nothing of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal as D
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.enums import OrderSide, TriggerType
from nautilus_trader.model.events import OrderDenied, OrderModifyRejected
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import Order

from actors.gate.gate import OrderGate
from backtests.engine.build import BacktestDesk
from backtests.engine.market import market_of
from strategies.messages import Action
from strategies.refusals import readable, refusal_of
from tests.builders_engine import (
    SPOT,
    A,
    B,
    Candles,
    Script,
    at,
    desk_of,
    feed,
    info,
    play,
    price,
    publishing,
    resting,
    scripted,
    slices,
    statuses,
    trading,
    venue,
)

FLAT_MARKET = Candles([100.0] * 6)
"""At 100, an account of 10,000 at leverage 5 carries 500 coins."""


def played(
    *steps: tuple[int, Callable[[Script], None]], **settings: object
) -> tuple[BacktestDesk, Script]:
    """Play steps on a market that stands at 100; two of them may fall on one time."""
    script = scripted(*steps)
    tape = settings.pop("tape", {A: FLAT_MARKET})
    return play(tape, script, **settings), script  # type: ignore[arg-type]


def test_an_order_within_the_limits_passes() -> None:
    desk, script = played((at(1), trading(A, "500")))
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [500]
    assert script.denials == []
    assert desk.gate.refusals == 0
    assert desk.accountant.position(A) == 500


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [
        ("0.049", "is below the venue's minimum 5"),
        ("500.001", "gross exposure 50000.10 would exceed 50000.00 (5 x equity 10000.00)"),
        ("-500.001", "gross exposure 50000.10 would exceed 50000.00 (5 x equity 10000.00)"),
    ],
)
def test_a_denial_gives_its_reason(quantity: str, reason: str) -> None:
    desk, script = played((at(1), trading(A, quantity)))
    (denial,) = script.denials
    assert denial.startswith("order gate: ")
    assert reason in denial
    assert statuses(desk) == ["DENIED"]
    assert desk.gate.refusals == 1
    assert desk.accountant.fills == []


def test_the_lots_and_maximum_of_the_venue_hold() -> None:
    facts = {A: {"lot": "0.002", "max_qty": "50"}}
    _, script = played(
        (at(1), trading(A, "1.001")),
        (at(1), trading(A, "50.002")),
        (at(2), trading(A, "50")),
        facts=facts,
    )
    broken, large = script.denials
    assert "no multiple of the lot 0.002" in broken
    # The RiskEngine stands before the gate and knows this limit too.
    assert "maximum trade size of 50.000" in large
    assert len(script.fills) == 1


def test_a_quantity_with_fewer_decimals_than_the_lots_is_denied_with_a_reason() -> None:
    def step(script: Script) -> None:
        instrument_id = InstrumentId.from_str(A)
        quantity = Quantity.from_str("1")
        script.submit_order(script.order_factory.market(instrument_id, OrderSide.BUY, quantity))

    _, script = played((at(1), step))
    assert len(script.denials) == 1
    assert "quantity 1 must be given with" in script.denials[0]


def with_earlier(
    *steps: tuple[int, Callable[..., None]], observers: Sequence[Any] = ()
) -> tuple[BacktestDesk, Script]:
    """Play steps, of which those with two arguments are given the gate too.

    What they bring past it is as after a restart: the engine knows it, the gate has not seen it.
    """
    box: list[OrderGate] = []

    def doing(step: Callable[..., None]) -> Callable[[Script], None]:
        takes_gate = len(signature(step).parameters) == 2
        return lambda script: step(script, box[0]) if takes_gate else step(script)

    script = Script({ts: doing(step) for ts, step in steps})
    market = market_of([info(A)], venue())
    desk = desk_of(market, venue(), script)
    desk.gate.observers.extend(observers)
    box.append(desk.gate)
    feed(desk, slices(market, {A: FLAT_MARKET}))
    return desk, script


def earlier(
    script: Script, gate: OrderGate, side: OrderSide, size: int, at_price: int, **terms: bool
) -> None:
    """Let a limit order rest that the gate has not seen."""
    instrument = script.cache.instrument(InstrumentId.from_str(A))
    order = script.order_factory.limit(
        instrument.id, side, instrument.make_qty(size), instrument.make_price(at_price), **terms
    )
    script.cache.add_order(order, None)
    now = script.clock.timestamp_ns()
    gate.forward(SubmitOrder(script.trader_id, script.id, order, UUID4(), now))


def newest(script: Script) -> Order:
    return max(script.cache.orders_open(), key=lambda order: order.ts_init)


def resizing(quantity: str) -> Callable[[Script], None]:
    def step(script: Script) -> None:
        script.modify_order(newest(script), quantity=Quantity(D(quantity), 3))

    return step


def test_an_order_from_before_the_start_leaves_less_to_an_exit() -> None:
    desk, script = with_earlier(
        (at(1), trading(A, "10")),
        (at(2), lambda script, gate: earlier(script, gate, OrderSide.SELL, 8, 200)),
        (at(2, 60), publishing(Action.HALT_ENTRIES)),
        (at(3), trading(A, "-2.001")),
        (at(4), trading(A, "-2")),
    )
    assert len(script.denials) == 1
    assert desk.accountant.position(A) == 8


def test_an_order_from_before_the_start_can_not_be_enlarged_past_the_limits() -> None:
    desk, script = with_earlier(
        (at(1), lambda script, gate: earlier(script, gate, OrderSide.BUY, 10, 50)),
        (at(2), resizing("1001")),
        (at(3), resizing("20")),
    )
    (rejected,) = [event for event in script.heard if isinstance(event, OrderModifyRejected)]
    assert "would exceed" in readable(rejected.reason)
    assert desk.gate.under_way == {A: {newest(script).client_order_id.value: D(20)}}


def test_an_exit_from_before_the_start_may_be_changed_under_a_halt_and_an_entry_not() -> None:
    observers: list[object] = [SimpleNamespace(intended=lambda f: None, refused=lambda f, r: None)]
    _, script = with_earlier(
        (at(1), trading(A, "10")),
        (at(2), lambda s, gate: earlier(s, gate, OrderSide.SELL, 5, 200, reduce_only=True)),
        (at(2, 60), publishing(Action.HALT_ENTRIES)),
        (at(3), resizing("6")),
        (at(3, 60), lambda s, gate: earlier(s, gate, OrderSide.BUY, 5, 50)),
        (at(4, 60), resizing("6")),
        observers=observers,
    )
    (rejected,) = [event for event in script.heard if isinstance(event, OrderModifyRejected)]
    assert "halt_entries by drawdown" in readable(rejected.reason)
    assert rejected.client_order_id == newest(script).client_order_id


def test_nothing_can_be_valued_before_the_first_price() -> None:
    _, script = played((at(0, 1), trading(A, "1")))
    assert script.denials == ["order gate: no price is known to value the order at"]


def test_orders_under_way_count_before_they_fill() -> None:
    """Both are sent within one candle; nothing fills until the next opens."""
    desk, script = played((at(1, 5), trading(A, "300")), (at(1, 6), trading(A, "300")))
    assert len(script.denials) == 1
    assert "gross exposure 60000.00" in script.denials[0]
    assert statuses(desk) == ["FILLED", "DENIED"]


def test_an_order_taken_back_counts_no_longer() -> None:
    def take_back(script: Script) -> None:
        script.cancel_all_orders(InstrumentId.from_str(A))

    desk, script = played(
        (at(1, 5), trading(A, "500")), (at(1, 6), take_back), (at(1, 7), trading(A, "500"))
    )
    assert script.denials == []
    assert statuses(desk) == ["CANCELED", "FILLED"]


def test_other_instruments_under_way_count() -> None:
    tape = {A: FLAT_MARKET, B: FLAT_MARKET}
    _, script = played(
        (at(1, 5), trading(A, "-300")),
        (at(1, 6), trading(B, "200")),
        (at(1, 7), trading(B, "0.050")),
        tape=tape,
    )
    assert len(script.fills) == 2
    assert len(script.denials) == 1
    assert "gross exposure 50005.00" in script.denials[0]


def test_an_exit_under_way_makes_room_for_the_next_position() -> None:
    """A rebalance sells one and buys the other in one go."""
    tape = {A: FLAT_MARKET, B: FLAT_MARKET}
    desk, script = played(
        (at(1), trading(A, "500")),
        (at(2, 5), trading(A, "-500")),
        (at(2, 5), trading(B, "500")),
        tape=tape,
    )
    assert script.denials == []
    assert desk.accountant.ledger.quantities == {B: D(500)}


def test_leverage_is_measured_on_equity_at_market() -> None:
    """The 100 coins bought at 100 stand at 40: equity 4,000 carries 20,000, which is 500 at 40."""
    tape = {A: Candles([100, 100, 40, 40, 40], closes=[100, 40, 40, 40, 40])}
    _, script = played(
        (at(0, 5), trading(A, "100")),
        (at(2), trading(A, "400.001")),
        (at(2), trading(A, "400")),
        tape=tape,
        before={A: 100.0},
    )
    assert len(script.denials) == 1
    assert "would exceed 20000.00 (5 x equity 4000.00)" in script.denials[0]
    assert len(script.fills) == 2


def test_a_losing_position_can_always_be_left() -> None:
    """At 21 the account is below any limit for an entry, and a verdict stands besides."""
    tape = {A: Candles([100, 100, 21, 21, 21], closes=[100, 21, 21, 21, 21])}
    desk, script = played(
        (at(0, 5), trading(A, "120")),
        (at(2), publishing(Action.FLATTEN)),
        (at(2), trading(A, "1")),
        (at(2), trading(A, "-120")),
        tape=tape,
        before={A: 100.0},
        document=venue(liquidation=False),
    )
    assert len(script.denials) == 1
    assert "flatten by drawdown" in script.denials[0]
    assert desk.accountant.ledger.quantities == {}


def send_list(*quantities: tuple[str, str]) -> Callable[[Script], None]:
    def step(script: Script) -> None:
        orders: list[Order] = [script.order(name, quantity) for name, quantity in quantities]
        script.submit_order_list(script.order_factory.create_list(orders))

    return step


def test_a_list_passes_whole() -> None:
    desk, script = played((at(1), send_list((A, "1"), (A, "2"))))
    assert statuses(desk) == ["FILLED", "FILLED"]
    assert script.denials == []


def test_a_list_with_one_bad_order_is_refused_whole() -> None:
    desk, script = played((at(1), send_list((A, "1"), (A, "0.001"))), (at(2), trading(A, "500")))
    assert statuses(desk) == ["DENIED", "DENIED", "FILLED"]
    assert "another order of its list was refused: notional" in script.denials[0]
    assert "is below the venue's minimum" in script.denials[1]
    # Nothing of the refused list still counts as under way: the 500 passed.
    assert desk.gate.refusals == 2


def test_the_orders_of_a_list_are_held_to_leverage_together() -> None:
    desk, script = played((at(1), send_list((A, "300"), (A, "300"))))
    assert statuses(desk) == ["DENIED", "DENIED"]
    assert "gross exposure 60000.00 would exceed 50000.00" in script.denials[1]


@pytest.mark.parametrize("action", [Action.HALT_ENTRIES, Action.REDUCE_ONLY, Action.FLATTEN])
def test_a_verdict_stops_entries_and_lets_exits_pass(action: Action) -> None:
    desk, script = played(
        (at(1), trading(A, "10")),
        (at(2), publishing(action)),
        (at(2, 5), trading(A, "1")),
        (at(2, 5), trading(A, "-4")),
        (at(3, 5), trading(A, "-6.001")),
        (at(3, 5), trading(A, "-6", reduce_only=True)),
    )
    assert script.denials == [
        f"order gate: {action.name.lower()} by drawdown: down 20 %",
        f"order gate: {action.name.lower()} by drawdown: down 20 %",
    ]
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10, 4, 6]
    assert desk.accountant.ledger.quantities == {}


@pytest.mark.parametrize(
    ("scope", "largest"), [("desk", "250"), ("strategy:script", "500"), (f"instrument:{A}", "500")]
)
def test_shrink_leaves_a_part_of_the_leverage_where_the_desk_is_meant(
    scope: str, largest: str
) -> None:
    """What a strategy or an instrument may have is for the strategy to size by."""
    shrink = publishing(Action.SHRINK, multiplier=0.5, scope=scope)
    over = str(D(largest) + D("0.001"))
    _, script = played(
        (at(1), shrink), (at(1, 5), trading(A, over)), (at(1, 6), trading(A, largest))
    )
    assert len(script.denials) == 1
    assert "would exceed" in script.denials[0]
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [D(largest)]


def test_a_refusal_by_a_transient_halt_is_transient() -> None:
    halt = publishing(Action.HALT_ENTRIES, transient=True)
    _, script = played((at(1), halt), (at(1, 5), trading(A, "1")))
    assert script.denials == ["order gate: halt_entries for now by drawdown: down 20 %"]
    (denied,) = [event for event in script.heard if isinstance(event, OrderDenied)]
    assert refusal_of(denied.reason).transient


def test_a_verdict_stands_past_its_time_until_its_own_guard_withdraws_it() -> None:
    _, script = played(
        (at(1), publishing(Action.HALT_ENTRIES, until=at(2, 10))),
        (at(1, 1), publishing(Action.NONE, guard="feed")),
        (at(2, 11), trading(A, "1")),
        (at(2, 12), publishing(Action.NONE)),
        (at(2, 13), trading(A, "1")),
    )
    assert len(script.denials) == 1
    assert len(script.fills) == 1


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ("desk", True),
        ("strategy:script", True),
        ("strategy:other", False),
        (f"instrument:{A}", True),
        (f"instrument:{B}", False),
    ],
)
def test_a_verdict_reaches_as_far_as_its_scope(scope: str, stopped: bool) -> None:
    _, script = played(
        (at(1), publishing(Action.HALT_ENTRIES, scope=scope)), (at(1, 5), trading(A, "1"))
    )
    assert bool(script.denials) == stopped


def test_the_strictest_verdict_gives_the_reason() -> None:
    _, script = played(
        (at(1), publishing(Action.FLATTEN, scope=f"instrument:{A}")),
        (at(1), publishing(Action.HALT_ENTRIES)),
        (at(1, 5), trading(A, "1")),
    )
    assert script.denials == ["order gate: flatten by drawdown: down 20 %"]


def test_spot_is_not_sold_short() -> None:
    tape = {SPOT: FLAT_MARKET}
    desk, script = played(
        (at(1), trading(SPOT, "-1")),
        (at(1), trading(SPOT, "2")),
        (at(2), trading(SPOT, "-2")),
        tape=tape,
    )
    assert script.denials == ["order gate: spot can't be sold short: position would be -1"]
    assert len(script.fills) == 2
    assert desk.accountant.ledger.quantities == {}


def test_two_exits_at_once_do_not_open_the_other_side() -> None:
    desk, script = played(
        (at(1), trading(A, "10")),
        (at(2), publishing(Action.REDUCE_ONLY)),
        (at(2, 5), trading(A, "-10")),
        (at(2, 6), trading(A, "-10")),
    )
    assert len(script.denials) == 1
    assert desk.accountant.ledger.quantities == {}


def test_a_reduce_only_order_larger_than_the_position_is_cut_by_the_venue() -> None:
    desk, script = played(
        (at(1), trading(A, "10")),
        (at(2), trading(A, "-15", reduce_only=True)),
        (at(4), trading(A, "500")),
    )
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10, 10, 500]
    assert desk.accountant.ledger.quantities == {A: D(500)}


def test_the_gate_measures_the_exact_position_after_many_fills() -> None:
    steps = [(at(1 + n * 0.5), trading(A, "0.101")) for n in range(8)]
    desk, _ = played(*steps)
    assert desk.accountant.position(A) == D("0.101") * 8


def changing(**terms: object) -> Callable[[Script], None]:
    def step(script: Script) -> None:
        order = min(script.cache.orders(), key=lambda order: order.ts_init)
        script.modify_order(order, **terms)

    return step


@pytest.mark.parametrize("waiting", [True, False])
def test_a_resting_order_cannot_be_enlarged_past_the_limits(waiting: bool) -> None:
    """As it waits for its first print, and as it rests at the venue."""
    hour = 1 if waiting else 2
    desk, script = played(
        (at(1, 5), resting(A, "1", 50)),
        (at(hour, 6), changing(quantity=Quantity(1100, 3))),
        (at(hour, 7), trading(A, "400")),
    )
    (rejected,) = [e for e in script.heard if isinstance(e, OrderModifyRejected)]
    words = "order gate: gross exposure 55000.00 would exceed 50000.00"
    assert readable(rejected.reason).startswith(words)
    # It rests as it was, and no more than it counts as under way: the 400 passed.
    (order,) = desk.engine.kernel.cache.orders_open() or desk.engine.kernel.cache.orders_inflight()
    assert order.quantity.as_decimal() == 1
    assert len(script.fills) == 1


def test_a_change_within_the_limits_passes_and_counts() -> None:
    desk, script = played(
        (at(1, 5), resting(A, "1", 50)),
        (at(2, 5), changing(quantity=Quantity(300, 3), price=price(51))),
        (at(2, 6), trading(A, "201")),
        (at(3, 6), trading(A, "200")),
    )
    (order,) = desk.engine.kernel.cache.orders_open()
    assert (order.quantity.as_decimal(), order.price.as_decimal()) == (300, 51)
    assert len(script.denials) == 1
    assert "gross exposure 50100.00" in script.denials[0]
    assert len(script.fills) == 1


def test_a_verdict_stops_changes_of_resting_entries_but_not_their_cancelling() -> None:
    desk, script = played(
        (at(1, 5), resting(A, "1", 50)),
        (at(2), publishing(Action.HALT_ENTRIES)),
        (at(2, 5), changing(price=price(99))),
        (at(2, 6), lambda s: s.cancel_all_orders(InstrumentId.from_str(A))),
    )
    (rejected,) = [e for e in script.heard if isinstance(e, OrderModifyRejected)]
    assert "halt_entries by drawdown" in readable(rejected.reason)
    assert statuses(desk) == ["CANCELED"]


@pytest.mark.parametrize("seed", range(5))
def test_the_gross_under_way_is_what_counting_anew_gives(seed: int) -> None:
    """The gate values again only what changed; prices move, orders fill and are cancelled."""
    draw = random.Random(seed)
    names = [A, B, SPOT]
    compared: list[tuple[float, float]] = []

    def step(script: Script) -> None:
        for _ in range(draw.randint(1, 6)):
            name = draw.choice(names)
            if draw.random() < 0.2:
                script.cancel_all_orders(InstrumentId.from_str(name))
            else:
                script.trade(name, str(draw.choice([-7, -3, -1, 1, 3, 7])))
            account = desk.accountant
            anew = 0.0
            for other in names:
                price = account.price(other)
                assert price is not None
                waiting = [
                    order
                    for order in script.cache.orders_inflight()
                    if order.instrument_id.value == other
                ]
                under_way = sum((order.signed_decimal_qty() for order in waiting), D(0))
                anew += float(abs(account.position(other) + under_way) * price)
            compared.append((desk.gate._pending.gross(), anew))

    times = sorted(at(draw.uniform(0, 9)) for _ in range(20))
    script = Script(dict.fromkeys(times, step))
    opens = {n: Candles([draw.randint(50, 150) for _ in range(9)]) for n in names}
    market = market_of([info(name) for name in names], venue())
    desk = desk_of(market, venue(), script, before=dict.fromkeys(names, 100.0))
    feed(desk, slices(market, opens))
    assert len(compared) > 20
    assert [round(a, 6) for a, _ in compared] == [round(b, 6) for _, b in compared]


def test_an_emulated_order_meets_the_gate_when_it_is_released() -> None:
    """The engine's emulator sends past the RiskEngine, straight to the execution engine."""

    def emulated(quantity: str) -> Callable[[Script], None]:
        def step(script: Script) -> None:
            order = script.order_factory.market_if_touched(
                InstrumentId.from_str(A),
                OrderSide.BUY,
                Quantity(D(quantity), 3),
                trigger_price=price(101),
                emulation_trigger=TriggerType.LAST_PRICE,
            )
            script.submit_order(order)

        return step

    desk, script = played((at(1), emulated("500")), (at(1), emulated("500.001")))
    assert sorted(statuses(desk)) == ["DENIED", "FILLED"]
    assert "gross exposure" in script.denials[0]


def test_an_order_sent_straight_to_the_execution_engine_meets_the_gate() -> None:
    def around(script: Script) -> None:
        order = script.order(A, "500.001")
        script.cache.add_order(order, None)
        command = SubmitOrder(
            trader_id=script.trader_id,
            strategy_id=script.id,
            order=order,
            command_id=UUID4(),
            ts_init=script.clock.timestamp_ns(),
        )
        script.msgbus.send("ExecEngine.execute", command)

    desk, script = played((at(1), around))
    assert statuses(desk) == ["DENIED"]
    assert "gross exposure" in script.denials[0]
