"""Results of a drill: a row for each guard and world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


@dataclass
class DrillRow:
    """One guard's drill in one world (``backtest`` or ``practice``).

    `use` is the address of the guard's class, `breach` the cause in words. `scope` is of the
    verdict, `key` of the reading over its limit. `expected` and `seen` are action and size, such as
    ``shrink 0.5``; `stages` are the verdicts before the last. `verdict_s` counts from the breach to
    the verdict, `flat_s` from there to flat at the venue (None where nothing had to be closed).
    `kept` is whether the halt survived a restart: ``yes``, ``no``, or why that can't be tested.
    `released` is how the halt ended, else empty. `injected`: the guard was notified of a breach
    that did not happen. `note` is what the drill changed in the document, and why.
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
        """Set the reason of the failure; the first one stays."""
        self.passed = False
        self.why = self.why or why


COMPARED = ("scope", "key", "seen", "limit", "stages")
"""Fields of a guard that must be equal in both worlds."""


def compare(rows: list[DrillRow]) -> None:
    """Fail the rows of a guard that differ between the worlds."""
    by_guard: dict[str, list[DrillRow]] = {}
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


FOLDS = {"breach", "action", "released"}
"""Columns with line breaks; the others stay on one line."""
NARROW = 100
"""Columns of the terminal below which a table has `MAIN` only."""
MAIN = ("guard", "world", "action", "verdict", "flat", "")
INJECTED = "* the guard was notified; the breach itself can't happen in this world"


def rendered(rows: Sequence[DrillRow], seconds: float, width: int = NARROW) -> RenderableType:
    """Return the table, the failures below it, and the number of rows that pass."""
    headings = tuple(_cells(rows[0], first=True))
    shown = headings if width >= NARROW else MAIN
    table = Table(title="Drill", title_justify="left", pad_edge=False)
    for heading in shown:
        table.add_column(heading, no_wrap=heading not in FOLDS)
    before = ""
    for row in rows:
        first = row.guard != before
        if first and before:
            table.add_section()
        cells = _cells(row, first=first)
        table.add_row(*(cells[heading] for heading in shown))
        before = row.guard
    parts: list[RenderableType] = [table]
    if hidden := [heading for heading in headings if heading not in shown]:
        parts.append(Text(f"A wider terminal also shows: {', '.join(hidden)}.", "dim"))
    notes = {f"{row.guard}: {row.note}" for row in rows if row.note}
    parts += [Text(note, "dim") for note in sorted(notes)]
    if any(row.injected for row in rows):
        parts.append(Text(INJECTED, "dim"))
    failed = [row for row in rows if not row.passed]
    parts += [Text(f"{row.guard} in {row.world}: {row.why}", "bold red") for row in failed]
    passed = len(rows) - len(failed)
    words = f"{passed} of {len(rows)} rows pass, in {seconds:.0f} s"
    parts.append(Text(words, "bold red" if failed else "bold green"))
    return Group(*parts)


def _cells(row: DrillRow, *, first: bool) -> dict[str, RenderableType]:
    action = row.seen or "nothing"
    if row.expected and row.seen != row.expected:
        action = f"{action}, not {row.expected}"
    return {
        "guard": row.guard if first else "",
        "world": f"{row.world}{'*' if row.injected else ''}",
        "breach": row.breach if first else "",
        "measured / limit": _measured(row),
        "action": f"{action} {_scope(row.scope)}".strip(),
        "verdict": _seconds(row.verdict_s),
        "flat": _seconds(row.flat_s),
        "refused": str(row.refused) if row.refused else "",
        "kept": row.kept,
        "released": row.released,
        "": Text("passes", "green") if row.passed else Text("FAILS", "bold red"),
    }


def _measured(row: DrillRow) -> str:
    if row.measured is None or row.limit is None:
        return ""
    return f"{row.measured:.4g} / {row.limit:.4g}"


def _scope(scope: str) -> str:
    if scope in ("", "desk"):
        return scope
    return scope.partition(":")[2].partition("-")[0]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"
