"""The risk desk: its snapshots and events, when guards publish, and which entries it refuses."""

import asyncio
import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.common.component import LiveClock

from actors.desk.guard import GuardActor
from actors.guards.core.guard import Guard
from actors.guards.core.limits import Reading
from actors.guards.core.snapshot import (
    ErrorEvent,
    FillEvent,
    Holding,
    Market,
    Mismatch,
    OrderRequested,
    Refused,
    RoundTripEvent,
    Snapshot,
)
from actors.guards.maintenance import Maintenance, MaintenanceParams
from actors.guards.spread import SpreadGate, SpreadGateParams
from actors.records.rows import FillRow
from strategies.messages import Action, Verdict
from strategies.refusals import Refusal
from strategies.verdicts import board_of
from tests.actors.tiny_guards import A, Loss, LossGuard, LossParams, Table
from tests.fills import a_fill
from tests.waiting import eventually_async

SECOND = 1_000_000_000


def fill(
    quantity: str, price: str, *, order: str = "bt-a-1-1", liquidity: str = "TAKER"
) -> FillRow:
    known = {"strategy": "a", "instrument": A, "client_order_id": order, "liquidity": liquidity}
    return a_fill(quantity, price, "0.1", ts=5, **known)


def kinds(table: Table) -> list[str]:
    return [type(seen).__name__ for seen in table.seen]


# -- the snapshot ----------------------------------------------------------------------------------


def test_a_snapshot_shows_the_account_and_the_results():
    table = Table(Loss())
    held = Holding(
        strategy="a", instrument=A, quantity=Decimal(3), entry=Decimal(10), price=Decimal(12)
    )
    table.account.prices[A] = Decimal(12)
    table.look("1000")
    table.account.held = [held]
    table.desk.filled(fill("3", "10"))
    table.desk.funded("a", A, Decimal("-0.5"))
    table.look("1005.4", now=9 * SECOND)
    assert table.desk.snapshot == Snapshot(
        now=9 * SECOND,
        equity=Decimal("1005.4"),
        balance=Decimal("1005.4"),
        holdings=(held,),
        # 3 x (12 - 10) - 0.1 fee - 0.5 funding.
        results={"a": Decimal("5.4")},
        leverage=Decimal(3),
    )


def test_costly_parts_are_left_out_unless_a_guard_needs_them():
    table = Table(Loss())
    table.desk.filled(fill("3", "10"))
    table.look("1000")
    assert table.desk.snapshot.results_by_instrument == {}
    assert table.desk.snapshot.markets == {}


def test_nothing_is_shown_before_the_account_is_known():
    table = Table(Loss())
    table.account.known = False
    table.look("1000")
    table.desk.erred("sweep", "no answer")
    assert table.seen == []
    assert str(table.desk.hold(table.entry())) == (
        "halt_entries for now by desk: the account is not known yet"
    )
    table.account.known = True
    table.look("1000")
    assert kinds(table) == ["Snapshot", "ErrorEvent"]


def test_an_entry_before_the_first_snapshot_makes_one():
    table = Table(Loss())
    assert table.desk.hold(table.entry()) is None
    assert kinds(table) == ["Snapshot"]


def at_the_order(guard: Guard[Any, Any]) -> tuple[Refusal | None, list[str]]:
    """Return what refuses an entry after the market has changed, and of what it was read again."""
    read: list[str] = []

    def newest(name: str, now: int) -> Market:
        read.append(name)
        return Market(bid=Decimal(90), ask=Decimal(100), trading=False)

    before = {A: Market(bid=Decimal("99.9"), ask=Decimal(100))}
    table = Table(GuardActor("one", guard), market=lambda now: before, at_order=newest)
    return table.desk.hold(table.entry()), read


def test_an_entry_waits_for_the_newest_market_only_where_a_guard_reads_it_not_its_rules():
    refusal, read = at_the_order(SpreadGate(SpreadGateParams(max_bps=50.0)))
    assert "spread" in str(refusal)
    assert read == [A]
    assert at_the_order(Maintenance(MaintenanceParams())) == (None, [])


# -- what happened ---------------------------------------------------------------------------------


def test_a_fill_costs_what_it_is_worse_than_the_price_at_which_its_order_left():
    table = Table(Loss())
    table.look("1000")
    for order, quantity in (("bt-a-1-1", "2"), ("bt-a-1-2", "-2"), ("bt-a-1-3", "2")):
        table.desk.intended(table.entry(quantity, client_order_id=order))
    table.account.prices[A] = Decimal(99)
    table.desk.filled(fill("2", "10.1"))
    table.desk.filled(fill("-1", "10.2", order="bt-a-1-2"))
    table.desk.filled(fill("2", "10.3", order="bt-a-1-3", liquidity="MAKER"))
    table.desk.filled(fill("2", "10.4", order="V-DEL-a-1"))
    found = [seen.slippage for seen in table.seen if isinstance(seen, FillEvent)]
    # Bought at 10.1 for 10: 1 % worse; sold at 10.2 for 10: 2 % better.
    assert found == [pytest.approx(0.01), pytest.approx(-0.02), None, None]


