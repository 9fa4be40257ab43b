"""The drill's rows as a table for the trader."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from live_nodes.drill.rows import Row

FOLDS = {"breach", "action", "released"}
"""Columns that may break their lines; the others are told whole."""
HEADINGS = (
    "guard",
    "world",
    "breach",
    "measured / limit",
    "action",
    "verdict",
    "flat",
    "refused",
    "kept",
    "released",
    "",
)
INJECTED = "* told to the guard in place of happening: this world can't have it by its nature"


def rendered(rows: Sequence[Row], seconds: float) -> RenderableType:
    """Return the table, what is wrong below it, and how many rows pass."""
    table = Table(title="Drill", title_justify="left", pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=heading not in FOLDS)
    before = ""
    for row in rows:
        first = row.guard != before
        if first and before:
            table.add_section()
        table.add_row(*_cells(row, first=first))
        before = row.guard
    parts: list[RenderableType] = [table]
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


def _cells(row: Row, *, first: bool) -> list[RenderableType]:
    action = row.seen or "nothing"
    if row.expected and row.seen != row.expected:
        action = f"{action}, not {row.expected}"
    return [
        row.guard if first else "",
        f"{row.world}{'*' if row.injected else ''}",
        row.breach if first else "",
        _measured(row),
        f"{action} {_scope(row.scope)}".strip(),
        _seconds(row.verdict_s),
        _seconds(row.flat_s),
        str(row.refused) if row.refused else "",
        row.kept,
        row.released,
        Text("passes", "green") if row.passed else Text("FAILS", "bold red"),
    ]


def _measured(row: Row) -> str:
    if row.measured is None or row.limit is None:
        return ""
    return f"{row.measured:.4g} / {row.limit:.4g}"


def _scope(scope: str) -> str:
    if scope in ("", "desk"):
        return scope
    return scope.partition(":")[2].partition("-")[0]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"
