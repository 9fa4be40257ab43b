"""Screen many parameter sets of a long/short ranking at once, in one compiled pass.

Use it to find parameters that are worth an event-driven run. Candidates with the same lookback and
skip share their ranks. The compiled code is cached on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from backtests.screening.path import close_returns

# Sums may be taken in any order (the processor adds eight at a time); figures, not decisions.
_ANY_ORDER = {"reassoc", "contract", "arcp", "nsz"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One set of parameters; `lookback`, `skip` and `hold` count candles.

    `skip` newest candles are left out. `fraction` (above 0, at most 0.5) of the eligible is held on
    each side. `hold` candles lie between rankings; until then, names go back to equal weights.
    """

    lookback: int
    skip: int
    fraction: float
    hold: int


@dataclass(frozen=True, slots=True)
class GridFigures:
    """Figures of C candidates after costs, arrays of shape (C,).

    `sharpe` is annualised, NaN when nothing moved; `max_drawdown` is a positive fraction;
    `turnover` is the mean traded notional a candle, fraction of equity.
    """

    sharpe: NDArray[np.float64]
    total_return: NDArray[np.float64]
    max_drawdown: NDArray[np.float64]
    turnover: NDArray[np.float64]


def screen_grid(
    close: NDArray[np.float64],
    candidates: Sequence[Candidate],
    *,
    gross: float = 1.0,
    cost: float = 0.00055,
    periods: float = 365.0,
) -> GridFigures:
    """Return the figures of every candidate on closes of shape (T, N).

    At each candle the best ``fraction`` of minus the past return is held long, the worst short, in
    equal weights of ``gross / 2`` a side; trades are made at the close that gave the ranking.
    Closes lie on a regular grid, NaN where a candle is missing. `cost` is a fraction of the traded
    value, also paid on the way back to equal weights; `periods` are candles a year.
    """
    figures = np.full((4, len(candidates)), np.nan)
    returns = np.nan_to_num(close_returns(close), nan=0.0)
    there = close > 0.0
    keys = [(c.lookback, c.skip) for c in candidates]
    for lookback, skip in dict.fromkeys(keys):
        chosen = np.array([i for i, key in enumerate(keys) if key == (lookback, skip)])
        first = lookback + skip
        if first >= len(close) - 1:
            continue
        ranks, counts = _ranks(close, there, lookback, skip)
        held = [_held(counts, candidates[i].fraction) for i in chosen]
        holds = np.array([candidates[i].hold for i in chosen])
        figures[:, chosen] = _figures(
            ranks, counts, np.array(held), holds, returns[first:], gross, cost, periods
        )
    return GridFigures(*figures)


def _ranks(
    close: NDArray[np.float64], there: NDArray[np.bool_], lookback: int, skip: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return ordinal ranks (1 = lowest past return, 0 = not eligible) and how many are eligible."""
    newest = close[lookback : len(close) - skip]
    past = newest / close[: len(newest)] - 1.0
    past[~there[lookback + skip :]] = np.nan
    counts = np.count_nonzero(~np.isnan(past), axis=1)
    # numpy's sort is fast (SIMD) but does not keep the order of equal values: `_place` restores it.
    order = np.argsort(past, axis=1)
    return _place(past, order, counts), counts


def _held(counts: NDArray[np.int64], fraction: float) -> NDArray[np.float64]:
    held = np.maximum(1, (fraction * counts + 1e-9).astype(np.int64))
    return np.where(counts >= 2, held, 0).astype(np.float64)


@njit(cache=True)
def _place(past, order, counts):
    ranks = np.zeros(past.shape)
    for t in range(past.shape[0]):
        row = order[t]
        for i in range(1, counts[t]):
            moved = row[i]
            j = i
            while j > 0 and row[j - 1] > moved and past[t, row[j - 1]] == past[t, moved]:
                row[j] = row[j - 1]
                j -= 1
            row[j] = moved
        for i in range(counts[t]):
            ranks[t, row[i]] = i + 1.0
    return ranks


@njit(cache=True, fastmath=_ANY_ORDER)
def _candle(ranks, held, above, weight, drifted, scale, returns):
    """Trade into the weights and earn one candle; return (turnover, gross return)."""
    turnover = 0.0
    earned = 0.0
    for i in range(ranks.shape[0]):
        rank = ranks[i]
        target = weight if rank <= held else 0.0
        target = -weight if rank > above else target
        target = 0.0 if rank == 0.0 else target
        turnover += abs(target - drifted[i] * scale)
        moved = target * returns[i]
        earned += moved
        drifted[i] = target + moved
    return turnover, earned


@njit(cache=True)
def _figures(ranks, counts, held, holds, returns, gross, cost, periods):
    rows = returns.shape[0]
    result = np.empty((4, held.shape[0]))
    drifted = np.empty(ranks.shape[1])
    for c in range(held.shape[0]):
        drifted[:] = 0.0
        scale = 1.0
        equity = 1.0
        peak = 1.0
        deepest = 0.0
        total = 0.0
        squares = 0.0
        traded = 0.0
        ranked = 0
        for t in range(rows):
            if t % holds[c] == 0:
                ranked = t
            side = held[c, ranked]
            weight = gross / 2.0 / side if side > 0.0 else 0.0
            above = counts[ranked] - side
            turnover, earned = _candle(
                ranks[ranked], side, above, weight, drifted, scale, returns[t]
            )
            net = earned - cost * turnover
            scale = 1.0 / (1.0 + net)
            equity *= 1.0 + net
            peak = max(peak, equity)
            deepest = max(deepest, 1.0 - equity / peak)
            traded += turnover
            # Welford's update: a sum of squares would lose digits.
            step = net - total
            total += step / (t + 1)
            squares += step * (net - total)
        spread = np.sqrt(squares / (rows - 1)) if rows > 1 else np.nan
        result[0, c] = total / spread * np.sqrt(periods) if spread > 0.0 else np.nan
        result[1, c] = equity - 1.0
        result[2, c] = deepest
        result[3, c] = traded / rows
    return result
