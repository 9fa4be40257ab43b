"""What a rebalancer remembers, and the steps from target weights to the next ones: by hand."""

import math
from decimal import Decimal

import numpy as np
import pytest
from msgspec import structs

from config.durations import DAY_NS, duration_ns
from config.params import build_params, check_params
from strategies.rebalance.blocks import Partial
from strategies.rebalance.memory import NO_MEMORY, Exit, Memory, Remembered, recall, remember
from strategies.rebalance.plan import STATE, Plan, Progress, decode, encode
from strategies.rebalance.steps import (
    cooldowns,
    leave_out,
    next_weights,
    part_of_the_way,
    within_gross,
    within_turnover,
)
from strategies.signals.universe import Standing
from strategies.state import MemoryState
from strategies.xs_reversal import XSReversal, XSReversalConfig
from tests.builders_engine import Candles, at
from tests.strategies.rebalance.test_rebalancer import A, B, first_of, lines, played

IDS = ("A", "B", "C")
IN, THIN = Standing.IN, Standing.TOO_THIN
NONE = np.zeros(3, np.int64)


def rules(**params):
    return XSReversalConfig(key="rev", instruments=IDS, **build_params(XSReversal, params))


def array(*values):
    return np.array(values, float)


def decided(memory, ts, price, weight, cooldown=NONE):
    return remember(memory, IDS, ts, array(*price), array(*weight), np.asarray(cooldown))


def test_the_gain_since_the_entry_adds_up_what_each_weight_earned():
    memory = decided(NO_MEMORY, 10, (100, 50, 1), (0.2, -0.1, 0))
    memory = decided(memory, 20, (110, 50, 1), (0.1, -0.1, 0))
    known = recall(memory, IDS, 30, array(99, 40, 1))
    # A: 0.2 x 10 % - 0.1 x 10 %; B, sold: 0.1 x 20 %.
    np.testing.assert_allclose(known.gain, [0.01, 0.02, 0])
    np.testing.assert_array_equal(known.age_ns[:2], [20, 20])
    unknown = recall(memory, IDS, 30, array(math.nan, 40, 1))
    np.testing.assert_allclose(unknown.gain, [0.02, 0.02, 0])


def test_an_exit_is_a_trade_and_a_turn_an_exit_and_an_entry():
    memory = decided(NO_MEMORY, 10, (100, 50, 1), (0.2, -0.1, 0))
    memory = decided(memory, 20, (110, 40, 1), (0, 0.1, 0), (5, 0, 0))
    a, b = memory.instruments["A"], memory.instruments["B"]
    assert (a.weight, a.left, a.until, a.results) == (0.0, 20, 25, (pytest.approx(0.1),))
    assert (b.weight, b.since, b.entry, b.gain) == (0.1, 20, 40, 0.0)
    assert b.results == (pytest.approx(0.2),)


def test_a_position_that_is_gone_was_closed_and_cools_down_from_its_exit():
    memory = decided(NO_MEMORY, 10, (100, 50, 1), (0.2, -0.1, 0.1))
    memory = memory.with_exit("A", 14, 95.0, side=1).with_exit("B", 14, 95.0, side=1)
    assert memory.exits == {"A": Exit(14, 95.0)}  # B was sold: another's position
    price = {"A": 90.0, "B": 50.0, "C": 1.0}
    found = memory.corrected({"B": -0.11}, price, 20, cooldown_ns=100)
    a = found.instruments["A"]
    assert (a.weight, a.left, a.until, a.results) == (0, 14, 114, (pytest.approx(-0.05),))
    assert found.exits == {}
    # B is seen at the account; C never was, as when its order was too small.
    assert found.instruments["B"].entered
    assert found.instruments["C"] == structs.replace(memory.instruments["C"], missed=True)
    # B goes while the node is down: its exit counts from when that is noticed.
    gone = found.corrected({}, price, 30, cooldown_ns=100).instruments["B"]
    assert (gone.weight, gone.left, gone.until) == (0, 30, 130)


