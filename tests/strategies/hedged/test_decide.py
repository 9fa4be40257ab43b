"""Decisions of pairs, by hand: what is entered, left and said, without an engine."""

from dataclasses import replace as with_
from decimal import Decimal as D

import numpy as np
import pytest

from strategies.account_value import Margin
from strategies.hedged.book import (
    Ended,
    PairBook,
    Plan,
    Terms,
    change_pairs,
    foreign_legs,
    time_passed,
    venue_traded,
)
from strategies.hedged.decide import (
    Judged,
    Snapshot,
    active,
    after,
    flatten,
    judge_pairs,
    leave_netted,
    leave_unlisted,
    plan,
    unlisted,
)
from strategies.hedged.planned import cut_words, decision_of
from strategies.hedged.rules import PairsMemory, Trade
from strategies.hedged.views import Views
from strategies.messages import NOTHING_STANDS, Action, Verdict
from strategies.pairs import PairsConfig
from strategies.signals.pair_parameters import Cointegration, Selection
from strategies.sizing.rounding import Lot
from strategies.tactics.two_leg import NONE, TwoLegRules

A, B, C, E = (f"{letter * 3}USDT-LINEAR.BYBIT" for letter in "ABCE")
BA, AB, CB, CE = "BBBUSDT/AAAUSDT", "AAAUSDT/BBBUSDT", "CCCUSDT/BBBUSDT", "CCCUSDT/EEEUSDT"
PAIRS = {AB: (A, B), CB: (C, B), CE: (C, E)}
HOUR = 3_600 * 10**9
SECOND = 10**9
LOT = Lot(D("0.01"), D("0.01"), D(5))
HALT = Verdict(action=Action.HALT_ENTRIES)
KNOWN = {
    "equity": D(10_000),
    "prices": {A: D(100), B: D(50), C: D(20), E: D(10)},
    "lots": dict.fromkeys((A, B, C, E), LOT),
    "verdicts": dict.fromkeys((A, B, C, E), NOTHING_STANDS),
}
TERMS = Terms(dict.fromkeys((A, B, C, E), D("0.01")), TwoLegRules(budget=20_000))


def rules(**params):
    known = {"key": "p", "instruments": (A, B, C, E), "pairs": tuple(PAIRS.values()), "risk": None}
    return PairsConfig(**known | params)


def views(*z):
    """Views with these z-scores, in the order of the pairs."""
    one = np.ones(len(z))
    return Views(one, 0.01 * one, np.array(z), np.full((len(z), 2), 50.0), one, 5 * one, 0.01 * one)


def judged(*z, book=None, memory=None, config=None, pairs=PAIRS, ts=10 * HOUR):
    known = config or rules(), book or PairBook(), memory or PairsMemory()
    return judge_pairs(*known, views(*z), pairs, ts)


def planned(*z, memory=None, config=None, skipped=None, **known):
    config, memory = config or rules(), memory or PairsMemory()
    found = judged(*z, memory=memory, config=config)
    return plan(config, found, memory, PAIRS, Snapshot(**KNOWN | known), skipped or {}, 10 * HOUR)


def held(**goals):
    """A book in which pairs hold these quantities, and the memory of their entries at z -2.5."""
    book, names = PairBook(), {"ab": AB, "cb": CB, "ce": CE}
    for short, quantities in goals.items():
        name, goal = names[short], tuple(map(D, quantities))
        prices = tuple(KNOWN["prices"][leg] for leg in PAIRS[name])
        book, _ = change_pairs(book, [Plan(name, PAIRS[name], goal, prices)], TERMS, 0)
        for leg, quantity in zip(PAIRS[name], goal, strict=True):
            book, _ = venue_traded(book, leg, quantity, None, TERMS, 0, own=True)
    trade = Trade(side=1, z=-2.5, beta=1.0, std=0.01, candle=0, half_life=5.0)
    return book, PairsMemory(trades={names[short]: trade for short in goals})


