"""Ask a strategy that ranks a universe for its scores, which may be a trader's own, and check them.

A window's arrays are read-only: the prices that a score would change also size positions.
"""

from __future__ import annotations

from traceback import extract_tb

import numpy as np

from config.errors import DeskError
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig, Scored
from strategies.rebalance.history import Window


def checked_scores(
    ranking: type[PanelRebalancer], rules: PanelRebalancerConfig, window: Window
) -> Scored:
    """Return the scores of a window, float64 of shape (N,); of a blend's K sleeves (K, N).

    Raises DeskError with the strategy's key where they are none, or change the window.
    """
    whose = f"strategy {rules.key}: {ranking.__module__}:{ranking.__qualname__}"
    try:
        found = ranking.scored(rules, window)
    except ValueError as error:
        # NumPy has no type of its own for it.
        if "read-only" not in str(error):
            raise
        lines = extract_tb(error.__traceback__)
        at = next((one for one in reversed(lines) if "numpy" not in one.filename), lines[-1])
        raise DeskError(
            f"{whose} changes a read-only array ({at.filename}:{at.lineno}, {error}): the window "
            "is shared with what sizes positions; copy first, as in `window.close.copy()`"
        ) from error
    score, wanted = found.score, window.close.shape[1:]
    if rules.sleeves:
        wanted = len(rules.sleeves), *wanted
    # What derives from an array, such as a masked one, would lose what it has beside its numbers.
    if type(score) is not np.ndarray:
        what = f"are of type {type(score).__name__}"
    elif score.dtype.kind not in "fiu" or score.shape != wanted:
        what = f"are {score.dtype} of shape {score.shape}"
    else:
        return found._replace(score=score.astype(np.float64, copy=False))
    many = ", as at_once says" if window.close.ndim > 2 else ""
    raise DeskError(
        f"{whose}: its scores {what}; wanted is a NumPy array of floats of shape {wanted}{many}: "
        "one for each instrument, NaN where there is none"
    )
