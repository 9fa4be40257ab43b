"""Account value: the one definition of equity, gross and net exposure. Pure.

A backtest computes it from its ledger; a node and its strategies from wallet and positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

ZERO = Decimal(0)
COIN_FEE = Decimal("0.002")
"""Above what Bybit takes of bought coins, a fraction: 0.1 % in most places."""
FEES = Decimal("0.002")
"""Fees to open and close, and a little more, as a fraction of a position's value."""


def is_spot(instrument: str) -> bool:
    """Whether an instrument id is of a spot pair: what is held of it are coins."""
    return "-SPOT." in instrument


def fee_explains(instrument: str, bought: Decimal, lacking: Decimal, lot: Decimal) -> bool:
    """Whether only the fee lacks of coins that were bought, in whole lots (base coin)."""
    return is_spot(instrument) and bought > ZERO and ZERO < lacking < bought * COIN_FEE + lot


class OpenContract(Protocol):
    """Open position, or coins of a spot pair: signed base coin, average entry, current price."""

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


class Account(NamedTuple):
    """Cash, coins and open positions of an account at one moment.

    ``cash`` is the wallet by coin, with realised profit, fees and funding. ``contracts`` are all
    open positions of every owner, and the coins that were bought on spot and paid in cash; one
    without a price counts as even. ``open_cost`` is the signed cost of perpetuals at average
    entries where books know it exactly; by default it follows from the entries. Equity, gross and
    net are in ``coin``, the settlement coin.
    """

    cash: Mapping[str, Decimal]
    contracts: Sequence[OpenContract] = ()
    open_cost: Decimal | None = None
    coin: str = "USDT"

    @property
    def balance(self) -> Decimal:
        """Realised balance: equity without unrealised profit, coins at their cost."""
        return self.cash.get(self.coin, ZERO) + self._cost(coins=True)

    @property
    def equity(self) -> Decimal:
        """Cash, coins at their price, and unrealised profit of perpetuals."""
        return sum(map(_value, self.contracts), self.cash.get(self.coin, ZERO) - self._owed)

    @property
    def free_cash(self) -> Decimal:
        """Cash that spot buys may spend: what perpetuals lose by now is not there."""
        perpetuals = [held for held in self.contracts if not is_spot(held.instrument)]
        profit = sum(map(_value, perpetuals), -self._owed)
        return self.cash.get(self.coin, ZERO) + min(profit, ZERO)

    @property
    def _owed(self) -> Decimal:
        return self._cost(coins=False) if self.open_cost is None else self.open_cost

    def _cost(self, *, coins: bool) -> Decimal:
        held = [one for one in self.contracts if is_spot(one.instrument) == coins]
        return sum([one.quantity * one.entry for one in held], ZERO)

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


def _value(held: OpenContract) -> Decimal:
    return held.quantity * (held.entry if held.price is None else held.price)
