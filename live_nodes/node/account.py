"""Live account for the order gate: engine cache at mark prices. Engine-specific."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Currency

from actors.guards.core.snapshot import Holding
from actors.records.owners import owner_of
from actors.records.prices import CachePrices
from catalog.instruments import VENUE
from strategies.account_value import Account

ZERO = Decimal(0)


class CacheAccount(CachePrices):
    """Account of the engine's cache (`actors.gate.pending.AccountView`); equity in USDT."""

    def __init__(self, cache: Any) -> None:
        super().__init__(cache)
        self._venue = Venue(VENUE)
        self._currency = Currency.from_str("USDT")
        self.pending_cash: Callable[[int, Decimal], Decimal] | None = None
        """Amounts that the wallet does not show yet, if known."""

    def balance(self) -> Decimal | None:
        """Return the wallet and the cost of coins, None before the venue sent one."""
        cash = self.wallet()
        return None if cash is None else self._account(cash).balance

    def wallet(self) -> Decimal | None:
        """Return the wallet's USDT, None before the venue sent it."""
        account = self._cache.account_for_venue(self._venue)
        total = None if account is None else account.balance_total(self._currency)
        if total is None:
            return None
        balance: Decimal = total.as_decimal()
        if self.pending_cash is not None:
            balance += self.pending_cash(account.last_event.ts_event, balance)
        return balance

    def value(self) -> tuple[float, float]:
        """Return equity and gross at mark prices; zero equity before the venue sent the balance."""
        cash = self.wallet()
        found = self._account(cash or ZERO)
        return 0.0 if cash is None else float(found.equity), float(found.gross)

    def worth(self) -> Decimal | None:
        """Return the exact equity, None before the venue sent the balance."""
        cash = self.wallet()
        return None if cash is None else self._account(cash).equity

    def free_cash(self) -> Decimal:
        """Return the cash that spot buys may spend; zero before the venue sent the balance."""
        return self._account(self.wallet() or ZERO).free_cash

    def holdings(self) -> tuple[Holding, ...]:
        """Return every open position, sorted by instrument, then owner (``""`` without one)."""
        found = [
            Holding(
                strategy=owner_of(p.strategy_id),
                instrument=p.instrument_id.value,
                quantity=p.signed_decimal_qty(),
                entry=Decimal(repr(p.avg_px_open)),
                price=self.price(p.instrument_id.value),
            )
            for p in self._cache.positions_open()
        ]
        return tuple(sorted(found, key=lambda held: (held.instrument, held.strategy)))

    def _account(self, cash: Decimal) -> Account:
        coin = self._currency.code
        return Account({coin: cash}, self.holdings(), coin=coin)

    def position(self, instrument: str) -> Decimal:
        """Return the net position of all owners."""
        found = self._cache.positions_open(instrument_id=self.id(instrument))
        return sum([position.signed_decimal_qty() for position in found], ZERO)

    def positions(self) -> dict[str, Decimal]:
        """Return the net positions that are not flat, sorted by instrument id."""
        held: dict[str, Decimal] = {}
        for position in self._cache.positions_open():
            name = position.instrument_id.value
            held[name] = held.get(name, ZERO) + position.signed_decimal_qty()
        return {name: held[name] for name in sorted(held) if held[name]}
