"""Progress of the catalog's commands, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


def progress(*columns: Any) -> Progress:
    """Make a progress display on stderr."""
    shown = columns or (SpinnerColumn(), TextColumn("{task.description}"))
    return Progress(*shown, TimeElapsedColumn(), console=Console(stderr=True), transient=True)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show that something of unknown length is going on."""
    with progress() as display:
        display.add_task(what, total=None)
        yield


@contextmanager
def counting(what: str) -> Iterator[Callable[[str], None]]:
    """Show a count of parts of unknown number; call the yielded function once a part."""
    with progress() as display:
        task = display.add_task(what, total=None)
        done = 0

        def step(name: str) -> None:
            nonlocal done
            done += 1
            display.update(task, description=f"{what}: {done} ({name})")

        yield step


@contextmanager
def pieces(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show how many of a known number of pieces are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with progress(*columns) as display:
        task = display.add_task(what, total=None)

        def step(done: int, total: int, name: str) -> None:
            display.update(task, completed=done, total=total, description=f"{what} {name}")

        yield step
