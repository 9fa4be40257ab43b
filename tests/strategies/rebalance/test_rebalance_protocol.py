"""What a rebalancer saves before it acts, and what it makes of it after a crash."""

from decimal import Decimal as D

import pytest
from nautilus_trader.model.enums import OrderSide

from config.errors import DeskError
from strategies.messages import Action, Verdict
from strategies.rebalance.plan import STATE, Plan, Progress, decode, encode
from strategies.state import MemoryState
from tests.builders_engine import HOUR, A, B, at, play
from tests.strategies.rebalance.test_rebalancer import TAPE, reversal, verdict


def stored(done=None, plan=None):
    store = MemoryState()
    store.save(STATE, encode(Progress(done=done, plan=plan)))
    return store


def progress(store):
    return decode(store.load(STATE), "rev")


def signed(order):
    quantity = order.quantity.as_decimal()
    return quantity if order.side == OrderSide.BUY else -quantity


def restarted(store, **plan):
    """A strategy that comes up with what a crash left in the store, and the steps it is told."""
    told = reversal(dict(plan.values()))
    told.attach_state(store)
    return told


def orders(strategy, at_ts):
    return {
        order.instrument_id.value: signed(order)
        for order in strategy.cache.orders()
        if order.ts_init == at_ts
    }


def test_the_plan_is_saved_before_any_order_leaves_and_before_the_decision_is_heard():
    seen = []

    class Watching(MemoryState):
        def save(self, name, value):
            super().save(name, value)
            seen.append((decode(value, "rev"), len(told.cache.orders()), len(told.decisions)))

    told = reversal()
    told.attach_state(Watching())
    play(TAPE, told)
    began = [entry for entry in seen if entry[0].plan is not None]
    first, orders_then, decisions_then = began[0]
    # At 02:05, the first decision with weights; the two before it had nothing to trade.
    assert first.plan == Plan(
        stamp=at(2, 300),
        made=at(2, 300),
        kind="rebalance",
        targets={A: D("55.555"), B: D("-45.454")},
    )
    assert (orders_then, decisions_then) == (0, 2)


def test_a_stamp_is_done_once_its_last_order_is():
    store = MemoryState()
    told = reversal({at(2, 400): lambda s: heard.append((s.busy, progress(store)))})
    heard = []
    told.attach_state(store)
    play(TAPE, told)
    ((busy, before),) = heard
    # The orders of 02:05 wait for the open of 03:00.
    assert busy
    assert (before.done, before.plan.stamp) == (at(1, 300), at(2, 300))
    # Those of 04:05 never fill: the tape ends.
    assert progress(store).done == at(3, 300)
    assert progress(store).plan.stamp == at(4, 300)


def test_a_decision_without_orders_is_done_at_once():
    store = MemoryState()
    told = reversal()
    told.attach_state(store)
    play({name: TAPE[name] for name in (A,)} | {B: TAPE[B]}, told, per_slice=1)
    assert progress(store).done is not None


def test_a_plan_of_this_interval_is_finished_without_another_decision():
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets={A: D(3), B: D(-2)})
    store = stored(done=at(1, 300), plan=plan)
    heard = []

    def step(s):
        heard.append((s.resume(), s.resume(), s.busy, len(s.decisions)))

    # A restart has no position yet, so all of the plan is to be sent. It starts at 02:10.
    told = restarted(store, a=(at(2, 600), step))
    told.on_start = without_schedule(told)
    play(TAPE, told)
    assert heard == [(True, True, True, 0)]
    # The second resume takes back what the first one sent and sends it again, never twice.
    sent = [o for o in told.cache.orders() if o.ts_init == at(2, 600)]
    filled = {o.instrument_id.value: signed(o) for o in sent if o.filled_qty > 0}
    assert filled == {A: D(3), B: D(-2)}
    assert progress(store) == Progress(done=at(2, 300))
    assert told.decisions == []


def without_schedule(told):
    """Start without the timer, so that only what is asked for happens."""
    start = told.on_start

    def on_start():
        start()
        told.clock.cancel_timer("rebalance.rev")

    return on_start


def test_a_plan_of_an_earlier_interval_is_dropped_and_the_missing_stamp_caught_up():
    plan = Plan(stamp=at(1, 300), made=at(1, 300), kind="rebalance", targets={A: D(3)})
    store = stored(done=at(0, 300), plan=plan)
    heard = []
    told = restarted(store, a=(at(2, 600), lambda s: heard.append(s.resume())))
    told.on_start = without_schedule(told)
    play(TAPE, told)
    assert heard == [True]
    (decision,) = told.decisions
    assert (decision.ts, decision.data_ts, decision.kind) == (at(2, 600), at(2), "rebalance")
    assert orders(told, at(2, 600)) == {A: D("55.555"), B: D("-45.454")}
    assert progress(store) == Progress(done=at(2, 300))


