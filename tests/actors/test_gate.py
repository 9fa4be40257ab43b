"""The order gate in a real engine: limits, verdicts, lists, changes, observers, holds, dry runs."""

import random
from collections.abc import Callable, Sequence
from decimal import Decimal as D
from types import SimpleNamespace
from typing import Any

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder, SubmitOrder, TradingCommand
from nautilus_trader.model.enums import ContingencyType, OrderSide, OrderStatus, TriggerType
from nautilus_trader.model.events import (
    OrderCancelRejected,
    OrderDenied,
    OrderModifyRejected,
    OrderSubmitted,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import LimitOrder, Order

from actors.gate import gate
from actors.records.order_facts import OrderFacts
from backtests.engine.build import BacktestDesk
from backtests.engine.engine_costs import mended
from backtests.engine.market import market_of
from config.errors import DeskError
from strategies.messages import Action, Verdict
from strategies.refusals import Refusal, readable, refusal_of
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
    price,
    publishing,
    resting,
    scripted,
    slices,
    statuses,
    trading,
    venue,
)

Step = Callable[[Any], None]
ID = InstrumentId.from_str(A)
FLAT_MARKET = Candles([100.0] * 6)
"""At 100, an account of 10,000 at leverage 5 carries 500 coins."""


def played(
    *steps: tuple[int, Step],
    tape: dict[str, Candles] | None = None,
    facts: dict[str, Any] | None = None,
    before: dict[str, float] | None = None,
    hang: Callable[[BacktestDesk], None] = lambda desk: None,
) -> tuple[BacktestDesk, Any]:
    """Play steps on a market that stands at 100, after something is hung on the desk's gate."""
    script: Any = scripted(*steps)
    tape, document = tape or {A: FLAT_MARKET}, venue()
    market = market_of([info(name, **(facts or {})) for name in tape], document)
    with mended():
        desk = desk_of(market, document, script, before=before)
        script.gate = desk.gate
        hang(desk)
        feed(desk, slices(market, tape))
    return desk, script


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [
        ("0.049", "is below the venue's minimum 5"),
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


def test_the_gate_remembers_no_order_that_the_cache_has_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of 30,000 orders would else look through all of them at each."""
    monkeypatch.setattr(gate, "_REMEMBERED", 3)

    def forget(script: Script) -> None:
        script.cache.purge_closed_orders(ts_now=script.clock.timestamp_ns())

    steps = [(at(hour), trading(A, "1")) for hour in range(1, 6)]
    desk, _ = played(*steps, *((at(hour, 1800), forget) for hour in range(1, 6)))
    assert len(desk.accountant.fills) == 5
    assert len(desk.gate._arrived) <= 3


def test_the_lots_and_maximum_of_the_venue_hold() -> None:
    _, script = played(
        (at(1), trading(A, "1.001")),
        (at(1), trading(A, "50.002")),
        (at(2), trading(A, "50")),
        facts={"lot": "0.002", "max_qty": "50"},
    )
    broken, large = script.denials
    assert "no multiple of the lot 0.002" in broken
    # The RiskEngine stands before the gate and knows this limit too.
    assert "maximum trade size of 50.000" in large
    assert len(script.fills) == 1


def test_a_quantity_with_fewer_decimals_than_the_lots_is_denied_with_a_reason() -> None:
    def step(script: Script) -> None:
        quantity = Quantity.from_str("1")
        script.submit_order(script.order_factory.market(ID, OrderSide.BUY, quantity))

    _, script = played((at(1), step))
    (denial,) = script.denials
    assert "quantity 1 must be given with" in denial


def earlier(side: OrderSide, size: int, at_price: int, **terms: bool) -> Step:
    """Let a limit order rest that only the engine knows, as after a restart."""

    def step(script: Any) -> None:
        instrument = script.cache.instrument(ID)
        quantity, limit = instrument.make_qty(size), instrument.make_price(at_price)
        order = script.order_factory.limit(ID, side, quantity, limit, **terms)
        script.cache.add_order(order, None)
        now = script.clock.timestamp_ns()
        script.gate.forward(SubmitOrder(script.trader_id, script.id, order, UUID4(), now))

    return step


def newest(script: Script) -> Order:
    return max(script.cache.orders(), key=lambda order: order.ts_init)


def changing(**terms: object) -> Step:
    return lambda script: script.modify_order(newest(script), **terms)


def resizing(quantity: str) -> Step:
    return changing(quantity=Quantity(D(quantity), 3))


def changes_rejected(script: Script) -> list[str]:
    return [readable(e.reason) for e in script.heard if isinstance(e, OrderModifyRejected)]


def cancelling(script: Script) -> None:
    script.cancel_order(newest(script))


def withdrawing(script: Script) -> None:
    script.cancel_all_orders(ID)


def test_an_order_from_before_the_start_leaves_less_to_an_exit() -> None:
    desk, script = played(
        (at(1), trading(A, "10")),
        (at(2), earlier(OrderSide.SELL, 8, 200)),
        (at(2, 60), publishing(Action.HALT_ENTRIES)),
        (at(3), trading(A, "-2.001")),
        (at(4), trading(A, "-2")),
    )
    assert len(script.denials) == 1
    assert desk.accountant.position(A) == 8


def test_a_stop_that_the_venue_attached_takes_no_leverage_from_turning_its_position() -> None:
    """Counted as a sale, the stop would make the order of 400 add 400 to what is held."""
    desk, script = played(
        (at(1), trading(A, "200")),
        (at(2), earlier(OrderSide.SELL, 200, 200, reduce_only=True)),
        (at(3), trading(A, "-400")),
    )
    assert script.denials == []
    assert desk.accountant.position(A) == -200


def test_an_order_from_before_the_start_can_not_be_enlarged_past_the_limits() -> None:
    desk, script = played(
        (at(1), earlier(OrderSide.BUY, 10, 50)), (at(2), resizing("1001")), (at(3), resizing("20"))
    )
    (rejected,) = changes_rejected(script)
    assert "would exceed" in rejected
    assert desk.gate.under_way == {A: {newest(script).client_order_id.value: D(20)}}


def test_under_a_halt_an_exit_from_before_the_start_may_be_changed_and_an_entry_not() -> None:
    observer = SimpleNamespace(intended=lambda f: None, refused=lambda f, r: None)
    _, script = played(
        (at(1), trading(A, "10")),
        (at(2), earlier(OrderSide.SELL, 5, 200, reduce_only=True)),
        (at(2, 60), publishing(Action.HALT_ENTRIES)),
        (at(3), resizing("6")),
        (at(3, 60), earlier(OrderSide.BUY, 5, 50)),
        (at(4, 60), resizing("6")),
        hang=lambda desk: desk.gate.observers.append(observer),
    )
    (rejected,) = [event for event in script.heard if isinstance(event, OrderModifyRejected)]
    assert "halt_entries by drawdown" in readable(rejected.reason)
    assert rejected.client_order_id == newest(script).client_order_id


def test_nothing_can_be_valued_before_the_first_price() -> None:
    _, script = played((at(0, 1), trading(A, "1")))
    assert script.denials == ["order gate: no price is known to value the order at"]


def test_pending_orders_count_until_they_are_cancelled() -> None:
    """All are sent within one candle; nothing fills until the next opens."""
    desk, script = played(
        (at(1, 5), trading(A, "300")),
        (at(1, 6), trading(A, "300")),
        (at(1, 7), withdrawing),
        (at(1, 8), trading(A, "500")),
    )
    (denial,) = script.denials
    assert "gross exposure 60000.00" in denial
    assert statuses(desk) == ["CANCELED", "DENIED", "FILLED"]


def test_pending_orders_in_other_instruments_count() -> None:
    _, script = played(
        (at(1, 5), trading(A, "-300")),
        (at(1, 6), trading(B, "200")),
        (at(1, 7), trading(B, "0.050")),
        tape={A: FLAT_MARKET, B: FLAT_MARKET},
    )
    assert len(script.fills) == 2
    (denial,) = script.denials
    assert "gross exposure 50005.00" in denial


def test_an_exit_under_way_makes_room_for_the_next_position() -> None:
    """A rebalance sells one and buys the other in one go."""
    desk, script = played(
        (at(1), trading(A, "500")),
        (at(2, 5), trading(A, "-500")),
        (at(2, 5), trading(B, "500")),
        tape={A: FLAT_MARKET, B: FLAT_MARKET},
    )
    assert script.denials == []
    assert desk.accountant.ledger.quantities == {B: D(500)}


def test_exits_that_could_sell_twice_the_position_make_room_for_it_once() -> None:
    """Counted twice they would stand for a short, and 800 more would pass as closing that."""
    _, script = played(
        (at(1), trading(A, "400")),
        (at(2), resting(A, "-400", 150, reduce_only=True)),
        (at(2, 5), resting(A, "-400", 160, reduce_only=True)),
        (at(3), trading(A, "500.001")),
        (at(3, 5), trading(A, "500")),
    )
    assert len(script.denials) == 1
    assert "gross exposure 50000.10 would exceed 50000.00" in script.denials[0]
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [400, 500]


def test_leverage_is_measured_on_equity_at_market() -> None:
    """The 100 coins bought at 100 stand at 40: equity 4,000 carries 20,000, which is 500 at 40."""
    _, script = played(
        (at(0, 5), trading(A, "100")),
        (at(2), trading(A, "400.001")),
        (at(2), trading(A, "400")),
        tape={A: Candles([100, 100, 40, 40, 40], closes=[100, 40, 40, 40, 40])},
        before={A: 100.0},
    )
    (denial,) = script.denials
    assert "would exceed 20000.00 (5 x equity 4000.00)" in denial
    assert len(script.fills) == 2


def send_list(*quantities: str) -> Step:
    def step(script: Script) -> None:
        orders = [script.order(A, quantity) for quantity in quantities]
        script.submit_order_list(script.order_factory.create_list(orders))

    return step


def test_a_list_with_one_bad_order_is_refused_whole() -> None:
    desk, script = played((at(1), send_list("1", "0.001")), (at(2), trading(A, "500")))
    assert statuses(desk) == ["DENIED", "DENIED", "FILLED"]
    assert "another order of its list was refused: notional" in script.denials[0]
    assert "is below the venue's minimum" in script.denials[1]
    # Nothing of the refused list still counts as under way: the 500 passed.
    assert desk.gate.refusals == 2


def bracket(script: Script) -> None:
    make, quantity = script.order_factory, Quantity(D(1), 3)
    levels = {"sl_trigger_price": price(97), "tp_price": price(105)}
    script.submit_order_list(make.bracket(ID, OrderSide.BUY, quantity, **levels))


def one_of_two(contingency: ContingencyType) -> Step:
    def step(script: Script) -> None:
        common = (script.trader_id, script.id, ID, ClientOrderId("first"), OrderSide.SELL)
        terms = (Quantity(D(1), 3), price(105), UUID4(), script.clock.timestamp_ns())
        linked = {"linked_order_ids": [ClientOrderId("second")], "reduce_only": True}
        script.submit_order(LimitOrder(*common, *terms, contingency_type=contingency, **linked))

    return step


LINKED = [ContingencyType.OCO, ContingencyType.OTO, ContingencyType.OUO]


@pytest.mark.parametrize(
    ("step", "count"),
    [(bracket, 3)] + [(one_of_two(kind), 1) for kind in (*LINKED, ContingencyType.NO_CONTINGENCY)],
)
def test_linked_orders_are_refused_with_their_code(step: Step, count: int) -> None:
    desk, script = played((at(1), trading(A, "1")), (at(3), step))
    denials = [event for event in script.heard if isinstance(event, OrderDenied)]
    assert {refusal_of(event.reason).code for event in denials} == {"linked"}
    assert len(denials) == desk.gate.refusals == count
    assert len(script.fills) == 1
    assert "order gate: linked orders are not supported" in script.denials[0]


def test_the_orders_of_a_list_are_held_to_leverage_together() -> None:
    desk, script = played((at(1), send_list("300", "300")))
    assert statuses(desk) == ["DENIED", "DENIED"]
    assert "gross exposure 60000.00 would exceed 50000.00" in script.denials[1]


def test_a_verdict_stops_entries_and_lets_exits_pass() -> None:
    desk, script = played(
        (at(1), trading(A, "10")),
        (at(2), publishing(Action.FLATTEN)),
        (at(2, 5), trading(A, "1")),
        (at(2, 5), trading(A, "-4")),
        (at(3, 5), trading(A, "-6.001")),
        (at(3, 5), trading(A, "-6", reduce_only=True)),
    )
    assert script.denials == ["order gate: flatten by drawdown: down 20 %"] * 2
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10, 4, 6]
    assert desk.accountant.ledger.quantities == {}


@pytest.mark.parametrize(
    ("scope", "largest"), [("desk", "250"), ("strategy:script", "500"), (f"instrument:{A}", "500")]
)
def test_shrink_leaves_a_part_of_the_leverage_where_the_desk_is_meant(scope, largest):
    """What a strategy or an instrument may have is for the strategy to size by."""
    shrink = publishing(Action.SHRINK, multiplier=0.5, scope=scope)
    over = str(D(largest) + D("0.001"))
    _, script = played(
        (at(1), shrink), (at(1, 5), trading(A, over)), (at(1, 6), trading(A, largest))
    )
    (denial,) = script.denials
    assert "would exceed" in denial
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
    [("strategy:script", True), ("strategy:other", False), (f"instrument:{A}", True)],
)
def test_a_verdict_reaches_as_far_as_its_scope(scope: str, stopped: bool) -> None:
    _, script = played(
        (at(1), publishing(Action.HALT_ENTRIES, scope=scope)), (at(1, 5), trading(A, "1"))
    )
    assert bool(script.denials) == stopped


def test_spot_is_not_sold_short() -> None:
    desk, script = played(
        (at(1), trading(SPOT, "-1")),
        (at(1), trading(SPOT, "2")),
        (at(2), trading(SPOT, "-2")),
        tape={SPOT: FLAT_MARKET},
    )
    assert script.denials == ["order gate: spot can't be sold short: position would be -1"]
    assert len(script.fills) == 2
    assert desk.accountant.ledger.quantities == {}


def test_a_reduce_only_order_larger_than_the_position_is_cut_by_the_venue() -> None:
    desk, script = played(
        (at(1), trading(A, "10")),
        (at(2), trading(A, "-15", reduce_only=True)),
        (at(4), trading(A, "500")),
    )
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [10, 10, 500]
    assert desk.accountant.ledger.quantities == {A: D(500)}


@pytest.mark.parametrize("waiting", [True, False])
def test_a_resting_order_cannot_be_enlarged_past_the_limits(waiting: bool) -> None:
    """As it waits for its first print, and as it rests at the venue."""
    hour = 1 if waiting else 2
    desk, script = played(
        (at(1, 5), resting(A, "1", 50)),
        (at(hour, 6), resizing("1100")),
        (at(hour, 7), trading(A, "400")),
    )
    (rejected,) = changes_rejected(script)
    assert rejected.startswith("order gate: gross exposure 55000.00 would exceed 50000.00")
    # It rests as it was, and no more than it counts as pending: the 400 passed.
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
    (denial,) = script.denials
    assert "gross exposure 50100.00" in denial
    assert len(script.fills) == 1


def test_a_verdict_stops_changes_of_resting_entries_but_not_their_cancelling() -> None:
    desk, script = played(
        (at(1, 5), resting(A, "1", 50)),
        (at(2), publishing(Action.HALT_ENTRIES)),
        (at(2, 5), changing(price=price(99))),
        (at(2, 6), withdrawing),
    )
    (rejected,) = changes_rejected(script)
    assert "halt_entries by drawdown" in rejected
    assert statuses(desk) == ["CANCELED"]


@pytest.mark.parametrize("seed", range(5))
def test_pending_gross_is_the_same_as_counted_anew(seed: int) -> None:
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
            compared.append((account.value()[1] + desk.gate._pending.added(), anew))

    def keep(built: BacktestDesk) -> None:
        nonlocal desk
        desk = built

    desk: Any = None
    times = sorted(at(draw.uniform(0, 9)) for _ in range(20))
    tape = {n: Candles([draw.randint(50, 150) for _ in range(9)]) for n in names}
    before = dict.fromkeys(names, 100.0)
    played(*((ts, step) for ts in times), tape=tape, before=before, hang=keep)
    assert len(compared) > 20
    assert [round(a, 6) for a, _ in compared] == [round(b, 6) for _, b in compared]


def test_an_emulated_order_meets_the_gate_when_it_is_released() -> None:
    """The engine's emulator sends past the RiskEngine, straight to the execution engine."""

    def emulated(quantity: str) -> Step:
        triggers = {"trigger_price": price(101), "emulation_trigger": TriggerType.LAST_PRICE}
        size = Quantity(D(quantity), 3)
        return lambda script: script.submit_order(
            script.order_factory.market_if_touched(ID, OrderSide.BUY, size, **triggers)
        )

    desk, script = played((at(1), emulated("500")), (at(1), emulated("500.001")))
    assert sorted(statuses(desk)) == ["DENIED", "FILLED"]
    assert "gross exposure" in script.denials[0]


def test_an_order_sent_straight_to_the_execution_engine_meets_the_gate() -> None:
    def around(script: Script) -> None:
        order = script.order(A, "500.001")
        script.cache.add_order(order, None)
        now = script.clock.timestamp_ns()
        command = SubmitOrder(script.trader_id, script.id, order, UUID4(), now)
        script.msgbus.send("ExecEngine.execute", command)

    desk, script = played((at(1), around))
    assert statuses(desk) == ["DENIED"]
    assert "gross exposure" in script.denials[0]


# -- observers, holds and the sender of a live node ------------------------------------------------


class Notes:
    """An observer that remembers requests and refusals in order."""

    def __init__(self, fault: str = "") -> None:
        self.seen: list[tuple[str, OrderFacts]] = []
        self.fault = fault

    def intended(self, facts: OrderFacts) -> None:
        if self.fault:
            raise DeskError(self.fault)
        self.seen.append(("intended", facts))

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        self.seen.append((str(refusal).split(" ")[0], facts))

    def hang(self, desk: BacktestDesk) -> None:
        desk.gate.observers.append(self)


def test_an_observer_is_notified_of_a_request_before_it_leaves() -> None:
    had_left: list[bool] = []

    class Early(Notes):
        def intended(self, facts: OrderFacts) -> None:
            had_left.append(any(isinstance(e, OrderSubmitted) for e in scripts[0].heard))
            super().intended(facts)

    notes, scripts = Early(), []
    rest = resting(A, "1", 90, post_only=True, tags=["why"])
    _, script = played((at(1, 4), scripts.append), (at(1, 5), rest), hang=notes.hang)
    assert had_left == [False]
    assert any(isinstance(event, OrderSubmitted) for event in script.heard)
    ((what, facts),) = notes.seen
    assert what == "intended"
    assert (facts.operation, facts.instrument, facts.side) == ("submit", A, "BUY")
    assert (facts.quantity, facts.price) == (1, 90)
    assert (facts.order_type, facts.time_in_force) == ("LIMIT", "GTC")
    assert (facts.post_only, facts.reduce_only, facts.is_exit) == (True, False, False)
    assert (facts.reason, facts.strategy, facts.ts) == ("why", "script", at(1, 5))


def test_an_observer_is_notified_of_changes_cancels_and_refusals_in_order() -> None:
    notes = Notes()
    played(
        (at(1, 5), resting(A, "1", 90)),
        (at(2, 5), resizing("2")),
        (at(3, 5), resizing("9999")),
        (at(4, 5), cancelling),
        (at(4, 6), trading(A, "9999")),
        hang=notes.hang,
    )
    assert [(what, facts.operation) for what, facts in notes.seen] == [
        ("intended", "submit"),
        ("intended", "modify"),
        ("gross", "modify"),
        ("intended", "cancel"),
        ("gross", "submit"),
    ]
    assert notes.seen[1][1].quantity == 2


def test_a_hold_keeps_entries_back_and_lets_exits_pass() -> None:
    notes = Notes()

    def hang(desk: BacktestDesk) -> None:
        notes.hang(desk)
        desk.gate.hold(lambda facts: "trade link down" if facts.ts > at(2) else None)

    desk, script = played(
        (at(1, 5), trading(A, "5")),
        (at(3, 5), trading(A, "1")),
        (at(3, 5), trading(A, "-6")),
        (at(3, 6), trading(A, "-2")),
        (at(4, 5), trading(A, "-1", reduce_only=True)),
        hang=hang,
    )
    assert script.denials == ["order gate: trade link down"] * 2
    assert desk.accountant.position(A) == 2
    assert [facts.is_exit for _, facts in notes.seen] == [False, False, False, True, True]


def test_a_dry_run_sends_nothing_at_all() -> None:
    """Also an exit, a change and a cancel of what was there before stay here."""
    dry = False

    def hang(desk: BacktestDesk) -> None:
        desk.gate.hold(lambda facts: "dry run" if dry else None, exits=True)

    def begin(script: Script) -> None:
        nonlocal dry
        dry = True
        script.modify_order(newest(script), price=price(91))

    desk, script = played(
        (at(1, 5), trading(A, "5")),
        (at(2, 5), resting(A, "1", 90)),
        (at(3, 5), begin),
        (at(3, 6), cancelling),
        (at(3, 7), withdrawing),
        (at(4, 5), trading(A, "-5", reduce_only=True)),
        (at(4, 6), trading(A, "1")),
        hang=hang,
    )
    assert script.denials == ["order gate: dry run"] * 2
    assert len(changes_rejected(script)) == 1
    assert sum(isinstance(event, OrderCancelRejected) for event in script.heard) == 2
    (order,) = [o for o in script.cache.orders() if o.has_price]
    assert (order.status, order.price) == (OrderStatus.ACCEPTED, price(90))
    assert desk.accountant.position(A) == 5


def test_an_entry_that_can_not_be_written_down_does_not_leave() -> None:
    desk, script = played((at(1, 5), trading(A, "5")), hang=Notes("the disk is full").hang)
    (denial,) = script.denials
    assert "could not be written down: the disk is full" in denial
    assert desk.accountant.position(A) == 0


def test_an_exit_leaves_even_when_it_can_not_be_written_down() -> None:
    notes = Notes()

    def break_it(script: Script) -> None:
        notes.fault = "the disk is full"
        script.trade(A, "-5")

    desk, script = played((at(1, 5), trading(A, "5")), (at(3, 5), break_it), hang=notes.hang)
    assert script.denials == []
    assert desk.accountant.position(A) == 0
    assert desk.gate.unwritten == 1


@pytest.mark.parametrize("held", [True, False])
def test_one_held_leg_holds_the_whole_list(held: bool) -> None:
    def hang(desk: BacktestDesk) -> None:
        desk.gate.hold(lambda facts: "held" if held and facts.price == 80 else None)

    def both(script: Script) -> None:
        one, make = Quantity(1, 3), script.order_factory
        orders = [make.limit(ID, OrderSide.BUY, one, price(at_price)) for at_price in (90, 80)]
        script.submit_order_list(make.create_list(orders))

    _, script = played((at(1, 5), both), hang=hang)
    denials = ["order gate: another order of its list was refused: held", "order gate: held"]
    assert script.denials == (denials if held else [])


@pytest.mark.parametrize("step", [send_list("1", "2"), trading(A, "1")], ids=["list", "one"])
def test_a_cancel_that_overtakes_its_order_denies_it_and_its_list(step: Step) -> None:
    """As live, where the engine queues orders and no cancels."""

    def hang(desk: BacktestDesk) -> None:
        kernel = desk.engine.kernel

        def overtaken(command: TradingCommand) -> None:
            desk.gate.execute(
                CancelOrder(
                    trader_id=command.trader_id,
                    strategy_id=command.strategy_id,
                    instrument_id=command.instrument_id,
                    client_order_id=kernel.cache.orders()[-1].client_order_id,
                    venue_order_id=None,
                    command_id=UUID4(),
                    ts_init=0,
                )
            )
            kernel.risk_engine.execute(command)

        kernel.msgbus.deregister("RiskEngine.execute", kernel.risk_engine.execute)
        kernel.msgbus.register("RiskEngine.execute", overtaken)

    desk, script = played((at(1), step), hang=hang)
    assert set(script.denials) == {"order gate: cancelled before it left"}
    assert set(statuses(desk)) == {"DENIED"}


@pytest.mark.parametrize(("quantity", "leaves"), [("1", False), ("-5", True)])
def test_what_waited_is_judged_by_the_verdict_of_the_moment_it_leaves(quantity, leaves):
    """A throttle asks once more: an entry that passed before a halt must not leave into it."""
    found: list[Refusal | None] = []

    def hang(desk: BacktestDesk) -> None:
        def send(command: TradingCommand, requests: Sequence[OrderFacts]) -> None:
            if requests[0].ts >= at(2):
                halt = Verdict(action=Action.HALT_ENTRIES, guard="drawdown", reason="down")
                desk.engine.kernel.msgbus.publish("verdicts.drawdown", halt)
                found.extend(desk.gate.held(facts) for facts in requests)
            desk.gate.forward(command)

        desk.gate.sender = send

    played((at(1, 5), trading(A, "5")), (at(2, 5), trading(A, quantity)), hang=hang)
    assert [str(refusal) for refusal in found] == [
        "None" if leaves else "halt_entries by drawdown: down"
    ]
