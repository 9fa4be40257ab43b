"""A neutral rebalance by maker first: what leaves when, on hand-made quotes."""

from decimal import Decimal as D

from nautilus_trader.model.enums import OrderSide

from strategies.rebalance.plan import STATE, decode
from strategies.state import MemoryState
from strategies.tactics.execution import Execution
from strategies.xs_reversal import XSReversalConfig
from tests.builders_engine import (
    HOUR,
    SECOND,
    START,
    A,
    B,
    bare_engine,
    hourly_bar,
    perpetual,
)
from tests.strategies.rebalance.test_rebalancer import Heard
from tests.strategies.test_executor import quotes

C, E = "CCCUSDT-LINEAR.BYBIT", "EEEUSDT-LINEAR.BYBIT"
NAMES = (A, B, C, E)
DECIDES = 2 * HOUR // SECOND + 300
"""Second of the decision at 02:05."""


def rebalancer(plan=None, **execution):
    rules = {
        "tactic": "maker_first",
        "reprice_every": "10s",
        "deadline": "1m",
        "max_slippage_bps": 50.0,
    }
    config = XSReversalConfig(
        key="rev",
        instruments=NAMES,
        interval="1h",
        every="1h",
        at="00:05",
        fraction=0.5,
        max_weight=0.25,
        execution=Execution(**(rules | execution)),
    )
    told = Heard(config, plan)
    told.executed = []
    told.on_executed = lambda done: (told.executed.append(done), type(told).on_executed(told, done))
    return told


def hours():
    """Two hours in which A and B fell and C and E rose, from and to about 100."""
    data = []
    for name, first, second in ((A, 100, 99), (B, 100, 98), (C, 100, 101), (E, 100, 102)):
        instrument = perpetual(name)
        for row, close in enumerate((first, second), start=1):
            ts = START + row * HOUR
            data.append(hourly_bar(instrument, ts, close, close, close, close))
    return data


def market(name, *rows):
    return quotes(*[(DECIDES + second, bid, ask) for second, bid, ask in rows], name=name)


def play(told, data, until=300):
    engine = bare_engine(*map(perpetual, NAMES), bar_execution=False)
    engine.add_strategy(told)
    engine.add_data(hours() + data, sort=True)
    engine.run(start=START, end=START + (DECIDES + until) * SECOND)
    return engine


def still(name, price, seconds=200):
    return market(name, *[(n, price, price + 0.1) for n in range(-5, seconds)])


def sides(told, second):
    """The orders out at a second after the decision: instrument and side."""
    ts = START + (DECIDES + second) * SECOND
    return {
        (o.instrument_id.value[0], "buy" if o.side == OrderSide.BUY else "sell")
        for o in told.cache.orders()
        if o.ts_init <= ts and (not o.is_closed or o.ts_closed > ts)
    }


def test_legs_leave_in_pairs_within_the_bound():
    # Four legs of 2,500 each; the bound of 0.3 x 10,000 lets one of each side out.
    told = rebalancer(max_leg_imbalance=0.3)
    play(told, [row for n, name in enumerate(NAMES) for row in still(name, 98 + n)])
    assert sides(told, 1) == {("A", "buy"), ("C", "sell")}
    # Nobody meets them: each takes at its deadline, and makes room for the other pair.
    assert sides(told, 70) == {("B", "buy"), ("E", "sell")}
    assert [done.reason for done in told.executed] == [""] * 4
    assert {n: h > 0 for n, h in told.holdings().items()} == {A: True, B: True, C: False, E: False}


def test_with_room_for_all_of_them_they_leave_at_once():
    told = rebalancer(max_leg_imbalance=0.6)
    play(told, [row for n, name in enumerate(NAMES) for row in still(name, 98 + n)])
    assert sides(told, 1) == {("A", "buy"), ("B", "buy"), ("C", "sell"), ("E", "sell")}


def test_a_fill_makes_room_at_once():
    told = rebalancer(max_leg_imbalance=0.3)
    data = [row for n, name in enumerate(NAMES[1:], 1) for row in still(name, 98 + n)]
    # A's ask falls through the resting bid after ten seconds: +2,500, so another sell fits.
    data += market(A, *[(n, 98.0, 98.1) for n in range(-5, 10)])
    data += market(A, *[(n, 97.7, 97.8) for n in range(10, 200)])
    play(told, data)
    assert sides(told, 9) == {("A", "buy"), ("C", "sell")}
    assert sides(told, 11) == {("C", "sell"), ("E", "sell")}


