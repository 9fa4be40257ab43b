"""What candles say of pairs: spread, z-score, RSI, correlation, half-life and tests. Pure.

Trader, report and tests read pairs by the same functions: `read` candle by candle, `history` for
charts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.durations import DAY_NS, duration_ns, interval_ns
from strategies.pairs import PairsConfig
from strategies.signals.cointegration import cointegration, correlations, half_life, select_pairs
from strategies.signals.oscillators import rows_for_rsi, rsi
from strategies.signals.spread import (
    SpreadReading,
    SpreadState,
    first_spread_state,
    frozen_spread,
    spread_history,
    spread_step,
)

Floats = NDArray[np.float64]
Legs = tuple[tuple[int, int], ...]
"""Columns of the legs of each pair."""


@dataclass(frozen=True, slots=True)
class Track:
    """What the next candle needs: the pairs, and the state after the candle that closed at ts."""

    ts: int
    legs: Legs
    state: SpreadState


@dataclass(frozen=True, slots=True)
class Views:
    """What the newest prices say of P pairs; arrays of shape (P,), NaN where unknown.

    With ``freeze_hedge`` the spread is that of one hedge ratio over the whole window, an open
    pair's of its entry, the others' the newest: so that an entry and what follows are judged alike.
    Without, each candle has its own ratio. ``rsi`` has shape (P, 2), 0 to 100. ``half_life`` is in
    candles, ``volatility`` the deviation of the spread's changes, a day.
    """

    beta: Floats
    std: Floats
    z: Floats
    rsi: Floats
    correlation: Floats
    half_life: Floats
    volatility: Floats


def rows_for_views(rules: PairsConfig) -> int:
    """Return how many candles a decision needs."""
    rows = [rules.hedge.rows_needed]
    if rules.rules == "tiers":
        rows.append(rows_for_rsi(rules.tiers.length))
    if rules.min_correlation is not None:
        rows.append(rules.min_correlation.lookback + 2)
    if rules.volatility is not None:
        rows.append(rules.hedge.candles_to_hedge + rules.volatility.lookback + 2)
    if rules.cointegration is not None:
        rows.append(rules.cointegration.lookback + 1)
    if rules.select is not None:
        rows.append(rules.select.formation + 1)
    return max(rows)


def follow(before: Track | None, ts: int, close: Floats, legs: Legs, rules: PairsConfig) -> Track:
    """Return the state after a candle: ``before``, unless the window does not end with it.

    ``close`` has shape (W, N); its last row closed at ``ts``.
    """
    logs = np.log(close)
    if before is not None and (before.ts, before.legs) == (ts, legs):
        kept = before.state.prices.values
        if np.array_equal(kept.T, logs[-kept.shape[1] :], equal_nan=True):
            return before
    pairs = np.array(legs, dtype=np.intp).reshape(-1, 2)
    state = first_spread_state(close.shape[1], pairs, rules.hedge)
    for row in logs:
        state, _ = spread_step(state, row, pairs, rules.hedge)
    return Track(ts, legs, state)


def read(
    track: Track, ts: int, close: Floats, frozen: Floats, rules: PairsConfig
) -> tuple[Track, Views]:
    """Return what the newest row of prices says, judged by the candles before it.

    ``track`` is that before this row, a closed candle or current prices; the state after it is
    returned. ``frozen`` has the hedge ratios of open pairs, NaN for the others.
    """
    logs = np.log(close)
    pairs = np.array(track.legs, dtype=np.intp).reshape(-1, 2)
    state, found = spread_step(track.state, logs[-1], pairs, rules.hedge)
    spreads = track.state.spreads.values
    if rules.freeze_hedge:
        beta = np.where(np.isnan(frozen), found.beta, frozen)
        found = frozen_spread(state, beta, pairs, rules.hedge)
        kept = track.state.prices.values[:, -rules.hedge.z_lookback :]
        spreads = kept[pairs[:, 0]] - beta[:, None] * kept[pairs[:, 1]]
    unknown = np.full(len(pairs), np.nan)
    strength = np.full((len(pairs), 2), np.nan)
    if rules.rules == "tiers":
        rows = rows_for_rsi(rules.tiers.length)
        strength = rsi(close[-rows:], rules.tiers.length, rows)[-1][pairs]
    correlation, volatility = unknown, unknown
    if rules.min_correlation is not None:
        of_all = correlations(logs[-rules.min_correlation.lookback - 2 : -1])
        correlation = of_all[pairs[:, 0], pairs[:, 1]]
    if rules.volatility is not None:
        changes = np.diff(spreads[:, -rules.volatility.lookback - 1 :], axis=1)
        a_day = DAY_NS / interval_ns(rules.interval)
        volatility = np.std(changes, axis=1, ddof=1) * np.sqrt(a_day)
    beta, std, z = found.beta, found.std, found.z
    views = Views(beta, std, z, strength, correlation, half_life(spreads), volatility)
    return Track(ts, track.legs, state), views


def history(close: Floats, legs: Legs, rules: PairsConfig) -> SpreadReading:
    """Return what each candle of a history says of the pairs, for charts; arrays (T, P)."""
    pairs = np.array(legs, dtype=np.intp).reshape(-1, 2)
    return spread_history(np.log(close), pairs, rules.hedge)


def tested(close: Floats, legs: Legs, rules: PairsConfig) -> NDArray[np.bool_]:
    """Return which pairs are cointegrated by the candles before the newest; shape (P,)."""
    assert rules.cointegration is not None
    pairs = np.array(legs, dtype=np.intp).reshape(-1, 2)
    logs = np.log(close[:-1])
    return cointegration(logs, pairs, rules.cointegration, rules.hedge.most_missing).passes


class Selected(NamedTuple):
    """How pairs were selected: of all ``possible``, how many were tested, and passed.

    ``threshold`` is the largest p-value, uncorrected, that passed; NaN if none did.
    """

    possible: int
    tested: int
    significant: int
    threshold: float
    chosen: tuple[str, ...] = ()


def selected(close: Floats, rules: PairsConfig) -> tuple[Legs, Selected]:
    """Return the pairs that the candles before the newest choose, and how, without their names."""
    assert rules.select is not None
    found = select_pairs(np.log(close[:-1]), rules.select)
    counts = Selected(found.pairs, len(found.tested), found.significant, found.threshold)
    return tuple((int(a), int(b)) for a, b in found.chosen), counts


def is_due(every: str, before: int | None, now: int) -> bool:
    """Whether a period of the schedule has begun since the last time, UNIX nanoseconds."""
    period = duration_ns(every)
    return before is None or now // period > before // period
