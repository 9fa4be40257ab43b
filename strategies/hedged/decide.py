"""Decide what pairs enter and leave, how much, and which must leave with others. Pure.

`judge_pairs` says what the rules want, `plan` what of that is done: entries are sized, and left out
where a guard, the exchange's lots, the free margin or ``max_open`` does not allow them. `flatten`
and `leave_netted` are what guards demand. The trader carries plans out and publishes the rest.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from config.durations import duration_ns, interval_ns
from strategies.account_value import Margin
from strategies.hedged.book import Ended, PairBook, Plan, netted_with
from strategies.hedged.planned import Planned
from strategies.hedged.rules import Cause, Enter, Leave, PairsMemory, Skip, judge, sized
from strategies.hedged.views import Views
from strategies.messages import Action, Verdict
from strategies.pairs import PairsConfig, pair_name
from strategies.signals.cointegration import PairSelection, are_cointegrated, select_pairs
from strategies.signals.spread import Columns, Floats
from strategies.sizing.rounding import Lot
from strategies.tactics.two_leg import NONE, over_budget

ZERO = Decimal(0)
Named = dict[str, tuple[str, str]]
"""Legs of pairs by the pair's name."""


class Judged(NamedTuple):
    """What the rules want: exits, and entries, those furthest from the mean first.

    ``cooling`` are the pairs that wait from now on; ``back`` those whose z-score has come back.
    """

    leaves: tuple[Leave, ...]
    enters: tuple[Enter, ...]
    cooling: frozenset[str]
    back: frozenset[str]


class Snapshot(NamedTuple):
    """What entries are sized by: the account, and by instrument id what is known of each leg.

    ``verdicts`` are the strictest ones. ``depths`` are the values displayed, none on candles.
    """

    equity: Decimal
    prices: Mapping[str, Decimal]
    lots: Mapping[str, Lot]
    verdicts: Mapping[str, Verdict]
    margin: Margin | None = None
    depths: Mapping[str, float] = {}


NO_ENTRIES = Snapshot(ZERO, {}, {}, {})
"""For a decision that enters nothing."""


# Which pairs -----------------------------------------------------------------------------------


def active(rules: PairsConfig, memory: PairsMemory, book: PairBook) -> Named:
    """Return the pairs that may be entered, and those held."""
    pairs = {pair_name(legs): legs for legs in listed(rules, memory)}
    return pairs | {name: pair.legs for name, pair in book.pairs.items()}


def listed(rules: PairsConfig, memory: PairsMemory) -> list[tuple[str, str]]:
    """Return the legs of the pairs that may be entered: those given, or selected.

    A pair selected before one of its legs left the universe is none of them.
    """
    return [legs for legs in rules.pairs or memory.pairs if set(legs) <= set(rules.instruments)]


def unlisted(rules: PairsConfig, memory: PairsMemory, book: PairBook) -> list[str]:
    """Return the names of open pairs that are not listed: they exit, and are not entered again."""
    known = listed(rules, memory)
    return [name for name, pair in book.pairs.items() if pair.legs not in known]


def columns_of(ids: Sequence[str], pairs: Named) -> Columns:
    """Return the columns of the pairs' legs among instruments."""
    legs = [[ids.index(name) for name in pair] for pair in pairs.values()]
    return np.array(legs, dtype=np.intp).reshape(-1, 2)


def entered_betas(memory: PairsMemory, pairs: Iterable[str]) -> Floats:
    """Return the hedge ratio of each pair's entry, NaN for pairs that are not held."""
    trades = memory.trades
    return np.array([trades[n].beta if n in trades else np.nan for n in pairs], float)


def select(
    rules: PairsConfig, ids: Sequence[str], memory: PairsMemory, close: Floats, ts: int
) -> tuple[PairsMemory, PairSelection | None]:
    """Return the memory with pairs selected anew, and how, when that is due."""
    if rules.select is None or not _is_due(rules.select.every, memory.selected, ts):
        return memory, None
    found = select_pairs(np.log(close[:-1]), rules.select)
    pairs = tuple((ids[a], ids[b]) for a, b in found.chosen)
    return replace(memory, pairs=pairs, selected=ts), found