def test_what_was_never_entered_is_neither_held_on_nor_a_trade():
    memory = decided(NO_MEMORY, 10, (100, 50, 1), (0.1, 0.1, 0.1))
    price = {"A": 90.0, "B": 50.0, "C": 1.0}
    # A guard halted A and B; C was entered.
    memory = memory.corrected({"C": 0.1}, price, 20, cooldown_ns=0)
    assert not memory.corrected({"A": 0.1}, price, 30, 0).instruments["A"].missed
    known = recall(memory, IDS, 20, array(90, 50, 1))
    holds = rules(hold={"least": "1d"}, dropped="keep", loss_exit={"loss": 0.001})
    standings = leave_out(holds, known, np.array([IN, THIN, IN], np.int8))
    weight, found = next_weights(holds, known, standings, np.zeros(3))
    np.testing.assert_allclose(weight, [0, 0, 0.1])
    assert found.tolist() == [IN, THIN, Standing.HELD_BRIEFLY]
    # Half of the way from what was decided: small steps add up to an order.
    weight, _ = next_weights(rules(partial={"fraction": 0.5}), known, standings, array(0.3, 0, 0))
    np.testing.assert_allclose(weight, [0.2, 0, 0])
    after = decided(memory, 20, (90, 50, 1), (0.2, 0, 0.1)).instruments
    assert after["A"] == Remembered(weight=0.2, since=20, entry=90.0, price=90.0)
    assert after["B"] == Remembered()


def test_what_is_held_and_not_remembered_counts_from_now_on():
    found = NO_MEMORY.corrected({"A": -0.3}, {"A": 90.0}, 20, cooldown_ns=100)
    expected = Remembered(weight=-0.3, since=20, entry=90.0, price=90.0, entered=True)
    assert found.instruments == {"A": expected}


def test_what_a_take_profit_closed_is_not_bought_back():
    memory = decided(NO_MEMORY, 10, (100, 50, 1), (0.2, -0.1, 0))
    price = {"A": 110.0, "B": 40.0}
    memory = memory.corrected({"A": 0.11, "B": -0.08}, price, 20, 0, taken={"A"})
    known = recall(memory, IDS, 20, array(110, 40, 1))
    # B was not taken: its lower price alone makes it lighter, and it goes back to its target.
    np.testing.assert_allclose(known.weight, [0.11, -0.1, 0])
    standings = np.full(3, IN, np.int8)
    weight, found = next_weights(rules(), known, standings, array(0.2, -0.2, 0))
    np.testing.assert_allclose(weight, [0.11, -0.2, 0])
    assert found.tolist() == [Standing.PROFIT_TAKEN, IN, IN]
    # Less, or the other side, is traded.
    weight, _ = next_weights(rules(), known, standings, array(0.05, -0.1, 0))
    np.testing.assert_allclose(weight, [0.05, -0.1, 0])


def test_a_memory_survives_in_the_journal_and_one_without_it_loads():
    memory = decided(NO_MEMORY, 10, (100, 50, 1), (0.2, -0.1, 0)).with_exit("A", 14, 95.0, 1)
    progress = Progress(done=5, memory=memory).begun("rebalance", 7, 6, [])
    assert decode(encode(progress), "rev") == Progress(done=6, memory=memory)
    assert decode(b'{"done": 5, "plan": null}', "rev") == Progress(done=5)


# Steps ------------------------------------------------------------------------------------------


def test_part_of_the_way_compares_before_it_takes_the_fraction_and_exits_are_whole():
    last, target = array(0.10, 0.10, 0.10, 0.0), array(0.13, 0.11, 0.0, -0.08)
    moved = part_of_the_way(last, target, Partial(fraction=0.25, min_change=0.02))
    np.testing.assert_allclose(moved, [0.1075, 0.10, 0.0, -0.02])


