"""Which of many scopes a rule speaks of, so that a hundred instruments stay cheap to measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from actors.guards.core.reading import Reading


def notable_readings[N: (int, float, Decimal)](
    measured: Mapping[str, N], clear: N, reading: Callable[[str, N], Reading]
) -> tuple[Reading, ...]:
    """Return the readings of what is above the value that is clear, and of the largest.

    Parameters
    ----------
    measured : mapping of str to number
        By instrument or another name that `reading` knows.
    clear : number
        Up to which a value is clear of its limit.
    reading : callable
        ``reading(name, measured)``; called only for what is told.
    """
    if not measured:
        return ()
    nearest = max(measured, key=measured.__getitem__)
    if measured[nearest] <= clear:
        return (reading(nearest, measured[nearest]),)
    return tuple(
        reading(name, value) for name, value in measured.items() if value > clear or name == nearest
    )
