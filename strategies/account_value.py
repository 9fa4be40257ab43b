"""What an account is worth: the one definition of equity, gross and net exposure. Pure.

A backtest feeds it from its ledger; a node and its strategies from the wallet and the positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

ZERO = Decimal(0)


class OpenContract(Protocol):
    """An open position in a perpetual: signed base coin, average entry, and its price now."""

    @property
    def instrument(self) -> str:
        """Instrument id."""

    @property
    def quantity(self) -> Decimal:
        """Signed base coin; short is negative."""

    @property
    def entry(self) -> Decimal:
        """Average price of what is open."""

    @property
    def price(self) -> Decimal | None:
        """What it is valued at, None before any price is known."""


class Contract(NamedTuple):
    """A plain `OpenContract`."""

    instrument: str
    quantity: Decimal
    entry: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Account:
    """One moment of an account.

    Parameters
    ----------
    cash : mapping of str to Decimal
        By coin: what the wallet holds, realised profit, fees and funding in it.
    contracts : sequence of OpenContract
        Every open position of every owner. One without a price counts as even.
    open_cost : Decimal, optional
        What the contracts cost at their average entries, signed like them, where books know it
        exactly; by default it follows from the entries.
    coin : str
        The settlement coin: equity, gross and net are counted in it.
    """

    cash: Mapping[str, Decimal]
    contracts: Sequence[OpenContract] = ()
    open_cost: Decimal | None = None
    coin: str = "USDT"

    @property
    def balance(self) -> Decimal:
        """What is realised: equity without what open contracts have gained."""
        return self.cash.get(self.coin, ZERO)

    @property
    def equity(self) -> Decimal:
        """Balance plus what open contracts have gained since their entries."""
        cost = self.open_cost
        if cost is None:
            cost = sum((held.quantity * held.entry for held in self.contracts), ZERO)
        equity = self.balance - cost
        for held in self.contracts:
            equity += held.quantity * (held.entry if held.price is None else held.price)
        return equity

    @property
    def gross(self) -> Decimal:
        """Value of the net contracts of each instrument, longs and shorts added up."""
        return sum(map(abs, self._values().values()), ZERO)

    @property
    def net(self) -> Decimal:
        """Value of the contracts, longs less shorts."""
        return sum(self._values().values(), ZERO)

    def _values(self) -> dict[str, Decimal]:
        values: dict[str, Decimal] = {}
        for held in self.contracts:
            value = held.quantity * (held.price or ZERO)
            values[held.instrument] = values.get(held.instrument, ZERO) + value
        return values