def test_a_weight_that_stays_as_its_target_is_near_says_so():
    known, standings = known_of((0.1, 0, 0.1)), np.full(3, IN, np.int8)
    steps = rules(partial={"fraction": 0.5, "min_change": 0.02})
    weight, found = next_weights(steps, known, standings, array(0.09, 0.01, 0))
    np.testing.assert_allclose(weight, [0.1, 0, 0])
    assert found.tolist() == [Standing.NEAR_TARGET, Standing.NEAR_TARGET, IN]


def test_a_turnover_budget_cuts_all_changes_alike_but_exits():
    last, weight = array(0.1, 0.0, -0.3), array(0.3, -0.2, 0.0)
    np.testing.assert_allclose(within_turnover(last, weight, 0.1), [0.15, -0.05, 0.0])
    np.testing.assert_allclose(within_turnover(last, weight, 0.4), weight)


def test_the_gross_is_kept_by_cutting_increases_then_everything():
    last, weight = array(0.4, -0.2, 0.0), array(0.4, -0.4, 0.4)
    np.testing.assert_allclose(within_gross(last, weight, 0.9), [0.4, -0.3, 0.2])
    np.testing.assert_allclose(within_gross(last, weight, 0.3), [0.2, -0.1, 0.0])


def known_of(weight, age=0, gain=(0, 0, 0), results=((), (), ()), wait=0, since_exit=0):
    memory = Memory(
        instruments={
            name: Remembered(
                weight=w,
                since=-age,
                gain=g,
                price=1.0,
                entry=1.0,
                results=r,
                left=-since_exit,
                until=wait,
            )
            for name, w, g, r in zip(IDS, weight, gain, results, strict=True)
        }
    )
    return recall(memory, IDS, 0, np.ones(3))


def test_a_name_that_a_filter_drops_is_closed_or_kept_within_the_caps():
    known, standings = known_of((0.1, -0.1, 0)), np.array([THIN, IN, IN], np.int8)
    target = array(0, -0.1, 0.1)
    caps = {"gross_leverage": 0.25, "max_weight": 0.2}
    closed, _ = next_weights(
        rules(dropped="close", turnover_budget=9, **caps), known, standings, target
    )
    kept, _ = next_weights(rules(dropped="keep", **caps), known, standings, target)
    np.testing.assert_allclose(closed, target)
    np.testing.assert_allclose(kept, [0.1, -0.1, 0.05])
    gone, _ = next_weights(
        rules(dropped="keep"), known, np.array([Standing.NO_CANDLE, IN, IN], np.int8), target
    )
    np.testing.assert_allclose(gone, target)


def test_a_young_position_is_held_unless_it_lost_too_much_and_an_old_one_is_closed():
    held = rules(hold={"least": "2h", "most": "1d"}, loss_exit={"loss": 0.02})
    standings = np.full(3, IN, np.int8)
    young = known_of((0.1, 0.1, 0.1), age=duration_ns("1h"), gain=(0, -0.02, 0))
    found = leave_out(held, young, standings)
    assert found.tolist() == [IN, Standing.LOSS_EXIT, IN]
    weight, found = next_weights(held, young, found, array(0, 0, -0.1))
    np.testing.assert_allclose(weight, [0.1, 0, 0.1])
    assert found.tolist() == [Standing.HELD_BRIEFLY, Standing.LOSS_EXIT, Standing.HELD_BRIEFLY]
    old = known_of((0.1, 0, 0), age=DAY_NS)
    found = leave_out(held, old, standings)
    assert found.tolist() == [Standing.HELD_TOO_LONG, IN, IN]
    # What was held too long or lost too much rests, each for its own time.
    found[1] = Standing.LOSS_EXIT
    rests = rules(hold={"most": "1d"}, loss_exit={"cooldown": "2d"}, stop_cooldown="4h")
    assert cooldowns(rests, found).tolist() == [duration_ns("4h"), 2 * DAY_NS, 0]


