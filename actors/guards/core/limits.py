"""A value against its limits: compared in exact decimals, shown as floats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from actors.guards.core.params import GuardParams
from strategies.messages import Action

ZERO, ONE = Decimal(0), Decimal(1)

Kind = Literal["pct", "currency", "r"]
Money = Annotated[float, Meta(gt=0, le=1e12)]
"""Settlement currency."""


class Limit(NamedTuple):
    """The most that a value in the settlement currency may be, and the action at it.

    Parameters
    ----------
    key : str
        Of the readings.
    kind : {"pct", "currency", "r"}
        Whether the unit is an equity, one of the currency, or what a trade risks.
    at, unit : float
        The limit as the trader wrote it, and what one of it is worth; for what is shown.
    bound, back : Decimal
        Where it is reached, and where it is clear again.
    action, multiplier, release
        As in a reading.
    """

    key: str
    kind: Kind
    at: float
    unit: float
    bound: Decimal
    back: Decimal
    action: Action
    multiplier: float
    release: str | None = None

    def read(self, value: Decimal, scope: str, words: str) -> Reading:
        """Return the reading of a value: at the limit exactly is over.

        Where the unit is nothing or less, as the equity of an emptied account, any value above
        zero is over.

        Parameters
        ----------
        value : Decimal
            Settlement currency; what must stay small is positive.
        scope : str
            Of the reading.
        words : str
            The reason, with ``{}`` where the value stands.
        """
        over = value >= self.bound and value > 0
        measured = float(value) / self.unit if self.unit > 0 else 0.0
        if over:
            # Floats round: what is over is not shown as inside.
            measured = max(measured, self.at)
        return Reading(
            scope=scope,
            key=self.key,
            measured=measured,
            limit=self.at,
            over=over,
            clear=not over and (value <= self.back or value <= 0),
            action=self.action,
            multiplier=self.multiplier,
            reason=_sentence(words, measured, self) if over else "",
            release=self.release,
        )


# A peak and a day's beginning stand for many looks.
@lru_cache(maxsize=1024)
def limit(
    params: GuardParams,
    kind: Kind,
    at: float,
    unit: Decimal,
    key: str,
    action: Action | None = None,
    multiplier: float | None = None,
    release: str | None = None,
) -> Limit:
    """Return the limit at so many units; what is not given is as the guard's parameters say."""
    bound = exact(at) * unit
    return Limit(
        key=key,
        kind=kind,
        at=at,
        unit=float(unit),
        bound=bound,
        back=bound * (1 - exact(params.hysteresis)),
        action=params.asks if action is None else action,
        multiplier=params.multiplier if multiplier is None else multiplier,
        release=release,
    )


def given(
    params: GuardParams,
    pct: float | None,
    currency: float | None,
    equity: Decimal,
    name: str = "",
) -> list[Limit]:
    """Return the limits that are set: a fraction of an equity, and an amount.

    Their keys are ``pct`` and ``currency``, after the name where a scope has several values.
    """
    limits = []
    if pct is not None:
        limits.append(limit(params, "pct", pct, equity, f"{name}pct"))
    if currency is not None:
        limits.append(limit(params, "currency", currency, ONE, f"{name}currency"))
    return limits


@cache
def exact(number: float) -> Decimal:
    """Return the decimal that the trader wrote, of which the float is the nearest.

    Examples
    --------
    >>> exact(0.05)
    Decimal('0.05')
    """
    return Decimal(str(number))


def percent(fraction: float) -> str:
    """Return a fraction in words.

    Examples
    --------
    >>> percent(0.05), percent(0.125)
    ('5 %', '12.5 %')
    """
    return f"{fraction * 100:.2f}".rstrip("0").rstrip(".") + " %"


def none_given(**limits: float | None) -> list[tuple[str, str]]:
    """Return what `check` says when none of the limits is set, by their names."""
    if any(limit is not None for limit in limits.values()):
        return []
    first, *others = limits
    return [(first, f"must be set, or {' or '.join(others)}")]


def _sentence(words: str, measured: float, limit: Limit) -> str:
    if limit.kind == "pct":
        shown = percent(measured), percent(limit.at)
    elif limit.kind == "r":
        shown = f"{measured:.2f} R", f"{limit.at:g} R"
    else:
        shown = f"{measured:,.2f}", f"{limit.at:,.2f}"
    return f"{words.format(shown[0])}, limit {shown[1]}"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value, its limit, and the action where the limit is reached.

    Parameters
    ----------
    scope : str
        ``desk``, ``strategy:<key>`` or ``instrument:<id>``.
    key : str
        Which of the guard's limits, where it has several on a scope, such as ``10 %``.
    measured, limit : float
        In the unit that the guard's docstring gives.
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


def limit_reading(
    params: GuardParams,
    scope: str,
    measured: float,
    limit: float,
    over: bool,
    reason: str,
    *,
    key: str = "",
    clear: bool | None = None,
    until: int | None = None,
) -> Reading:
    """Return the reading of a value that asks for what the guard's parameters say.

    Where `clear` is not given, the value is clear below its limit by the hysteresis.
    """
    if clear is None:
        clear = not over and inside(measured, limit, params.hysteresis)
    return Reading(
        scope=scope,
        key=key,
        measured=measured,
        limit=limit,
        over=over,
        clear=clear,
        action=params.asks,
        multiplier=params.multiplier,
        reason=reason,
        until=until,
    )


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
        ``reading(name, measured)``; called only for what is returned.
    """
    if not measured:
        return ()
    nearest = max(measured, key=measured.__getitem__)
    if measured[nearest] <= clear:
        return (reading(nearest, measured[nearest]),)
    return tuple(
        reading(name, value) for name, value in measured.items() if value > clear or name == nearest
    )
