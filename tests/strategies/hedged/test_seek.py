"""Both legs on quotes: rest, chase within the cap, unwind, and go on after a crash."""

from decimal import Decimal as D
from types import SimpleNamespace

import numpy as np
import pytest
from nautilus_trader.model.enums import TimeInForce

from strategies.hedged.book import Plan, change_pairs
from strategies.state import MemoryState
from strategies.tactics.execution import Execution
from strategies.tactics.two_leg import NONE, TwoLegRules
from tests.builders_engine import A, B, bare_engine, perpetual
from tests.strategies.hedged.test_trader import pairs
from tests.strategies.test_executor import RULES, level, quotes, s

FULL = (D(10), D(-20))
PAIR = "AAAUSDT/BBBUSDT"


def plan(goal):
    return Plan(PAIR, (A, B), goal, (D(100), D(50)))


def wanting(goal):
    """A step that decides on a position of the pair."""

    def step(strategy):
        now = strategy.clock.timestamp_ns()
        strategy._keep(change_pairs(strategy.book, [plan(goal)], strategy._terms, now), ["test"])

    return step


def desk(steps, store=None, **two_leg):
    rules = {"budget": 20_000, "deadline": "2m"} | two_leg
    strategy = pairs(
        {s(second): step for second, step in steps.items()},
        two_leg=TwoLegRules(**rules),
        execution=Execution(**(RULES | {"deadline": "5m"})),
    )
    strategy.expect_book("quotes")
    strategy.attach_state(store or MemoryState())
    strategy._is_restarting = False
    return strategy


def play(strategy, data, first=0, until=200):
    engine = bare_engine(perpetual(A), perpetual(B))
    engine.add_strategy(strategy)
    engine.add_data(data, sort=True)
    engine.run(start=s(first), end=s(until))
    return strategy


STILL = [*quotes(*level(range(0, 200), 50.0, 50.1), name=B)]


@pytest.mark.parametrize(("cap", "price"), [(20, 49.9), (40, 49.8)])
def test_a_leg_that_lags_is_chased_within_the_cap(cap, price):
    # The ask of A falls to the resting bid at 20; B would have to be paid for.
    data = [*STILL, *quotes(*level(range(20)), (20, 99.8, 99.9), *level(range(21, 200)))]
    strategy = play(desk({1: wanting(FULL)}, max_slippage_bps=cap), data)
    assert strategy.holdings() == {A: D(10), B: D(-20)}
    (end,) = strategy.ended
    # 1,000 unhedged from 20 on: the budget of 20,000 is passed after 20 s, then B is taken.
    assert end.cut == ""
    assert end.seconds == pytest.approx(22, abs=2)
    takes = [o for o in strategy.cache.orders() if o.time_in_force == TimeInForce.IOC]
    assert [(o.instrument_id.value, o.price.as_double()) for o in takes] == [(B, price)]


def test_beyond_twice_the_budget_the_filled_leg_is_sold_again():
    # Nothing is known of B: neither an order nor a chase of it is possible.
    data = quotes(*level(range(20)), (20, 99.8, 99.9), *level(range(21, 200)))
    strategy = play(desk({1: wanting(FULL)}), data)
    assert strategy.holdings() == {}
    (end,) = strategy.ended
    assert (end.cut, end.held) == ("budget", ("0", "0"))
    assert end.value_seconds == pytest.approx(40_000, rel=0.06)


def test_a_leg_refused_while_the_other_leaves_at_market_is_sent_again_after_a_second():
    def leave(strategy):
        now = strategy.clock.timestamp_ns()
        strategy._seeker.pause(B)
        forced = plan(NONE)._replace(forced=True)
        strategy._keep(change_pairs(strategy.book, [forced], strategy._terms, now), ["test"])

    data = [*STILL, *quotes(*level(range(20)), (20, 99.8, 99.9), *level(range(21, 200)))]
    strategy = play(desk({1: wanting(FULL), 60: leave}), data)
    assert strategy.holdings() == {}
    assert strategy.ended[-1].seconds == pytest.approx(1, abs=0.5)


def test_after_a_crash_between_the_legs_it_goes_on():
    store = MemoryState()
    data = [*STILL, *quotes(*level(range(20)), (20, 99.8, 99.9), *level(range(21, 200)))]
    play(desk({1: wanting(FULL)}, store), data, until=25)
    again = desk({}, store)
    assert again.book.changes[PAIR].held == (10, 0)
    # The new engine has no position: as if others had closed the leg. Nothing is bought back.
    again.steps = {s(30): lambda strategy: strategy.resume()}
    play(again, data, first=26)
    assert again.holdings() == {}
    assert again.book.pairs == {}


@pytest.mark.parametrize(("every", "seconds"), [("10s", 30), ("40s", 40), (None, None)])
def test_prices_between_candles_are_judged_each_so_often(every, seconds):
    strategy = pairs(check_every=every)
    strategy.expect_book("quotes")
    # ln a - ln b is about ln 2 in six candles; A is dear from second 25 on.
    closes = np.array([[100.0 + hour % 2, 50] for hour in range(6)])
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), closes)
    ts = np.array([s(3600 * (hour - 5)) for hour in range(6)])
    strategy.warm_up(SimpleNamespace(ids=(A, B), ts=ts, **columns), "1h")
    play(strategy, [*STILL, *quotes(*level(range(25)), *level(range(25, 200), 110.0, 110.2))])
    found = [decision.ts for decision in strategy.decisions]
    assert found == ([] if seconds is None else [s(seconds)])