def test_nothing_is_entered_while_it_cools_down_or_after_losses_in_a_row():
    streak = rules(loss_streak={"losses": 2, "pause": "3h"})
    results = ((0.1, -0.1, -0.1), (-0.1, -0.1, 0.1), (-0.1, -0.1))
    known = known_of((0, 0, 0.1), results=results, since_exit=duration_ns("2h"))
    standings = np.full(3, IN, np.int8)
    # A lost twice in a row; B won since; C is held, not entered.
    assert leave_out(streak, known, standings).tolist() == [Standing.LOSING_STREAK, IN, IN]
    later = known_of((0, 0, 0), results=results, since_exit=duration_ns("3h"))
    assert leave_out(streak, later, standings).tolist() == [IN, IN, IN]
    cooling = known_of((0, 0, 0.1), wait=1)
    cools = Standing.COOLING_DOWN
    assert leave_out(rules(), cooling, standings).tolist() == [cools, cools, IN]


def test_nothing_to_hold_keeps_all_but_what_a_rule_closes():
    keeps = rules(flatten_on_empty_targets=False, loss_exit={"loss": 0.01})
    known = known_of((0.1, -0.1, 0), gain=(-0.01, 0, 0))
    standings = leave_out(keeps, known, np.full(3, IN, np.int8))
    weight, _ = next_weights(keeps, known, standings, np.zeros(3))
    np.testing.assert_allclose(weight, [0, -0.1, 0])


def test_an_inner_field_that_is_wrong_is_named():
    def problems(**params):
        return [(".".join(map(str, p.path)), p.message) for p in check_params(rules_class, params)]

    rules_class = XSReversalConfig
    assert problems(partial={"fraction": 1.5})[0][0] == "partial.fraction"
    assert problems(partial={"fractoin": 0.5})[0] == ("partial.fractoin", "unknown parameter")
    assert problems(hold={"least": "2d", "most": "1d"}) == [
        ("hold.least", "must be below most, which is 1d")
    ]


# In the engine ----------------------------------------------------------------------------------

# A falls each hour, B stays: A is bought, B is sold.
FALLING = {
    A: Candles(opens=[100, 100, 99, 98, 97, 96, 95, 94], closes=[100, 99, 98, 97, 96, 95, 94, 93]),
    B: Candles(opens=[100] * 8, closes=[100] * 8),
}


def close_a(strategy):
    """Do what a stop does: an exit that no decision asked for."""
    (a,) = [i for i in strategy.instrument_ids if i.value == A]
    strategy.send_market(a, -strategy.holding(a), "stop")


def test_a_stopped_instrument_is_entered_again_only_after_its_cooldown():
    """The order of 03:30 fills at 04:00:01, at 97; the entry was decided at a close of 99."""
    store = MemoryState()
    rules = {"stop_cooldown": "2h", "no_trade_band": 0.1}
    strategy = played({at(3, 1800): close_a}, tape=FALLING, store=store, **rules)
    reasons = {d.data_ts: lines(d)[A].reason for d in strategy.decisions if d.targets}
    cooling = "left out: cooling down after its exit"
    assert reasons[at(3)] != cooling
    assert [reasons[at(hour)] for hour in (4, 5, 6)] == [cooling] * 3
    assert first_of(strategy, at(7)).gross > 0
    (lost,) = decode(store.load(STATE), "rev").memory.instruments[A].results
    assert lost == pytest.approx(97 / 99 - 1, abs=1e-6)


def test_what_a_stop_closes_while_the_node_is_down_cools_down_after_the_first_decision_too():
    store, seen = MemoryState(), []
    steps = {at(4, 60): lambda s: seen.append(decode(store.load(STATE), "rev").memory)}
    played(steps, tape=FALLING, store=store, every="3h", stop_cooldown="2h")
    # Bought at 04:00:01; it is gone at the next start.
    found = seen[0].corrected({}, {A: 90.0}, at(5), cooldown_ns=100).instruments[A]
    assert (found.weight, found.left, found.until) == (0.0, at(5), at(5) + 100)


