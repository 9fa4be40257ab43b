"""What each strategy made since its first start, and what its fills cost in slippage. Pure.

The ledger is the one definition of positions and round trips; here its results are split by
strategy and by instrument, and turned into events for guards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from actors.guards.core.snapshot import FillEvent, RoundTripEvent
from actors.records.ledger import ZERO, Ledger, RoundTrip
from actors.records.rows import FillRow

PriceOf = Callable[[str], Decimal | None]
"""Gives an instrument's newest price, None without any."""


class StrategyBooks:
    """Every strategy's results, exact in Decimal, settlement currency."""

    def __init__(self) -> None:
        self._ledger = Ledger(starting=ZERO)
        self._by_strategy: dict[str, Decimal] = {}
        self._by_instrument: dict[str, Decimal] = {}

    @property
    def open(self) -> Mapping[tuple[str, str], RoundTrip]:
        """Return the open positions by strategy and instrument."""
        return self._ledger.open

    def fill(
        self, fill: FillRow, slippage: float | None = None
    ) -> tuple[FillEvent | RoundTripEvent, ...]:
        """Book a fill.

        Parameters
        ----------
        fill : FillRow
            As booked; its ``reference_price`` is not looked at.
        slippage : float, optional
            What it cost against the price that stood when its order left, per unit of value.

        Returns
        -------
        tuple of FillEvent or RoundTripEvent
            The trade, and the round trip that it ended.
        """
        key = (fill.strategy, fill.instrument)
        was_open = key in self._ledger.open
        self._ledger.book(fill)
        closed, self._ledger.closed = self._ledger.closed, []
        # A fill through zero ends one round trip and opens the next.
        opened = key in self._ledger.open and (not was_open or bool(closed))
        self._add(fill.strategy, fill.instrument, -fill.signed * fill.price - fill.fee)
        traded = FillEvent(
            ts=fill.ts,
            strategy=fill.strategy,
            instrument=fill.instrument,
            quantity=fill.signed,
            price=fill.price,
            fee=fill.fee,
            slippage=slippage,
            opened=opened,
        )
        return traded, *(_closed(trip) for trip in closed)

    def funding(self, strategy: str, instrument: str, amount: Decimal) -> None:
        """Book what a strategy received for a position, negative for what it paid."""
        trip = self._ledger.open.get((strategy, instrument))
        if trip is not None:
            trip.funding += amount
        self._add(strategy, instrument, amount)

    def results(self, price_of: PriceOf) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
        """Return the net profit of each strategy, and of each instrument over all strategies.

        With fees and funding; what is open is valued at its price, without one at its entry.
        """
        by_strategy, by_instrument = dict(self._by_strategy), dict(self._by_instrument)
        for (strategy, name), trip in self._ledger.open.items():
            price = price_of(name)
            value = trip.cost if price is None else trip.quantity * price
            by_strategy[strategy] += value
            by_instrument[name] += value
        return by_strategy, by_instrument

    def _add(self, strategy: str, instrument: str, amount: Decimal) -> None:
        self._by_strategy[strategy] = self._by_strategy.get(strategy, ZERO) + amount
        self._by_instrument[instrument] = self._by_instrument.get(instrument, ZERO) + amount


class ArrivalPrices:
    """The price that stood when each order left, for the slippage of its fills.

    A fill may be booked after the event that ended its order, so the price of an ended order is
    kept until `sweep` was called twice.
    """

    def __init__(self) -> None:
        self._prices: dict[str, Decimal] = {}
        self._ended: list[str] = []
        self._old: list[str] = []

    def requested(self, order_id: str, price: Decimal) -> None:
        """Remember the price that stands as an order leaves."""
        self._prices[order_id] = price

    def ended(self, order_id: str) -> None:
        """Take in that an order can fill no more."""
        if order_id in self._prices:
            self._ended.append(order_id)

    def sweep(self) -> None:
        """Forget what had ended before the last sweep."""
        for order_id in self._old:
            self._prices.pop(order_id, None)
        self._old, self._ended = self._ended, []

    def slippage(self, fill: FillRow) -> float | None:
        """Return what a fill cost per unit of value, positive is worse; None without a price."""
        price = self._prices.get(fill.client_order_id)
        if not price:
            return None
        worse = fill.price - price if fill.signed > 0 else price - fill.price
        return float(worse / price)


def _closed(trip: RoundTrip) -> RoundTripEvent:
    assert trip.ts_closed is not None
    return RoundTripEvent(
        ts=trip.ts_closed,
        strategy=trip.strategy,
        instrument=trip.instrument,
        net=trip.gross() - trip.fees + trip.funding,
        value=trip.peak * trip.entry_price,
    )
