"""Tradable universe at a moment, by what was known then (point in time)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from strategies.signals.ranking import ordinal_rank


class Standing(IntEnum):
    """Why an instrument is in or out of the universe; the first reason that applies counts."""

    IN = 0
    NO_CANDLE = 1
    EXCLUDED = 2
    TOO_YOUNG = 3
    TOO_CHEAP = 4
    TOO_THIN = 5
    NO_SCORE = 6
    NO_VOLATILITY = 7
    BELOW_TOP = 8
    TOO_WIDE = 9
    TOO_SHALLOW = 10
    COOLING_DOWN = 11
    LOSING_STREAK = 12
    HELD_TOO_LONG = 13
    HELD_BRIEFLY = 14
    LOSS_EXIT = 15
    NEAR_TARGET = 16
    PROFIT_TAKEN = 17
    OUT_OF_HOURS = 18
    POOR_RECORD = 19
    QUIET_MAJORS = 20
    TREND_UNKNOWN = 21
    TRENDING = 22
    ADX_OUTSIDE = 23
    SLOPE_OUTSIDE = 24
    FUNDING_TOO_HIGH = 25
    ENTRY_OVER = 26


def standing(
    *,
    close: NDArray[np.float64],
    excluded: NDArray[np.bool_],
    age_days: NDArray[np.float64],
    turnover: NDArray[np.float64],
    score: NDArray[np.float64],
    volatility: NDArray[np.float64] | None,
    min_age_days: float = 0.0,
    min_price: float = 0.0,
    min_turnover: float = 0.0,
    spread_bps: NDArray[np.float64] | None = None,
    max_spread_bps: float = 0.0,
    depth: NDArray[np.float64] | None = None,
    min_depth: float = 0.0,
    top_n: int | None = None,
) -> NDArray[np.int8]:
    """Return each instrument's `Standing` from rows of shape (N,), or (..., N) of many decisions.

    A limit of zero admits all, also those whose value is unknown (NaN); any other limit needs a
    known value. ``top_n`` keeps those with the most turnover among the rest (None: all); between
    equals the first in order wins.

    ``close`` is the last complete close, NaN where the candle is missing. ``age_days`` counts from
    the listing. ``turnover`` is the mean a day, settlement currency. ``score`` is NaN where history
    is too short. ``volatility`` is None when the weighting needs none. ``spread_bps`` is in basis
    points of the mid; ``depth`` is the value displayed on the thinner side near the mid, settlement
    currency. These two are None where only candles are known; then their limits are not applied.
    Limits have the units of their values.
    """
    result = np.zeros(close.shape, dtype=np.int8)

    def leave_out(where: NDArray[np.bool_], reason: Standing) -> None:
        np.copyto(result, reason, where=where & (result == Standing.IN))

    leave_out(~(close > 0.0), Standing.NO_CANDLE)
    leave_out(excluded, Standing.EXCLUDED)
    if min_age_days > 0.0:
        leave_out(~(age_days >= min_age_days), Standing.TOO_YOUNG)
    if min_price > 0.0:
        leave_out(~(close >= min_price), Standing.TOO_CHEAP)
    if min_turnover > 0.0:
        leave_out(~(turnover >= min_turnover), Standing.TOO_THIN)
    if max_spread_bps > 0.0 and spread_bps is not None:
        leave_out(~(spread_bps <= max_spread_bps), Standing.TOO_WIDE)
    if min_depth > 0.0 and depth is not None:
        leave_out(~(depth >= min_depth), Standing.TOO_SHALLOW)
    leave_out(~np.isfinite(score), Standing.NO_SCORE)
    if volatility is not None:
        leave_out(~(np.isfinite(volatility) & (volatility > 0.0)), Standing.NO_VOLATILITY)
    if top_n is not None:
        known = np.nan_to_num(turnover, nan=-1.0)
        rank = ordinal_rank(np.where(result == Standing.IN, known, np.nan))
        leave_out(rank > top_n, Standing.BELOW_TOP)
    return result
