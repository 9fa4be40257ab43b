"""What the desk holds, by instrument, and how far orders under way could take it. Pure.

Values are in the settlement currency, signed (short is negative), at the prices that the facts
give; a cap is money too, so that all comparisons are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Annotated, NamedTuple

from msgspec import Meta

from actors.rules.facts import ZERO, Asked, Pulse
from actors.rules.limits import exact
from actors.rules.params import GuardParams
from actors.rules.reading import Reading

NO_EQUITY = 1e9
"""Reported for a share of an equity that is gone: JSON knows no infinity."""

Share = Annotated[float, Meta(gt=0, le=100)]
"""A fraction of equity: 2 is twice the equity."""
Values = Mapping[str, Decimal]
"""Signed value by instrument id."""


def share(value: Decimal, equity: Decimal) -> float:
    """Return a value as a fraction of equity, `NO_EQUITY` where there is a value and no equity."""
    if equity > 0:
        return float(value / equity)
    return NO_EQUITY if value else 0.0


def cap_of(fraction: float, equity: Decimal) -> Decimal:
    """Return a fraction of equity as money: nothing where the equity is gone."""
    return exact(fraction) * max(equity, ZERO)


# -- what is held ----------------------------------------------------------------------------------


class _Newest:
    """The net values of the pulse seen last: several rules read the same one."""

    pulse: Pulse | None = None
    values: Values = {}  # noqa: RUF012 - replaced as a whole, never changed


def net_values(pulse: Pulse) -> Values:
    """Return the net value of each instrument, over all owners; what nets to nothing is left out.

    One-way mode: the venue knows one position an instrument.
    """
    if _Newest.pulse is not pulse:
        values: dict[str, Decimal] = {}
        for held in pulse.holdings:
            value = held.value
            before = values.get(held.instrument)
            values[held.instrument] = value if before is None else before + value
        _Newest.values = {name: value for name, value in values.items() if value}
        _Newest.pulse = pulse
    return _Newest.values


def strategy_values(pulse: Pulse, strategy: str) -> Values:
    """Return the value of what one strategy holds in each instrument."""
    return {held.instrument: held.value for held in pulse.holdings if held.strategy == strategy}


def gross(values: Iterable[Decimal]) -> Decimal:
    """Return the sum of absolute values."""
    return sum(map(abs, values), ZERO)


def net(values: Iterable[Decimal]) -> Decimal:
    """Return the sum of signed values."""
    return sum(values, ZERO)


# -- how far orders under way could take it --------------------------------------------------------


class Reach(NamedTuple):
    """The ends between which a position's signed value must come to lie, whatever fills."""

    low: Decimal
    high: Decimal

    @property
    def worst(self) -> Decimal:
        """The largest absolute value that it may come to."""
        return max(self.high, -self.low)


class Course(NamedTuple):
    """How far everything may go: without the asked order, and with it.

    Parameters
    ----------
    before, after : dict of str to Reach
        By instrument id; they differ in the asked order's own only.
    buys : bool
        Whether the asked order buys.
    """

    before: dict[str, Reach]
    after: dict[str, Reach]
    buys: bool

    def only(self, keep: Callable[[str], bool]) -> Course:
        """Return the part of some instruments."""
        return Course(
            {name: reach for name, reach in self.before.items() if keep(name)},
            {name: reach for name, reach in self.after.items() if keep(name)},
            self.buys,
        )

    def gross(self) -> tuple[Decimal, Decimal]:
        """Return the largest gross value that may come, before and after."""
        old, new = self.before.values(), self.after.values()
        return sum((r.worst for r in old), ZERO), sum((r.worst for r in new), ZERO)

    def net(self) -> Decimal:
        """Return the largest net value that may come on the side to which the order moves.

        Negative where even all that is under way on that side leaves the book on the other one.
        """
        if self.buys:
            return sum((r.high for r in self.after.values()), ZERO)
        return -sum((r.low for r in self.after.values()), ZERO)


def course(asked: Asked, strategy: str | None = None) -> Course:
    """Return how far each position may go when any part of what is under way is filled.

    Parameters
    ----------
    asked : Asked
        An entry, with what stands at its moment.
    strategy : str, optional
        Counts one strategy's own positions and orders only.
    """
    sums: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    for row in asked.standing:
        if strategy is not None and row.strategy != strategy:
            continue
        low, high = row.held - row.sells, row.held + row.buys
        known = sums.get(row.instrument)
        if known is not None:
            low, high = low + known[0], high + known[1]
        sums[row.instrument] = (low, high, row.price)
    before = {name: Reach(low * price, high * price) for name, (low, high, price) in sums.items()}
    low, high, price = sums[asked.instrument]
    if asked.quantity > 0:
        own = Reach(low * price, (high + asked.quantity) * price)
    else:
        own = Reach((low + asked.quantity) * price, high * price)
    return Course(before, {**before, asked.instrument: own}, asked.quantity > 0)


# -- readings of caps ------------------------------------------------------------------------------


class Cap(NamedTuple):
    """A cap in money, and how it is told: as money, or as a fraction of equity.

    Parameters
    ----------
    money : Decimal
        Settlement currency, not negative.
    limit : float
        As it was given in the parameters.
    equity : Decimal or None
        Tells values as fractions of it; None tells them as money.
    """

    money: Decimal
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

    def clear(self, value: Decimal, hysteresis: float) -> bool:
        """Whether an absolute value is far enough below the cap."""
        return not value or (value < self.money and value <= self.money * (1 - exact(hysteresis)))


def share_cap(fraction: float, equity: Decimal) -> Cap:
    """Return a cap that is a fraction of equity."""
    return Cap(cap_of(fraction, equity), fraction, equity)


def money_cap(amount: float) -> Cap:
    """Return a cap in the settlement currency."""
    return Cap(exact(amount), amount)


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
        What is asked for, and the hysteresis.
    what : str
        What is measured, in words, such as ``gross value``.
    """
    return Reading(
        scope=scope,
        key=key,
        measured=cap.told(value),
        limit=cap.limit,
        over=value >= cap.money and value > 0,
        clear=cap.clear(value, params.hysteresis),
        action=params.asks,
        multiplier=params.multiplier,
        reason=f"{what} {cap.words(value)}",
    )


def telling(values: Values, cap: Cap, params: GuardParams) -> list[str]:
    """Return the instruments whose position is worth a reading: all that are not clear, sorted,
    else the largest one.

    A reading that is missing ends a halt as one that is clear does, and a book of a hundred
    positions is measured many times a second.
    """
    near = [name for name, value in values.items() if not cap.clear(abs(value), params.hysteresis)]
    if near or not values:
        return sorted(near)
    return [max(values, key=lambda name: (abs(values[name]), name))]


def reached(value: Decimal, cap: Cap, what: str) -> str | None:
    """Return the words that refuse an entry which could take a value to its cap, else None."""
    return f"{what} could come to {cap.words(value)}" if value >= cap.money else None