def test_the_plan_is_done_with_its_last_leg():
    store = MemoryState()
    heard = []
    second = DECIDES + 150
    told = rebalancer({START + second * SECOND: lambda s: heard.append(s.busy)})
    told.attach_state(store)
    play(told, [row for n, name in enumerate(NAMES) for row in still(name, 98 + n)])
    assert heard == [False]
    assert decode(store.load(STATE), "rev").done == START + DECIDES * SECOND


def test_the_next_decision_stops_what_is_under_way_and_sizes_on_what_was_filled():
    told = rebalancer(deadline="2h", reprice_every="5m", max_leg_imbalance=0.6)
    data = [row for n, name in enumerate(NAMES) for row in still(name, 98 + n, 10)]
    hour = 3600
    data += [
        hourly_bar(perpetual(name), START + 3 * HOUR, price, price, price, price)
        for name, price in ((A, 99), (B, 99), (C, 99), (E, 99))
    ]
    data += [q for n, name in enumerate(NAMES) for q in market(name, (hour + 1, 98 + n, 98.1 + n))]
    play(told, data, until=hour + 10)
    assert [done.reason for done in told.executed] == ["stopped"] * 4
    later = [d for d in told.decisions if d.ts == START + (DECIDES + hour) * SECOND]
    assert len(later) == 1
    assert {D(t.current) for t in later[0].targets} == {D(0)}


def test_a_stop_leaves_the_plan_open_for_the_restart():
    store = MemoryState()
    # Between the waves: A and C are done at 60 s, B and E out; at 70 s the node is told to stop.
    told = rebalancer({START + (DECIDES + 70) * SECOND: lambda s: s.stop()}, max_leg_imbalance=0.3)
    told.attach_state(store)
    play(told, [row for n, name in enumerate(NAMES) for row in still(name, 98 + n)])
    assert set(told.holdings()) == {A, C}
    plan = decode(store.load(STATE), "rev").plan
    assert plan is not None
    assert set(plan.targets) == set(NAMES)
    assert not told.orders_under_way()


def test_a_stop_before_any_touch_leaves_the_plan_open_too():
    store = MemoryState()
    told = rebalancer({START + (DECIDES + 5) * SECOND: lambda s: s.stop()})
    told.attach_state(store)
    play(told, still(A, 98))
    assert decode(store.load(STATE), "rev").plan is not None


def test_on_candles_alone_it_takes_as_a_taker_does():
    told, taker = rebalancer(), rebalancer(tactic="taker")
    told.expect_book("none")
    data = [row for n, name in enumerate(NAMES) for row in still(name, 98 + n)]
    play(told, list(data))
    play(taker, list(data))

    def fills(strategy):
        return [(f.ts_event, f.instrument_id, f.last_qty, f.last_px) for f in strategy.events]

    assert fills(told) == fills(taker)
    assert len(fills(told)) == 4


def test_a_crash_between_the_legs_is_finished_leg_by_leg():
    store = MemoryState()
    first = rebalancer(max_leg_imbalance=0.3)
    first.attach_state(store)
    data = [row for n, name in enumerate(NAMES) for row in still(name, 98 + n)]
    # Killed half a minute in: what the store holds then is what the restart finds.
    frozen = {}
    first._plan[START + (DECIDES + 30) * SECOND] = lambda s: frozen.update(store.values)
    play(first, list(data))
    assert decode(frozen[STATE], "rev").plan is not None
    assert frozen[f"tactic.{A}"]
    again = MemoryState()
    again.values = dict(frozen)
    heard = []
    second = rebalancer({START + (DECIDES + 35) * SECOND: lambda s: heard.append(s.resume())})
    second.attach_state(again)
    start = second.on_start

    def on_start():
        start()
        second.clock.cancel_timer("rebalance.rev")

    second.on_start = on_start
    play(second, list(data))
    assert heard == [True]
    # No second decision, and the same positions as without the crash.
    assert second.decisions == []
    assert second.holdings() == first.holdings()
    assert decode(again.load(STATE), "rev").done == START + DECIDES * SECOND
    # A and C had used half of their minute: they take at the same moment as before.
    taken = {f.instrument_id.value: f.ts_event for f in second.events}
    assert taken[A] == START + (DECIDES + 60) * SECOND
