"""How a flatten is carried through, moment by moment: no engine."""

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


def order(name: str, left: str, **facts: Any) -> WorkingOrder:
    known: dict[str, Any] = {"owner": "one", "instrument": A}
    return WorkingOrder(id=name, left=D(left), **(known | facts))


def mine(name: str = "z1", left: str = "-10", **facts: Any) -> WorkingOrder:
    known: dict[str, Any] = {"reduce_only": True, "takes": True, "answered": False, "ours": True}
    return order(name, left, **(known | facts))


class Closing:
    """Carries a flatten through from view to view."""

    def __init__(self, *earlier: float, policy: ClosingPolicy = POLICY) -> None:
        self.state, self.policy = ClosingState(), policy
        self.news: list[tuple[str, str]] = []
        for now in earlier:
            self.at(now)

    def at(self, now: float, **facts: Any) -> list[Act]:
        """Show a view; return what is done, and keep what is reported."""
        known: dict[str, Any] = {"verdicts": (FLATTEN,), "positions": {ONE: D(10)}, "terms": TERMS}
        shown = ClosingFacts(now=round(now * S), **(known | facts))
        self.state, acts = next_acts(self.state, shown, self.policy)
        self.news = [(act.kind, act.text) for act in acts if isinstance(act, ClosingNews)]
        return [act for act in acts if not isinstance(act, ClosingNews)]


def closes(*quantities: str | int) -> list[Act]:
    """Return what closes a part of one's position."""
    return [CloseAct(ONE, D(quantity)) for quantity in quantities]


# -- grace -----------------------------------------------------------------------------------------


def test_strategies_have_their_grace_before_anything_is_closed() -> None:
    closing = Closing()
    assert [closing.at(now) for now in (0, 4.999999999, 5)] == [[], [], closes(-10)]
    assert Closing(policy=msgspec.structs.replace(POLICY, grace_ns=0)).at(0) == closes(-10)


def test_a_scope_that_is_added_later_has_a_grace_of_its_own() -> None:
    two = PositionKey("two", B)
    first = Verdict(action=Action.FLATTEN, scope="strategy:one", guard="g")
    wider = (first, Verdict(action=Action.FLATTEN, scope=f"instrument:{B}", guard="h"))
    closing, held = Closing(), {ONE: D(10), two: D(3)}
    closing.at(0, verdicts=(first,), positions=held)
    closing.at(4, verdicts=wider, positions=held)
    assert closing.at(5, verdicts=wider, positions=held) == closes(-10)
    found = closing.at(9, verdicts=wider, positions=held, orders=(mine(),))
    assert found == [CloseAct(two, D(-3))]


def test_a_verdict_that_ends_ends_the_flatten_and_is_reported() -> None:
    closing = Closing(0, 5)
    assert closing.at(6, verdicts=(), orders=(mine(),)) == []
    assert closing.state == ClosingState()
    text = "the flatten was released after 6.0 s, before all was closed"
    assert closing.news == [("off", text)]


PER_OWNER = {PositionKey("", B): D(1), PositionKey("", C): D(1)}
HALT = Verdict(action=Action.HALT_ENTRIES, guard="drawdown")
SHRINK = Verdict(action=Action.SHRINK, multiplier=0.5, guard="drawdown")
OUTSIDE = (order("b", "5", owner="two", instrument=B), order("x", "5", owner=""))
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
        ({"positions": {ONE: D(-7)}}, closes(7)),
        # An exit of the strategy that leaves at market is not doubled: six are the closer's.
        ({"orders": (order("own", "-4", takes=True, answered=False),)}, closes(-6)),
        ({"orders": (order("own", "-10", takes=True, answered=False, reduce_only=True),)}, []),
        # An order larger than the largest is split into equal ones.
        (
            {"positions": {ONE: D(250)}},
            closes("-83.4", "-83.3", "-83.3"),
        ),
        # A perpetual is closed below the minimum quantity and value, also parts of a lot.
        ({"positions": {ONE: D("0.1")}}, closes("-0.1")),
        ({"positions": {ONE: D("10.05")}}, closes("-10.05")),
        # Orders outside the scope stay.
        ({"verdicts": (STRATEGY_ONE,), "orders": OUTSIDE}, closes(-10)),
        # Under a halt entries are cancelled and exits stay; not for a transient one or a shrink.
        (
            {"verdicts": (HALT,), "orders": MANY},
            [CancelAct("more"), CancelAct("new"), CancelAct("turn")],
        ),
        ({"verdicts": (msgspec.structs.replace(HALT, transient=True),), "orders": MANY}, []),
        ({"verdicts": (SHRINK,), "orders": MANY}, []),
        # An order placed by hand is left alone under a halt.
        ({"verdicts": (HALT,), "orders": (order("x", "5", owner=""),), "external": "all"}, []),
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
            closes(-6),
        ),
    ],
)
def test_what_is_done_once_the_grace_is_over(facts: dict[str, Any], expected: list[Act]) -> None:
    facts = dict(facts)
    external = facts.pop("external", POLICY.external)
    closing = Closing(policy=msgspec.structs.replace(POLICY, external=external))
    assert [closing.at(now, **facts) for now in (0, 4.9, 5)] == [[], [], expected]


