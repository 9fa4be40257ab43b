"""Shrunk covariance, clusters by correlation, and betas; estimators are scikit-learn's.

scikit-learn and SciPy are imported when they are first used: most runs need not wait for them.
`strategies.sizing.one_thread` has why a decision runs them on one thread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategies.sizing.parameters import CovarianceEstimator

_UNCHECKED = {"assume_finite": True, "skip_parameter_validation": True}
"""Checks of scikit-learn that take longer than its estimates; callers give what they ask for."""


def load_estimators() -> None:
    """Import scikit-learn and SciPy now, so that no decision waits for them."""
    import scipy.cluster.hierarchy  # noqa: F401
    import sklearn.covariance  # noqa: F401


def shrunk_covariance(
    returns: NDArray[np.float64], estimator: CovarianceEstimator
) -> NDArray[np.float64]:
    """Return the covariance of returns, shrunk toward equal variances without correlation.

    ``ledoit_wolf`` is Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional
    covariance matrices"; ``oas`` is Chen et al. (2010), "Shrinkage Algorithms for MMSE Covariance
    Estimation". ``returns`` has shape (T, N), T >= 2, without NaN. The result has shape (N, N), a
    squared fraction per row of ``returns``.
    """
    if not returns.shape[1]:
        return np.zeros((0, 0))
    from sklearn import config_context
    from sklearn.covariance import ledoit_wolf_shrinkage, oas

    result: NDArray[np.float64]
    with config_context(**_UNCHECKED):
        if estimator == "oas":
            result = oas(returns)[0]
            return result
        # The same as `ledoit_wolf`, which checks its input three times.
        part = float(ledoit_wolf_shrinkage(returns))
    deviation = returns - returns.mean(axis=0)
    sample = deviation.T @ deviation / len(returns)
    result = (1.0 - part) * sample
    result.flat[:: len(result) + 1] += part * sample.trace() / len(result)
    return result


def clusters(returns: NDArray[np.float64], correlation: float) -> NDArray[np.int64]:
    """Return the number of each column's cluster; in one, every two correlate above a limit.

    Clusters grow by complete linkage. ``returns`` has shape (T, N), no column constant; the result
    has shape (N,), with numbers from 0.
    """
    count = returns.shape[1]
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    from scipy.cluster.hierarchy import linkage

    deviation = returns - returns.mean(axis=0)
    deviation /= np.sqrt((deviation * deviation).sum(axis=0))
    distance = np.maximum(1.0 - deviation.T @ deviation, 0.0)
    # Each row of the tree joins two: columns, or earlier joins, which have the numbers after them.
    tree = linkage(distance[~np.tri(count, dtype=np.bool_)], "complete")
    joins = tree[tree[:, 2] < 1.0 - correlation, :2].astype(np.int64)
    labels, first = np.arange(count), list(range(count))
    for one, other in joins.tolist():
        labels[labels == first[other]] = first[one]
        first.append(first[one])
    return labels


def betas(returns: NDArray[np.float64], market: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each column's beta to the market's returns, 1 where the market did not move.

    ``returns`` has shape (T, N), ``market`` (T,); the result has shape (N,).
    """
    moves = market - market.mean()
    variance = float((moves * moves).sum())
    if variance == 0.0:
        return np.ones(returns.shape[1])
    result: NDArray[np.float64] = (returns * moves[:, None]).sum(axis=0) / variance
    return result
