"""Runs named benchmarks of a package and prints one table of their rows."""

from __future__ import annotations

from importlib import import_module

from rich.console import Console
from rich.table import Table


def print_table(title: str, package: str, names: tuple[str, ...]) -> None:
    """Print the rows of the named benchmarks, one after the other on an otherwise idle machine.

    Parameters
    ----------
    title : str
        Stands above the table.
    package : str
        Where the benchmarks' modules are; each has ``run() -> list[Row]``.
    names : tuple of str
        Of the modules.
    """
    table = Table(title=title)
    for column in ("benchmark", "what", "measured", "aim", ""):
        table.add_column(column, overflow="fold")
    console = Console()
    for name in names:
        console.print(f"{name} …", style="dim")
        for row in import_module(f"{package}.{name}").run():
            mark = "" if row.met is None else ("met" if row.met else "MISSED")
            table.add_row(name, row.what, row.value, row.aim, mark)
    console.print(table)
