"""What weights would have earned, candle by candle, without an engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Earned:
    """Returns of T periods, fractions of equity at each period's start, shape (T,).

    Parameters
    ----------
    gross : ndarray
        Weights times returns.
    turnover : ndarray
        Notional traded at the period's start.
    net : ndarray
        Gross minus the cost of that trade.
    """

    gross: NDArray[np.float64]
    turnover: NDArray[np.float64]
    net: NDArray[np.float64]


def earn(
    weights: NDArray[np.float64],
    traded: NDArray[np.bool_],
    returns: NDArray[np.float64],
    cost: float | NDArray[np.float64],
    *,
    drift: bool = True,
) -> Earned:
    """Return what is earned by trading into the weights at each period's start.

    Parameters
    ----------
    weights : ndarray, shape (T, N)
        Wanted at the start of each period, signed fractions of equity.
    traded : ndarray of bool, shape (T,)
        Whether the weights are traded into; otherwise what is held is kept (the row is ignored).
    returns : ndarray, shape (T, N)
        Simple returns of each period; NaN counts as no move.
    cost : float or ndarray, shape (N,)
        Fee and slippage, fraction of the traded value.
    drift : bool, default True
        Whether holdings grow with their prices, so that going back to equal weights is a trade.
        False counts the change of the wanted weights only, as many papers do.
    """
    moves = np.nan_to_num(returns, nan=0.0)
    rates = np.broadcast_to(np.asarray(cost, dtype=np.float64), moves.shape[1:])
    count = len(moves)
    gross, turnover, net = np.zeros(count), np.zeros(count), np.zeros(count)
    held = np.zeros(moves.shape[1])
    for t in range(count):
        paid = 0.0
        if traded[t]:
            change = np.abs(weights[t] - held)
            turnover[t] = change.sum()
            paid = float((change * rates).sum())
            held = weights[t]
        gross[t] = (held * moves[t]).sum()
        net[t] = gross[t] - paid
        if drift:
            held = held * (1.0 + moves[t]) / (1.0 + net[t])
    return Earned(gross, turnover, net)


def close_returns(close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return simple returns between the rows, shape (T - 1, N).

    Zero in a gap, and the whole move in the period in which the gap ends; NaN before the first
    price.
    """
    there = close > 0.0
    last = np.maximum.accumulate(np.where(there, np.arange(len(close))[:, None], 0), axis=0)
    filled = np.take_along_axis(close, last, axis=0)
    result: NDArray[np.float64] = filled[1:] / filled[:-1] - 1.0
    return result
