"""Run benchmarks and print their tables: ``python -m tests.bench [name …]``, all by default."""

from __future__ import annotations

import sys
from importlib import import_module

from rich.console import Console
from rich.table import Table

NAMES = (
    "start",
    "engine",
    "momentum",
    "guards",
    "studies",
    "trials",
    "screen",
    "pairs",
    "writer",
    "memory",
    "books",
    "scalper",
    "policy",
    "scalper_runs",
)
LIVE = ("live.journal", "live.startup", "live.wire", "live.load", "live.recovery", "live.scalper")


def print_table(title: str, names: tuple[str, ...]) -> None:
    """Print the rows of benchmarks, one after the other on an otherwise idle machine."""
    table = Table(title=title)
    for column in ("benchmark", "what", "measured", "aim", ""):
        table.add_column(column, overflow="fold")
    console = Console()
    for name in names:
        console.print(f"{name} …", style="dim")
        for row in import_module(f"tests.bench.{name}").run():
            mark = "" if row.met is None else ("met" if row.met else "MISSED")
            table.add_row(name, row.what, row.value, row.aim, mark)
    console.print(table)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print_table("perpdesk bench", tuple(sys.argv[1:]))
    else:
        print_table("perpdesk bench", NAMES)
        print_table("perpdesk live bench", LIVE)
