"""Selection of the instruments to hold long and short, from their scores.

Arrays of shape (N,) may have axes before it: then each row of N is a decision by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.signals.momentum import cross_sectional_z
from strategies.signals.parameters import Bands, Names
from strategies.signals.ranking import ordinal_rank

_EVERYONE = 0.5
Mask = NDArray[np.bool_]
Counts = tuple[int | NDArray[np.int64], int | NDArray[np.int64]]
"""How many are held long and short; of several decisions, an array of theirs."""


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


def side_counts(
    score: NDArray[np.float64], weighting: str, fraction: float, side: str
) -> Counts | None:
    """Return how many instruments are held long and short; None when the weights' sign says it.

    The latter is so for ``rank`` and ``zscore`` with a fraction of 0.5 or more. ``fraction`` is of
    all scores, ``by_sign`` of those above zero and of those below.
    """
    if side == "by_sign":
        return _part(fraction, score > 0.0), _part(fraction, score < 0.0)
    if weighting in ("rank", "zscore") and fraction >= _EVERYONE:
        return None
    held = _part(fraction, ~np.isnan(score))
    return held, held


def _part(fraction: float, of: Mask) -> NDArray[np.int64]:
    count = of.sum(axis=-1)
    # A small tolerance, as 0.3 * 10 is 2.9999999999999996 in some orders of multiplication.
    part = (fraction * count + 1e-9).astype(np.int64)
    result: NDArray[np.int64] = np.minimum(count, np.maximum(1, part))
    return result


def choose_sides(
    score: NDArray[np.float64],
    counts: Counts | None,
    *,
    side: str = "long_short",
    allowed: Sides | None = None,
    held: NDArray[np.float64] | None = None,
    bands: Bands | None = None,
) -> Sides:
    """Return the best scores as long, the worst as short, so many as ``counts`` says of each.

    With ``counts`` None all are in both, for weights whose sign says the side. ``side`` is
    ``long_short``, ``long_only``, or ``by_sign``: positive scores long, negative ones short.

    Arrays have shape (N,); a NaN score is not eligible. An instrument that is not ``allowed`` on
    its side makes room for the next, but longs come from the upper half of the ranks and shorts
    from the lower, so that no filter turns a side round. With ``bands``, what is held now on that
    side (the sign of ``held``) goes before what is not, and has the lower threshold to pass.
    """
    rank = ordinal_rank(score)
    known = rank > 0
    eligible = known.sum(axis=-1, keepdims=True)
    if side == "by_sign":
        sides = Sides(score > 0.0, score < 0.0)
    elif side == "long_only":
        sides = Sides(known, np.zeros(score.shape, dtype=np.bool_))
    else:
        half = eligible if counts is None else eligible // 2
        sides = Sides(known & (rank <= half), known & (rank > eligible - half))
    distance = score if bands is None else _distance(score, side)
    sides, kept = _within(sides, distance, allowed, held, bands)
    most_long, most_short = counts or (None, None)
    return Sides(
        _first(sides.long, rank, kept.long, most_long),
        _first(sides.short, eligible + 1 - rank, kept.short, most_short),
    )


def _distance(score: NDArray[np.float64], side: str) -> NDArray[np.float64]:
    """Return how far out scores are: by sign from zero, else from their mean."""
    if side != "by_sign":
        return cross_sectional_z(score)
    known = score[~np.isnan(score)]
    scale = np.sqrt((known**2).sum() / max(known.size, 1))
    return score / (scale or 1.0)


def trend_sides(
    trend: NDArray[np.float64],
    counts: Counts | None,
    *,
    side: str = "long_short",
    allowed: Sides | None = None,
    held: NDArray[np.float64] | None = None,
    bands: Bands | None = None,
) -> Sides:
    """Return the strongest trends as long where they rise, as short where they fall.

    As `choose_sides`, but each instrument's own trend, not its rank, says the side, so that all may
    be long: as many in all as ``counts`` has on both sides. The bands count in the trend's units.
    """
    one_side = side == "long_only"
    sides = Sides(trend > 0.0, (trend < 0.0) & (not one_side))
    sides, kept = _within(sides, trend, allowed, held, bands)
    most = None if counts is None else counts[0] + (0 if one_side else counts[1])
    strength = ordinal_rank(np.abs(trend))
    first = _first(sides.long | sides.short, strength, kept.long | kept.short, most)
    return Sides(sides.long & first, sides.short & first)


def _within(
    sides: Sides,
    distance: NDArray[np.float64],
    allowed: Sides | None,
    held: NDArray[np.float64] | None,
    bands: Bands | None,
) -> tuple[Sides, Sides]:
    """Return the sides that are allowed and far enough out, and what is held now on each."""
    nobody = np.zeros(distance.shape, dtype=np.bool_)
    kept = Sides(nobody, nobody)
    if allowed is not None:
        sides = Sides(sides.long & allowed.long, sides.short & allowed.short)
    if bands is not None:
        kept = kept if held is None else Sides(held > 0.0, held < 0.0)
        sides = Sides(
            sides.long & (distance >= np.where(kept.long, bands.exit, bands.entry)),
            sides.short & (-distance >= np.where(kept.short, bands.exit, bands.entry)),
        )
    return sides, kept


def _first(
    chosen: Mask, rank: NDArray[np.int64], kept: Mask, count: int | NDArray[np.int64] | None
) -> Mask:
    """Return the first ``count`` (None: all) chosen: those kept, then the lowest ranks."""
    if count is None:
        return chosen
    most = np.asarray(count)[..., None]
    last = np.where(chosen, rank, 0).max(axis=-1, initial=0)
    if not kept.any() and (last == chosen.sum(axis=-1)).all():
        return chosen & (rank <= most)  # their ranks have no gaps
    far = 2 * chosen.shape[-1] + 1
    place = np.where(chosen, np.where(kept, rank - far, rank), far)
    return chosen & (np.argsort(np.argsort(place, axis=-1), axis=-1) < most)
