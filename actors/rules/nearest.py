"""Which of many scopes a rule speaks of, so that a pulse over a hundred instruments stays cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from actors.rules.reading import Reading, inside


def of_note(
    measured: Mapping[str, float],
    limit: float,
    hysteresis: float,
    reading: Callable[[str, float], Reading],
) -> tuple[Reading, ...]:
    """Return the readings of what is not clear of the limit, and of what is nearest to it.

    Parameters
    ----------
    measured : mapping of str to float
        By instrument or another name that `reading` knows; must stay below the limit.
    limit, hysteresis : float
        As in `actors.rules.reading.inside`.
    reading : callable
        ``reading(name, measured)``; called only for what is told.
    """
    if not measured:
        return ()
    nearest = max(measured, key=measured.__getitem__)
    return tuple(
        reading(name, value)
        for name, value in measured.items()
        if name == nearest or not inside(value, limit, hysteresis)
    )
