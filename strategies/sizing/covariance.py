"""Shrunk covariance, clusters by correlation, and betas; estimators are scikit-learn's.

scikit-learn is imported when it is first used: it takes seconds, which most runs need not wait.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strategies.sizing.one_thread import on_one_thread
from strategies.sizing.parameters import CovarianceEstimator

_UNCHECKED = {"assume_finite": True, "skip_parameter_validation": True}
"""Checks of scikit-learn that take longer than its estimates; callers give what they ask for."""


def load_estimators() -> None:
    """Import scikit-learn now, so that no decision waits for it."""
    import sklearn.cluster
    import sklearn.covariance  # noqa: F401


@on_one_thread
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
    from sklearn.covariance import ledoit_wolf, oas

    shrink = {"ledoit_wolf": ledoit_wolf, "oas": oas}[estimator]
    with config_context(**_UNCHECKED):
        result: NDArray[np.float64] = shrink(returns)[0]
    return result


@on_one_thread
def clusters(returns: NDArray[np.float64], correlation: float) -> NDArray[np.int64]:
    """Return the number of each column's cluster; in one, every two correlate above a limit.

    Clusters grow by complete linkage. ``returns`` has shape (T, N), no column constant; the result
    has shape (N,), with numbers from 0.
    """
    count = returns.shape[1]
    if count < 2:
        return np.zeros(count, dtype=np.int64)
    from sklearn import config_context
    from sklearn.cluster import AgglomerativeClustering

    distance = np.maximum(1.0 - np.corrcoef(returns, rowvar=False), 0.0)
    tree = AgglomerativeClustering(
        n_clusters=None,
        metric="precomputed",
        linkage="complete",
        distance_threshold=1.0 - correlation,
    )
    with config_context(**_UNCHECKED):
        labels: NDArray[np.int64] = tree.fit(distance).labels_.astype(np.int64)
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