def test_owners_that_offset_each_other_are_flat() -> None:
    closing = Closing(policy=msgspec.structs.replace(POLICY, external="all"))
    closing.at(0, positions={ONE: D(4), PositionKey("", A): D(-4)})
    assert closing.news == [("flat", "flat after 0.0 s")]


# -- cancels ---------------------------------------------------------------------------------------


def test_every_order_in_scope_is_cancelled_before_what_is_held_is_closed() -> None:
    resting = (order("entry", "5"), order("stop", "-10", reduce_only=True))
    closing = Closing()
    closing.at(0, orders=resting)
    assert closing.at(5, orders=resting) == [CancelAct("entry"), CancelAct("stop")]
    assert closing.at(5.2, orders=resting[:1]) == []
    assert closing.at(5.3) == closes(-10)


@pytest.mark.parametrize(
    ("stubborn", "closed"),
    [
        # It may still fill: only what it leaves is closed.
        (order("exit", "-4"), closes(-6)),
        (order("exit", "-10"), []),
        # The venue caps it; an entry can't turn anything round.
        (order("stop", "-10", reduce_only=True), closes(-10)),
        (order("entry", "4"), closes(-10)),
    ],
)
def test_a_cancel_without_an_answer_holds_the_close_up_for_two_seconds(stubborn, closed):
    closing = Closing()
    for now in (0, 5, 6.999999999):
        found = closing.at(now, orders=(stubborn,))
        assert not [act for act in found if isinstance(act, CloseAct)]
    found = closing.at(7, orders=(stubborn,))
    assert [act for act in found if isinstance(act, CloseAct)] == closed


def test_a_cancel_is_repeated_ever_more_slowly() -> None:
    closing, resting = Closing(), (order("entry", "5"),)
    times = [tick / 10 for tick in range(300)]
    sent = [now for now in times if CancelAct("entry") in closing.at(now, orders=resting)]
    assert sent == [5, 6, 8, 12, 20, 28]


def test_an_entry_that_can_not_be_cancelled_raises_an_alarm_again_and_again() -> None:
    halt = Verdict(action=Action.REDUCE_ONLY, guard="drawdown")
    closing, said = Closing(), []
    for now in range(60):
        closing.at(now, verdicts=(halt,), orders=(order("more", "5"),))
        said += [(now, *found) for found in closing.news]
    text = f"entries are halted, and some would not be cancelled: {A}: order more"
    assert said == [(now, "resting", text) for now in (30, 40, 50)]


def test_an_order_that_becomes_an_entry_under_an_old_halt_has_the_time_of_any_other() -> None:
    """A spot pair's own stop of 10, of which 4 are sold after 100 seconds of the halt."""
    spot, said = PositionKey("one", SPOT), []
    closing, stop = Closing(), order("stop", "-10", instrument=SPOT)
    for now in range(140):
        held = {spot: D(10 if now < 100 else 6)}
        acts = closing.at(now, verdicts=(HALT,), positions=held, orders=(stop,))
        assert now != 100 or acts == [CancelAct("stop")]
        said += [(now, kind) for kind, _ in closing.news]
    assert said == [(125, "resting"), (135, "resting")]


# -- closes ----------------------------------------------------------------------------------------


def test_after_a_partial_fill_the_rest_is_sent_at_once() -> None:
    """A thin book took 4 of 10 and the venue cancelled what was left."""
    assert Closing(0, 5).at(5.1, positions={ONE: D(6)}) == closes(-6)


def test_a_close_that_rests_on_a_thin_book_is_cancelled_and_sent_again() -> None:
    rests = (mine(left="-6", answered=True, since=round(5.1 * S)),)
    closing, left = Closing(0, 5), {ONE: D(6)}
    assert closing.at(7, positions=left, orders=rests) == []
    assert closing.at(7.1, positions=left, orders=rests) == [CancelAct("z1")]
    assert closing.at(7.2, positions=left) == closes(-6)