def retest(
    rules: PairsConfig,
    memory: PairsMemory,
    pairs: Iterable[str],
    columns: Columns,
    close: Floats,
    ts: int,
) -> PairsMemory:
    """Return the memory with the pairs tested for cointegration whose test is due."""
    test, known = rules.cointegration, memory.tests
    if test is None:
        return memory
    due = {
        name: legs
        for name, legs in zip(pairs, columns, strict=True)
        if name not in known or _is_due(test.every, known[name][0], ts)
    }
    if not due:
        return memory
    logs, legs = np.log(close[:-1]), np.array(list(due.values()))
    passes = are_cointegrated(logs, legs, test, rules.hedge.most_missing).tolist()
    found = {name: (ts, passed) for name, passed in zip(due, passes, strict=True)}
    return replace(memory, tests={**known, **found})


def _is_due(every: str, before: int | None, now: int) -> bool:
    """Whether a period of the schedule has begun since the last time, UNIX nanoseconds."""
    period = duration_ns(every)
    return before is None or now // period > before // period


# Entries and exits -----------------------------------------------------------------------------


def judge_pairs(
    rules: PairsConfig,
    book: PairBook,
    memory: PairsMemory,
    views: Views,
    pairs: Named,
    data_ts: int,
) -> Judged:
    """Return which pairs the rules enter and leave; ``views`` are in the order of ``pairs``.

    The same two instruments with their legs swapped are one pair: held, or cooling down, under
    either name.
    """
    interval, cooling, back = interval_ns(rules.interval), set(memory.cooling), set[str]()
    leaves, enters = list[Leave](), list[Enter]()
    for row, (name, legs) in enumerate(pairs.items()):
        view, names = views.of(row), {name, pair_name(legs[::-1])}
        if abs(view.z) < rules.least_entry:
            cooling -= names
            back.add(name)
        change, trade = book.changes.get(name), memory.trades.get(name)
        if change is not None and not change.enters:
            continue
        candles = 0.0 if trade is None else (data_ts - trade.candle) / interval
        found = judge(rules, name, view, trade, candles)
        if isinstance(found, Leave):
            leaves.append(found)
            if found.cause == "stop" and rules.cooldown:
                cooling.add(name)
        elif found is not None and not names & cooling and _may_enter(rules, book, memory, legs):
            enters.append(found)
    enters.sort(key=lambda found: -abs(found.trade.z))
    return Judged(tuple(leaves), tuple(enters), frozenset(cooling), frozenset(back))


def _may_enter(
    rules: PairsConfig, book: PairBook, memory: PairsMemory, legs: tuple[str, str]
) -> bool:
    if legs not in listed(rules, memory):
        return False
    if any(set(pair.legs) == set(legs) for pair in book.pairs.values()):
        return False
    return rules.cointegration is None or memory.tests.get(pair_name(legs), (0, False))[1]


def plan(
    rules: PairsConfig,
    judged: Judged,
    memory: PairsMemory,
    pairs: Named,
    snapshot: Snapshot,
    skipped: Mapping[str, Skip],
    data_ts: int,
) -> Planned[PairsMemory]:
    """Return the plans of a decision: all exits, and the entries that are possible."""
    trades, margin = dict(memory.trades), snapshot.margin
    skips = {name: why for name, why in skipped.items() if name not in judged.back}
    found = Planned(memory, skipped=skips)
    for leave in judged.leaves:
        found.add(leave, Plan(leave.pair, pairs[leave.pair]))
    open_ = len(trades) - len(judged.leaves)
    room = ZERO if margin is None else margin.free
    for enter in judged.enters:
        name, legs = enter.pair, pairs[enter.pair]
        full = rules.max_open is not None and open_ >= rules.max_open
        entry: Plan | Skip = "max_open" if full else _entry(rules, enter, legs, snapshot)
        if isinstance(entry, Plan) and margin is not None:
            values = [abs(q) * p for q, p in zip(entry.goal, entry.prices, strict=True)]
            left = room - sum(map(margin.used, legs, values), ZERO)
            entry, room = (entry, left) if left >= ZERO else ("margin", room)
        if not isinstance(entry, Plan):
            # Said once, until the z-score is back or the reason changes.
            if entry and skips.get(name) != entry:
                skips[name] = entry
                found.events.append(("skipped", {"pair": name, "reason": entry}))
            continue
        open_ += 1
        found.add(enter, entry)
        trades[name] = replace(enter.trade, candle=data_ts)
    found.memory = replace(memory, cooling=judged.cooling, trades=trades)
    return found


