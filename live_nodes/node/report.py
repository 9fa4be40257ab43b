"""What a run is told by the command line, and what it tells at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from config.errors import DeskError


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Parameters
    ----------
    dry_run : bool
        Journal and print orders, send none.
    run_once : bool
        Do what is due, then stop.
    force : bool
        Do it even when it is done already; guards are obeyed.
    seconds : float, optional
        Stop after so long.
    """

    dry_run: bool = False
    run_once: bool = False
    force: bool = False
    seconds: float | None = None


@dataclass
class Report:
    """What became of a run; the command prints it.

    Attributes
    ----------
    outcome : str
        ``stopped``, ``ran once``, ``nothing due``, or ``waits``: something kept the decision from
        being made.
    reason : str
        Why it stopped.
    decisions : int
        How many were made.
    intended : list of dict
        Orders that a dry run did not send.
    positions : dict of str to Decimal
        What was held at the end, net, signed base coin.
    refusals : int
        Orders that the order gate refused.
    missed : list of str
        Positions that are not where the last decision of each strategy wanted them, in words.
    left : list of str
        What is not as it should be at the venue after the stop, in words.
    """

    outcome: str = "stopped"
    reason: str = ""
    decisions: int = 0
    intended: list[dict[str, Any]] = field(default_factory=list)
    positions: dict[str, Decimal] = field(default_factory=dict)
    refusals: int = 0
    missed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def as_plain(self) -> dict[str, Any]:
        """Return it as values that JSON knows; amounts are decimal text."""
        plain = asdict(self)
        plain["positions"] = {name: f"{quantity:f}" for name, quantity in self.positions.items()}
        return plain


def raise_left(report: Report) -> None:
    """Fail the command when the run did not do what it was to, or left something at the venue.

    Raises
    ------
    DeskError
        Which says what.
    """
    if report.outcome == "waits":
        raise DeskError(f"nothing was decided: {report.reason}")
    if report.outcome == "ran once" and report.missed:
        raise DeskError("not where the decision wanted it: " + "; ".join(report.missed))
    if report.left:
        raise DeskError("after the stop: " + "; ".join(report.left))