def test_a_close_that_is_refused_is_repeated_ever_more_slowly() -> None:
    closing = Closing()
    sent = [tick / 10 for tick in range(400) if closing.at(tick / 10)]
    # Each is seen to have failed a tick later; then 0.5 s, 1, 2, 4, 8, 8.
    assert sent == [5, 5.6, 6.7, 8.8, 12.9, 21, 29.1, 37.2]
    assert [backoff(n) / S for n in (1, 2, 3, 4, 5, 6)] == [0.5, 1, 2, 4, 8, 8]


def test_nothing_is_sent_while_the_venue_can_not_be_reached() -> None:
    closing, entry = Closing(0), order("entry", "5", instrument=B, owner="two")
    assert closing.at(5, reachable=False, orders=(entry,)) == []
    assert closing.at(6) == closes(-10)


def test_others_may_not_send_what_could_turn_a_position_round_while_it_is_closed() -> None:
    closing = Closing(0, 4.9)
    assert ONE not in closing.state.attempts
    closing.at(5)
    assert ONE in closing.state.attempts
    closing.at(6, positions={})
    assert ONE not in closing.state.attempts


# -- an order without an answer --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "queried", "at_venue", "again"),
    [
        (14.9, 14.9, {}, []),
        (16, 14.9, {}, []),
        (16, 15, {"orders": {"z1": A}}, []),
        (16, 15, {"positions": {}}, []),
        (16, 15, {}, closes(-10)),
        # Four of them are gone there: our books are late.
        (16, 15, {"positions": {A: D(6)}}, closes(-6)),
    ],
)
def test_it_is_sent_again_only_when_the_venue_surely_never_got_it(now, queried, at_venue, again):
    venue = AtVenue(
        queried_at=round(queried * S), **({"positions": {A: D(10)}, "orders": {}} | at_venue)
    )
    closing = Closing(0, 5, policy=VERIFYING)
    for moment in (now, now + 1):
        found = closing.at(moment, orders=(mine(since=5 * S),), venue=venue)
    assert found == again


def test_an_order_that_waits_in_the_throttle_is_not_lost() -> None:
    waits = mine(since=5 * S, has_left=False)
    venue = AtVenue(queried_at=60 * S, positions={A: D(10)}, orders={})
    closing = Closing(0, 5, policy=VERIFYING)
    assert [closing.at(now, orders=(waits,), venue=venue) for now in (60, 61, 62)] == [[], [], []]


# -- lots that grew while a position was held ------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "sent"),
    [
        ({}, "-0.25"),
        # Closed whole, others' would go too; and the rest, which can't leave, stays named.
        ({PositionKey("two", A): D("0.1")}, "-0.2"),
    ],
)
def test_a_position_that_is_no_whole_number_of_lots_is_closed_whole(
    others: dict[PositionKey, D], sent: str
) -> None:
    held = {ONE: D("0.25"), **others}
    only = Verdict(action=Action.FLATTEN, scope="strategy:one", reason="20 % lost")
    closing = Closing()
    for now in (0, 5):
        acts = closing.at(now, positions=held, verdicts=(only,))
    assert acts == [CloseAct(ONE, D(sent))]
    assert [kind for kind, _ in closing.news] == ["closing"]


def test_less_than_a_lot_beside_others_keeps_its_stop_and_is_alarmed() -> None:
    stop = order("stop", "-0.05", reduce_only=True)
    held = {ONE: D("0.05"), PositionKey("two", A): D(1)}
    only = Verdict(action=Action.FLATTEN, scope="strategy:one", reason="20 % lost")
    closing = Closing()
    for now in (0, 5, 30):
        assert closing.at(now, positions=held, orders=(stop,), verdicts=(only,)) == []
    ((kind, text),) = closing.news
    assert kind == "not_flat"
    assert f"{A}: 0.05 of one is held (less than a lot of 0.1" in text
    assert "perpdesk risk flatten" in text


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
def test_spot_sells_what_is_there_and_reports_dust_once(held, there, closed):
    key, in_wallet = PositionKey("one", SPOT), None if there is None else D(there)
    terms = {SPOT: msgspec.structs.replace(TERMS[SPOT], in_wallet=in_wallet)}
    closing, said, sent = Closing(), [], []
    for now in (0, 5, 50):
        sent += closing.at(now, positions={key: D(held)}, terms=terms)
        said += closing.news
    if closed is None:
        assert sent == []
        assert said == [
            ("dust", f"{SPOT}: {held} is too little to be closed; it stays, and counts as flat"),
            ("flat", "flat after 0.0 s"),
        ]
    else:
        assert sent[0] == CloseAct(key, -D(closed))


