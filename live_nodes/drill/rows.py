"""What a drill found: a row for each guard and world."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Row:
    """One guard's drill in one world.

    Attributes
    ----------
    guard, use : str
        Key in the document, and address of the class.
    world : str
        ``backtest`` or ``practice``.
    breach : str
        What was done, in words.
    scope, key : str
        Of the verdict that came, and of the reading that was over.
    measured, limit : float or None
        What was measured as the verdict came, and its limit.
    expected, seen : str
        Action and size that had to come and that came, such as ``shrink 0.5``.
    stages : list of str
        The verdicts on the way there, where the guard has several steps.
    verdict_s : float or None
        Seconds from the breach to the verdict.
    flat_s : float or None
        Seconds from the verdict to flat at the venue; None where nothing had to be closed.
    refused : int
        Entries that were refused after the verdict.
    kept : str
        Whether the halt stood over a restart: ``yes``, ``no``, or why that can't be asked.
    released : str
        How the halt ended; empty when it did not.
    injected : bool
        Whether the guard was told of the breach in place of it happening.
    note : str
        What the drill changed of the document, and why.
    passed : bool
        Whether all was as it must be.
    why : str
        Why not.
    took_s : float
        How long the drill took, seconds of this machine.
    """

    guard: str
    use: str
    world: str
    breach: str = ""
    scope: str = ""
    key: str = ""
    measured: float | None = None
    limit: float | None = None
    expected: str = ""
    seen: str = ""
    stages: list[str] = field(default_factory=list)
    verdict_s: float | None = None
    flat_s: float | None = None
    refused: int = 0
    kept: str = ""
    released: str = ""
    injected: bool = False
    note: str = ""
    passed: bool = False
    why: str = ""
    took_s: float = 0.0

    def fail(self, why: str) -> None:
        """Note why it fails; the first reason counts."""
        self.passed = False
        self.why = self.why or why

    def as_plain(self) -> dict[str, Any]:
        """Return it as values that JSON knows."""
        return asdict(self)


COMPARED = ("scope", "key", "seen", "limit", "stages")
"""What must be the same of a guard in both worlds."""


def compare(rows: list[Row]) -> None:
    """Fail the rows of a guard that differ between the worlds.

    Examples
    --------
    >>> one = Row("a", "", "backtest", seen="flatten", passed=True)
    >>> other = Row("a", "", "practice", seen="halt_entries", passed=True)
    >>> compare([one, other])
    >>> other.why
    'the worlds differ: seen is flatten in backtest and halt_entries in practice'
    """
    by_guard: dict[str, list[Row]] = {}
    for row in rows:
        by_guard.setdefault(row.guard, []).append(row)
    for found in by_guard.values():
        first = found[0]
        for other in found[1:]:
            for name in COMPARED:
                one, two = getattr(first, name), getattr(other, name)
                if one != two and first.passed and other.passed:
                    words = (
                        f"the worlds differ: {name} is {one} in {first.world} "
                        f"and {two} in {other.world}"
                    )
                    first.fail(words)
                    other.fail(words)
