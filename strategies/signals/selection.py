"""Selection of the instruments to hold long and short, from their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from strategies.signals.momentum import cross_sectional_z
from strategies.signals.ranking import ordinal_rank

Mask = NDArray[np.bool_]


class Names(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many instruments each side holds, by how much all of them differ."""

    least: Annotated[int, Meta(ge=1, le=1000, description="Instruments a side at low_bps …")] = 2
    most: Annotated[
        int, Meta(ge=1, le=1000, description="… and at high_bps; in between in proportion.")
    ] = 6
    lookback: Annotated[
        int, Meta(ge=1, le=5000, description="Candles of the returns whose dispersion counts.")
    ] = 24
    low_bps: Annotated[
        float,
        Meta(ge=0.0, description="Dispersion: standard deviation across returns, basis points …"),
    ] = 35.0
    high_bps: Annotated[
        float, Meta(ge=0.0, description="… from which the most instruments are held.")
    ] = 300.0

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = []
        if self.most < self.least:
            problems.append(("most", f"must not be below least, which is {self.least}"))
        if self.high_bps <= self.low_bps:
            problems.append(("high_bps", f"must be above low_bps, which is {self.low_bps:g}"))
        return problems


class Bands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a score must be from the mean to open a position, and to keep one."""

    entry: Annotated[
        float,
        Meta(
            ge=0.0,
            le=10.0,
            description="Least distance of a new position's score, in standard"
            " deviations of all scores, on its side of the mean.",
        ),
    ] = 0.65
    exit: Annotated[
        float,
        Meta(
            ge=0.0,
            le=10.0,
            description="Least distance at which a position is kept; such go before new ones.",
        ),
    ] = 0.45

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        if self.exit > self.entry:
            return [("exit", f"must not exceed entry, which is {self.entry:g}")]
        return []


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


def _first(chosen: Mask, rank: NDArray[np.int64], kept: Mask, count: int) -> Mask:
    """Return the first ``count`` of the chosen: those kept, then the lowest rank."""
    columns = np.flatnonzero(chosen)
    order = columns[np.lexsort((rank[columns], ~kept[columns]))]
    result = np.zeros(chosen.shape, dtype=np.bool_)
    result[order[:count]] = True
    return result
