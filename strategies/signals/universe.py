"""Who may be traded at a moment, judged by what was known then (point in time)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Standing(IntEnum):
    """Why an instrument is in or out; the first reason met counts."""

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
    """Return each instrument's `Standing` from rows of shape (N,).

    A limit of zero lets everyone through, also those whose figure is unknown (NaN); any other limit
    wants a known figure. The ``top_n`` are those with the most turnover among the rest; between
    equals the first in order wins.

    Parameters
    ----------
    close : ndarray
        Last complete close, NaN where the candle is missing.
    excluded : ndarray of bool
        Left out by the document.
    age_days : ndarray
        Days since the listing.
    turnover : ndarray
        Mean turnover a day, settlement currency.
    score : ndarray
        What will be ranked; NaN where history is too short.
    volatility : ndarray or None
        None when the weighting needs none.
    spread_bps : ndarray or None
        Distance of the best bid and ask, basis points of their mid; None where candles are all
        that is known, and then its limit is not applied.
    depth : ndarray or None
        Value displayed on the thinner side near the mid, settlement currency; None as above.
    min_age_days, min_price, min_turnover, max_spread_bps, min_depth : float
        Limits, in the units above.
    top_n : int or None
        How many to keep; None keeps all.
    """
    result = np.zeros(close.shape, dtype=np.int8)

    def leave_out(where: NDArray[np.bool_], reason: Standing) -> None:
        result[where & (result == Standing.IN)] = reason

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
    left = np.flatnonzero(result == Standing.IN)
    if top_n is not None and left.size > top_n:
        most = np.argsort(-np.nan_to_num(turnover[left], nan=-1.0), kind="stable")
        result[left[most[top_n:]]] = Standing.BELOW_TOP
    return result
