"""Benchmarks: `make bench` measures what the README claims, each figure beside a peer's in one run.

To add one: a module here with ``run() -> list[Row]``, named in ``__main__.py``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    what : str
        What was measured, with its size.
    value : str
        The figure with its unit.
    aim : str
        What it is held against; empty for a figure that is only told.
    met : bool or None
        Whether it reaches the aim; None without an aim.
    """

    what: str
    value: str
    aim: str = ""
    met: bool | None = None