def test_a_first_start_waits_for_the_schedule_unless_it_is_told_to_run():
    store = MemoryState()
    heard = []

    def step(s):
        now = s.clock.timestamp_ns()
        heard.append((s.resume(), s.due(now), s.run_now(), s.due(now), s.run_now()))

    told = restarted(store, a=(at(2, 600), step))
    told.on_start = without_schedule(told)
    play(TAPE, told)
    assert heard == [(False, at(2, 300), True, None, False)]
    assert len(told.decisions) == 1


def test_a_stamp_that_is_done_is_only_done_again_by_force():
    store = stored(done=at(2, 300))
    heard = []

    def step(s):
        now = s.clock.timestamp_ns()
        heard.append((s.due(now), s.resume(), s.run_now(), s.run_now(force=True)))

    told = restarted(store, a=(at(2, 600), step))
    told.on_start = without_schedule(told)
    play(TAPE, told)
    assert heard == [(None, False, False, True)]
    assert [d.ts for d in told.decisions] == [at(2, 600)]


def test_force_obeys_a_verdict():
    store = stored(done=at(2, 300))
    halt = verdict(Action.HALT_ENTRIES)

    def step(s):
        halt(s)
        assert s.run_now(force=True)

    told = restarted(store, a=(at(2, 600), step))
    told.on_start = without_schedule(told)
    play(TAPE, told)
    assert {D(t.order) for d in told.decisions for t in d.targets} == {D(0)}


def test_a_link_that_is_down_puts_the_decision_off_until_it_is_back():
    """A guard that halts entries is obeyed; a broken link only makes it later."""
    down = Verdict(
        action=Action.HALT_ENTRIES,
        guard="node.links",
        transient=True,
        reason="trade link down",
    )
    up = Verdict(action=Action.NONE, guard="node.links")
    store = MemoryState()
    busy = []
    told = reversal(
        {
            at(2, 240): lambda s: s.msgbus.publish("verdicts.node", down),
            at(2, 400): lambda s: busy.append((s.busy, s.due(at(2, 400)))),
            at(2, 419): lambda s: s.msgbus.publish("verdicts.node", up),
        }
    )
    told.attach_state(store)
    play(TAPE, told)
    assert busy == [(True, at(2, 300))]
    first = next(d for d in told.decisions if d.ts >= at(2))
    assert (first.kind, first.ts, first.data_ts) == ("rebalance", at(2, 300), at(2))
    assert orders(told, at(2, 420)) == {A: D("55.555"), B: D("-45.454")}
    assert progress(store).done == at(3, 300)


def test_leaving_the_market_ends_the_wait_for_a_link():
    down = Verdict(action=Action.HALT_ENTRIES, guard="node.links", transient=True, reason="down")
    busy = []
    told = reversal(
        {
            at(2, 240): lambda s: s.msgbus.publish("verdicts.node", down),
            at(2, 320): lambda s: busy.append(s.busy),
            at(2, 330): verdict(Action.FLATTEN),
            at(2, 400): lambda s: busy.append(s.busy),
        }
    )
    play(TAPE, told)
    assert busy == [True, False]


def test_no_candle_leaves_the_stamp_due():
    store = stored(done=at(0, 300))
    heard = []

    def step(s):
        heard.append((s.run_now(), s.decisions[-1].kind, s.due(s.clock.timestamp_ns())))

    told = restarted(store, a=(at(0, 600), step))
    told.on_start = without_schedule(told)
    told.attach_state(stored(done=at(-1, 300)))
    play(TAPE, told)
    assert heard == [(True, "wait", at(0, 300))]


def test_a_guard_that_flattens_in_the_midst_of_a_plan_leaves_the_stamp_to_be_done():
    store = MemoryState()
    scope = f"instrument:{A}"
    told = reversal(
        {
            at(2, 400): verdict(Action.FLATTEN, scope=scope),
            at(3): verdict(Action.NONE, scope=scope),
        }
    )
    told.attach_state(store)
    saved = []
    keep = store.save
    store.save = lambda name, value: (keep(name, value), saved.append(decode(value, "rev")))[0]
    play(TAPE, told)
    # A's order is taken back, B's goes on and serves the stamp.
    flat = next(d for d in told.decisions if d.kind == "flatten")
    assert flat.ts == at(2, 400)
    assert {f.instrument_id.value for f in told.events if f.ts_event < at(4)} == {B}
    assert saved[-1].done == at(3, 300) or saved[-1].done == at(4, 300)
    assert any(p.done == at(2, 300) and p.plan is None for p in saved)


def test_a_state_that_can_not_be_read_stops_the_start():
    store = MemoryState()
    store.save(STATE, b'{"done": "yesterday"}')
    with pytest.raises(DeskError, match=r"strategy rev: its saved state 'rebalance' can't be read"):
        reversal().attach_state(store)


def test_listings_that_the_builder_tells_go_before_the_instruments_own():
    told = reversal(min_age_days=1)
    told.know_listings({A: at(0) - 24 * HOUR, B: at(1)})
    play(TAPE, told)
    last = told.decisions[-1]
    assert {t.instrument: t.reason for t in last.targets}[B].startswith("left out: listed 0.1 days")
