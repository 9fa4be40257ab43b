"""Numbers and times as text for people."""

from __future__ import annotations

import math
from collections.abc import Container
from datetime import UTC, datetime
from html import escape

UNDEFINED = "–"
"""Shown when the data define no figure."""


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return ``1,234.50``, with a real minus sign."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    rounded = round(value, digits)
    # A loss that rounds to nothing is shown as nothing, not as "-0".
    text = f"{abs(rounded):,.{digits}f}"
    if rounded < 0:
        return f"−{text}"
    return f"+{text}" if signed and rounded > 0 else text


def short(value: float) -> str:
    """Return money in few characters: ``−58.4k``, ``1.25M``, ``0.20``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            size = min(size, 1e3) if letter == "k" else size
            return f"{number(value / size, 2 if abs(value) < 10 * size else 1)}{letter}"
    return number(value, 2 if abs(value) < 100 else 0)


def percent(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """Return a fraction as ``12.3 %``."""
    shown = number(None if value is None else value * 100, digits, signed=signed)
    return shown if shown == UNDEFINED else f"{shown}\u202f%"


def hundredths(value: float | None) -> str:
    """Return a figure in percent as ``+12.3 %``."""
    return percent(None if value is None else value / 100, signed=True)


def multiple(value: float | None, digits: int = 2) -> str:
    """Return a multiple as ``1.50×``."""
    shown = number(value, digits)
    return shown if shown == UNDEFINED else f"{shown}×"


def date(ns: int) -> str:
    """Return the UTC date of a time in UNIX nanoseconds: ``3 Jan 2024``."""
    when = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{when.day} {when:%b %Y}"


def moment(ns: int) -> str:
    """Return the UTC date and minute: ``3 Jan 2024 00:05``."""
    when = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{when.day} {when:%b %Y %H:%M}"


def span(ns: float) -> str:
    """Return a length of time in the unit that suits it: ``7.5 s``, ``35 min``, ``12 days``."""
    if 0 < ns < 59.5e9:
        return f"{number(ns / 1e9, 1 if ns < 9.95e9 else 0)} s"
    hours = round(ns / 6e10) / 60  # Whole minutes: a candle ends a nanosecond before the next.
    if hours < 1:
        return f"{number(hours * 60, 0)} min"
    if hours < 48:
        return f"{number(hours, 1)} h"
    return f"{number(hours / 24, 0 if hours >= 240 else 1)} days"


def symbol(instrument: str) -> str:
    """Return the common name of an instrument id; spot keeps its name apart."""
    name, _, rest = instrument.partition("-")
    return f"{name} spot" if rest.startswith("SPOT") else name


def tone(value: float | None) -> str:
    """Return the CSS class of a gain or a loss."""
    if value is None or not math.isfinite(value) or value == 0:
        return ""
    return "good" if value > 0 else "bad"


def value(measured: float | None) -> str:
    """Return a figure of unknown unit to four digits: ``0.03215``, ``12,345``."""
    if measured is None or not math.isfinite(measured):
        return UNDEFINED
    if abs(measured) >= 1000:
        return number(measured, 0)
    return f"{measured:.4g}".replace("-", "−")


def size_of(action: str, multiplier: float) -> str:
    """Return a verdict's action as escaped HTML: ``halt entries``, ``shrink to 50 %``."""
    name = text(action.replace("_", " "))
    return f"{name} to {percent(multiplier, 0)}" if action == "shrink" else name


def text(value: object) -> str:
    """Return the value as escaped HTML text."""
    return escape(str(value))


def table(
    head: list[str],
    rows: list[list[str]],
    *,
    words: Container[int] = (0,),
    caption: str = "",
    kind: str = "",
) -> str:
    """Return an HTML table of cells that are HTML already.

    A cell that starts with ``<td`` is used unchanged. `words` are text columns, set flush left.
    """

    def cell(index: int, content: str) -> str:
        if content.startswith("<td"):
            return content
        return f"<td{'' if index in words else ' class=n'}>{content}</td>"

    top = "".join(
        f"<th scope=col{'' if index in words else ' class=n'}>{title}</th>"
        for index, title in enumerate(head)
    )
    body = "".join(
        "<tr>" + "".join(cell(index, content) for index, content in enumerate(row)) + "</tr>"
        for row in rows
    )
    titled = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table class="{kind}">{titled}<thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def facts(rows: list[list[str]], words: Container[int] = (0,)) -> str:
    """Return an HTML table of names and values, without headings."""
    return table(["", ""], rows, words=words, kind="facts")


def tile_row(*shown: tuple[str, str, str]) -> str:
    """Return figures as HTML tiles: name, value, and what belongs to it."""
    each = "".join(
        f'<div class="tile"><div class="label">{name}</div><div class="value">{value}</div>'
        f'<div class="label">{more}</div></div>'
        for name, value, more in shown
    )
    return f'<div class="tiles">{each}</div>'


def money(value: float | None, digits: int = 2) -> str:
    """Return a table cell of a gain or loss, coloured."""
    return f'<td class="n {tone(value)}">{number(value, digits, signed=True)}</td>'