def test_an_entry_that_followed_the_price_slips_from_where_its_decision_was_made():
    table = Table(Loss())
    table.look("1000")
    orders = (("1", "4", "10", "x"), ("2", "4", "11", "x"), ("3", "-9", "12", "y"))
    for order, quantity, price, decision in orders:
        table.account.prices[A] = Decimal(price)
        facts = table.entry(quantity, client_order_id=f"bt-a-1-{order}", decision_id=decision)
        table.desk.intended(facts)
    table.desk.filled(fill("4", "10.5", order="bt-a-1-1", liquidity="MAKER"))
    table.desk.filled(fill("4", "11", order="bt-a-1-2"))
    table.desk.filled(fill("-3", "6", order="bt-a-1-3"))
    table.desk.filled(fill("-6", "6", order="bt-a-1-3"))
    found = [
        (seen.slippage, seen.decision_slippage, seen.entry)
        for seen in table.seen
        if isinstance(seen, FillEvent)
    ]
    # Sold 3 and 6 of 8: the second through zero, so that it opens a short.
    assert found == [(None, 0.05, True), (0.0, 0.1, True), (0.5, 0.5, False), (0.5, 0.5, True)]


def test_a_round_trip_is_shown_after_the_fill_that_ended_it():
    table = Table(Loss())
    table.look("1000")
    table.desk.filled(fill("2", "10"))
    table.desk.filled(fill("-2", "13"))
    assert kinds(table) == ["Snapshot", "FillEvent", "FillEvent", "RoundTripEvent"]
    closed = table.seen[-1]
    assert isinstance(closed, RoundTripEvent)
    assert (closed.net, closed.value) == (Decimal("5.8"), Decimal(20))


def test_guards_see_orders_that_leave_and_entries_that_are_refused():
    table = Table(Loss())
    table.look("1000")
    table.desk.intended(table.entry("-2", price=Decimal("9.5")))
    table.desk.intended(table.entry(operation="cancel", is_exit=True))
    table.desk.intended(table.entry(operation="modify"))
    dry = Refusal(code="dry_run", text="a dry run")
    table.desk.refused(table.entry(), Refusal(code="gate", text="too large"))
    table.desk.refused(table.entry(operation="cancel", is_exit=True), dry)
    asked, refused = table.seen[1:]
    assert isinstance(asked, OrderRequested)
    assert (asked.quantity, asked.price, asked.is_exit) == (Decimal(-2), Decimal("9.5"), False)
    assert isinstance(refused, Refused)
    assert refused.reason == "too large"


def test_errors_and_differences_are_shown_with_the_time():
    table = Table(Loss())
    table.look("1000", now=SECOND)
    table.desk.erred("sweep", "no answer")
    table.desk.differed("position", A, "2 here, 3 there")
    assert table.seen[1:] == [
        ErrorEvent(ts=SECOND, source="sweep", text="no answer"),
        Mismatch(ts=SECOND, kind="position", instrument=A, detail="2 here, 3 there"),
    ]


# -- when guards publish ---------------------------------------------------------------------------


def test_all_guards_see_an_input_before_one_publishes():
    first, second = Loss("one"), Loss("two")
    table = Table(first, second)
    seen_by_two: list[float] = []
    table.bus.subscribe("verdicts.one", lambda _: seen_by_two.append(second.readings[0].measured))
    table.looks("1000", "900")
    assert seen_by_two == [100.0]


def test_events_that_follow_a_verdict_reach_every_guard_after_the_snapshot():
    guards = [Loss("one"), Loss("two"), Loss("three")]
    table = Table(*guards)
    seen_by: dict[str, list[str]] = {guard.key: [] for guard in guards}
    for guard in guards:
        see = guard._see

        def note(seen, see=see, key=guard.key):
            seen_by[key].append(type(seen).__name__)
            see(seen)

        guard._see = note
    table.bus.subscribe(
        "verdicts.one", lambda _: table.desk.intended(table.entry("-1", is_exit=True))
    )
    table.looks("1000", "900")
    assert set(map(tuple, seen_by.values())) == {("Snapshot", "Snapshot", "OrderRequested")}


