"""What a rebalancer saves before it acts, and what it does with it after a crash."""

from decimal import Decimal as D

import pytest
from nautilus_trader.model.enums import OrderSide

from config.errors import DeskError
from strategies.messages import Action
from strategies.rebalance.plan import STATE, Plan, Progress, decode, encode
from strategies.state import MemoryState
from tests.builders_engine import HOUR, SPOT, A, B, at, play
from tests.strategies.rebalance.test_rebalancer import TAPE, lines, played, reversal, verdict

FIRST = {A: D("55.555"), B: D("-45.454")}
"""Orders of the first decision with weights, at 02:05; the two before have nothing to trade."""


def stored(done=None, plan=None):
    store = MemoryState()
    store.save(STATE, encode(Progress(done=done, plan=plan)))
    return store


def progress(store):
    return decode(store.load(STATE), "rev")


def orders(strategy, ts):
    """Return the signed quantity of a time's orders by instrument, cancelled ones left out."""
    return {
        o.instrument_id.value: o.quantity.as_decimal() * (1 if o.side == OrderSide.BUY else -1)
        for o in strategy.cache.orders()
        if o.ts_init == ts and (o.filled_qty > 0 or not o.is_closed)
    }


def at_ten_past(step, store, hour=2):
    """Play a strategy without its timer, which does one step at ten past an hour.

    Returns it and what the step returned.
    """
    found = []
    ts = at(hour, 600)
    strategy = played({ts: lambda s: found.append(step(s))}, store=store, timer=False)
    return strategy, found[0]


def test_the_plan_is_saved_before_any_order_leaves_and_before_the_decision_is_published():
    seen = []

    class Watching(MemoryState):
        def save(self, name, value):
            super().save(name, value)
            orders, decisions = strategy.cache.orders(), strategy.decisions
            seen.append((decode(value, "rev").plan, len(orders), len(decisions)))

    strategy = reversal()
    strategy.attach_state(Watching())
    play(TAPE, strategy)
    flat = dict.fromkeys(FIRST, D(0))
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets=FIRST, before=flat)
    assert next(entry for entry in seen if entry[0] is not None) == (plan, 0, 2)


def test_a_stamp_is_done_once_its_last_order_is():
    store, found = MemoryState(), []
    played({at(2, 400): lambda s: found.append((s.busy, progress(store)))}, store=store)
    ((busy, before),) = found
    # The orders of 02:05 wait for the open of 03:00.
    assert busy
    assert (before.done, before.plan.stamp) == (at(1, 300), at(2, 300))
    # Those of 04:05 never fill: the tape ends.
    assert (progress(store).done, progress(store).plan.stamp) == (at(3, 300), at(4, 300))


def test_a_plan_of_this_interval_is_finished_without_another_decision():
    targets = {A: D(3), B: D(-2)}
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets=targets)
    store = stored(done=at(1, 300), plan=plan)
    strategy, found = at_ten_past(lambda s: (s.resume(), s.resume(), s.busy), store)
    assert found == (True, True, True)
    # Without a position all of the plan is sent; the second resume cancels what the first sent.
    assert orders(strategy, at(2, 600)) == targets
    assert progress(store) == Progress(done=at(2, 300))
    assert strategy.decisions == []


def test_coins_that_a_killed_rebalance_did_not_buy_are_bought_by_the_next_start():
    """0.050 lack of 25.050, near 0.2 % of them; but nothing was bought, so it is no fee."""
    wanted, before = {SPOT: D("25.050")}, {SPOT: D("25")}
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets=wanted, before=before)
    steps = {
        at(1, 60): lambda s: s.send_market(s.instrument_ids[1], D("25"), "by hand"),
        at(2, 600): lambda s: s.resume(),
    }
    tape, store = {A: TAPE[A], SPOT: TAPE[B]}, stored(at(1, 300), plan)
    strategy = played(steps, tape, store, instruments=(A, SPOT), side="long_only", timer=False)
    assert orders(strategy, at(2, 600)) == {SPOT: D("0.050")}


def end_an_order(strategy):
    """As a stop that a start moves: its old order ends before the strategy resumes."""
    strategy.send_market(strategy.instrument_ids[0], D(1), "by hand")
    strategy.cancel_waiting()


def test_an_order_that_ends_between_start_and_resume_does_not_end_the_saved_plan():
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets={A: D(3), B: D(-2)})
    store = stored(done=at(1, 300), plan=plan)
    strategy, found = at_ten_past(lambda s: (end_an_order(s), s.busy, s.resume()), store)
    assert found == (None, True, True)
    assert orders(strategy, at(2, 600)) == plan.targets
    assert progress(store) == Progress(done=at(2, 300))


@pytest.mark.parametrize(("hour", "sent"), [(2, {B: D(-2)}), (1, {B: FIRST[B]})])
def test_a_guard_that_leaves_one_instrument_before_the_resume_keeps_the_rest_of_the_plan(
    hour, sent
):
    made = at(hour, 300)
    plan = Plan(stamp=made, made=made, kind="rebalance", targets={A: D(3), B: D(-2)})

    def step(s):
        verdict(Action.FLATTEN, f"instrument:{A}")(s)
        end_an_order(s)
        return s.resume()

    strategy, resumed = at_ten_past(step, stored(done=at(0, 300), plan=plan))
    assert resumed
    # A plan of an earlier interval stays one: the missing stamp is decided anew.
    assert orders(strategy, at(2, 600)) == sent