def test_what_a_stop_closes_while_orders_are_cancelled_is_not_bought_back():
    """A is bought at 04:00:01; it is closed at 05:00:01, between the two looks of a decision."""
    seen, ts = [], at(4, 3000)
    steps = {
        at(4, 1800): close_a,
        ts: lambda s: seen.append(s.snapshot(ts)),
        at(5, 60): lambda s: seen.append(s.snapshot(ts, before=seen[0])),
    }
    played(steps, tape=FALLING, every="3h", stop_cooldown="2h")
    assert [look.proposal.weight[0] for look in seen] == [0.5, 0.0]
    assert seen[1].memory.instruments[A].left == at(5, seconds=1)


TAKEN = Candles(
    opens=[100, 100, 100, 98, 98, 103, 102, 102],
    highs=[101, 101, 101, 99, 104, 103.5, 103, 103],
    lows=[99, 99, 97, 97, 97.9, 101, 101, 101],
    closes=[100, 100, 98, 98, 103, 102, 102, 102],
)
HALF = {"protection": {"atr": 2, "take": [{"at": 1.0, "fraction": 0.5}]}, "every": "3h"}


def test_a_restart_does_not_buy_back_what_a_take_profit_closed():
    """As below, and a plan of 03:05 is taken up at 05:10."""
    store, now = MemoryState(), at(5, 600)
    plan = Plan(stamp=at(3, 300), made=at(3, 300), kind="rebalance", targets={A: Decimal("51.02")})

    def restart(strategy):
        store.save(STATE, encode(Progress(plan=plan)))
        strategy._execution.read(store)
        strategy.resume()

    tape = {A: TAKEN, B: Candles(opens=[100] * 8)}
    strategy = played({now: restart}, tape=tape, **build_params(XSReversal, HALF))
    assert not [o for o in strategy.cache.orders() if o.ts_init == now]


def test_a_decision_does_not_buy_back_what_a_take_profit_closed():
    """A is bought at 98 with an ATR of 3: one R is 5.1, and half of it goes at 103.1."""
    params = build_params(XSReversal, HALF)
    strategy = played(tape={A: TAKEN, B: Candles(opens=[100] * 8)}, **params)
    bought, later = (lines(first_of(strategy, at(hour)))[A] for hour in (3, 6))
    assert (bought.weight, bought.target) == (0.5, "51.020")
    assert later.current == "25.510"
    assert later.reason.startswith("kept: a take-profit has closed part of it")
    assert (later.weight, later.order) == (pytest.approx(25.51 * 102 / 10_230, abs=1e-3), "0.000")


def test_a_stop_at_the_venue_starts_the_cooldown_from_its_fill():
    """The stop rests at 92.9; a candle falls through it, and its close at 06:00 counts."""
    closes = [100, 100, 98, 97, 96, 92, 91, 90, 89, 88]
    opens = [100, 100, 100, 98, 98, 96, 92, 91, 90, 89]
    a = Candles(
        opens=opens,
        highs=[101, 101, 101, *(price + 1 for price in opens[3:])],
        lows=[99, 99, 97, *(price - 1 for price in closes[3:])],
        closes=closes,
    )
    params = {"protection": {"atr": 2}, "stop_cooldown": "90m", "no_trade_band": 0.2}
    strategy = played(tape={A: a, B: Candles(opens=[100] * 10)}, **build_params(XSReversal, params))
    weights = {
        d.data_ts: lines(d)[A].weight for d in strategy.decisions if d.gross or d.data_ts > at(5)
    }
    assert [weights[at(hour)] for hour in (3, 4, 5, 6, 7, 8)] == [0.5, 0.5, 0.5, 0, 0, 0.5]
