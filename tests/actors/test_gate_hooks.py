"""What a live node hangs on the order gate, in a real engine: observers, holds, a dry run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from nautilus_trader.execution.messages import TradingCommand
from nautilus_trader.model.enums import OrderSide, OrderStatus
from nautilus_trader.model.events import OrderCancelRejected, OrderModifyRejected, OrderSubmitted
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import Order

from actors.records.order_facts import OrderFacts
from backtests.engine.build import BacktestDesk
from backtests.engine.market import market_of
from config.errors import DeskError
from strategies.messages import Action, Verdict
from strategies.refusals import Refusal
from tests.builders_engine import (
    A,
    Candles,
    Script,
    at,
    desk_of,
    feed,
    info,
    price,
    resting,
    slices,
    trading,
    venue,
)

FLAT_MARKET = Candles([100.0] * 6)
Step = Callable[[Script], None]


@dataclass
class Notes:
    """An observer that remembers, in the order of things."""

    heard: list[tuple[str, OrderFacts]] = field(default_factory=list)
    fault: str = ""

    def intended(self, facts: OrderFacts) -> None:
        if self.fault:
            raise DeskError(self.fault)
        self.heard.append(("intended", facts))

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        self.heard.append((str(refusal), facts))

    @property
    def words(self) -> list[tuple[str, str]]:
        return [(what, facts.operation) for what, facts in self.heard]


def played(
    *steps: tuple[int, Step], hang: Callable[[BacktestDesk], None]
) -> tuple[BacktestDesk, Script]:
    script = Script(dict(steps))
    market = market_of([info(A)], venue())
    desk = desk_of(market, venue(), script, before={A: 100.0})
    hang(desk)
    feed(desk, slices(market, {A: FLAT_MARKET}))
    return desk, script


def observing(notes: Notes) -> Callable[[BacktestDesk], None]:
    return lambda desk: desk.gate.observers.append(notes)


def newest(script: Script) -> Order:
    return max(script.cache.orders(), key=lambda o: o.ts_init)


def test_an_observer_is_notified_of_a_request_before_it_leaves() -> None:
    left_before: list[bool] = []
    scripts: list[Script] = []

    class Early(Notes):
        def intended(self, facts: OrderFacts) -> None:
            left_before.append(any(isinstance(e, OrderSubmitted) for e in scripts[0].heard))
            super().intended(facts)

    def step(script: Script) -> None:
        scripts.append(script)
        script.limit(A, "1", 90, post_only=True, tags=["why"])

    notes = Early()
    _, script = played((at(1, 5), step), hang=observing(notes))
    assert left_before == [False]
    assert any(isinstance(event, OrderSubmitted) for event in script.heard)
    ((what, facts),) = notes.heard
    assert what == "intended"
    assert (facts.operation, facts.instrument, facts.side) == ("submit", A, "BUY")
    assert (facts.quantity, facts.price) == (1, 90)
    assert (facts.order_type, facts.time_in_force) == ("LIMIT", "GTC")
    assert (facts.post_only, facts.reduce_only, facts.is_exit) == (True, False, False)
    assert (facts.reason, facts.strategy, facts.ts) == ("why", "script", at(1, 5))


def test_an_observer_is_notified_of_changes_cancels_and_refusals_in_order() -> None:
    notes = Notes()

    def enlarge(script: Script) -> None:
        script.modify_order(newest(script), quantity=Quantity.from_str("2.000"))

    def enlarge_too_far(script: Script) -> None:
        script.modify_order(newest(script), quantity=Quantity.from_str("9999.000"))

    def cancel(script: Script) -> None:
        script.cancel_order(newest(script))

    played(
        (at(1, 5), resting(A, "1", 90)),
        (at(2, 5), enlarge),
        (at(3, 5), enlarge_too_far),
        (at(4, 5), cancel),
        (at(4, 6), trading(A, "9999")),
        hang=observing(notes),
    )
    what = [(words.split(" ")[0], operation) for words, operation in notes.words]
    assert what == [
        ("intended", "submit"),
        ("intended", "modify"),
        ("gross", "modify"),
        ("intended", "cancel"),
        ("gross", "submit"),
    ]
    assert notes.heard[1][1].quantity == 2


def test_a_hold_keeps_entries_back_and_lets_exits_pass() -> None:
    notes = Notes()

    def hang(desk: BacktestDesk) -> None:
        desk.gate.observers.append(notes)
        desk.gate.hold(lambda facts: "trade link down" if facts.ts > at(2) else None)

    desk, script = played(
        (at(1, 5), trading(A, "5")),
        (at(3, 5), trading(A, "1")),
        (at(3, 6), trading(A, "-2")),
        (at(4, 5), trading(A, "-1", reduce_only=True)),
        hang=hang,
    )
    assert script.denials == ["order gate: trade link down"]
    assert desk.accountant.position(A) == 2
    assert [facts.is_exit for _, facts in notes.heard] == [False, False, True, True]


def test_a_flip_is_no_exit_to_a_hold() -> None:
    def hang(desk: BacktestDesk) -> None:
        desk.gate.hold(lambda facts: "held" if facts.ts > at(2) else None)

    desk, script = played((at(1, 5), trading(A, "5")), (at(3, 5), trading(A, "-6")), hang=hang)
    assert script.denials == ["order gate: held"]
    assert desk.accountant.position(A) == 5


def test_a_dry_run_sends_nothing_at_all() -> None:
    """Also an exit, a change and a cancel of what was there before stay here."""
    dry = False

    def hang(desk: BacktestDesk) -> None:
        desk.gate.hold(lambda facts: "dry run" if dry else None, exits=True)

    def begin(script: Script) -> None:
        nonlocal dry
        dry = True
        script.modify_order(newest(script), price=price(91))

    def cancel(script: Script) -> None:
        script.cancel_order(newest(script))

    def cancel_all(script: Script) -> None:
        script.cancel_all_orders(InstrumentId.from_str(A))

    desk, script = played(
        (at(1, 5), trading(A, "5")),
        (at(2, 5), resting(A, "1", 90)),
        (at(3, 5), begin),
        (at(3, 6), cancel),
        (at(3, 7), cancel_all),
        (at(4, 5), trading(A, "-5", reduce_only=True)),
        (at(4, 6), trading(A, "1")),
        hang=hang,
    )
    assert script.denials == ["order gate: dry run"] * 2
    rejected = [e for e in script.heard if isinstance(e, OrderModifyRejected | OrderCancelRejected)]
    assert [type(event) for event in rejected] == [
        OrderModifyRejected,
        OrderCancelRejected,
        OrderCancelRejected,
    ]
    (order,) = [o for o in script.cache.orders() if o.has_price]
    assert (order.status, order.price) == (OrderStatus.ACCEPTED, price(90))
    assert desk.accountant.position(A) == 5


def test_an_entry_that_can_not_be_written_down_does_not_leave() -> None:
    desk, script = played(
        (at(1, 5), trading(A, "5")), hang=observing(Notes(fault="the disk is full"))
    )
    (denial,) = script.denials
    assert "could not be written down: the disk is full" in denial
    assert desk.accountant.position(A) == 0


def test_an_exit_leaves_even_when_it_can_not_be_written_down() -> None:
    notes = Notes()

    def break_it(script: Script) -> None:
        notes.fault = "the disk is full"
        script.trade(A, "-5")

    desk, script = played((at(1, 5), trading(A, "5")), (at(3, 5), break_it), hang=observing(notes))
    assert script.denials == []
    assert desk.accountant.position(A) == 0
    assert desk.gate.unwritten == 1


@pytest.mark.parametrize("held", [True, False])
def test_one_held_leg_holds_the_whole_list(held: bool) -> None:
    def hang(desk: BacktestDesk) -> None:
        desk.gate.hold(lambda facts: "held" if held and facts.price == 80 else None)

    def both(script: Script) -> None:
        instrument_id, one = InstrumentId.from_str(A), Quantity.from_str("1.000")
        orders = [
            script.order_factory.limit(instrument_id, OrderSide.BUY, one, price(p))
            for p in (90, 80)
        ]
        script.submit_order_list(script.order_factory.create_list(orders))

    _, script = played((at(1, 5), both), hang=hang)
    if held:
        assert script.denials == [
            "order gate: another order of its list was refused: held",
            "order gate: held",
        ]
    else:
        assert script.denials == []


@pytest.mark.parametrize(("quantity", "leaves"), [("1", False), ("-5", True)])
def test_what_waited_is_judged_by_the_verdict_of_the_moment_it_leaves(
    quantity: str, leaves: bool
) -> None:
    """A throttle asks once more: an entry that passed before a halt must not leave into it."""
    asked: list[Refusal | None] = []
    market = market_of([info(A)], venue())
    script = Script({at(1, 5): trading(A, "5"), at(2, 5): trading(A, quantity)})
    desk = desk_of(market, venue(), script)

    def sender(command: TradingCommand, told: Sequence[OrderFacts]) -> None:
        if told[0].ts >= at(2):
            halt = Verdict(action=Action.HALT_ENTRIES, guard="drawdown", reason="down")
            desk.engine.kernel.msgbus.publish("verdicts.drawdown", halt)
            asked.extend(desk.gate.held(facts) for facts in told)
        desk.gate.forward(command)

    desk.gate.sender = sender
    feed(desk, slices(market, {A: FLAT_MARKET}))
    assert [str(found) for found in asked] == [
        "None" if leaves else "halt_entries by drawdown: down"
    ]
