"""Open positions in columns, and exact sums of their values. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from operator import mul
from typing import Any, NamedTuple

from actors.guards.core.snapshot import Holding

ONE = Decimal(1)


class OpenPositions(NamedTuple):
    """Open positions between two fills, sorted by instrument, then owner."""

    names: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    quantities: tuple[Decimal, ...] = ()
    entries: tuple[Decimal, ...] = ()
    # Quantities as whole numbers; times a whole price they are a value in units of money.
    lots: tuple[int, ...] = ()
    unit: Decimal = ONE
    is_net: bool = True  # whether each instrument has one owner


def positions_of(
    rows: Iterable[tuple[str, str, Decimal, Decimal]], decimals_of: Callable[[str], int]
) -> OpenPositions:
    """Return positions from (instrument, owner, quantity, entry) and the decimals of whole prices.

    Examples
    --------
    >>> made = positions_of([("B", "a", Decimal("-0.5"), Decimal(10))], lambda name: 2)
    >>> made.lots, made.unit
    ((-5,), Decimal('0.001'))
    """
    columns = tuple(zip(*sorted(rows), strict=True))
    if not columns:
        return OpenPositions()
    names, owners, quantities, entries = columns
    decimals = list(map(decimals_of, names))
    pairs = list(zip(quantities, decimals, strict=True))
    most = max(decimal - quantity.as_tuple().exponent for quantity, decimal in pairs)
    lots = tuple(int(quantity.scaleb(most - decimal)) for quantity, decimal in pairs)
    is_net = len(set(names)) == len(names)
    return OpenPositions(names, owners, quantities, entries, lots, ONE.scaleb(-most), is_net)


class Holdings(Sequence[Holding]):
    """Open positions at one moment; each `Holding` is made when it is read.

    ``prices`` returns the price of each. Without ``whole``, the same as whole numbers, values are
    Decimals.
    """

    def __init__(
        self,
        positions: OpenPositions,
        prices: Callable[[], Sequence[Decimal | None]],
        whole: list[int] | None = None,
    ) -> None:
        self.positions, self._prices = positions, prices
        self.unit = ONE if whole is None else positions.unit
        self.values: list[Any]  # signed whole numbers or Decimals, in units
        if whole is None:
            rows = zip(positions.quantities, positions.entries, self._priced, strict=True)
            self.values = [
                size * (entry if price is None else price) for size, entry, price in rows
            ]
        else:
            self.values = list(map(mul, positions.lots, whole))

    @cached_property
    def _priced(self) -> Sequence[Decimal | None]:
        return self._prices()

    @cached_property
    def _made(self) -> tuple[Holding, ...]:
        rows = zip(*self.positions[:4], self._priced, strict=True)
        return tuple(
            Holding(instrument=name, strategy=owner, quantity=quantity, entry=entry, price=price)
            for name, owner, quantity, entry, price in rows
        )

    def __getitem__(self, place: Any) -> Any:
        return self._made[place]

    def __iter__(self) -> Iterator[Holding]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return self._made == other

    def money(self, units: Any) -> Decimal:
        """Return a number of units in the settlement currency."""
        return Decimal(units) * self.unit
