"""Fewer points for the eye, with every high and low kept."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from actors.measures import Floats, Integers

LIMIT = 5_000
"""Points of a curve beyond which it is thinned for drawing."""


def thin(values: Floats, limit: int = LIMIT) -> Integers:
    """Return the indices of at most ``limit`` points that draw the same picture.

    The curve is cut into equal stretches, of which the lowest and the highest point stay, so no
    peak or trough is lost; first and last stay too. A curve that is short enough keeps all.

    Parameters
    ----------
    values : float64[n]
        The curve.
    limit : int
        At least 4.
    """
    if len(values) <= limit:
        return np.arange(len(values))
    stretches = (limit - 2) // 2
    edges = np.linspace(0, len(values), stretches + 1).astype(np.int64)
    kept = {0, len(values) - 1}
    for first, after in pairwise(edges.tolist()):
        part = values[first:after]
        kept.add(int(first + np.argmin(part)))
        kept.add(int(first + np.argmax(part)))
    return np.array(sorted(kept), dtype=np.int64)
