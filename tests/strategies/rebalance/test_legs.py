"""A neutral rebalance by maker first: what leaves when, on hand-made quotes."""

from decimal import Decimal as D

import pytest
from nautilus_trader.model.enums import OrderSide

from strategies.rebalance.plan import STATE, decode
from strategies.state import MemoryState
from strategies.tactics.execution import Execution
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
from tests.strategies.rebalance.test_rebalancer import reversal
from tests.strategies.test_executor import quotes

C, E = "CCCUSDT-LINEAR.BYBIT", "EEEUSDT-LINEAR.BYBIT"
NAMES = (A, B, C, E)
DECIDES = 2 * HOUR // SECOND + 300
"""Second of the decision at 02:05."""


def rebalancer(plan=None, timer=True, **execution):
    rules = {
        "tactic": "maker_first",
        "reprice_every": "10s",
        "deadline": "1m",
        "max_slippage_bps": 50.0,
        "max_leg_imbalance": 0.3,
    }
    plan = {START + (DECIDES + second) * SECOND: step for second, step in (plan or {}).items()}
    strategy = reversal(
        plan, NAMES, timer, max_weight=0.25, execution=Execution(**(rules | execution))
    )
    strategy.executed = []
    executed = type(strategy).on_executed
    strategy.on_executed = lambda done: (strategy.executed.append(done), executed(strategy, done))
    return strategy


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


def still(seconds=200, names=NAMES):
    """Quotes each second at 98, 99, 100 and 101, with spreads of a tenth."""
    found = []
    for name in names:
        price = 98 + NAMES.index(name)
        found += market(name, *[(n, price, price + 0.1) for n in range(-5, seconds)])
    return found


def play(strategy, data, until=300, store=None):
    if store is not None:
        strategy.attach_state(store)
    engine = bare_engine(*map(perpetual, NAMES), bar_execution=False)
    engine.add_strategy(strategy)
    engine.add_data(hours() + data, sort=True)
    engine.run(start=START, end=START + (DECIDES + until) * SECOND)
    return strategy


def sides(strategy, second):
    """Return instrument and side of the orders open at a second after the decision."""
    ts = START + (DECIDES + second) * SECOND
    return {
        (o.instrument_id.value[0], "buy" if o.side == OrderSide.BUY else "sell")
        for o in strategy.cache.orders()
        if o.ts_init <= ts and (not o.is_closed or o.ts_closed > ts)
    }


def test_legs_leave_in_pairs_within_the_bound_and_the_last_one_ends_the_plan():
    # Four legs of 2,500 each; the bound of 0.3 x 10,000 lets one of each side out.
    store, busy = MemoryState(), []
    strategy = play(rebalancer({150: lambda s: busy.append(s.busy)}), still(), store=store)
    assert sides(strategy, 1) == {("A", "buy"), ("C", "sell")}
    # Nobody meets them: each takes at its deadline, and makes room for the other pair.
    assert sides(strategy, 70) == {("B", "buy"), ("E", "sell")}
    assert [done.reason for done in strategy.executed] == [""] * 4
    signs = {name: held > 0 for name, held in strategy.holdings().items()}
    assert signs == {A: True, B: True, C: False, E: False}
    assert busy == [False]
    assert decode(store.load(STATE), "rev").done == START + DECIDES * SECOND


@pytest.mark.parametrize("quantity", ["-10", "-40", "10"])
def test_a_leg_that_waits_trades_from_what_is_held_then_to_its_target(quantity):
    wanted = play(rebalancer(), still()).holdings()
    stray = {30: lambda s: s.send_market(s.instrument_ids[3], D(quantity), "by hand")}
    assert play(rebalancer(stray), still()).holdings() == wanted
    assert D(-40) < wanted[E] < D(-10)


def test_with_room_for_all_of_them_they_leave_at_once():
    strategy = play(rebalancer(max_leg_imbalance=0.6), still())
    assert sides(strategy, 1) == {("A", "buy"), ("B", "buy"), ("C", "sell"), ("E", "sell")}


def test_a_fill_makes_room_at_once():
    # A's ask falls through the resting bid after ten seconds: +2,500, so another sell fits.
    data = still(names=NAMES[1:]) + market(A, *[(n, 98.0, 98.1) for n in range(-5, 10)])
    data += market(A, *[(n, 97.7, 97.8) for n in range(10, 200)])
    strategy = play(rebalancer(), data)
    assert sides(strategy, 9) == {("A", "buy"), ("C", "sell")}
    assert sides(strategy, 11) == {("C", "sell"), ("E", "sell")}


def test_the_next_decision_stops_what_is_under_way_and_sizes_on_what_was_filled():
    strategy = rebalancer(deadline="2h", reprice_every="5m", max_leg_imbalance=0.6)
    hour = 3600
    bars = [hourly_bar(perpetual(name), START + 3 * HOUR, 99, 99, 99, 99) for name in NAMES]
    later = [q for n, name in enumerate(NAMES) for q in market(name, (hour + 1, 98 + n, 98.1 + n))]
    play(strategy, still(10) + bars + later, until=hour + 10)
    assert [done.reason for done in strategy.executed] == ["stopped"] * 4
    ts = START + (DECIDES + hour) * SECOND
    (decision,) = [d for d in strategy.decisions if d.ts == ts]
    assert {D(t.current) for t in decision.targets} == {D(0)}


@pytest.mark.parametrize(
    ("second", "names", "held"),
    [
        (70, NAMES, {A, C}),  # Between the waves: A and C are done at 60 s, B and E out.
        (5, (A,), set()),  # Before the other books are known.
    ],
)
def test_a_stop_leaves_the_plan_open_for_the_restart(second, names, held):
    store = MemoryState()
    strategy = play(rebalancer({second: lambda s: s.stop()}), still(names=names), store=store)
    assert set(strategy.holdings()) == held
    assert set(decode(store.load(STATE), "rev").plan.targets) == set(NAMES)
    assert not strategy.orders_under_way()


def test_on_candles_alone_it_takes_as_a_taker_does():
    maker, taker = rebalancer(), rebalancer(tactic="taker")
    maker.expect_book("none")

    def fills(strategy):
        play(strategy, still())
        return [(f.ts_event, f.instrument_id, f.last_qty, f.last_px) for f in strategy.events]

    taken = fills(taker)
    assert fills(maker) == taken
    assert len(taken) == 4


def test_a_crash_between_the_legs_is_finished_leg_by_leg():
    # Killed half a minute in: what the store holds then is what the restart finds.
    frozen = {}
    store = MemoryState()
    first = rebalancer({30: lambda s: frozen.update(store.values)})
    play(first, still(), store=store)
    assert decode(frozen[STATE], "rev").plan is not None
    assert frozen[f"tactic.{A}"]
    again, resumed = MemoryState(), []
    again.values = dict(frozen)
    second = rebalancer({35: lambda s: resumed.append(s.resume())}, timer=False)
    play(second, still(), store=again)
    assert resumed == [True]
    # No second decision, and the same positions as without the crash.
    assert second.decisions == []
    assert second.holdings() == first.holdings()
    assert decode(again.load(STATE), "rev").done == START + DECIDES * SECOND
    # A and C had used half of their minute: they take at the same moment as before.
    taken = {f.instrument_id.value: f.ts_event for f in second.events}
    assert taken[A] == START + (DECIDES + 60) * SECOND