def test_the_dear_leg_is_sold_and_the_furthest_pair_goes_first():
    found = planned(2.5, -3.0, 0.0)
    assert [(p.pair, p.goal) for p in found.plans] == [
        (CB, (D(50), D(-20))), (AB, (D(-10), D(20)))
    ]  # fmt: skip
    assert found.words[1] == f"{AB}: enter short spread, z 2.50"
    assert found.reasons == {C: f"enter {CB}", B: f"enter {AB}", A: f"enter {AB}"}
    assert [(kind, facts["pair"]) for kind, facts in found.events] == [("enter", CB), ("enter", AB)]
    assert found.memory.trades[AB].candle == 10 * HOUR


def test_only_so_many_are_open_but_an_exit_makes_room():
    one = rules(max_open=1)
    assert [p.pair for p in planned(2.5, -3.0, 0.0, config=one).plans] == [CB]
    _, memory = held(ce=(50, -100))
    found = planned(2.5, 0.0, -2.0, config=one, memory=memory)
    assert (found.plans, found.skipped) == ([], {AB: "max_open"})
    assert found.events == [("skipped", {"pair": AB, "reason": "max_open"})]
    again = planned(2.5, 0.0, -2.0, config=one, memory=memory, skipped=found.skipped)
    assert (again.plans, again.events) == ([], [])
    found = planned(2.5, 0.0, 0.0, config=one, memory=memory)
    assert [(p.pair, p.goal == NONE) for p in found.plans] == [(CE, True), (AB, False)]


def test_free_margin_is_spent_once():
    # Legs of 1,000 at leverage 4 and 0.2 % of fees need 252 each.
    leverage = dict.fromkeys((A, B, C, E), D(4))
    for free, pairs in ((503, []), (504, [CB]), (1007, [CB]), (1008, [CB, AB])):
        found = planned(2.5, -3.0, 0.0, margin=Margin(D(free), leverage))
        assert [p.pair for p in found.plans] == pairs
        assert found.skipped == dict.fromkeys({AB, CB} - set(pairs), "margin")


def test_no_leg_is_entered_under_a_halt_and_a_multiplier_shrinks_both():
    assert planned(2.5, 0.0, 0.0, verdicts=KNOWN["verdicts"] | {B: HALT}).plans == []
    half = Verdict(action=Action.SHRINK, multiplier=0.5)
    (entry,) = planned(2.5, 0.0, 0.0, verdicts=KNOWN["verdicts"] | {B: half}).plans
    assert entry.goal == (D(-5), D(10))


def test_why_a_pair_is_not_entered_is_said_once_until_its_z_is_back():
    few = {"lots": dict.fromkeys((A, B, C, E), with_(LOT, min_notional=D(1001)))}
    found = planned(2.5, 0.0, 0.0, **few)
    assert (found.plans, found.skipped) == ([], {AB: "lots"})
    assert found.events == [("skipped", {"pair": AB, "reason": "lots"})]
    again = planned(2.5, 0.0, 0.0, skipped=found.skipped, **few)
    assert (again.events, again.skipped) == ([], {AB: "lots"})
    assert planned(0.0, 0.0, 0.0, skipped=found.skipped).skipped == {}
    # A guard's halt says that itself.
    halted = KNOWN["verdicts"] | {A: HALT}
    assert planned(2.5, 0.0, 0.0, verdicts=halted, **few).events == []


def test_the_thin_leg_leads_where_depth_is_known():
    thin = rules(two_leg=TwoLegRules(first="thin"))
    depths = {A: 500.0, B: 100.0}
    assert planned(2.5, 0.0, 0.0, config=thin, depths=depths).plans[0].lead == 1
    assert planned(2.5, 0.0, 0.0, config=thin).plans[0].lead is None
    assert planned(2.5, 0.0, 0.0, depths=depths).plans[0].lead is None


def test_a_stop_cools_down_until_z_is_back():
    book, memory = held(ab=(10, -20))
    stopped = judged(-4.5, 0.0, 0.0, book=book, memory=memory)
    assert [(leave.cause, leave.pair) for leave in stopped.leaves] == [("stop", AB)]
    assert stopped.cooling == {AB}
    cooling = PairsMemory(cooling=frozenset({AB}))
    assert judged(-2.5, 0.0, 0.0, memory=cooling).enters == ()
    assert judged(-1.9, 0.0, 0.0, memory=cooling).cooling == frozenset()
    free = judged(-4.5, 0.0, 0.0, book=book, memory=memory, config=rules(cooldown=False))
    assert free.cooling == frozenset()


