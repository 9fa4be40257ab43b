"""Compute weights from candles and scores; the screen and the strategies share this code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.durations import DAY_NS, interval_ns
from strategies.rebalance.admit import chosen, filtered, rows_to_admit
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.history import Window
from strategies.rebalance.memory import NO_MEMORY, Memory, Record, recall, remember
from strategies.rebalance.size import (
    rows_to_size,
    scale_and_cap,
    size,
    stay_within,
    volatility_to_size,
)
from strategies.rebalance.sleeves import best_known, shares_in_words, weights_of_sleeves
from strategies.rebalance.steps import CUTS, cooldowns, leave_out, next_weights
from strategies.rebalance.votes import combine
from strategies.signals.ranking import ordinal_rank
from strategies.signals.turnover import mean_turnover
from strategies.signals.universe import Standing, standing

_NO_SHARES = np.empty((0, 0))


@dataclass(frozen=True, slots=True)
class Listings:
    """Sorted instrument ids and listing times, in the order of the columns.

    ``listed_ns`` is a float64 array of shape (N,): first time of trade, UNIX nanoseconds (UTC), NaN
    where unknown.
    """

    ids: tuple[str, ...]
    listed_ns: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Liquidity:
    """Spread and depth of the books at a decision, arrays of shape (N,).

    ``spread_bps`` is in basis points of the mid, NaN where no best bid and ask are known. ``depth``
    is the value displayed near the mid on the thinner side, settlement currency.
    """

    spread_bps: NDArray[np.float64]
    depth: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Scores, weights and eligibility of one decision; rows of shape (N,), or (T, N) of T at once.

    ``price`` is the last complete close, NaN where the candle is missing. ``score`` is NaN for
    instruments left out. ``weight`` is a signed fraction of equity; ``standing`` is a `Standing`.
    ``age_days``, ``turnover``, ``spread_bps`` and ``depth`` are the values compared with the
    limits; the last two are NaN where there are only candles. ``shares``, of shape (K, N), are the
    weights of a blend's sleeves before they are netted; the score is then their sum. ``regime`` is
    a `Mode`; ``multiples`` are those of `Scaled`, and ``readings`` the values that filters
    compared. ``parts`` and ``records`` are those of a blend's scorers by performance.
    """

    price: NDArray[np.float64]
    score: NDArray[np.float64]
    weight: NDArray[np.float64]
    standing: NDArray[np.int8]
    age_days: NDArray[np.float64]
    turnover: NDArray[np.float64]
    spread_bps: NDArray[np.float64]
    depth: NDArray[np.float64]
    shares: NDArray[np.float64] = field(default_factory=lambda: _NO_SHARES)
    regime: str = ""
    multiples: Mapping[str, float] = field(default_factory=dict)
    readings: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)

    @property
    def rank(self) -> NDArray[np.int64]:
        """Place of each score, 1 the highest; 0 for instruments left out."""
        return ordinal_rank(self.score)

    @property
    def is_blind(self) -> NDArray[np.bool_] | np.bool_:
        """Whether no candle at all has closed at the data time."""
        return np.isnan(self.price).all(axis=-1)

    def holds_nothing(self, rules: PanelRebalancerConfig) -> NDArray[np.bool_] | np.bool_:
        """Whether it gives neither weights nor exits to trade, and the rules keep what is held."""
        idle = ~(self.weight.any(axis=-1) | CUTS[self.standing].any(axis=-1))
        return idle & (not rules.flatten_on_empty_targets)


def rows_needed(rules: PanelRebalancerConfig, for_scores: int) -> int:
    """Return how many candles a decision needs; the scores alone need ``for_scores``."""
    for_turnover = rules.turnover_lookback if _wants_turnover(rules) else 1
    return max(for_scores, for_turnover, rows_to_size(rules), rows_to_admit(rules))


