"""Times and durations as text."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_text(ts: int) -> str:
    """Return a time (UNIX nanoseconds, UTC) as ``2023-11-14 22:13:20 UTC``."""
    return datetime.fromtimestamp(ts / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age_text(ns: int) -> str:
    """Return a duration (nanoseconds) in its largest sensible unit, as ``90 s`` or ``2 h``."""
    seconds = max(0, ns // 1_000_000_000)
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {word}"
    return f"{seconds} s"
