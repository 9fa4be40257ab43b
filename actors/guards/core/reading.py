"""A reading: what a rule measures against its limit. Pure."""

from __future__ import annotations

import msgspec

from strategies.messages import Action


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value, its limit, and what is asked for where the limit is reached.

    Parameters
    ----------
    scope : str
        ``desk``, ``strategy:<key>`` or ``instrument:<id>``.
    key : str
        Which of the rule's limits, where it has several on a scope, such as ``10 %``.
    measured, limit : float
        In the unit that the rule's docstring gives.
    over : bool
        Whether the limit is reached: at the limit is over.
    clear : bool
        Whether it is far enough inside for a halt to end by itself; never true while over.
    action : Action
        What is asked for.
    multiplier : float
        Size of new positions; for ``SHRINK``.
    reason : str
        In words for the trader, with the numbers.
    until : int or None
        When it is over for sure, UNIX nanoseconds (UTC): a window, a pause. None when unknown.
    release : str or None
        How a halt for it ends, where that is not what the guard's parameters say for all.
    """

    scope: str
    measured: float
    limit: float
    over: bool
    clear: bool
    action: Action
    key: str = ""
    multiplier: float = 1.0
    reason: str = ""
    until: int | None = None
    release: str | None = None


def inside(measured: float, limit: float, hysteresis: float) -> bool:
    """Whether a value that must stay below its limit is clear of it by a fraction of the limit.

    Examples
    --------
    >>> inside(0.091, 0.10, 0.1), inside(0.09, 0.10, 0.1)
    (False, True)
    """
    return measured <= limit - hysteresis * abs(limit)