def test_a_pair_that_leaves_is_not_judged_and_one_not_closed_not_entered():
    book, memory = held(ab=(10, -20))
    assert judged(2.5, 0.0, 0.0, book=book).enters == ()
    leaving, _ = change_pairs(book, planned(0.0, 9, 9, memory=memory).plans[:1], TERMS, 0)
    empty = Judged((), (), frozenset(), frozenset(PAIRS))
    assert judged(0.0, 0.0, 0.0, book=leaving, memory=memory) == empty


@pytest.mark.parametrize("passed", [False, True])
def test_conditions_of_the_memory(passed):
    tests = PairsMemory(tests={AB: (0, passed)})
    config = rules(cointegration=Cointegration())
    assert len(judged(2.5, 0.0, 0.0, memory=tests, config=config).enters) == passed
    chosen = PairsMemory(pairs=((A, B),) if passed else ((C, B),))
    selects = rules(pairs=(), select=Selection())
    assert len(judged(2.5, 0.0, 0.0, memory=chosen, config=selects).enters) == passed
    assert active(selects, chosen, PairBook()) == ({AB: (A, B)} if passed else {CB: (C, B)})


def test_a_pair_that_is_no_longer_listed_exits_and_stays_out():
    book, memory = held(ab=(10, -20))
    config = rules(pairs=((C, B), (C, E)))
    assert unlisted(config, memory, book) == [AB]
    assert unlisted(rules(), memory, book) == []
    found = judged(0.0, 0.0, 0.0, book=book, memory=memory, config=config)
    assert [leave.pair for leave in found.leaves] == [AB]
    assert judged(2.5, 0.0, 0.0, config=config).enters == ()


def test_an_entry_under_way_of_a_pair_that_is_no_longer_listed_is_unwound():
    enters = [Plan(AB, (A, B), (D(10), D(-20)), (D(100), D(50)))]
    (book, _) = change_pairs(PairBook(), enters, TERMS, 0)
    assert leave_unlisted(rules(), book, PairsMemory()).plans == []
    found = leave_unlisted(rules(pairs=((C, B),)), book, PairsMemory())
    assert found.plans == [Plan(AB, (A, B), forced=True)]
    assert found.words == [f"{AB}: exit of an entry under way, no longer listed"]
    # One that is open waits for its exit.
    book, memory = held(ab=(10, -20))
    assert leave_unlisted(rules(pairs=((C, B),)), book, memory).plans == []


def test_swapped_legs_are_one_pair():
    book, memory = held(ab=(10, -20))
    config, both = rules(pairs=((B, A),)), {BA: (B, A), AB: (A, B)}
    # A/B is held at z -2.5: B/A is not entered beside it, but once it has left.
    assert judged(2.5, -2.5, book=book, memory=memory, config=config, pairs=both).enters == ()
    assert [e.pair for e in judged(2.5, -2.5, config=config, pairs=both).enters] == [BA]
    # Nor while A/B cools down.
    cooling = PairsMemory(cooling=frozenset({AB}))
    assert judged(2.5, config=config, memory=cooling, pairs={BA: (B, A)}).enters == ()
    assert judged(1.9, config=config, memory=cooling, pairs={BA: (B, A)}).cooling == frozenset()


def test_a_selected_pair_whose_leg_left_the_universe_is_not_judged():
    selects = rules(pairs=(), select=Selection(), instruments=(C, B, E))
    assert active(selects, PairsMemory(pairs=((A, B), (C, B))), PairBook()) == {CB: (C, B)}


def test_an_open_leg_that_left_the_universe_is_found():
    book, _ = held(ab=(10, -20), ce=(50, -100))
    assert foreign_legs(book, rules().instruments) == ([], [])
    assert foreign_legs(book, (B, C, E)) == ([A], [AB])
    # Closed by A/B too late, 3 of A are no pair's.
    spare, _ = venue_traded(PairBook(), A, D(3), None, TERMS, 0, own=True)
    assert foreign_legs(spare, (B, C, E)) == ([A], [])