def decides_at_once(rules: PanelRebalancerConfig, ranking: type[PanelRebalancer]) -> bool:
    """Whether `propose` takes windows of many decisions, which then do not depend on each other.

    Their arrays have shape (W, T, N) in place of (W, N), and ``ts`` has shape (T, 1).
    """
    alone = (
        *(rules.names, rules.majors_gate, rules.market_trend, rules.adx_filter, rules.slope_filter),
        *(rules.hours_filter, rules.funding_filter, rules.neutral),
    )
    limited = rules.wants_memory or rules.wants_covariance or any(b is not None for b in alone)
    marked = [getattr(how, "at_once", False) for how in (ranking.scores, ranking.scored)]
    inner = (decides_at_once(sleeve.rules, sleeve.ranking) for sleeve in rules.sleeves)
    return not limited and all(marked) and all(inner)


def propose(
    rules: PanelRebalancerConfig,
    listings: Listings,
    window: Window,
    scores: NDArray[np.float64],
    liquidity: Liquidity | None = None,
    memory: Memory = NO_MEMORY,
    entered: NDArray[np.int64] | None = None,
) -> Proposal:
    """Return the weights that the rules give for a window of candles.

    ``window`` has `rows_needed` rows, all complete at the decision, or at T of them where
    `decides_at_once`. ``scores`` has shape (N,):
    higher is better, NaN where history is too short; of a blend (K, N), a row a sleeve. Without
    ``liquidity`` the limits on spread and depth are not applied. ``memory`` is that of the
    decision before, of a config with ``wants_memory``; ``entered`` is that of `Scored`.

    The steps: who is in the universe, what filters and own exits leave, regime and sides, sizes,
    then the way from the last weights, within the limits of sizes again.
    """
    price, unknown = window.close[-1], np.full(window.close.shape[1:], np.nan)
    age_days = (window.ts - listings.listed_ns) / DAY_NS
    turnover = unknown
    if _wants_turnover(rules):
        a_candle = mean_turnover(window.close, window.volume, rules.turnover_lookback)
        turnover = a_candle * (DAY_NS / interval_ns(rules.interval))
    known = recall(memory, listings.ids, window.ts, price) if rules.wants_memory else None
    over = np.zeros(scores.shape, np.bool_)
    if known is not None and entered is not None:
        over = np.isfinite(scores) & (window.ts - entered > known.since_cut_ns)
        scores = np.where(over, np.nan, scores)
    spread = volatility_to_size(rules, window)
    standings = standing(
        close=price,
        excluded=_excluded(rules.exclude, listings.ids),
        age_days=age_days,
        turnover=turnover,
        score=best_known(scores) if rules.sleeves else scores,
        volatility=spread,
        min_age_days=rules.min_age_days,
        min_price=rules.min_price,
        min_turnover=rules.min_turnover,
        spread_bps=None if liquidity is None else liquidity.spread_bps,
        max_spread_bps=rules.max_spread_bps,
        depth=None if liquidity is None else liquidity.depth,
        min_depth=rules.min_depth,
        top_n=rules.top_n,
    )
    ended = (standings == Standing.NO_SCORE) & np.atleast_2d(over).any(axis=0)
    standings = np.where(ended, Standing.ENTRY_OVER, standings)
    left = filtered(rules, listings.ids, window, standings, known)
    standings = left.standing if known is None else leave_out(rules, known, left.standing)
    picked = chosen(rules, listings.ids, window, scores, left, standings, known, memory.regime)
    standings, score, shares = picked.standing, picked.score, _NO_SHARES
    records: Mapping[str, Record] = {}
    parts: Mapping[str, float] = {}
    if rules.sleeves:
        own = weights_of_sleeves(rules.sleeves, window, score, picked.sides)
        weight, shares, parts, records = combine(
            rules.votes, rules.sleeves, own, memory.scorers, listings.ids, price
        )
        score = np.where(standings == Standing.IN, weight, np.nan)
        # What is cut goes to nobody: it would enlarge what other sleeves hold.
        shape = np.clip(weight, -rules.max_weight, rules.max_weight)
        scaled = scale_and_cap(rules, window, score, shape, signed=True)
    else:
        own_trend = picked.regime == "own_trend"
        scaled = size(rules, window, score, spread, picked.sides, own_trend=own_trend)
    sized = scaled.weight * rules.allocation
    weight = sized * left.part
    if known is not None:
        weight, standings = next_weights(rules, known, standings, weight)
    # What was sized keeps its limits, and estimates take most of a decision's time.
    if not np.array_equal(weight, sized):
        weight = stay_within(rules, window, score, weight)
    return Proposal(
        price=price,
        score=score,
        weight=weight,
        standing=standings,
        age_days=age_days,
        turnover=turnover,
        spread_bps=unknown if liquidity is None else liquidity.spread_bps,
        depth=unknown if liquidity is None else liquidity.depth,
        shares=shares * rules.allocation,
        regime=picked.regime,
        multiples=scaled.multiples,
        readings=left.readings,
        parts=parts,
        records=records,
    )


