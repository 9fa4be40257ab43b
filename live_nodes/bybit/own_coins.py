"""Coins that the desk bought on spot, by its journal, beside what the wallet has of them.

Bybit has no positions of spot pairs, only a wallet that mixes the desk's coins with all others.
What the desk did not buy is left alone: it is neither counted nor sold. Positions and equity have
own coins in whole lots; what is beyond left equity as a fee of the buy (`actors.records.coins`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from actors.records.coins import COIN, ZERO, WholeLots, base_coin
from actors.records.journal_reading import JournalReader
from actors.records.ledger import Ledger
from catalog.instruments import InstrumentInfo
from strategies.account_value import is_spot


class OwnCoins:
    """Own coins by spot pair, in whole lots.

    ``bought`` returns the exact coins that the desk's orders made, by instrument id, perpetuals
    among them, without those that others took for good; ``lot_of`` the lot step of an instrument,
    zero for one that trades no more. ``lacking`` is what the last wallet had fewer, by pair.
    """

    def __init__(
        self, bought: Callable[[], Mapping[str, Decimal]], lot_of: Callable[[str], Decimal]
    ) -> None:
        self._bought, self._lot_of = bought, lot_of
        self.lacking: dict[str, Decimal] = {}

    def whole(self, positions: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return positions with coins in whole lots, as the engine's books have them."""
        return {name: self._whole(name, quantity) for name, quantity in positions.items()}

    def at_venue(self, wallet: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return the own coins that are in a wallet, in whole lots, those that are not flat."""
        found = self.whole(self.exact(wallet))
        return {name: quantity for name, quantity in found.items() if quantity}

    def exact(self, wallet: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return the own coins that are in a wallet, parts of a lot among them.

        Where it has fewer than the desk bought, others sold or withdrew some. A lot less is none:
        fees are known to eight decimals.
        """
        found = {}
        for name, own in self._bought().items():
            if is_spot(name):
                there = wallet.get(base_coin(name), ZERO)
                found[name] = max(there, ZERO) if there < own - self._lot_of(name) else own
                self.lacking[name] = own - found[name]
        return found

    def in_full(self) -> dict[str, Decimal]:
        """Return the own coins, whatever a wallet has."""
        return {name: self._whole(name, q) for name, q in self._bought().items() if is_spot(name)}

    def foreign(self, wallet: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return what a wallet has beyond own coins and USDT, by coin."""
        left = {coin: held for coin, held in wallet.items() if coin != COIN}
        lots = {}
        for name, own in self._bought().items():
            if is_spot(name) and base_coin(name) in left:
                left[base_coin(name)] -= own
                lots[base_coin(name)] = self._lot_of(name)
        return {coin: held for coin, held in left.items() if held > lots.get(coin, ZERO)}

    def rest(self, name: str) -> Decimal:
        """Return what a pair's own coins have beyond whole lots."""
        own = self._bought().get(name, ZERO)
        return own - self._whole(name, own)

    def _whole(self, name: str, quantity: Decimal) -> Decimal:
        lot = self._lot_of(name) if is_spot(name) else ZERO
        return quantity // lot * lot if lot else quantity


def foreign_words(coin: str, held: Decimal) -> str:
    """Say what becomes of coins that the desk did not buy."""
    what = "they stay, and count neither as equity nor as collateral"
    return f"{held.normalize():f} {coin} are not the desk's: {what}"


def sellable(info: InstrumentInfo, coins: Decimal, price: Decimal | None) -> Decimal:
    """Return how many of some coins one order may sell; zero below the venue's minimum."""
    size = coins // Decimal(info.lot) * Decimal(info.lot)
    if size < Decimal(info.min_qty):
        return ZERO
    small = price is not None and size * price < Decimal(info.min_notional)
    return ZERO if small else size


def entry_prices(journal: JournalReader, lot_of: Callable[[str], Decimal]) -> dict[str, Decimal]:
    """Return the average price of own coins, by spot pair."""
    ledger, lots = Ledger(starting=ZERO), WholeLots(lot_of)
    for row in journal.fills_since(0):
        if is_spot(row.instrument) and row.strategy and row.quantity:
            ledger.follow(lots.book(row))
    return {name: abs(trip.cost / trip.quantity) for (_, name), trip in ledger.open.items()}