def test_a_verdict_on_an_event_is_published_once_the_engine_is_done_and_holds_entries_before():
    class AfterTrade(LossGuard):
        def observe(self, state, seen):
            over = isinstance(seen, FillEvent)
            reading = Reading(
                scope="strategy:a",
                measured=float(over),
                limit=1.0,
                over=over,
                clear=not over,
                action=Action.HALT_ENTRIES,
                reason="traded",
            )
            return state, (reading,)

    class AfterTradeActor(Loss):
        runs = AfterTrade

    table = Table(AfterTradeActor())
    table.look("1000")
    table.desk.filled(fill("1", "10"))
    assert table.said == []
    assert str(table.desk.hold(table.entry())) == "halt_entries by loss: traded"
    assert table.desk.hold(table.entry(strategy="b")) is None
    table.done()
    assert [verdict.reason for verdict in table.said] == ["traded"]
    table.done()
    assert len(table.said) == 1


def test_a_late_subscriber_sees_standing_verdicts():
    table = Table(Loss("one"), Loss("two", limit=50.0))
    table.looks("1000", "900")
    assert [verdict.guard for verdict in board_of(table.bus).standing()] == ["one", "two"]


# -- silence ---------------------------------------------------------------------------------------


def silent(table: Table, monkeypatch, seconds: float) -> Refusal | None:
    """Return an entry's refusal so many seconds after the desk's last evaluation."""
    real = time.monotonic_ns
    monkeypatch.setattr(table.desk, "_monotonic_ns", lambda: real() + round(seconds * SECOND))
    try:
        return table.desk.hold(table.entry())
    finally:
        monkeypatch.undo()


def test_entries_stop_when_a_required_guard_is_silent_for_longer_than_its_heartbeat(monkeypatch):
    table = Table(Loss("one", LossParams(required=False)), Loss("two"), heartbeat_ns=60 * SECOND)
    table.look("1000")
    assert silent(table, monkeypatch, 58) is None
    words = "halt_entries for now by two: it has been silent for more than 60 s"
    assert str(silent(table, monkeypatch, 61)) == words
    table.look("1000")
    assert silent(table, monkeypatch, 58) is None


def test_entries_wait_for_the_first_reading_of_a_required_guard():
    table = Table(Loss(), heartbeat_ns=60 * SECOND)
    assert "silent" in str(table.desk.hold(table.entry()))


def test_events_are_no_sign_of_life(monkeypatch):
    table = Table(Loss(), heartbeat_ns=1)
    table.look("1000")
    table.desk.erred("sweep", "no answer")
    assert "silent" in str(silent(table, monkeypatch, 1))


def test_a_guard_that_failed_refuses_by_its_verdict_not_by_its_silence(monkeypatch):
    table = Table(Loss(fails_at=50), heartbeat_ns=SECOND)
    table.looks("1000", "900")
    assert [v.action for v in table.said] == [Action.HALT_ENTRIES]
    assert isinstance(table.said[0], Verdict)
    assert silent(table, monkeypatch, 3600) is None


# -- looking by itself -----------------------------------------------------------------------------


def test_live_it_evaluates_in_the_loop_when_a_halt_may_end():
    async def live() -> None:
        table = Table(Loss(limit=100, release="200ms"), clock=LiveClock())
        threads: list[int] = []
        table.bus.subscribe("verdicts.*", lambda verdict: threads.append(threading.get_ident()))
        for equity in ("1000", "890", "900"):
            table.account.equity_is = Decimal(equity)
            table.desk.evaluate()
        (halt,) = table.said
        # Still 100 lost: it goes on.
        await eventually_async(lambda: len(table.said) > 1)
        first, again = table.said[:2]
        assert (first, again.action) == (halt, Action.HALT_ENTRIES)
        assert again.until >= halt.until + 200_000_000
        table.account.equity_is = Decimal("950")
        await eventually_async(lambda: table.said[-1].action is Action.NONE)
        assert {verdict.action for verdict in table.said[:-1]} == {Action.HALT_ENTRIES}
        assert set(threads) == {threading.get_ident()}
        table.desk.stop()
        assert not table.clock.timer_names

    asyncio.run(live())


def test_a_halt_that_comes_due_while_guards_measure_is_evaluated_again():
    table = Table(Loss(limit=100, release="1m"))
    table.looks("1000", "890")
    (halt,) = table.said
    late = [halt.until + 1]
    table.bus.subscribe("risk.seen", lambda seen: late and table.clock.set_time(late.pop()))
    table.look("950", now=halt.until - 1)
    assert table.said == [halt]
    for event in table.clock.advance_time(halt.until + SECOND):
        event.handle()
    assert table.said[-1].action is Action.NONE


def test_a_guard_that_failed_keeps_its_halts_whatever_the_time():
    table = Table(Loss(limit=100, release="1m", fails_at=300))
    table.looks("1000", "850", "600")
    table.look("1000", now=3600 * SECOND)
    assert [verdict.action for verdict in table.said].count(Action.NONE) == 0
    (latch, failed) = table.desk.guards["loss"].latches
    assert (latch.reason, failed.key) == ("150 lost", "failed")