def test_flatten_takes_whole_pairs_at_market():
    book, memory = held(ab=(10, -20), ce=(50, -100))
    found = flatten(rules(), book, memory, {B})
    assert [(p.pair, p.goal, p.forced) for p in found.plans] == [(AB, NONE, True)]
    assert found.reasons == {A: "flatten", B: "flatten"}
    assert found.memory.cooling == {AB}
    assert flatten(rules(cooldown=False), book, memory, {B}).memory.cooling == frozenset()


def exit_under_halt(seconds):
    """A/B and C/B hold B against each other; A/B leaves and A is traded, seconds ago."""
    book, memory = held(ab=(10, -20), cb=(-50, 20))
    out = planned(0.0, 9, 9, memory=memory).plans[:1]
    book, _ = change_pairs(book, out, TERMS, 0)
    book, _ = venue_traded(book, A, D(-10), None, TERMS, 0, own=True)
    book, _ = time_passed(book, TERMS, seconds * SECOND)
    return book, memory


def test_what_an_exit_was_netted_with_leaves_at_once_under_a_halt_that_lasts():
    book, memory = exit_under_halt(0)
    found = leave_netted(rules(), book, memory, frozenset({A, B}), frozenset())
    assert [(p.pair, p.goal) for p in found.plans] == [(CB, NONE)]
    assert found.words == [f"{CB}: exit, halted, netted with what leaves"]
    assert (found.events[0][1]["cause"], found.memory.cooling) == ("halted", {CB})


# 1,000 of B stand unhedged: the budget of 20,000 lasts for 20 seconds.
@pytest.mark.parametrize(("seconds", "pairs"), [(0, []), (20, []), (21, [CB])])
def test_under_a_halt_for_a_moment_only_once_the_budget_is_passed(seconds, pairs):
    book, memory = exit_under_halt(seconds)
    found = leave_netted(rules(), book, memory, frozenset(), frozenset({A, B}))
    assert [p.pair for p in found.plans] == pairs


def test_a_cut_that_cost_something_cools_down_and_an_end_without_position_is_forgotten():
    _, memory = held(ab=(10, -20))
    free = Ended(AB, NONE, "deadline", 0, 0.0, 0.0)
    assert after(rules(), memory, free) == PairsMemory()
    for end in (free._replace(cut="refused"), free._replace(value_seconds=1.0)):
        assert after(rules(), memory, end).cooling == {AB}
        assert after(rules(cooldown=False), memory, end).cooling == frozenset()
    kept = free._replace(cut="", held=(D(10), D(-20)))
    assert after(rules(), memory, kept) == memory


def test_what_others_closed_is_said():
    before, _ = held(ab=(10, -20))
    lost = venue_traded(before, A, D(-5), None, TERMS, 0, own=False)
    words, reasons = cut_words(before, lost)
    assert words == [f"{AB}: cut to what both legs have (lost)"]
    assert reasons == dict.fromkeys((A, B), f"cut {AB}")
    assert cut_words(before, (before, [])) == ([], {})


def test_the_message_has_each_pair_of_an_instrument():
    book, _ = held(ab=(10, -20), cb=(-50, 20))
    prices = KNOWN["prices"] | {E: None}
    about = {"strategy": "p", "ts": 2, "data_ts": 1, "kind": "rebalance", "multiplier": 1.0}
    found = decision_of(book, {A: D(9), E: D(3)}, prices.get, D(10_000), {A: "why"}, **about)
    lines = {t.instrument: (t.current, t.target, t.order, t.weight) for t in found.targets}
    assert lines == {
        A: ("9", "10", "1", 0.1), B: ("0", "0", "0", 0.0), C: ("0", "-50", "-50", -0.1),
        E: ("3", "0", "-3", 0.0),
    }  # fmt: skip
    assert (found.gross, found.net, found.targets[0].reason) == (0.2, 0.0, "why")
    assert found.targets[1].parts == {AB: "-20", CB: "20"}