def _entry(
    rules: PairsConfig, enter: Enter, legs: tuple[str, str], snapshot: Snapshot
) -> Plan | Skip:
    """Return an entry of both legs, or why there is none; nothing where a guard halts entries."""
    verdicts = [snapshot.verdicts[name] for name in legs]
    if any(verdict.action >= Action.HALT_ENTRIES for verdict in verdicts):
        return ""
    prices = snapshot.prices[legs[0]], snapshot.prices[legs[1]]
    multiplier = min(verdict.multiplier for verdict in verdicts)
    lots = [snapshot.lots[name] for name in legs]
    goal, skip = sized(rules, enter, float(snapshot.equity), prices, lots, multiplier)
    if skip:
        return skip
    lead = None
    if rules.two_leg.first == "thin" and snapshot.depths:
        lead = 0 if snapshot.depths[legs[0]] <= snapshot.depths[legs[1]] else 1
    return Plan(enter.pair, legs, goal, prices, lead)


# Exits that guards demand ----------------------------------------------------------------------


def flatten(
    rules: PairsConfig, book: PairBook, memory: PairsMemory, instruments: Container[str]
) -> Planned[PairsMemory]:
    """Return plans by which pairs with a leg in the instruments leave, whole and at market."""
    names = [n for n, pair in book.pairs.items() if any(leg in instruments for leg in pair.legs)]
    found = _demanded(rules, book, memory, names, "guard")
    found.reasons = dict.fromkeys(found.reasons, "flatten")
    return found


def leave_netted(
    rules: PairsConfig,
    book: PairBook,
    memory: PairsMemory,
    lasting: frozenset[str],
    passing: frozenset[str],
) -> Planned[PairsMemory]:
    """Return plans by which pairs leave that an exit was netted with, where entries are halted.

    ``lasting`` are the instruments halted until withdrawn, ``passing`` those for a moment.
    A halt that passes by itself, such as of a price that is seconds old, closes no other pair: the
    exit's refused order is sent again within seconds. Only when what is unhedged meanwhile exceeds
    the budget of ``two_leg`` do the others leave as well.
    """
    halted = set[str]()
    for name, change in book.changes.items():
        legs = book.pairs[name].legs
        halted |= lasting.intersection(legs)
        if not change.enters and over_budget(change, rules.two_leg):
            halted |= passing.intersection(legs)
    return _demanded(rules, book, memory, netted_with(book, halted), "halted")


def leave_unlisted(rules: PairsConfig, book: PairBook, memory: PairsMemory) -> Planned[PairsMemory]:
    """Return plans by which entries under way are unwound whose pairs are not listed any more."""
    entering = {name for name, change in book.changes.items() if change.enters}
    names = [name for name in unlisted(rules, memory, book) if name in entering]
    return _demanded(rules, book, memory, names, "unlisted")


def _demanded(
    rules: PairsConfig, book: PairBook, memory: PairsMemory, names: Sequence[str], cause: Cause
) -> Planned[PairsMemory]:
    if rules.cooldown:
        memory = replace(memory, cooling=memory.cooling | set(names))
    found = Planned(memory)
    for name in names:
        exit_ = Plan(name, book.pairs[name].legs, forced=cause != "halted")
        found.add(Leave(name, cause, math.nan), exit_)
    return found


# What happened ---------------------------------------------------------------------------------


def after(rules: PairsConfig, memory: PairsMemory, end: Ended) -> PairsMemory:
    """Return the memory after a change of a pair has ended."""
    cooling, trades = memory.cooling, dict(memory.trades)
    # A cut that cost nothing may be tried again at once, unless it would be refused again.
    again = not end.value_seconds and end.cut in ("deadline", "halted")
    if end.cut and not again and rules.cooldown:
        cooling |= {end.pair}
    if end.held == NONE:
        trades.pop(end.pair, None)
    return replace(memory, cooling=cooling, trades=trades)