def test_a_plan_of_an_earlier_interval_is_dropped_and_the_missing_stamp_caught_up():
    plan = Plan(stamp=at(1, 300), made=at(1, 300), kind="rebalance", targets={A: D(3)})
    store = stored(done=at(0, 300), plan=plan)
    strategy, resumed = at_ten_past(lambda s: s.resume(), store)
    assert resumed
    (decision,) = strategy.decisions
    assert (decision.ts, decision.data_ts, decision.kind) == (at(2, 600), at(2), "rebalance")
    assert orders(strategy, at(2, 600)) == FIRST
    assert progress(store) == Progress(done=at(2, 300))


def test_a_first_start_waits_for_the_schedule_unless_it_runs_now():
    def step(s):
        now = s.clock.timestamp_ns()
        return s.resume(), s.due(now), s.run_now(), s.due(now), s.run_now()

    strategy, found = at_ten_past(step, MemoryState())
    assert found == (False, at(2, 300), True, None, False)
    assert len(strategy.decisions) == 1


def test_a_stamp_that_is_done_is_only_done_again_by_force():
    def step(s):
        due = s.due(s.clock.timestamp_ns())
        return due, s.resume(), s.run_now(), s.run_now(force=True)

    strategy, found = at_ten_past(step, stored(done=at(2, 300)))
    assert found == (None, False, False, True)
    assert [d.ts for d in strategy.decisions] == [at(2, 600)]


def test_force_obeys_a_verdict():
    def step(s):
        verdict(Action.HALT_ENTRIES)(s)
        return s.run_now(force=True)

    strategy, ran = at_ten_past(step, stored(done=at(2, 300)))
    assert ran
    assert {D(t.order) for d in strategy.decisions for t in d.targets} == {D(0)}


def test_no_candle_leaves_the_stamp_due():
    def step(s):
        return s.run_now(), s.decisions[-1].kind, s.due(s.clock.timestamp_ns())

    _, found = at_ten_past(step, stored(done=at(-1, 300)), hour=0)
    assert found == (True, "wait", at(0, 300))


LINKS = {"guard": "node.links", "reason": "trade link down"}
DOWN = verdict(Action.HALT_ENTRIES, transient=True, **LINKS)


def test_a_link_that_is_down_puts_the_decision_off_until_it_is_back():
    store, found = MemoryState(), []
    strategy = played(
        {
            at(2, 240): DOWN,
            at(2, 400): lambda s: found.append((s.busy, s.due(at(2, 400)))),
            at(2, 419): verdict(Action.NONE, **LINKS),
        },
        store=store,
    )
    assert found == [(True, at(2, 300))]
    first = next(d for d in strategy.decisions if d.ts >= at(2))
    assert (first.kind, first.ts, first.data_ts) == ("rebalance", at(2, 300), at(2))
    assert orders(strategy, at(2, 420)) == FIRST
    assert progress(store).done == at(3, 300)


def test_leaving_the_market_ends_the_wait_for_a_link():
    busy = []

    def look(strategy):
        busy.append(strategy.busy)

    plan = {at(2, 240): DOWN, at(2, 320): look, at(2, 330): verdict(Action.FLATTEN)}
    played(plan | {at(2, 400): look})
    assert busy == [True, False]


def test_a_guard_that_flattens_in_the_midst_of_a_plan_leaves_the_stamp_to_be_done():
    saved = []

    class Watching(MemoryState):
        def save(self, name, value):
            super().save(name, value)
            saved.append(decode(value, "rev"))

    scope = f"instrument:{A}"
    flatten, over = (verdict(action, scope=scope) for action in (Action.FLATTEN, Action.NONE))
    strategy = played({at(2, 400): flatten, at(3): over}, store=Watching())
    # A's order is cancelled, B's goes on and serves the stamp.
    flat = next(d for d in strategy.decisions if d.kind == "flatten")
    assert flat.ts == at(2, 400)
    assert {f.instrument_id.value for f in strategy.events if f.ts_event < at(4)} == {B}
    assert saved[-1].done in (at(3, 300), at(4, 300))
    assert any(p.done == at(2, 300) and p.plan is None for p in saved)


def test_a_state_that_can_not_be_read_stops_the_start():
    store = MemoryState()
    store.save(STATE, b'{"done": "yesterday"}')
    with pytest.raises(DeskError, match=r"strategy rev: its saved state 'rebalance' can't be read"):
        reversal().attach_state(store)


def test_listings_of_the_builder_go_before_the_instruments_own():
    strategy = reversal(min_age_days=1)
    strategy.know_listings({A: at(0) - 24 * HOUR, B: at(1)})
    play(TAPE, strategy)
    assert lines(strategy.decisions[-1])[B].reason.startswith("left out: listed 0.1 days")
