"""How a flatten is carried through, moment by moment: no engine."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import msgspec
import pytest

from actors.closing.facts import (
    Act,
    AtVenue,
    CancelAct,
    CloseAct,
    ClosingFacts,
    ClosingNews,
    ClosingPolicy,
    ClosingState,
    ClosingTerms,
    PositionKey,
    WorkingOrder,
)
from actors.closing.steps import backoff, next_acts, next_evaluation
from strategies.messages import Action, Verdict

S = 1_000_000_000
A, B, C, SPOT = "A-LINEAR.X", "B-LINEAR.X", "C-LINEAR.X", "A-SPOT.X"
ONE = PositionKey("one", A)
TERMS = {
    A: ClosingTerms(lot=D("0.1"), min_quantity=D("0.5"), min_notional=D(5), max_quantity=D(100)),
    B: ClosingTerms(lot=D("0.1")),
    C: ClosingTerms(lot=D("0.1")),
    SPOT: ClosingTerms(
        lot=D("0.1"), min_quantity=D("0.5"), min_notional=D(5), spot=True, price=D(2)
    ),
}
POLICY = ClosingPolicy(grace_ns=5 * S, deadline_ns=30 * S, owners={A: "one", B: "two", SPOT: "one"})
VERIFYING = msgspec.structs.replace(POLICY, verifies=True)
FLATTEN = Verdict(action=Action.FLATTEN, guard="drawdown", reason="20 % lost")


def view(now: float, **facts: Any) -> ClosingFacts:
    positions = facts.pop("positions", {ONE: D(10)})
    known: dict[str, Any] = {"verdicts": (FLATTEN,), "positions": positions, "terms": TERMS}
    return ClosingFacts(now=round(now * S), **(known | facts))


def order(name: str, left: str, **facts: Any) -> WorkingOrder:
    known: dict[str, Any] = {"owner": "one", "instrument": A}
    return WorkingOrder(id=name, left=D(left), **(known | facts))


def mine(name: str = "z1", left: str = "-10", **facts: Any) -> WorkingOrder:
    known: dict[str, Any] = {"reduce_only": True, "takes": True, "answered": False, "ours": True}
    return order(name, left, **(known | facts))


def walked(*views: ClosingFacts, policy: ClosingPolicy = POLICY) -> tuple[ClosingState, list[Act]]:
    """Show the views one after the other; return the state and what the last one led to."""
    state, acts = ClosingState(), ()
    for shown in views:
        state, acts = next_acts(state, shown, policy)
    return state, list(acts)


def deeds(acts: list[Act]) -> list[Act]:
    return [act for act in acts if not isinstance(act, ClosingNews)]


def words(acts: list[Act]) -> list[tuple[str, str]]:
    return [(act.kind, act.text) for act in acts if isinstance(act, ClosingNews)]


# -- grace -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "expected"), [(0, []), (4.999999999, []), (5, [CloseAct(ONE, D(-10))])]
)
def test_strategies_have_their_grace_before_anything_is_closed(
    now: float, expected: list[Act]
) -> None:
    _, acts = walked(view(0), view(now))
    assert deeds(acts) == expected


def test_a_scope_that_is_added_later_has_a_grace_of_its_own() -> None:
    two = PositionKey("two", B)
    held = {ONE: D(10), two: D(3)}
    first = Verdict(action=Action.FLATTEN, scope="strategy:one", guard="g")
    wider = Verdict(action=Action.FLATTEN, scope=f"instrument:{B}", guard="h")
    state, acts = walked(
        view(0, verdicts=(first,), positions=held), view(4, verdicts=(first, wider), positions=held)
    )
    state, acts = next_acts(state, view(5, verdicts=(first, wider), positions=held), POLICY)
    assert deeds(list(acts)) == [CloseAct(ONE, D(-10))]
    state, acts = next_acts(
        state, view(9, verdicts=(first, wider), positions=held, orders=(mine(),)), POLICY
    )
    assert deeds(list(acts)) == [CloseAct(two, D(-3))]


def test_a_verdict_that_ends_ends_the_flatten_and_is_reported() -> None:
    state, acts = walked(view(0), view(5), view(6, verdicts=(), orders=(mine(),)))
    assert state == ClosingState()
    assert deeds(acts) == []
    assert words(acts) == [("off", "the flatten was released after 6.0 s, before all was closed")]


PER_OWNER = {PositionKey("", B): D(1), PositionKey("", C): D(1)}
HALT = Verdict(action=Action.HALT_ENTRIES, guard="drawdown")
MANY = (
    order("more", "5"),
    order("exit", "-10"),
    order("turn", "-11"),
    order("stop", "-99", reduce_only=True),
    order("new", "5", owner="two", instrument=B),
)
STRATEGY_ONE = Verdict(action=Action.FLATTEN, scope="strategy:one", guard="g")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"positions": {ONE: D(-7)}}, [CloseAct(ONE, D(7))]),
        # An exit of the strategy that leaves at market is not doubled: six are the closer's.
        ({"orders": (order("own", "-4", takes=True, answered=False),)}, [CloseAct(ONE, D(-6))]),
        ({"orders": (order("own", "-10", takes=True, answered=False, reduce_only=True),)}, []),
        # An order larger than the largest is split into equal ones.
        (
            {"positions": {ONE: D(250)}},
            [CloseAct(ONE, D("-83.4")), CloseAct(ONE, D("-83.3")), CloseAct(ONE, D("-83.3"))],
        ),
        # A perpetual is closed below the minimum quantity and value, down to less than a lot.
        ({"positions": {ONE: D("0.1")}}, [CloseAct(ONE, D("-0.1"))]),
        ({"positions": {ONE: D("10.05")}}, [CloseAct(ONE, D("-10.0"))]),
        # Orders outside the scope stay.
        (
            {
                "verdicts": (STRATEGY_ONE,),
                "orders": (order("b", "5", owner="two", instrument=B), order("x", "5", owner="")),
            },
            [CloseAct(ONE, D(-10))],
        ),
        # Under a halt entries are cancelled and exits stay; not for a transient one or a shrink.
        (
            {"verdicts": (HALT,), "orders": MANY},
            [CancelAct("more"), CancelAct("new"), CancelAct("turn")],
        ),
        ({"verdicts": (msgspec.structs.replace(HALT, transient=True),), "orders": MANY}, []),
        (
            {
                "verdicts": (Verdict(action=Action.SHRINK, multiplier=0.5, guard="drawdown"),),
                "orders": MANY,
            },
            [],
        ),
        # External positions are closed by the document's policy, and not for one strategy.
        ({"positions": PER_OWNER, "external": "leave"}, []),
        ({"positions": PER_OWNER, "external": "universe"}, [CloseAct(PositionKey("", B), D(-1))]),
        (
            {"positions": PER_OWNER, "external": "all"},
            [CloseAct(PositionKey("", name), D(-1)) for name in (B, C)],
        ),
        ({"positions": PER_OWNER, "verdicts": (STRATEGY_ONE,), "external": "universe"}, []),
        # Two owners that offset each other are flat at the venue.
        (
            {"positions": {ONE: D(10), PositionKey("", A): D(-4)}, "external": "all"},
            [CloseAct(ONE, D(-6))],
        ),
    ],
)
def test_what_is_done_once_the_grace_is_over(facts: dict[str, Any], expected: list[Act]) -> None:
    policy = msgspec.structs.replace(POLICY, external=facts.pop("external", POLICY.external))
    assert deeds(walked(view(0, **facts), view(4.9, **facts), policy=policy)[1]) == []
    assert deeds(walked(view(0, **facts), view(5, **facts), policy=policy)[1]) == expected


def test_owners_that_offset_each_other_are_flat() -> None:
    policy = msgspec.structs.replace(POLICY, external="all")
    held = {ONE: D(4), PositionKey("", A): D(-4)}
    assert words(walked(view(0, positions=held), policy=policy)[1]) == [
        ("flat", "flat after 0.0 s")
    ]


# -- cancels ---------------------------------------------------------------------------------------


def test_every_order_in_scope_is_cancelled_before_what_is_held_is_closed() -> None:
    resting = (order("entry", "5"), order("stop", "-10", reduce_only=True))
    state, acts = walked(view(0, orders=resting), view(5, orders=resting))
    assert deeds(acts) == [CancelAct("entry"), CancelAct("stop")]
    state, acts = next_acts(state, view(5.2, orders=resting[:1]), POLICY)
    assert deeds(list(acts)) == []
    state, acts = next_acts(state, view(5.3), POLICY)
    assert deeds(list(acts)) == [CloseAct(ONE, D(-10))]


@pytest.mark.parametrize(
    ("stubborn", "closed"),
    [
        # It may still fill: only what it leaves is closed.
        (order("exit", "-4"), [CloseAct(ONE, D(-6))]),
        (order("exit", "-10"), []),
        # The venue caps it; an entry can't turn anything round.
        (order("stop", "-10", reduce_only=True), [CloseAct(ONE, D(-10))]),
        (order("entry", "4"), [CloseAct(ONE, D(-10))]),
    ],
)
def test_a_cancel_without_an_answer_holds_the_close_up_for_two_seconds(
    stubborn: WorkingOrder, closed: list[Act]
) -> None:
    shown = [view(now, orders=(stubborn,)) for now in (0, 5, 6.999999999)]
    state, acts = walked(*shown)
    assert not [act for act in acts if isinstance(act, CloseAct)]
    _, acts = next_acts(state, view(7, orders=(stubborn,)), POLICY)
    assert [act for act in acts if isinstance(act, CloseAct)] == closed


def test_a_cancel_is_repeated_ever_more_slowly() -> None:
    state, sent = ClosingState(), []
    for tick in range(0, 300):
        state, acts = next_acts(state, view(tick / 10, orders=(order("entry", "5"),)), POLICY)
        sent += [tick / 10 for act in acts if isinstance(act, CancelAct)]
    assert sent == [5, 6, 8, 12, 20, 28]


def test_an_entry_that_can_not_be_taken_back_raises_an_alarm_again_and_again() -> None:
    halt = Verdict(action=Action.REDUCE_ONLY, guard="drawdown")
    state, said = ClosingState(), []
    for now in range(0, 60):
        shown = view(now, verdicts=(halt,), orders=(order("more", "5"),))
        state, acts = next_acts(state, shown, POLICY)
        said += [(now, *found) for found in words(list(acts))]
    text = f"entries are halted, and some would not be cancelled: {A}: order more"
    assert said == [(30, "resting", text), (40, "resting", text), (50, "resting", text)]


# -- closes ----------------------------------------------------------------------------------------


def test_after_a_partial_fill_the_rest_is_sent_at_once() -> None:
    """A thin book took 4 of 10 and the venue cancelled what was left."""
    _, acts = walked(view(0), view(5), view(5.1, positions={ONE: D(6)}))
    assert deeds(acts) == [CloseAct(ONE, D(-6))]


def test_a_close_that_rests_on_a_thin_book_is_taken_back_and_sent_again() -> None:
    rests = mine(left="-6", answered=True, since=round(5.1 * S))
    left = {ONE: D(6)}
    state, acts = walked(view(0), view(5), view(7, positions=left, orders=(rests,)))
    assert deeds(acts) == []
    state, acts = next_acts(state, view(7.1, positions=left, orders=(rests,)), POLICY)
    assert deeds(list(acts)) == [CancelAct("z1")]
    _, acts = next_acts(state, view(7.2, positions=left), POLICY)
    assert deeds(list(acts)) == [CloseAct(ONE, D(-6))]


def test_a_close_that_is_refused_is_repeated_ever_more_slowly() -> None:
    state, sent = ClosingState(), []
    for tick in range(0, 400):
        state, acts = next_acts(state, view(tick / 10), POLICY)
        sent += [tick / 10 for act in acts if isinstance(act, CloseAct)]
    # Each is seen to have failed a tick later; then 0.5 s, 1, 2, 4, 8, 8.
    assert sent == [5, 5.6, 6.7, 8.8, 12.9, 21, 29.1, 37.2]
    assert [backoff(n) / S for n in (1, 2, 3, 4, 5, 6)] == [0.5, 1, 2, 4, 8, 8]


def test_nothing_is_sent_while_the_venue_can_not_be_reached() -> None:
    shown = view(5, reachable=False, orders=(order("entry", "5", instrument=B, owner="two"),))
    state, acts = walked(view(0), shown)
    assert deeds(acts) == []
    _, acts = next_acts(state, view(6), POLICY)
    assert deeds(list(acts)) == [CloseAct(ONE, D(-10))]


# -- an order without an answer --------------------------------------------------------------------


def unanswered(now: float, asked: float, **at_venue: Any) -> ClosingFacts:
    known: dict[str, Any] = {"positions": {A: D(10)}, "orders": {}}
    venue = AtVenue(queried_at=round(asked * S), **(known | at_venue))
    return view(now, orders=(mine(since=5 * S),), venue=venue)


@pytest.mark.parametrize(
    ("shown", "again"),
    [
        (unanswered(14.9, 14.9), []),
        (unanswered(16, 14.9), []),
        (unanswered(16, 15, orders={"z1": A}), []),
        (unanswered(16, 15, positions={}), []),
        (unanswered(16, 15), [CloseAct(ONE, D(-10))]),
        # Four of them are gone there: our books are late.
        (unanswered(16, 15, positions={A: D(6)}), [CloseAct(ONE, D(-6))]),
    ],
)
def test_it_is_sent_again_only_when_the_venue_surely_never_got_it(
    shown: ClosingFacts, again: list[Act]
) -> None:
    state, _ = walked(view(0), view(5), shown, policy=VERIFYING)
    later = msgspec.structs.replace(shown, now=shown.now + S)
    assert deeds(list(next_acts(state, later, VERIFYING)[1])) == again


def test_one_that_waits_for_its_turn_here_is_not_lost() -> None:
    waits = mine(since=5 * S, has_left=False)
    venue = AtVenue(queried_at=60 * S, positions={A: D(10)}, orders={})
    state, _ = walked(view(0), view(5), policy=VERIFYING)
    for now in (60, 61, 62):
        state, acts = next_acts(state, view(now, orders=(waits,), venue=venue), VERIFYING)
        assert deeds(list(acts)) == []


# -- dust and spot ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "there", "closed"),
    [
        ("3", None, "3"),
        ("2.5", None, "2.5"),  # Worth exactly 5.
        ("2.4", None, None),
        ("3", "2.97", "2.9"),  # The fee was paid in the coin.
        ("3", "7", "3"),  # More is in the wallet than is the strategy's.
        ("3", "0", None),
        ("-3", None, None),
    ],
)
def test_spot_sells_what_is_there_and_reports_dust_once(
    held: str, there: str | None, closed: str | None
) -> None:
    key = PositionKey("one", SPOT)
    terms = {
        SPOT: msgspec.structs.replace(TERMS[SPOT], in_wallet=None if there is None else D(there))
    }
    state, said, sent = ClosingState(), [], []
    for now in (0, 5, 50):
        shown = view(now, positions={key: D(held)}, terms=terms)
        state, acts = next_acts(state, shown, POLICY)
        said += words(list(acts))
        sent += deeds(list(acts))
    if closed is None:
        assert sent == []
        assert said == [
            ("dust", f"{SPOT}: {held} is too little to be closed; it stays, and counts as flat"),
            ("flat", "flat after 0.0 s"),
        ]
    else:
        assert sent[0] == CloseAct(key, -D(closed))


# -- what is said ----------------------------------------------------------------------------------


def test_it_reports_how_long_it_took_until_all_was_flat() -> None:
    state, acts = walked(view(0), view(1), view(2.34, positions={}))
    assert words(acts) == [("flat", "flat after 2.3 s")]
    assert next_acts(state, view(3, positions={}), POLICY)[1] == ()


def test_an_order_that_still_stands_is_not_flat() -> None:
    orders = (order("entry", "5"),)
    _, acts = walked(view(0), view(2, positions={}, orders=orders))
    assert acts == []


@pytest.mark.parametrize("now", [29.9, 30])
def test_past_the_deadline_it_reports_that_it_is_not_flat_and_why(now: float) -> None:
    shown = view(now, failures={ONE: "110007 not enough balance"})
    _, acts = walked(view(0), view(5), shown)
    text = f"NOT flat after 30.0 s: {A}: 10 of one is held (110007 not enough balance)"
    assert words(acts) == ([("not_flat", text)] if now == 30 else [])


def test_it_repeats_the_alarm_every_ten_seconds_until_all_is_flat() -> None:
    state, said = ClosingState(), []
    for now in range(0, 58):
        held = {} if now >= 56 else {ONE: D(10)}
        state, acts = next_acts(state, view(now, positions=held), POLICY)
        said += [(now, kind) for kind, _ in words(list(acts)) if kind != "closing"]
    assert said == [(30, "not_flat"), (40, "not_flat"), (50, "not_flat"), (56, "flat")]


def test_what_comes_into_a_scope_that_was_flat_is_closed_at_once() -> None:
    state, _ = walked(view(0), view(2, positions={}))
    state, acts = next_acts(state, view(100), POLICY)
    assert deeds(list(acts)) == [CloseAct(ONE, D(-10))]
    assert words(list(acts))[-1] == (
        "not_flat",
        f"NOT flat any more: {A}: 10 of one is held",
    )
    _, acts = next_acts(state, view(101.5, positions={}), POLICY)
    assert words(list(acts)) == [("flat", "flat after 1.5 s")]


def test_the_venue_must_confirm_that_all_is_flat() -> None:
    def shown(now: float, asked: float, **at_venue: Any) -> ClosingFacts:
        known: dict[str, Any] = {"positions": {}, "orders": {}}
        venue = AtVenue(queried_at=round(asked * S), **(known | at_venue))
        return view(now, positions={}, venue=venue)

    state, acts = walked(view(0), view(2, positions={}), policy=VERIFYING)
    assert acts == []
    # Asked before our books were clear, it proves nothing.
    state, acts = next_acts(state, shown(3, 1.9), VERIFYING)
    assert acts == ()
    state, acts = next_acts(state, shown(4, 3, positions={A: D(2)}), VERIFYING)
    assert acts == ()
    state, acts = next_acts(state, shown(5, 4, orders={"abc": A}), VERIFYING)
    assert acts == ()
    state, acts = next_acts(state, shown(30, 29, positions={A: D(2)}), VERIFYING)
    assert words(list(acts)) == [
        ("not_flat", f"NOT flat after 30.0 s: {A}: the venue holds 2, our books 0")
    ]
    # What lies outside the universe is not the flatten's, unless the document says so.
    state, acts = next_acts(state, shown(31.5, 31, positions={"C-LINEAR.X": D(2)}), VERIFYING)
    assert words(list(acts)) == [("flat", "flat after 31.5 s")]


def test_at_the_venue_dust_is_flat() -> None:
    key = PositionKey("one", SPOT)
    venue = AtVenue(queried_at=3 * S, positions={SPOT: D("0.35")}, orders={})
    shown = view(3, positions={key: D("0.4")}, venue=venue)
    _, acts = walked(view(0, positions={key: D("0.4")}), shown, policy=VERIFYING)
    assert words(acts)[-1] == ("flat", "flat after 3.0 s")


def test_many_things_left_are_counted() -> None:
    held = {PositionKey("one", f"{n}-LINEAR.X"): D(1) for n in range(8)}
    _, acts = walked(view(0, positions=held), view(30, positions=held))
    ((_, text),) = words(acts)
    assert text.endswith("; and 3 more")


# -- when to look ----------------------------------------------------------------------------------


def test_it_knows_when_to_evaluate_again() -> None:
    state, _ = walked(view(0))
    assert next_evaluation(state, POLICY, 0) == 5 * S
    state, _ = walked(view(0), view(5), view(5.1))
    assert next_evaluation(state, POLICY, round(5.1 * S)) == round(5.6 * S)
    assert next_evaluation(ClosingState(), POLICY, 0) is None
