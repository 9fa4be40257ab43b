"""Legs that a passing condition refused wait and go on; what is left stays to be resumed."""

from decimal import Decimal as D

from actors.guards.exposure_caps import ExposureCaps
from strategies.messages import Action, Verdict
from strategies.rebalance.plan import Plan, Progress
from strategies.state import MemoryState
from strategies.tactics.execution import Execution
from strategies.verdicts import board_of
from tests.backtests.test_admission import guard
from tests.builders_engine import HOUR, SECOND, A, B, Candles, at
from tests.builders_engine import play as play_tape
from tests.strategies.rebalance.test_legs import (
    DECIDES,
    NAMES,
    C,
    E,
    market,
    play,
    rebalancer,
    sides,
    still,
)
from tests.strategies.rebalance.test_rebalance_protocol import (
    FIRST,
    at_ten_past,
    orders,
    progress,
    stored,
)
from tests.strategies.rebalance.test_rebalancer import TAPE, played, reversal, verdict

ERRORS = {"guard": "errors", "reason": "5 errors within 1m"}
OVER = verdict(Action.NONE, **ERRORS)
ON_A = {"guard": "closed", "scope": f"instrument:{A}", "reason": "the venue takes no orders in it"}


def halt(until=None, **more):
    return verdict(Action.HALT_ENTRIES, until=until, **(ERRORS | more))


def test_entries_that_a_short_halt_recalled_are_sent_again_when_it_is_over():
    store, busy = MemoryState(), []
    # The orders of 02:05 wait for the open of 03:00.
    steps = {at(2, 360): halt(at(2, 660)), at(2, 600): lambda s: busy.append(s.busy)}
    strategy = played(steps | {at(2, 660): OVER}, store=store)
    assert busy == [True]
    # Looked at every five seconds.
    assert orders(strategy, at(2, 660)) == FIRST
    assert [d.kind for d in strategy.decisions if at(2) < d.ts < at(3)] == ["rebalance"]
    assert progress(store).done == at(3, 300)


def test_a_halt_that_lasts_longer_than_the_bound_ends_the_plan_as_a_guard_wants():
    for until in (None, at(3)):
        store = MemoryState()
        strategy = played({at(2, 360): halt(until), at(2, 900): OVER}, store=store)
        assert orders(strategy, at(2, 900)) == {}
        assert progress(store).done == at(3, 300)


def test_a_decision_waits_for_the_end_of_a_short_halt():
    strategy = played({at(2, 240): halt(at(2, 540)), at(2, 540): OVER})
    first = next(d for d in strategy.decisions if d.ts >= at(2))
    assert (first.kind, first.ts) == ("rebalance", at(2, 300))
    assert orders(strategy, at(2, 540)) == FIRST


def test_a_halt_that_covers_the_decision_is_not_waited_for():
    """As losses of the day before: it ends five minutes after the decision."""
    on = halt(at(2, 600), covers_decision=True)
    strategy = played({at(2, 240): on, at(2, 600): OVER})
    first = next(d for d in strategy.decisions if d.ts >= at(2))
    assert first.ts == at(2, 300)
    assert {t.held_back_by for t in first.targets if t.wanted} == {"errors"}
    assert [d.ts for d in strategy.decisions if at(2) < d.ts < at(3)] == [at(2, 300)]
    assert orders(strategy, at(2, 300)) == orders(strategy, at(2, 600)) == {}


def test_a_halted_symbol_waits_alone_and_follows():
    on, off = (verdict(x, transient=True, **ON_A) for x in (Action.HALT_ENTRIES, Action.NONE))
    strategy = played({at(2, 240): on, at(2, 600): off})
    assert orders(strategy, at(2, 300)) == {B: FIRST[B]}
    assert orders(strategy, at(2, 600)) == {A: FIRST[A]}


def test_a_shrinking_verdict_counts_under_a_passing_halt():
    on, off = (verdict(x, transient=True, **ON_A) for x in (Action.HALT_ENTRIES, Action.NONE))
    half = verdict(Action.SHRINK, multiplier=0.5)
    strategy = played({at(2, 200): half, at(2, 240): on, at(2, 600): off})
    assert orders(strategy, at(2, 600)) == {A: D("27.777")}


