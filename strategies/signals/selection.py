"""Selection of the instruments to hold long and short, from their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.signals.momentum import cross_sectional_z
from strategies.signals.parameters import Bands, Names
from strategies.signals.ranking import ordinal_rank

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sides:
    """Which instruments may be, or are, held long and short; masks of shape (N,)."""

    long: Mask
    short: Mask


def names_a_side(rules: Names, dispersion: float) -> int:
    """Return how many instruments to hold on each side; ``dispersion`` is a fraction.

    Halves are rounded up. The least where the dispersion is unknown (NaN).
    """
    part = (dispersion * 1e4 - rules.low_bps) / (rules.high_bps - rules.low_bps)
    part = min(max(part, 0.0), 1.0) if part == part else 0.0
    return rules.least + int((rules.most - rules.least) * part + 0.5)


def choose_sides(
    score: NDArray[np.float64],
    count: int | None,
    *,
    allowed: Sides | None = None,
    held: NDArray[np.float64] | None = None,
    bands: Bands | None = None,
    one_side: bool = False,
) -> Sides:
    """Return the best ``count`` scores as long, the worst as short (none when ``one_side``).

    With ``count`` None all are in both, for weights whose sign says the side.
    Arrays have shape (N,); a NaN score is not eligible. An instrument that is not ``allowed`` on
    its side makes room for the next, but longs come from the upper half of the ranks and shorts
    from the lower, so that no filter turns a side round. With ``bands``, what is held now on that
    side (the sign of ``held``) goes before what is not, and has the lower threshold to pass.
    """
    rank = ordinal_rank(score)
    known = rank > 0
    eligible = int(np.count_nonzero(known))
    half = eligible if one_side or count is None else eligible // 2
    longs, shorts = known & (rank <= half), known & (rank > eligible - half)
    if allowed is not None:
        longs, shorts = longs & allowed.long, shorts & allowed.short
    keep_long = keep_short = np.zeros(score.shape, dtype=np.bool_)
    if bands is not None:
        z = cross_sectional_z(score)
        has = np.zeros(score.shape) if held is None else held
        keep_long, keep_short = has > 0.0, has < 0.0
        longs &= z >= np.where(keep_long, bands.exit, bands.entry)
        shorts &= -z >= np.where(keep_short, bands.exit, bands.entry)
    nobody = np.zeros(score.shape, dtype=np.bool_)
    return Sides(
        _first(longs, rank, keep_long, count),
        nobody if one_side else _first(shorts, -rank, keep_short, count),
    )


def _first(chosen: Mask, rank: NDArray[np.int64], kept: Mask, count: int | None) -> Mask:
    """Return the first ``count`` (None: all) chosen: those kept, then the lowest ranks."""
    columns = np.flatnonzero(chosen)
    order = columns[np.lexsort((rank[columns], ~kept[columns]))]
    result = np.zeros(chosen.shape, dtype=np.bool_)
    result[order[:count]] = True
    return result
