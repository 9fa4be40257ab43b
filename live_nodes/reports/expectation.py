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

    It is that at the end of the newest whole day, as the band is of ends of days, or until now in
    the first. ``band`` is None where the study's does not reach this day.
    """

    number: int
    since: int
    until: int
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


@dataclass(frozen=True)
class Studied:
    """A release that runs since a time at a size, and its study's band by days, percent."""

    number: int
    since: int
    size: float
    study: str
    days: list[tuple[float, float]]


def studied(folder: Path, until: int) -> Studied | None:
    """Return what the release that ran until a time has of its study; None without one."""
    releases = Releases(folder)
    moves = [move for move in releases.moves() if move.ts < until]
    move = moves[-1] if moves else None
    if move is None or STUDY not in releases.release(move.number).files:
        return None
    # A canary that is over goes on at another size, by which its days before can't be judged.
    same = takewhile(lambda one: (one.number, one.size) == (move.number, move.size), moves[::-1])
    began, path = list(same)[-1].ts, releases.of(move.number) / STUDY
    outcome = outcome_of(releases.read(move.number, STUDY), path)
    days = outcome.monte_carlo.band.days
    return Studied(move.number, began, move.size, outcome.study, days)


def expectation(folder: Path, until: int) -> Expectation | None:
    """Return the expectation of the release that ran until a time; None without a study."""
    one = studied(folder, until)
    if one is None:
        return None
    day = max(1, (until - one.since) // DAY_NS)
    until = min(until, one.since + day * DAY_NS)
    try:
        found = live_result(folder, one.since, until)
    except DeskError:
        return None
    pct = found.summary["return_pct"] / one.size
    band = one.days[day - 1] if day <= len(one.days) else None
    return Expectation(one.number, one.since, until, day, pct, band)