def remembered(
    rules: PanelRebalancerConfig,
    ids: tuple[str, ...],
    ts: int,
    memory: Memory,
    proposal: Proposal,
) -> Memory:
    """Return the memory after a proposal is carried out; ``ts`` is its window's."""
    if not rules.wants_memory:
        return memory
    cooldown, cut = cooldowns(rules, proposal.standing), CUTS[proposal.standing]
    memory = msgspec.structs.replace(memory, regime=proposal.regime, scorers=dict(proposal.records))
    return remember(memory, ids, ts, proposal.price, proposal.weight, cooldown, cut)


def in_words(proposal: Proposal) -> str:
    """Return what a regime changes in a decision, and what shrinks it; empty when nothing."""
    words = ["own trends are held in place of scores"] if proposal.regime == "own_trend" else []
    for name, part in proposal.multiples.items():
        words += [f"{name} leaves at most {part:.1%} of the book"] if part < 1.0 else []
    if proposal.parts:
        counts = ", ".join(f"{name} {part:.3f}" for name, part in proposal.parts.items())
        words.append(f"scorers count by performance: {counts}")
    return "; ".join(words)


def not_applied(rules: PanelRebalancerConfig) -> str:
    """Return which limits can't be applied on candles, in words; empty without any."""
    limits = {"max_spread_bps": rules.max_spread_bps, "min_depth": rules.min_depth}
    names = [name for name, limit in limits.items() if limit > 0.0]
    if not names:
        return ""
    return f"{' and '.join(names)} not applied: candles show neither spread nor depth"


def reason_to_wait(rules: PanelRebalancerConfig, proposal: Proposal) -> str:
    """Return why nothing is traded now; empty when the weights are traded."""
    if proposal.is_blind:
        return "no candle has closed at the data time"
    return "nothing to hold; keeping what is held" if proposal.holds_nothing(rules) else ""


def explain(proposal: Proposal, index: int, rules: PanelRebalancerConfig) -> str:
    """Return a blend's shares, and why an instrument was left out, kept or scaled, in words."""
    if not (proposal.standing[index] or proposal.weight[index] or rules.sleeves):
        return ""
    seen = _Values(proposal, index, rules)
    words = [_why(seen)]
    if proposal.weight[index] and "flipped" in proposal.readings and seen["flipped"]:
        words.append("its score is mirrored (market_trend)")
    if proposal.weight[index] and "part" in proposal.readings and seen["part"] < 1.0:
        words.append(f"scaled by {seen['part']:g} (market_trend or majors_gate)")
    if rules.sleeves:
        words.insert(0, shares_in_words(rules, proposal.shares[:, index], proposal.score[index]))
    return "; ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class _Values:
    """What one instrument's explanation may name: its values of a proposal, and the rules."""

    proposal: Proposal
    index: int
    rules: PanelRebalancerConfig

    def __getitem__(self, name: str) -> Any:
        if name == "rules":
            return self.rules
        found = self.proposal.readings.get(name)
        return (getattr(self.proposal, name) if found is None else found)[self.index]