def test_past_the_bound_the_stamp_stays_unfinished_and_a_later_start_resumes_it():
    store, seen = MemoryState(), []
    on = verdict(Action.HALT_ENTRIES, transient=True, **ON_A)
    played(
        {
            at(2, 240): on,
            at(3, 200): lambda s: seen.append((s.busy, s.unfinished(), progress(store))),
        },
        store=store,
        execution=Execution(retry_for="10m"),
    )
    wanted, before = {A: FIRST[A]}, {A: D(0), B: D(0)}
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets=wanted, before=before)
    left = Progress(done=at(1, 300), plan=plan)
    assert seen == [(False, {A: (FIRST[A], D(0))}, left)]
    # A start on what is left sends it, and nothing else; a start under the halt says what is left.
    strategy, _ = at_ten_past(lambda s: s.resume(), stored(at(1, 300), plan))
    assert orders(strategy, at(2, 600)) == {A: FIRST[A]}
    assert strategy.decisions == []


def test_what_is_refused_for_good_is_not_tried_again():
    # A gate that refuses for a reason of its own.
    store, left = MemoryState(), []
    refuse = {at(2, 360): halt(None, scope=f"instrument:{A}")}
    strategy = played(refuse | {at(3, 200): lambda s: left.append(s.unfinished())}, store=store)
    assert orders(strategy, at(3, 300)).keys() <= {B}
    assert progress(store).done == at(3, 300)
    assert left == [{}]


def test_a_position_that_a_cap_lets_nobody_turn_is_closed():
    """At 04:05 each side is to change to the other, and either first order may unbalance both."""
    strategy, cap = reversal(), guard(ExposureCaps, leverage=None, net_pct=0.6)
    tape = {n: Candles([*c.opens, 99], closes=[*c.closes, 99]) for n, c in TAPE.items()}
    play_tape(tape, strategy, guards=cap)
    targets = next(d for d in strategy.decisions if d.ts == at(4, 300)).targets
    assert [t.order for t in targets] == ["-111.110", "101.009"]
    assert orders(strategy, at(4, 300)) == {A: D("-55.555"), B: D("45.454")}
    assert strategy.holdings() == {}


def test_a_decision_to_wait_leaves_the_legs_of_an_earlier_plan_in_their_line():
    hour = HOUR // SECOND
    strategy = rebalancer(deadline="2h", reprice_every="5m")
    # No candle of the third hour comes. Then A's ask falls through its bid, and E's turn is come.
    data = still(10, NAMES[1:]) + market(A, (-5, 98.0, 98.1), (hour + 20, 97.7, 97.8))
    data += [q for name in (B, C, E) for q in market(name, (hour + 20, 100, 100.1))]
    play(strategy, data, until=hour + 30)
    assert [d.kind for d in strategy.decisions][-2:] == ["rebalance", "wait"]
    assert sides(strategy, hour + 10) == {("A", "buy"), ("C", "sell")}
    assert ("E", "sell") in sides(strategy, hour + 25)
    first = f"rev@{at(2) + (DECIDES - 2 * hour) * SECOND}"
    sent = {tag for o in strategy.cache.orders() for tag in o.tags if "rev@" in tag}
    assert len(sent) == 1, (sent, first)


def test_legs_that_wait_are_given_up_where_a_guard_leaves_the_market():
    on, off = (verdict(x, transient=True, **ON_A) for x in (Action.HALT_ENTRIES, Action.NONE))
    for scope, rest in (("desk", {}), (f"instrument:{A}", {B: FIRST[B]})):
        flat, over = (verdict(x, scope) for x in (Action.FLATTEN, Action.NONE))
        store, seen = MemoryState(), []

        def look(strategy, store=store, seen=seen):
            plan = progress(store).plan
            seen.append((strategy.delay, {} if plan is None else plan.targets))

        steps = {at(2, 240): on, at(2, 400): flat, at(2, 500): over, at(2, 600): off}
        strategy = played(steps | {at(2, 610): look}, store=store)
        assert orders(strategy, at(2, 600)) == {}
        assert seen == [("", rest)], scope


def test_a_start_gives_up_legs_in_an_instrument_that_a_guard_leaves():
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets=FIRST)

    def step(strategy):
        # It stood before the start.
        scope = f"instrument:{A}"
        board_of(strategy.msgbus).observe(Verdict(action=Action.FLATTEN, guard="g", scope=scope))
        strategy.resume()
        return strategy.unfinished()

    store = stored(at(1, 300), plan)
    strategy, unfinished = at_ten_past(step, store)
    assert (orders(strategy, at(2, 600)), unfinished) == ({B: FIRST[B]}, {})
    assert progress(store) == Progress(done=at(2, 300))


def test_a_start_on_what_is_left_says_what_it_waits_for():
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets={A: FIRST[A]})

    def step(strategy):
        halted = Verdict(action=Action.HALT_ENTRIES, transient=True, **ON_A)
        board_of(strategy.msgbus).observe(halted)
        strategy.resume()
        return strategy.delay

    _, delay = at_ten_past(step, stored(at(1, 300), plan))
    assert delay == f"{A}: halt_entries for now by closed: the venue takes no orders in it"
