"""Size a book: risk parity, Kelly, volatility target, caps and neutrality, in an order that holds.

1. Shares: each side has half of the gross, divided by the weighting (`weigh`, `by_parity`).
2. Size: all weights are multiplied by the least of 1, target / volatility, and Kelly's multiple.
3. Cap of an instrument: the excess goes to the others of its side (`capped`).
4. `within`, which only makes weights smaller: cap of an instrument, of a cluster, of the gross,
   then neutrality, then the volatility once more. As none of these enlarges a weight, and the last
   one shrinks all alike, what an earlier one reached stays true to the end.

Whatever changes weights later, such as a partial rebalance, is followed by `within` again. All of
it is in units of the equity that the strategy manages; the allocation multiplies at the very end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.sizing.risk_parity import risk_parity
from strategies.sizing.weights import capped


@dataclass(frozen=True, slots=True)
class Limits:
    """What every book of a decision keeps to; fractions of equity.

    ``max_weight`` caps an instrument's absolute weight, ``gross`` their sum, and ``cluster_weight``
    that of each side in each cluster of ``clusters``, which are whole numbers from 0, of shape
    (N,).
    ``exposure``, of shape (N,), is the net exposure of a weight of one, of which no more than
    ``max_net`` is left. ``covariance``, of shape (N, N), is that of returns in the time over which
    ``max_volatility`` counts. What is None is not limited.
    """

    max_weight: float
    gross: float
    clusters: NDArray[np.int64] | None = None
    cluster_weight: float = np.inf
    exposure: NDArray[np.float64] | None = None
    max_net: float = np.inf
    covariance: NDArray[np.float64] | None = None
    max_volatility: float = np.inf


def size_book(
    shape: NDArray[np.float64], limits: Limits, largest_multiple: float = 1.0
) -> NDArray[np.float64]:
    """Return the weights of a decision from their shape, which no cap has changed.

    ``shape`` has shape (N,), signed fractions of equity. The book is never enlarged, and never
    above ``largest_multiple`` of it, such as Kelly's.
    """
    part = min(1.0, largest_multiple, volatility_multiple(shape, limits))
    return within(capped(part * shape, limits.max_weight), limits)


def by_parity(shape: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights with each side divided anew by `risk_parity`."""
    weight = shape.copy()
    for side in (shape > 0.0, shape < 0.0):
        if side.any():
            weight[side] = shape[side].sum() * risk_parity(covariance[np.ix_(side, side)])
    return weight


def within(weight: NDArray[np.float64], limits: Limits) -> NDArray[np.float64]:
    """Return the weights made smaller where a limit asks for it; see the module for the order."""
    weight = np.clip(weight, -limits.max_weight, limits.max_weight)
    if limits.clusters is not None:
        for side in (weight > 0.0, weight < 0.0):
            held = np.bincount(limits.clusters, np.where(side, np.abs(weight), 0.0))
            part = _part(limits.cluster_weight, held)[limits.clusters]
            weight = np.where(side, weight * part, weight)
    weight = weight * _part(limits.gross, np.abs(weight).sum())
    if limits.exposure is not None:
        weight = neutral(weight, limits.exposure, limits.max_net)
    return weight * min(1.0, volatility_multiple(weight, limits))


def neutral(
    weight: NDArray[np.float64], exposure: NDArray[np.float64], max_net: float
) -> NDArray[np.float64]:
    """Return the weights with the heavier side shrunk until the net exposure is small enough.

    ``exposure`` is that of a weight of one, such as a beta, or one for all. A side that can't be
    balanced, as when betas have the other sign, is closed.
    """
    net = float(weight @ exposure)
    if net < 0.0:
        return -neutral(-weight, exposure, max_net)
    longs, shorts = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
    for heavy, light in ((longs, shorts), (shorts, longs)):
        mine, other = float(heavy @ exposure), float(light @ exposure)
        if mine > 0.0 and mine + other > max_net:
            heavy *= max(max_net - other, 0.0) / mine
    result: NDArray[np.float64] = longs + shorts
    return result


def volatility_multiple(weight: NDArray[np.float64], limits: Limits) -> float:
    """Return the multiple of a book that has the largest volatility; infinite without a risk."""
    if limits.covariance is None:
        return np.inf
    variance = float(weight @ limits.covariance @ weight)
    return limits.max_volatility / np.sqrt(variance) if variance > 0.0 else np.inf


def _part(most: float, held: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is left of each sum when it is cut to a limit, 1 where it is below."""
    return np.where(held > most, most / np.where(held > 0.0, held, 1.0), 1.0)
