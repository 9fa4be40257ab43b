"""Positions and round trips from fills, fees and funding, exact in Decimal. Pure.

The engine's balances are floats. In a backtest the summary uses ours, and a check at the end
compares the two to the cent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from actors.records.rows import FillRow

ZERO = Decimal(0)
_FEE_DECIMALS = 8  # To which a fill's fee is split between the trip it closes and the one it opens.


@dataclass(slots=True)
class RoundTrip:
    """A position from flat to flat, or until now while it is open.

    ``bought``/``sold`` are quantities, ``paid``/``earned`` their notionals; ``funding`` is what was
    received; ``cost`` is what the open quantity cost at its average entry, signed like it. ``low``
    and ``high`` are the extremes of its fills' prices, and of others that its reader adds.
    """

    strategy: str
    instrument: str
    is_long: bool
    ts_opened: int
    ts_closed: int | None = None
    quantity: Decimal = ZERO
    peak: Decimal = ZERO
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    paid: Decimal = ZERO
    earned: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    cost: Decimal = ZERO
    low: float = math.inf
    high: float = -math.inf

    def gross(self, price: Decimal = ZERO) -> Decimal:
        """Profit before fees and funding, with the open quantity valued at the price."""
        return self.earned - self.paid + self.quantity * price

    @property
    def entry_price(self) -> Decimal:
        """Average price of the fills that enlarged it."""
        return self.paid / self.bought if self.is_long else self.earned / self.sold

    @property
    def exit_price(self) -> Decimal | None:
        """Average price of the fills that shrank it, None before the first."""
        out, value = (self.sold, self.earned) if self.is_long else (self.bought, self.paid)
        return value / out if out else None

    def row(self, price: Decimal | None = None) -> dict[str, Any]:
        """Return it as a row of a result's `positions`; an open one needs a price to value it."""
        assert price is not None or self.ts_closed is not None
        gross, exit_price = self.gross(price or ZERO), self.exit_price
        return {
            "strategy": self.strategy,
            "instrument": self.instrument,
            "side": "LONG" if self.is_long else "SHORT",
            "ts_opened": self.ts_opened,
            "ts_closed": self.ts_closed,
            "quantity": self.peak,
            "entry_px": float(self.entry_price),
            "exit_px": None if exit_price is None else float(exit_price),
            "gross": gross,
            "fees": self.fees,
            "funding": self.funding,
            "net": gross - self.fees + self.funding,
            "open": self.ts_closed is None,
            "low_px": self.low,
            "high_px": self.high,
        }

    def _add(self, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        self.low, self.high = min(self.low, float(price)), max(self.high, float(price))
        if quantity > 0:
            self.bought += quantity
            self.paid += quantity * price
        else:
            self.sold -= quantity
            self.earned -= quantity * price
        after = self.quantity + quantity
        if abs(after) > abs(self.quantity):
            self.cost += quantity * price
        else:
            self.cost = self.cost * after / self.quantity
        self.quantity = after
        self.peak = max(self.peak, abs(self.quantity))
        self.fees += fee


@dataclass(slots=True)
class Ledger:
    """Cash, positions and round trips of one account in one settlement currency.

    ``cash_flow`` (what fills paid out and brought in) plus the value of open positions is the gross
    profit, without any average price. ``open_cost`` is the cost of open positions at their average
    entries.
    """

    starting: Decimal
    cash_flow: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    slippage: Decimal = ZERO
    fills: int = 0
    turnover: Decimal = ZERO
    open_cost: Decimal = ZERO
    quantities: dict[str, Decimal] = field(default_factory=dict)
    open: dict[tuple[str, str], RoundTrip] = field(default_factory=dict)
    closed: list[RoundTrip] = field(default_factory=list)

    def book(self, fill: FillRow) -> Decimal:
        """Book a fill; return the change of the open position's cost."""
        self.cash_flow -= fill.signed * fill.price
        self.fees += fill.fee
        self.slippage += fill.slippage or ZERO
        self.turnover += fill.notional
        self.fills += 1
        quantity = self.quantities.get(fill.instrument, ZERO) + fill.signed
        if quantity:
            self.quantities[fill.instrument] = quantity
        else:
            self.quantities.pop(fill.instrument, None)
        key = (fill.strategy, fill.instrument)
        before = self.open[key].cost if key in self.open else ZERO
        self.follow(fill)
        change = (self.open[key].cost if key in self.open else ZERO) - before
        self.open_cost += change
        return change

    def book_funding(self, instrument: str, amount: Decimal) -> dict[str, Decimal]:
        """Book a funding payment (received is positive); return each strategy's share.

        Strategies that hold the instrument share it by quantity. `config.validate` allows one
        strategy per instrument, so there is one share.
        """
        self.funding += amount
        trips = [t for (_, name), t in self.open.items() if name == instrument]
        total = sum((t.quantity for t in trips), ZERO)
        shares: dict[str, Decimal] = {}
        left = amount
        for index, trip in enumerate(trips):
            share = left if index == len(trips) - 1 else amount * trip.quantity / total
            trip.funding += share
            left -= share
            shares[trip.strategy] = share
        return shares

    def gross_pnl(self, prices: dict[str, Decimal]) -> Decimal:
        """Profit of all fills, open positions valued at the prices."""
        return self.cash_flow + sum(
            (quantity * prices[name] for name, quantity in self.quantities.items()), ZERO
        )

    def equity(self, prices: dict[str, Decimal]) -> Decimal:
        """Starting equity + gross profit - fees + funding."""
        return self.starting + self.gross_pnl(prices) - self.fees + self.funding

    @property
    def cash(self) -> Decimal:
        """What is left when positions are paid for; with their value it is the equity."""
        return self.starting + self.cash_flow - self.fees + self.funding

    def balance(self) -> Decimal:
        """Return the starting equity plus realised profit, fees and funding included."""
        return self.starting + self.cash_flow + self.open_cost - self.fees + self.funding

    def follow(self, fill: FillRow) -> None:
        """Book a fill in its round trips only, without the sums of the account."""
        key, left, fee = (fill.strategy, fill.instrument), fill.signed, fill.fee
        trip = self.open.get(key)
        if trip is not None and trip.quantity * left < 0 and abs(left) >= abs(trip.quantity):
            closing = -trip.quantity
            part = round(fee * closing / left, _FEE_DECIMALS)
            trip._add(closing, fill.price, part)
            trip.ts_closed = fill.ts
            self.closed.append(trip)
            del self.open[key]
            left, fee, trip = left - closing, fee - part, None
        if left:
            if trip is None:
                trip = RoundTrip(fill.strategy, fill.instrument, left > 0, fill.ts)
                self.open[key] = trip
            trip._add(left, fill.price, fee)