def _why(seen: _Values) -> str:
    standing = Standing(int(seen["standing"]))
    if standing == Standing.IN:
        return ""
    done = "left out" if seen["weight"] == 0.0 else "kept"
    if standing in (Standing.TOO_WIDE, Standing.TOO_SHALLOW) and np.isnan(seen["spread_bps"]):
        return f"{done}: no best bid and ask are known"
    reading = _READING.get(standing)
    if reading is not None and np.isnan(seen[reading]):
        return f"{done}: {reading} is unknown"
    return f"{done}: " + _LEFT_OUT[standing].format_map(seen)


_READING = {
    Standing.ADX_OUTSIDE: "adx",
    Standing.SLOPE_OUTSIDE: "slope",
    Standing.FUNDING_TOO_HIGH: "funding",
    Standing.QUIET_MAJORS: "majors_slope",
}
_LEFT_OUT = {
    Standing.NO_CANDLE: "no candle closed at the decision's data time",
    Standing.EXCLUDED: "excluded by the document",
    Standing.TOO_YOUNG: "listed {age_days:.1f} days, needs {rules.min_age_days:g}",
    Standing.TOO_CHEAP: "price {price:g} is below {rules.min_price:g}",
    Standing.TOO_THIN: "turnover {turnover:.0f} a day is below {rules.min_turnover:.0f}",
    Standing.TOO_WIDE: "spread {spread_bps:.2f} bps is above {rules.max_spread_bps:g}",
    Standing.TOO_SHALLOW: (
        "depth {depth:.0f} within {rules.depth_bps:g} bps is below {rules.min_depth:.0f}"
    ),
    Standing.NO_SCORE: "no score: too little history, or the strategy gives none",
    Standing.ENTRY_OVER: "a stop, a guard or a limit has closed it; it waits for a new entry",
    Standing.NO_VOLATILITY: "volatility is unknown or zero",
    Standing.BELOW_TOP: "not among the {rules.top_n} with the most turnover",
    Standing.COOLING_DOWN: "cooling down after its exit",
    Standing.LOSING_STREAK: (
        "its last {rules.loss_streak.losses} trades or more lost; paused for "
        "{rules.loss_streak.pause}"
    ),
    Standing.HELD_TOO_LONG: "held for {rules.hold.most}",
    Standing.HELD_BRIEFLY: "held for less than {rules.hold.least}",
    Standing.PROFIT_TAKEN: "a take-profit has closed part of it, which is not bought back",
    Standing.NEAR_TARGET: "the change would be below {rules.partial.min_change:g} of equity",
    Standing.LOSS_EXIT: "lost {rules.loss_exit.loss:g} of equity or more since its entry",
    Standing.OUT_OF_HOURS: "the hour is not among hours_filter.hours",
    Standing.POOR_RECORD: "own trades in it went badly; paused for {rules.symbol_record.pause}",
    Standing.QUIET_MAJORS: (
        "the majors' slope, {majors_slope:.1f} bps a day, is within {rules.majors_gate.least_bps:g}"
    ),
    Standing.TREND_UNKNOWN: "the strength of the trend is unknown",
    Standing.TRENDING: "it or the market trends",
    Standing.ADX_OUTSIDE: (
        "adx {adx:.1f} is outside {rules.adx_filter.least:g} to {rules.adx_filter.most:g}"
    ),
    Standing.SLOPE_OUTSIDE: (
        "slope {slope:.1f} bps a day fails {rules.slope_filter.least_bps:g} for its side"
    ),
    Standing.FUNDING_TOO_HIGH: (
        "funding {funding:.1f} bps a day, paid by longs, exceeds "
        "{rules.funding_filter.most_bps:g} for its side"
    ),
}


@lru_cache
def _excluded(patterns: tuple[str, ...], ids: tuple[str, ...]) -> NDArray[np.bool_]:
    found = np.array([any(fnmatchcase(i, pattern) for pattern in patterns) for i in ids], bool)
    found.setflags(write=False)
    return found


def _wants_turnover(rules: PanelRebalancerConfig) -> bool:
    return rules.min_turnover > 0.0 or rules.top_n is not None
