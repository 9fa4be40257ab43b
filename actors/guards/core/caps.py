"""A cap on values: compared as exact money, told as money or as a fraction of equity. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, NamedTuple

from msgspec import Meta

from actors.guards.core.exposures import Values
from actors.guards.core.facts import ZERO
from actors.guards.core.limits import ONE, exact
from actors.guards.core.params import GuardParams
from actors.guards.core.reading import Reading

NO_EQUITY = 1e9
"""Told for a share of an equity that is gone: JSON knows no infinity."""

Share = Annotated[float, Meta(gt=0, le=100)]
"""A fraction of equity: 2 is twice the equity."""


class Cap(NamedTuple):
    """A cap, and how it is told.

    Parameters
    ----------
    money : Decimal
        Settlement currency, not negative: a value that is as large is over.
    clear_at : Decimal
        A value that is no larger is clear, unless it is over.
    limit : float
        As it was given in the parameters.
    equity : Decimal or None
        Tells values as fractions of it; None tells them as money.
    """

    money: Decimal
    clear_at: Decimal
    limit: float
    equity: Decimal | None = None

    def told(self, value: Decimal) -> float:
        """Return a value in the cap's unit."""
        return float(value) if self.equity is None else share(value, self.equity)

    def words(self, value: Decimal) -> str:
        """Return value and cap in words."""
        if self.equity is None:
            return f"{value:.2f}, cap {self.limit:g}"
        return f"{self.told(value):.4g} of equity, cap {self.limit:g}"

    def clear(self, value: Decimal) -> bool:
        """Whether an absolute value is far enough below the cap; nothing held always is."""
        return not value or (value <= self.clear_at and value < self.money)

    def refusal(self, value: Decimal, what: str) -> str | None:
        """Return why an entry that could take a value to the cap is refused, else None."""
        return f"{what} could come to {self.words(value)}" if value >= self.money else None


def share(value: Decimal, equity: Decimal) -> float:
    """Return a value as a fraction of equity, `NO_EQUITY` where there is a value and no equity."""
    if equity > 0:
        return float(value / equity)
    return NO_EQUITY if value else 0.0


def cap_of(fraction: float, equity: Decimal) -> Decimal:
    """Return a fraction of equity as money: nothing where the equity is gone."""
    return exact(fraction) * max(equity, ZERO)


def share_cap(fraction: float, equity: Decimal, params: GuardParams) -> Cap:
    """Return a cap that is a fraction of equity."""
    money = cap_of(fraction, equity)
    return Cap(money, money * (ONE - exact(params.hysteresis)), fraction, equity)


def money_cap(amount: float, params: GuardParams) -> Cap:
    """Return a cap in the settlement currency."""
    money = exact(amount)
    return Cap(money, money * (ONE - exact(params.hysteresis)), amount)


def cap_reading(
    scope: str, key: str, value: Decimal, cap: Cap, params: GuardParams, what: str
) -> Reading:
    """Return the reading of an absolute value under its cap; at the cap is over.

    Parameters
    ----------
    scope, key : str
        Of the reading.
    value : Decimal
        Not negative; nothing held is never over.
    cap : Cap
        Its cap.
    params : GuardParams
        What is asked for.
    what : str
        What is measured, in words, such as ``gross value``.
    """
    return Reading(
        scope=scope,
        key=key,
        measured=cap.told(value),
        limit=cap.limit,
        over=value >= cap.money and value > 0,
        clear=cap.clear(value),
        action=params.asks,
        multiplier=params.multiplier,
        reason=f"{what} {cap.words(value)}",
    )


def notable_instruments(values: Values, cap: Cap) -> list[str]:
    """Return the instruments whose position is worth a reading: all that are not clear, sorted,
    else the largest one.

    A reading that is missing ends a halt as one that is clear does, and a book of a hundred
    positions is measured many times a second.
    """
    if not values:
        return []
    largest = max(map(abs, values.values()))
    if cap.clear(largest):
        return [next(name for name, value in values.items() if abs(value) == largest)]
    return sorted(name for name, value in values.items() if not cap.clear(abs(value)))
