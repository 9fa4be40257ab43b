"""Progress of long work on stderr: a bar on a terminal, a line now and then in a pipe or a file."""

from __future__ import annotations

import sys
import threading
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

FIRST_S = 3.0
EACH_S = 10.0
"""Seconds to the first line, and from line to line."""


def remaining(task: Task) -> str:
    """Return how long the rest takes at the average speed so far, empty before anything is done."""
    if not task.total or not task.completed or task.elapsed is None:
        return ""
    seconds = task.elapsed * (task.total - task.completed) / task.completed
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s left"


class Remaining(ProgressColumn):
    """Column of the remaining time, from the first sign of progress on."""

    def render(self, task: Task) -> Text:
        """Return the cell of a task."""
        return Text(remaining(task))


class LongWork(Progress):
    """Bars on a terminal; elsewhere a line of each task after seconds, then each ten seconds."""

    def __init__(self, *columns: Any, first_s: float = FIRST_S, each_s: float = EACH_S) -> None:
        percent = TextColumn("{task.percentage:>3.0f}%")
        shown = columns or (TextColumn("{task.description}"), BarColumn(), percent)
        super().__init__(*shown, Remaining(), console=Console(stderr=True), transient=True)
        self._first, self._each = first_s, each_s
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to show it."""
        if self.console.is_terminal:
            super().start()
        else:
            threading.Thread(target=self._print, daemon=True).start()

    def stop(self) -> None:
        """Stop showing it."""
        self._over.set()
        if self.console.is_terminal:
            super().stop()

    def _print(self) -> None:
        wait = self._first
        while not self._over.wait(wait):
            wait = self._each
            for task in self.tasks:
                print(line_of(task), file=sys.stderr, flush=True)


def line_of(task: Task) -> str:
    """Return a task in one line."""
    parts = [task.description]
    if task.total:
        parts.append(f"{task.percentage:.0f}%")
    parts.append(remaining(task) or f"{task.elapsed or 0:.0f} s so far")
    return ", ".join(parts)
