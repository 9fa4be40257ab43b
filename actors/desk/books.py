"""Profit of each strategy since its first start, and slippage of its fills. Pure.

The ledger alone defines positions and round trips. This module splits its results by strategy and
instrument, and makes the guards' events from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from actors.guards.core.snapshot import FillEvent, RoundTripEvent
from actors.records.ledger import ZERO, Ledger, RoundTrip
from actors.records.order_facts import OrderFacts
from actors.records.rows import FillRow

PriceOf = Callable[[str], Decimal | None]
"""Returns an instrument's newest price, or None."""


class Booked(NamedTuple):
    """Results without the value of what is open, and the open positions; it does not change."""

    by_strategy: dict[str, Decimal]
    by_instrument: dict[str, Decimal]
    quantities: dict[tuple[str, str], Decimal]  # by strategy and instrument
    costs: dict[tuple[str, str], Decimal]

    def results(self, price_of: PriceOf) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
        """Return the net profit by strategy, and by instrument, with fees and funding.

        An open position is valued at its price, or at its entry price where none is known.
        """
        by_strategy, by_instrument = dict(self.by_strategy), dict(self.by_instrument)
        for (strategy, name), quantity in self.quantities.items():
            price = price_of(name)
            value = self.costs[strategy, name] if price is None else quantity * price
            by_strategy[strategy] += value
            by_instrument[name] += value
        return by_strategy, by_instrument


class StrategyBooks:
    """Results of every strategy, exact in Decimal, in the settlement currency."""

    def __init__(self) -> None:
        self._ledger = Ledger(starting=ZERO)
        self._by_strategy: dict[str, Decimal] = {}
        self._by_instrument: dict[str, Decimal] = {}
        self._booked: Booked | None = None

    @property
    def open(self) -> Mapping[tuple[str, str], RoundTrip]:
        """Return the open positions by strategy and instrument."""
        return self._ledger.open

    def fill(
        self,
        fill: FillRow,
        slippage: float | None = None,
        decision_slippage: float | None = None,
    ) -> tuple[FillEvent | RoundTripEvent, ...]:
        """Book a fill; return its event and the round trip that it ended.

        Slippage is as in `FillEvent`. The fill's own ``reference_price`` is not used.
        """
        key, signed = (fill.strategy, fill.instrument), fill.signed
        before = self._ledger.open.get(key)
        was_open = before is not None
        shrinks = before is not None and before.quantity * signed < ZERO
        self._ledger.follow(fill)
        closed, self._ledger.closed = self._ledger.closed, []
        # A fill through zero ends one round trip and opens the next.
        opened = key in self._ledger.open and (not was_open or bool(closed))
        self._add(fill.strategy, fill.instrument, -signed * fill.price - fill.fee)
        traded = FillEvent(
            ts=fill.ts,
            strategy=fill.strategy,
            instrument=fill.instrument,
            quantity=signed,
            price=fill.price,
            fee=fill.fee,
            slippage=slippage,
            decision_slippage=decision_slippage,
            opened=opened,
            entry=opened or not shrinks,
        )
        return traded, *(_closed(trip) for trip in closed)

    def funding(self, strategy: str, instrument: str, amount: Decimal) -> None:
        """Book a funding payment of a strategy; negative is paid."""
        trip = self._ledger.open.get((strategy, instrument))
        if trip is not None:
            trip.funding += amount
        self._add(strategy, instrument, amount)

    @property
    def booked(self) -> Booked:
        """Return what is booked now, the same object until the next booking."""
        if self._booked is None:
            self._booked = Booked(
                dict(self._by_strategy),
                dict(self._by_instrument),
                {key: trip.quantity for key, trip in self.open.items()},
                {key: trip.cost for key, trip in self.open.items()},
            )
        return self._booked

    def _add(self, strategy: str, instrument: str, amount: Decimal) -> None:
        self._booked = None
        self._by_strategy[strategy] = self._by_strategy.get(strategy, ZERO) + amount
        self._by_instrument[instrument] = self._by_instrument.get(instrument, ZERO) + amount


class ArrivalPrices:
    """Market price when each order left, and the first of its decision, for slippage of fills.

    A fill may be booked after the event that ended its order. Therefore the price of an ended order
    stays until the second `sweep`.
    """

    def __init__(self) -> None:
        self._prices: dict[str, tuple[Decimal, Decimal]] = {}
        self._decided: dict[tuple[str, str], tuple[str, Decimal]] = {}
        self._ended: list[str] = []
        self._old: list[str] = []

    def requested(self, facts: OrderFacts, price: Decimal) -> None:
        """Store the market price as an order leaves."""
        first = price
        if facts.decision_id and not facts.is_exit:
            key = facts.strategy, facts.instrument
            decision, before = self._decided.get(key, ("", price))
            first = before if decision == facts.decision_id else price
            self._decided[key] = facts.decision_id, first
        self._prices[facts.client_order_id] = price, first

    def ended(self, order_id: str) -> None:
        """Mark an order as ended."""
        if order_id in self._prices:
            self._ended.append(order_id)

    def sweep(self) -> None:
        """Delete the prices of orders that ended before the last sweep."""
        for order_id in self._old:
            self._prices.pop(order_id, None)
        self._old, self._ended = self._ended, []

    def slippage(self, fill: FillRow) -> tuple[float | None, float | None]:
        """Return a fill's slippage against its order's price and against its decision's.

        Per unit of value; positive is worse, None without a price.
        """
        prices = self._prices.get(fill.client_order_id)
        if prices is None or not all(prices):
            return None, None
        side = 1 if fill.signed > 0 else -1
        order, decision = (float(side * (fill.price - price) / price) for price in prices)
        # A maker's fill has its order's own price; only its decision may have been at a better one.
        return None if fill.liquidity == "MAKER" else order, decision


def _closed(trip: RoundTrip) -> RoundTripEvent:
    assert trip.ts_closed is not None
    return RoundTripEvent(
        ts=trip.ts_closed,
        strategy=trip.strategy,
        instrument=trip.instrument,
        net=trip.gross() - trip.fees + trip.funding,
        value=trip.peak * trip.entry_price,
    )