def test_coins_that_an_order_is_selling_are_no_dust() -> None:
    """The wallet has them no more before the fill is known."""
    terms = {SPOT: msgspec.structs.replace(TERMS[SPOT], in_wallet=D(0))}
    closing, held = Closing(), {PositionKey("one", SPOT): D(3)}
    selling = order("exit", "-3", instrument=SPOT, takes=True)
    closing.at(0, positions=held, orders=(selling,), terms=terms)
    assert closing.news == []


# -- reports ---------------------------------------------------------------------------------------


def test_it_reports_how_long_it_took_until_all_was_flat() -> None:
    closing = Closing(0, 1)
    # An order that still stands is not flat.
    closing.at(2, positions={}, orders=(order("entry", "5"),))
    assert closing.news == []
    closing.at(2.34, positions={})
    assert closing.news == [("flat", "flat after 2.3 s")]
    closing.at(3, positions={})
    assert closing.news == []


@pytest.mark.parametrize("now", [29.9, 30])
def test_past_the_deadline_it_reports_that_it_is_not_flat_and_why(now: float) -> None:
    closing = Closing(0, 5)
    closing.at(now, failures={ONE: "110007 not enough balance"})
    text = f"NOT flat after 30.0 s: {A}: 10 of one is held (110007 not enough balance)"
    assert closing.news == ([("not_flat", text)] if now == 30 else [])


def test_it_repeats_the_alarm_every_ten_seconds_until_all_is_flat() -> None:
    closing, said = Closing(), []
    for now in range(58):
        closing.at(now, positions={} if now >= 56 else {ONE: D(10)})
        said += [(now, kind) for kind, _ in closing.news if kind != "closing"]
    assert said == [(30, "not_flat"), (40, "not_flat"), (50, "not_flat"), (56, "flat")]


def test_what_comes_into_a_scope_that_was_flat_is_closed_at_once() -> None:
    closing = Closing(0)
    closing.at(2, positions={})
    assert closing.at(100) == closes(-10)
    assert closing.news[-1] == ("not_flat", f"NOT flat any more: {A}: 10 of one is held")
    closing.at(101.5, positions={})
    assert closing.news == [("flat", "flat after 1.5 s")]


def test_the_venue_must_confirm_that_all_is_flat() -> None:
    closing = Closing(0, policy=VERIFYING)
    assert closing.at(2, positions={}) == []

    def news(now: float, queried: float, **at_venue: Any) -> list[tuple[str, str]]:
        known: dict[str, Any] = {"positions": {}, "orders": {}}
        venue = AtVenue(queried_at=round(queried * S), **(known | at_venue))
        assert closing.at(now, positions={}, venue=venue) == []
        return closing.news

    # Queried before our books were clear, it proves nothing.
    assert news(3, 1.9) == []
    assert news(4, 3, positions={A: D(2)}) == []
    assert news(5, 4, orders={"abc": A}) == []
    text = f"NOT flat after 30.0 s: {A}: the venue holds 2, our books 0"
    assert news(30, 29, positions={A: D(2)}) == [("not_flat", text)]
    # What lies outside the universe is not the flatten's, unless the document says so.
    assert news(31.5, 31, positions={C: D(2)}) == [("flat", "flat after 31.5 s")]


def test_at_the_venue_dust_is_flat() -> None:
    closing, held = Closing(policy=VERIFYING), {PositionKey("one", SPOT): D("0.4")}
    venue = AtVenue(queried_at=3 * S, positions={SPOT: D("0.35")}, orders={})
    closing.at(0, positions=held)
    closing.at(3, positions=held, venue=venue)
    assert closing.news[-1] == ("flat", "flat after 3.0 s")


def test_many_things_left_are_counted() -> None:
    closing = Closing()
    for now in (0, 30):
        closing.at(now, positions={PositionKey("one", f"{n}-LINEAR.X"): D(1) for n in range(8)})
    ((_, text),) = closing.news
    assert text.endswith("; and 3 more")


def test_it_knows_when_to_evaluate_again() -> None:
    assert next_evaluation(Closing(0).state, POLICY, 0) == 5 * S
    assert next_evaluation(Closing(0, 5, 5.1).state, POLICY, round(5.1 * S)) == round(5.6 * S)
    assert next_evaluation(ClosingState(), POLICY, 0) is None
