"""A value against its limits: compared in exact decimals, shown as floats."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from actors.rules.params import GuardParams
from actors.rules.reading import Reading

ZERO, ONE = Decimal(0), Decimal(1)

Kind = Literal["pct", "currency", "r"]
Money = Annotated[float, Meta(gt=0, le=1e12)]
"""Settlement currency."""


class Limit(NamedTuple):
    """The most that a value in the settlement currency may be: ``at`` times ``unit``.

    Parameters
    ----------
    kind : {"pct", "currency", "r"}
        Whether the unit is an equity, one of the currency, or what a trade risks.
    at : float
        As the trader wrote it, in units.
    unit : Decimal
        What one unit is worth, settlement currency.
    """

    kind: Kind
    at: float
    unit: Decimal


def given(
    pct: float | None,
    currency: float | None,
    equity: Decimal,
    r: float | None = None,
    risked: Decimal = ZERO,
) -> list[Limit]:
    """Return the limits that are set: a fraction of an equity, an amount, multiples of a risk."""
    limits = []
    if pct is not None:
        limits.append(Limit("pct", pct, equity))
    if currency is not None:
        limits.append(Limit("currency", currency, ONE))
    if r is not None:
        limits.append(Limit("r", r, risked))
    return limits


def against(
    value: Decimal,
    limits: Iterable[Limit],
    params: GuardParams,
    scope: str,
    words: str,
    name: str = "",
) -> list[Reading]:
    """Return the readings of a value: at a limit exactly is over.

    Where the unit is nothing or less, as the equity of an emptied account, any value above zero is
    over.

    Parameters
    ----------
    value : Decimal
        Settlement currency; what must stay small is positive.
    limits : iterable of Limit
        All that it must stay below.
    params : GuardParams
        What is asked for.
    scope : str
        Of the readings.
    words : str
        The reason, with ``{}`` where the value stands.
    name : str
        Before the kind of limit in the readings' keys, where a scope has several values.
    """
    return [read(value, limit, params, scope, words, f"{name}{limit.kind}") for limit in limits]


def read(
    value: Decimal, limit: Limit, params: GuardParams, scope: str, words: str, key: str
) -> Reading:
    """Return the reading of a value against one limit; parameters as in `against`."""
    bound = exact(limit.at) * limit.unit
    over = value >= bound and value > 0
    measured = float(value / limit.unit) if limit.unit > 0 else (limit.at if value > 0 else 0.0)
    return Reading(
        scope=scope,
        key=key,
        measured=measured,
        limit=limit.at,
        over=over,
        clear=not over and (value <= 0 or value <= bound * (1 - exact(params.hysteresis))),
        action=params.asks,
        multiplier=params.multiplier,
        reason=_sentence(words, measured, limit) if over else "",
    )


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
