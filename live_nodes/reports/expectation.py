"""What the study of a node's release lets expect: its Monte Carlo band beside the live return."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from config.durations import DAY_NS
from config.errors import DeskError
from live_nodes.deploy.study import outcome_of
from live_nodes.local.releases import STUDY, Releases
from live_nodes.reports.live_result import live_result


@dataclass(frozen=True)
class Expectation:
    """The return of a release since it began (at its size), percent for full size, and its band.

    ``band`` is None where the study's does not reach this day.
    """

    number: int
    since: int
    day: int
    pct: float
    band: tuple[float, float] | None

    @property
    def words(self) -> str:
        """Whether the return is inside the band."""
        if self.band is None:
            return "not compared: the study's band does not reach this day"
        lower, upper = self.band
        return "inside" if lower <= self.pct <= upper else "OUTSIDE"


def expectation(folder: Path, until: int) -> Expectation | None:
    """Return the expectation of the release that ran until a time; None without a study."""
    releases = Releases(folder)
    moves = [move for move in releases.moves() if move.ts < until]
    move = moves[-1] if moves else None
    if move is None or STUDY not in releases.release(move.number).files:
        return None
    # A canary that is over goes on at another size, by which its days before can't be judged.
    same = takewhile(lambda one: (one.number, one.size) == (move.number, move.size), moves[::-1])
    began = list(same)[-1].ts
    try:
        found = live_result(folder, began, until)
    except DeskError:
        return None
    path = releases.of(move.number) / STUDY
    days = outcome_of(releases.read(move.number, STUDY), path).monte_carlo.band.days
    day = max(1, (until - began) // DAY_NS)
    band = days[day - 1] if day <= len(days) else None
    return Expectation(move.number, began, day, found.summary["return_pct"] / move.size, band)
