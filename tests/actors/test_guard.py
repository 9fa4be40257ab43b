"""A guard: rule, latch, state, verdict, in this order; over restarts, failures and releases."""

from decimal import Decimal

import msgspec
import pytest

from actors.desk.guard_state import STATE, Kept
from actors.guards.core.calm import Bounds
from actors.guards.core.snapshot import Holding, Snapshot
from config.errors import DeskError, GateRefused
from strategies.messages import Action
from strategies.state import MemoryState
from tests.actors.tiny_guards import A, Loss, LossGuard, LossParams, Table, TransientParams

SECOND = 1_000_000_000


def words(table: Table) -> list[tuple[str, str]]:
    return [(verdict.action.name, verdict.reason) for verdict in table.said]


def test_a_guard_publishes_changes_only():
    table = Table(Loss(release="recovered", hysteresis=0.1))
    table.looks("1000", "900", "880", "905", "911", "950")
    # 905 is within a tenth of the limit, 910 is clear.
    assert words(table) == [("HALT_ENTRIES", "100 lost"), ("NONE", "over")]


def test_a_verdict_has_its_guard_scope_and_numbers():
    table = Table(Loss("daily", LossParams(action="shrink", size=0.25, release="30m")))
    table.look("1000")
    table.look("850", now=10 * SECOND)
    (verdict,) = table.said
    assert (verdict.guard, verdict.scope) == ("daily", "desk")
    assert (verdict.action, verdict.multiplier) == (Action.SHRINK, 0.25)
    assert (verdict.measured, verdict.limit) == (150.0, 100.0)
    assert verdict.until == 10 * SECOND + 1800 * SECOND


def test_a_quiet_guard_measures_when_its_readings_are_read(monkeypatch):
    loss = Loss(limit=100)
    measured, measure = [], loss.guard.measure
    monkeypatch.setattr(loss.guard, "calm", lambda *_: Bounds(least=Decimal(900)))
    monkeypatch.setattr(
        loss.guard, "measure", lambda *seen: measured.append(seen[1].equity) or measure(*seen)
    )
    table = Table(loss)
    table.looks("1000", "950", "940")
    assert measured == [1000]
    assert [reading.measured for reading in loss.readings] == [60.0]
    table.looks("930", "800", "950")
    # A halt that may end is measured.
    assert measured == [1000, 940, 800, 950]
    assert [reading.measured for reading in loss.readings] == [50.0]


class Calm(LossGuard):
    def calm(self, state, snapshot):
        return None if state.requests else Bounds(least=state.start - Decimal(self.params.limit))


class CalmLoss(Loss):
    runs = Calm
    asked = 0

    def observe(self, seen):
        self.asked += isinstance(seen, Snapshot)
        super().observe(seen)


def test_guards_that_rest_together_say_and_show_what_they_say_and_show_alone():
    def played(strict: bool):
        guards = [CalmLoss("one", limit=100), CalmLoss("two", limit=200), Loss("busy", limit=300)]
        table, shown = Table(*guards, strict=strict), []
        for equity in range(1000, 770, -5):
            table.look(str(equity))
            if equity == 950:
                table.desk.intended(table.entry())
            shown += [[g.readings[0].measured, g.guard_state] for g in guards]
        return [msgspec.to_builtins(said) for said in table.said], shown, guards[1].asked

    together, alone = played(strict=True), played(strict=False)
    assert together[:2] == alone[:2]
    assert [said["guard"] for said in together[0]] == ["one", "two"]
    # Two looks until it rests, two after the request, six with its halt; none as "one" halts.
    assert (together[2], alone[2]) == (10, 46)


def test_a_halt_is_kept_before_its_verdict_is_published():
    class Noted(MemoryState):
        def save(self, name, value):
            super().save(name, value)
            order.append(name)

    order: list[str] = []
    store = Noted()
    table = Table(Loss(store=store))
    table.bus.subscribe("verdicts.*", lambda verdict: order.append(verdict.action.name))
    table.looks("1000", "800")
    assert order == ["state", "readings", "state", "readings", "HALT_ENTRIES"]
    kept = msgspec.json.decode(store.values[STATE], type=Kept)
    assert [latch.reason for latch in kept.latches] == ["200 lost"]


