"""Limits and readings of guards: compared in exact decimals, shown as floats."""

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
    """A limit on a value in the settlement currency, and the action when it is reached."""

    key: str
    kind: Kind  # whether the unit is an equity, one of the currency, or the risk of a trade
    at: float  # as the trader wrote it, in units
    unit: float  # worth of one unit, settlement currency
    bound: Decimal  # reached at this value
    back: Decimal  # clear again at this value
    action: Action
    multiplier: float
    release: str | None = None

    def clear(self, value: Decimal) -> bool:
        """Whether a value is far enough inside the limit; one that is not above zero always is."""
        return value <= 0 or (value <= self.back and value < self.bound)

    def read(self, value: Decimal, scope: str, words: str) -> Reading:
        """Compare a value with the limit; a value exactly at the limit is over.

        Losses are positive. Where the unit is not above zero, as the equity of an emptied account,
        any value above zero is over. The measured value replaces ``{}`` in `words`.
        """
        over = value >= self.bound and value > 0
        measured = float(value) / self.unit if self.unit > 0 else 0.0
        if over:
            # Rounding must not show a value as inside that is over.
            measured = max(measured, self.at)
        return Reading(
            scope=scope,
            key=self.key,
            measured=measured,
            limit=self.at,
            over=over,
            clear=self.clear(value),
            action=self.action,
            multiplier=self.multiplier,
            reason=_sentence(words, measured, self) if over else "",
            release=self.release,
        )


# The unit, a peak or a day's first equity, changes rarely.
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
    """Return the limit at `at` units; omitted values come from the guard's parameters."""
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
    """Return the limits that are set; keys are ``pct`` and ``currency`` after the prefix `name`."""
    limits = []
    if pct is not None:
        limits.append(limit(params, "pct", pct, equity, f"{name}pct"))
    if currency is not None:
        limits.append(limit(params, "currency", currency, ONE, f"{name}currency"))
    return limits


@cache
def exact(number: float) -> Decimal:
    """Return the decimal number that the trader wrote.

    Examples
    --------
    >>> exact(0.05)
    Decimal('0.05')
    """
    return Decimal(str(number))


def percent(fraction: float) -> str:
    """Return a fraction as text in percent.

    Examples
    --------
    >>> percent(0.05), percent(0.125)
    ('5 %', '12.5 %')
    """
    return f"{fraction * 100:.2f}".rstrip("0").rstrip(".") + " %"


def none_given(params: GuardParams, first: str, *others: str) -> list[tuple[str, str]]:
    """Return the problem for `check` when none of the named parameters is set."""
    if any(getattr(params, name) is not None for name in (first, *others)):
        return []
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
    """A measured value, its limit, and the action when the limit is reached."""

    scope: str  # ``desk``, ``strategy:<key>`` or ``instrument:<id>``
    measured: float  # in the guard's unit
    limit: float  # in the guard's unit
    over: bool  # a value at the limit is over
    clear: bool  # far enough inside for a halt to end; never true while over
    action: Action
    key: str = ""  # which limit, where a guard has several on a scope, such as ``10 %``
    multiplier: float = 1.0  # size of new positions for ``SHRINK``, 0 to 1
    reason: str = ""  # for the trader, with the numbers
    until: int | None = None  # when it is certainly over, UNIX nanoseconds (UTC)
    release: str | None = None  # how its halt ends; None takes the guard's parameter


def inside(measured: float, limit: float, hysteresis: float) -> bool:
    """Whether a value is below its limit by at least the hysteresis, a fraction of the limit.

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
    """Return a reading with the parameters' action; without `clear` the hysteresis decides."""
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
    """Return readings of all values above `clear`, and of the largest value in any case."""
    if not measured:
        return ()
    nearest = max(measured, key=measured.__getitem__)
    if measured[nearest] <= clear:
        return (reading(nearest, measured[nearest]),)
    return tuple(
        reading(name, value) for name, value in measured.items() if value > clear or name == nearest
    )
