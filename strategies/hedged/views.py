"""What candles say of pairs: spread, z-score, RSI, correlation and half-life. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from config.durations import DAY_NS, interval_ns
from strategies.pairs import PairsConfig
from strategies.signals.cointegration import correlations, half_life
from strategies.signals.oscillators import rows_for_rsi, rsi
from strategies.signals.spread import (
    Columns,
    Floats,
    SpreadState,
    first_spread_state,
    frozen_spreads,
    spread_step,
)


@dataclass(frozen=True, slots=True)
class Track:
    """What the next candle needs: the pairs, and the state after the candle that closed at ts."""

    ts: int
    pairs: Columns
    state: SpreadState


class View(NamedTuple):
    """What `Views` say of one pair."""

    beta: float
    std: float
    z: float
    rsi: tuple[float, float]
    correlation: float
    half_life: float
    volatility: float


class Views(NamedTuple):
    """What the newest prices say of P pairs; arrays of shape (P,), NaN where unknown or unused.

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

    def of(self, row: int) -> View:
        """Return what they say of one pair."""
        return View(*(column[row].tolist() for column in self))


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


def follow(
    before: Track | None, ts: int, close: Floats, pairs: Columns, rules: PairsConfig
) -> Track:
    """Return the state after a candle: ``before``, unless the window does not end with it.

    ``close`` has shape (W, N); its last row closed at ``ts``.
    """
    logs = np.log(close)
    if before is not None and before.ts == ts and np.array_equal(before.pairs, pairs):
        kept = before.state.prices
        if np.array_equal(kept.T, logs[-kept.shape[1] :], equal_nan=True):
            return before
    state = first_spread_state(close.shape[1], pairs, rules.hedge)
    for row in logs:
        state, _ = spread_step(state, row, pairs, rules.hedge)
    return Track(ts, pairs, state)


def read(
    track: Track, ts: int, close: Floats, frozen: Floats, rules: PairsConfig
) -> tuple[Track, Views]:
    """Return what the newest row of prices says, judged by the candles before it.

    ``track`` is that before this row, a closed candle or current prices; the state after it is
    returned. ``frozen`` has the hedge ratios of open pairs, NaN for the others.
    """
    logs, pairs = np.log(close), track.pairs
    state, found = spread_step(track.state, logs[-1], pairs, rules.hedge)
    past = track.state.spreads
    if rules.freeze_hedge:
        beta = np.where(np.isnan(frozen), found.beta, frozen)
        spreads, found = frozen_spreads(state, beta, pairs, rules.hedge)
        past = spreads[:, :-1]
    correlation = volatility = np.full(len(pairs), np.nan)
    strength = np.full((len(pairs), 2), np.nan)
    if rules.rules == "tiers":
        rows = rows_for_rsi(rules.tiers.length)
        strength = rsi(close[-rows:], rules.tiers.length, rows)[-1][pairs]
    if rules.min_correlation is not None:
        of_all = correlations(logs[-rules.min_correlation.lookback - 2 : -1])
        correlation = of_all[pairs[:, 0], pairs[:, 1]]
    if rules.volatility is not None:
        changes = np.diff(past[:, -rules.volatility.lookback - 1 :], axis=1)
        a_day = DAY_NS / interval_ns(rules.interval)
        volatility = np.std(changes, axis=1, ddof=1) * np.sqrt(a_day)
    # Kept with an entry, also for a time stop that is set later.
    life = half_life(past)
    views = Views(found.beta, found.std, found.z, strength, correlation, life, volatility)
    return Track(ts, pairs, state), views
