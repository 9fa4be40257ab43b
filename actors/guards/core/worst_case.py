"""How far orders under way could take what is held, whatever part of them is filled. Pure.

An entry is judged by the worst that may come, so that no order of fills, and no cancel, brings a
position to a cap that admitted the order.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from actors.guards.core.facts import ZERO, OpenExposure, OrderRequested


class ExposureRange(NamedTuple):
    """The ends between which a position's signed value must come to lie, and the worse of them."""

    low: Decimal
    high: Decimal
    worst: Decimal


class WorstCase(NamedTuple):
    """How far everything may go, without the asked order and with it.

    Parameters
    ----------
    before : dict of str to ExposureRange
        By instrument id, without it.
    name : str
        The asked order's instrument.
    own : ExposureRange
        Of that instrument, with it.
    buys : bool
        Whether it buys.
    """

    before: dict[str, ExposureRange]
    name: str
    own: ExposureRange
    buys: bool

    @property
    def worsens(self) -> bool:
        """Whether the order lets its instrument's position come farther from flat."""
        return self.own.worst > self.before[self.name].worst

    def only(self, keep: Callable[[str], bool]) -> WorstCase:
        """Return the part of some instruments, the order's own among them."""
        kept = {name: reach for name, reach in self.before.items() if keep(name)}
        return self._replace(before=kept)

    def gross(self) -> Decimal:
        """Return the largest gross value that may come, with the order."""
        before = sum([reach.worst for reach in self.before.values()], ZERO)
        return before - self.before[self.name].worst + self.own.worst

    def net(self) -> Decimal:
        """Return the largest net value that may come on the side to which the order moves.

        Negative where even all that is under way on that side leaves the book on the other one.
        """
        old = self.before[self.name]
        if self.buys:
            return sum([r.high for r in self.before.values()], ZERO) - old.high + self.own.high
        return old.low - self.own.low - sum([r.low for r in self.before.values()], ZERO)

    def after(self) -> dict[str, ExposureRange]:
        """Return how far each position may go, with the order."""
        return {**self.before, self.name: self.own}


def worst_case(asked: OrderRequested, strategy: str | None = None) -> WorstCase:
    """Return how far each position may go when any part of what is under way is filled.

    Parameters
    ----------
    asked : OrderRequested
        An entry, with what stands at its moment.
    strategy : str, optional
        Counts one strategy's own positions and orders only.
    """
    if _Newest.asked is not asked:
        _Newest.take(asked)
    if strategy is not None:
        return _worst_case(asked, strategy)
    if _Newest.found is None:
        _Newest.found = _worst_case(asked, None)
    return _Newest.found


class _Newest:
    """What was worked out for the order asked last: several rules ask, and the next order of a
    rebalance finds all rows but one as they were.
    """

    asked: OrderRequested | None = None
    reaches: list[ExposureRange] = []  # noqa: RUF012 - replaced, never changed
    found: WorstCase | None = None

    @classmethod
    def take(cls, asked: OrderRequested) -> None:
        """Work out the reach of each row that stands, anew only where the row is another."""
        before = () if cls.asked is None else cls.asked.open_exposure
        known = dict(zip(map(id, before), cls.reaches, strict=True))
        cls.reaches = [known.get(id(row)) or _reach(row) for row in asked.open_exposure]
        cls.asked, cls.found = asked, None


def _worst_case(asked: OrderRequested, strategy: str | None) -> WorstCase:
    before: dict[str, ExposureRange] = {}
    price = ZERO
    for row, reach in zip(asked.open_exposure, _Newest.reaches, strict=True):
        if strategy is not None and row.strategy != strategy:
            continue
        name = row.instrument
        if name == asked.instrument:
            price = row.price
        before[name] = _joined(before[name], reach) if name in before else reach
    old, value = before[asked.instrument], asked.quantity * price
    low, high = (old.low, old.high + value) if value > 0 else (old.low + value, old.high)
    return WorstCase(before, asked.instrument, _between(low, high), asked.quantity > 0)


def _reach(row: OpenExposure) -> ExposureRange:
    return _between((row.held - row.sells) * row.price, (row.held + row.buys) * row.price)


def _joined(one: ExposureRange, other: ExposureRange) -> ExposureRange:
    """Return the reach of two owners' positions in one instrument: the venue nets them."""
    return _between(one.low + other.low, one.high + other.high)


def _between(low: Decimal, high: Decimal) -> ExposureRange:
    return ExposureRange(low, high, max(high, -low))
