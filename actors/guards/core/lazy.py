"""Mappings of a snapshot that are made when they are read, as they were at its moment. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property, partial
from itertools import repeat
from typing import TYPE_CHECKING

from msgspec.structs import replace

from actors.guards.core.snapshot import Holding, Market, Snapshot, once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Touch = tuple[Decimal | None, ...]
"""Best bid and ask, and the sizes displayed at them; None where unknown."""


class Lazy[V](Mapping[str, V]):
    """A mapping that a function makes."""

    def __init__(self, make: Callable[[], dict[str, V]]) -> None:
        self._make = make

    @cached_property
    def made(self) -> dict[str, V]:
        """The mapping itself."""
        return self._make()

    def __getitem__(self, name: str) -> V:
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.made)

    def __len__(self) -> int:
        return len(self.made)


class UnpricedMarkets(dict[str, Market]):
    """Markets without their prices, and what follows from them (`once`)."""


class Markets(Lazy[Market]):
    """Markets whose prices move; ``unpriced`` is the same object while nothing else changes.

    ``prices`` returns the price of each, ``floats`` are the same and NaN where unknown. ``touches``
    returns best bids and asks with their sizes.
    """

    def __init__(
        self,
        unpriced: UnpricedMarkets,
        prices: Callable[[], Sequence[Decimal | None]],
        floats: NDArray[np.float64],
        touches: Callable[[], Iterable[Touch]] = partial(repeat, (None,) * 4),
    ) -> None:
        super().__init__(
            lambda: {
                name: replace(
                    market, price=price, bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size
                )
                for (name, market), price, (bid, ask, bid_size, ask_size) in zip(
                    unpriced.items(), prices(), touches(), strict=False
                )
            }
        )
        self.unpriced, self.floats = unpriced, floats


class _Renewed(Lazy[Market]):
    """Markets of which one is newer when it is read; their rules are those of before."""

    def __init__(self, before: Snapshot, name: str, newest: Callable[[], Market]) -> None:
        super().__init__(lambda: {**before.markets, name: newest()})
        self.unpriced = unpriced_markets(before)


@once
def unpriced_markets(snapshot: Snapshot) -> UnpricedMarkets:
    """Return the markets, perhaps without prices, or with older ones; it must need ``markets``."""
    markets = snapshot.markets
    # An abstract class is slow to check.
    known = markets.__class__ in (Markets, _Renewed)
    return markets.unpriced if known else UnpricedMarkets(markets)  # type: ignore[attr-defined]


def with_market(snapshot: Snapshot, now: int, name: str, newest: Callable[[], Market]) -> Snapshot:
    """Return a snapshot for an order: a guard that reads markets sees the newest one of its own."""
    return replace(snapshot, now=now, markets=_Renewed(snapshot, name, newest))


def float_prices(snapshot: Snapshot) -> dict[str, float]:
    """Return all prices above zero; the guard must need ``markets``."""
    markets = snapshot.markets
    if isinstance(markets, Markets):
        rows = zip(markets.unpriced, markets.floats.tolist(), strict=True)
        return {name: price for name, price in rows if price > 0}
    found = {name: float(market.price or 0) for name, market in markets.items()}
    return {name: price for name, price in found.items() if price > 0}


class Results(Lazy[Decimal]):
    """Results by instrument; ``booked`` is without open positions, the same until a booking.

    ``quantities`` are the open positions of the books by strategy and instrument,
    ``holdings`` those of the account.
    """

    def __init__(
        self,
        make: Callable[[], dict[str, Decimal]],
        booked: dict[str, Decimal],
        quantities: dict[tuple[str, str], Decimal],
        holdings: Sequence[Holding],
    ) -> None:
        super().__init__(make)
        self.booked, self.quantities, self.holdings = booked, quantities, holdings