def test_nothing_is_saved_when_nothing_changed_and_readings_once_a_second():
    store = MemoryState()
    table = Table(Loss(store=store))
    table.look("1000", now=SECOND)
    assert store.saves == 2
    for quarter in range(1, 9):
        table.look("999", now=SECOND + quarter * SECOND // 4)
    assert store.saves == 4


class Disk(MemoryState):
    full = False

    def save(self, name, value):
        if self.full:
            raise DeskError("the disk is full")
        super().save(name, value)


def test_a_breach_while_nothing_can_be_kept_is_published_and_kept_once_it_can():
    store = Disk()
    guard = Loss(store=store, params=LossParams(action="flatten"))
    table = Table(guard)
    table.look("1000")
    store.full = True
    table.look("850")
    assert [v.action for v in table.said] == [Action.FLATTEN]
    assert not guard.failed
    assert {latch.key for latch in guard.latches} == {"", "unkept"}
    store.full = False
    table.look("850")
    (kept,) = msgspec.json.decode(store.values[STATE], type=Kept).latches
    assert (kept.reason, guard.latches) == ("150 lost", (kept,))


def test_a_verdict_that_can_not_be_kept_halts_entries_until_it_can():
    store = Disk()
    store.full = True
    table = Table(Loss(store=store))
    table.looks("1000", "1000")
    store.full = False
    table.look("1000")
    assert [v.action for v in table.said] == [Action.HALT_ENTRIES, Action.NONE]
    assert "the disk is full" in table.said[0].reason


def test_a_subscriber_that_fails_stops_no_other_verdict():
    def fails(verdict):
        raise RuntimeError(f"not {verdict.guard}")

    one, two = Loss("one"), Loss("two")
    table = Table(one, two)
    table.bus.subscribe("verdicts.*", fails)
    table.look("1000")
    with pytest.raises(ExceptionGroup) as raised:
        table.look("900")
    assert [str(error) for error in raised.value.exceptions] == ["not one", "not two"]
    assert [v.guard for v in table.said] == ["one", "two"]
    assert [v.guard for v in table.desk.verdicts.standing()] == ["one", "two"]


# -- restarts --------------------------------------------------------------------------------------


def test_a_restarted_guard_publishes_what_stood_before_it_measures():
    store = MemoryState()
    first = Table(Loss(store=store))
    first.looks("1000", "800")
    guard = Loss(store=store)
    second = Table(guard)
    assert second.said == first.said
    assert second.seen == []
    assert guard.readings[0].measured == 200.0


def test_a_restarted_guard_goes_on_from_its_state():
    store = MemoryState()
    Table(Loss(store=store)).look("1000")
    table = Table(Loss(store=store))
    table.look("900")
    # Begun anew, 900 would be what it starts from.
    assert words(table) == [("HALT_ENTRIES", "100 lost")]


def test_a_state_that_cannot_be_read_stops_the_start():
    store = MemoryState()
    store.save(STATE, b'{"state": {"peak": 1}, "latches": []}')
    with pytest.raises(DeskError, match="guard loss: what it kept is not of this version of Loss"):
        Table(Loss(store=store))


# -- failures --------------------------------------------------------------------------------------


def test_a_rule_that_fails_ends_a_strict_run():
    table = Table(Loss(fails_at=50), strict=True)
    table.look("1000")
    with pytest.raises(ZeroDivisionError, match="made to fail"):
        table.look("950")


def test_a_rule_that_fails_live_halts_entries_over_restarts_until_it_is_released():
    store = MemoryState()
    table = Table(Loss(fails_at=50, store=store))
    table.looks("1000", "950", "1000")
    said = [("HALT_ENTRIES", "guard loss failed: ZeroDivisionError: made to fail")]
    assert words(table) == said
    guard = Loss(fails_at=50, store=store)
    again = Table(guard)
    again.look("1000")
    assert words(again) == said
    assert guard.failed
    guard.release(None, False, "mended")
    assert words(again)[1:] == [("NONE", "released: mended")]
    again.look("880")
    assert guard.failed


def test_a_guard_that_failed_does_not_hold_up_the_others():
    table = Table(Loss("one", fails_at=50), Loss("two"))
    table.looks("1000", "900")
    assert [(v.guard, v.reason) for v in table.said] == [
        ("one", "guard one failed: ZeroDivisionError: made to fail"),
        ("two", "100 lost"),
    ]


class SaysParams(LossParams, frozen=True, kw_only=True):
    scope: str = "desk"
    shrinks_to: float = 0.5


class Says(LossGuard):
    def measure(self, state, snapshot):
        state, (reading,) = super().measure(state, snapshot)
        more = {"scope": self.params.scope, "multiplier": self.params.shrinks_to}
        return state, (msgspec.structs.replace(reading, **more),)


class Saying(Loss):
    runs = Says


def said_of(strict: bool = False, **says) -> Table:
    """Return a table whose guard says something when 100 are lost."""
    table = Table(Saying("own", params=SaysParams(action="shrink", **says)), strict=strict)
    table.account.held.append(
        Holding(strategy="hand", instrument=A, quantity=Decimal(1), entry=Decimal(10), price=None)
    )
    table.looks("1000", "950", "900")
    return table


@pytest.mark.parametrize(
    ("says", "words"),
    [
        *(
            ({"shrinks_to": size}, f"multiplier {size} of its reading on desk must be from 0 to 1")
            for size in (3.0, -2.0, 1.001, -0.001, float("nan"), float("inf"))
        ),
        *(
            ({"scope": scope}, f"scope {scope!r} of its reading must be desk, strategy:KEY")
            for scope in ("", "BTCUSDT", "Desk", A, "instrument:", "instrument:BTCUSDT")
        ),
        ({"scope": "strategy:nope"}, "a key of a, hand, or instrument:ID"),
    ],
)
def test_a_reading_that_would_halt_nothing_or_enlarge_halts_entries_until_released(says, words):
    table = said_of(**says)
    (verdict,) = table.said
    assert (verdict.action, verdict.scope) == (Action.HALT_ENTRIES, "desk")
    assert verdict.reason.startswith("guard own failed: DeskError: actors.own: ")
    assert words in verdict.reason
    with pytest.raises(DeskError, match=r"^actors\.own: "):
        said_of(strict=True, **says)


@pytest.mark.parametrize(
    "says",
    [
        *({"shrinks_to": size} for size in (0, 0.0, 0.9, 1, 1.0)),
        *({"scope": f"strategy:{key}"} for key in ("a", "hand")),
        # What left the universe, and what was traded by hand, whatever it is called.
        *({"scope": f"instrument:{name}"} for name in (A, "BTCUSDT-26DEC25-LINEAR.BYBIT")),
    ],
)
def test_a_reading_may_concern_what_trades_and_what_is_held(says):
    (verdict,) = said_of(strict=True, **says).said
    assert verdict.action == Action.SHRINK
    assert verdict.scope == says.get("scope", "desk")
    assert verdict.multiplier == says.get("shrinks_to", 0.5)


def test_a_halt_from_before_a_restart_stands_though_its_strategy_left():
    store = MemoryState()
    guard = Saying(store=store, params=SaysParams(scope="strategy:a"))
    table = Table(guard)
    table.looks("1000", "900")
    again = Saying(store=store, params=SaysParams(scope="strategy:a", action="reduce_only"))
    table = Table(again, keys=("b",))
    table.looks("900", "890")
    assert not again.failed
    assert [(v.scope, v.action) for v in table.said][-1] == ("strategy:a", Action.REDUCE_ONLY)


# -- releases --------------------------------------------------------------------------------------


def test_a_release_needs_the_breach_gone():
    guard = Loss()
    table = Table(guard)
    table.looks("1000", "900")
    with pytest.raises(GateRefused, match="still reached: 100 lost; release it with --accept"):
        guard.release(None, False, "go on")
    table.look("901")
    ended = guard.release(None, False, "go on")
    assert [latch.reason for latch in ended] == ["100 lost"]
    assert words(table) == [("HALT_ENTRIES", "100 lost"), ("NONE", "released: go on")]


def test_an_accepted_breach_is_measured_anew_from_there():
    store = MemoryState()
    guard = Loss(store=store)
    table = Table(guard)
    table.looks("1000", "900")
    guard.release("desk", True, "I know")
    assert msgspec.json.decode(store.values[STATE], type=Kept).latches == ()
    table.look("801")
    assert len(table.said) == 2
    table.look("800")
    assert words(table)[2:] == [("HALT_ENTRIES", "100 lost")]


def test_what_is_accepted_is_the_account_as_it_is_now():
    guard = Loss()
    table = Table(guard)
    table.looks("1000", "900")
    table.account.equity_is = 750
    guard.release(None, True, "I know")
    table.look("751")
    assert guard.latches == ()
    table.look("650")
    assert words(table)[2:] == [("HALT_ENTRIES", "100 lost")]


def test_a_release_of_another_scope_leaves_what_stands():
    guard = Loss()
    table = Table(guard)
    table.looks("1000", "900")
    assert guard.release("strategy:a", True, "go on") == ()
    assert len(table.said) == 1


def test_a_release_before_the_first_snapshot_takes_one():
    store = MemoryState()
    first = Table(Loss(store=store))
    first.looks("1000", "900")
    guard = Loss(store=store)
    table = Table(guard)
    table.account.equity_is = 1000
    # Back at its start the breach is gone, whatever the last reading before the restart said.
    assert len(guard.release(None, False, "it came back")) == 1


# -- admissions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (LossParams(per_look=2), "halt_entries by loss: 2 requests already"),
        (TransientParams(per_look=2), "halt_entries for now by loss: 2 requests already"),
    ],
)
def test_an_entry_that_a_guard_does_not_admit_is_refused(params, words):
    table = Table(Loss(params=params))
    table.look("1000")
    refusals = []
    for _ in range(3):
        facts = table.entry()
        refusals.append(table.desk.hold(facts))
        if refusals[-1] is None:
            table.desk.intended(facts)
    assert refusals[:2] == [None, None]
    assert str(refusals[2]) == words
    table.look("1000")
    assert table.desk.hold(table.entry()) is None
