"""Account value: the one definition of equity, gross and net exposure. Pure.

A backtest computes it from its ledger; a node and its strategies from wallet and positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

ZERO = Decimal(0)
FEES = Decimal("0.002")
"""Fees to open and close, and a little more, as a fraction of a position's value."""


class OpenContract(Protocol):
    """Open position in a perpetual: signed base coin, average entry, and current price."""

    @property
    def instrument(self) -> str:
        """Instrument id."""

    @property
    def quantity(self) -> Decimal:
        """Signed base coin; short is negative."""

    @property
    def entry(self) -> Decimal:
        """Average entry price."""

    @property
    def price(self) -> Decimal | None:
        """Price for valuation, None before any is known."""


class Margin(NamedTuple):
    """Equity that is free of initial margin, settlement currency, and leverage by instrument id."""

    free: Decimal
    leverage: Mapping[str, Decimal]

    def used(self, instrument: str, value: Decimal) -> Decimal:
        """Return the margin and fees of a position's value; zero where the leverage is unknown."""
        leverage = self.leverage.get(instrument)
        return abs(value) * (1 / leverage + FEES) if leverage else ZERO


class Contract(NamedTuple):
    """A plain `OpenContract`."""

    instrument: str
    quantity: Decimal
    entry: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Account:
    """Cash and open positions of an account at one moment.

    ``cash`` is the wallet by coin, with realised profit, fees and funding. ``contracts`` are all
    open positions of every owner; one without a price counts as even. ``open_cost`` is their signed
    cost at average entries where books know it exactly; by default it follows from the entries.
    Equity, gross and net are in ``coin``, the settlement coin.
    """

    cash: Mapping[str, Decimal]
    contracts: Sequence[OpenContract] = ()
    open_cost: Decimal | None = None
    coin: str = "USDT"

    @property
    def balance(self) -> Decimal:
        """Realised balance: equity without unrealised profit."""
        return self.cash.get(self.coin, ZERO)

    @property
    def equity(self) -> Decimal:
        """Balance plus unrealised profit of open contracts."""
        cost = self.open_cost
        if cost is None:
            cost = sum((held.quantity * held.entry for held in self.contracts), ZERO)
        worth = [
            held.quantity * (held.entry if held.price is None else held.price)
            for held in self.contracts
        ]
        return sum(worth, self.balance - cost)

    @property
    def gross(self) -> Decimal:
        """Gross exposure: absolute net value of each instrument, added up."""
        return sum(map(abs, self._values().values()), ZERO)

    @property
    def net(self) -> Decimal:
        """Net exposure: value of longs less shorts."""
        return sum(self._values().values(), ZERO)

    def _values(self) -> dict[str, Decimal]:
        values: dict[str, Decimal] = {}
        for held in self.contracts:
            value = held.quantity * (held.price or ZERO)
            values[held.instrument] = values.get(held.instrument, ZERO) + value
        return values
