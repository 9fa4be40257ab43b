"""Run all benchmarks and print one table: ``python -m backtests.bench [name …]``."""

from __future__ import annotations

import sys
from importlib import import_module

from rich.console import Console
from rich.table import Table

NAMES = ("engine", "trials", "screen", "writer", "memory")


def main(names: tuple[str, ...]) -> None:
    """Print the rows of the named benchmarks, one after the other on an otherwise idle machine."""
    table = Table(title="perpdesk bench")
    for column in ("benchmark", "what", "measured", "aim", ""):
        table.add_column(column, overflow="fold")
    console = Console()
    for name in names:
        console.print(f"{name} …", style="dim")
        for row in import_module(f"backtests.bench.{name}").run():
            mark = "" if row.met is None else ("met" if row.met else "MISSED")
            table.add_row(name, row.what, row.value, row.aim, mark)
    console.print(table)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or NAMES)
