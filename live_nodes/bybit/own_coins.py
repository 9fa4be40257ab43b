"""Coins that the desk bought on spot, by its journal, beside what the wallet has of them.

Bybit has no positions of spot pairs, only a wallet that mixes the desk's coins with all others.
What the desk did not buy is left alone: it is neither counted nor sold. Positions and equity have
own coins in whole lots; what is beyond left equity as a fee of the buy (`actors.records.coins`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate

from actors.records.coins import COIN, ZERO, WholeLots, base_coin, coins_moved
from actors.records.journal_reading import JournalReader
from actors.records.ledger import Ledger
from actors.records.rows import FillRow
from catalog.instruments import InstrumentInfo
from strategies.account_value import is_spot


class OwnCoins:
    """Own coins by spot pair, in whole lots.

    ``bought`` returns the exact coins that the desk's orders made, by instrument id, perpetuals
    among them, without those that others took for good; ``lot_of`` the lot step of an instrument,
    zero for one that trades no more; ``others`` others' executions since all own coins were there.
    ``lacking`` is what others took by the last wallet, by pair.
    """

    def __init__(
        self,
        bought: Callable[[], Mapping[str, Decimal]],
        lot_of: Callable[[str], Decimal],
        others: Callable[[], Iterable[FillRow]] = tuple,
    ) -> None:
        self._bought, self._lot_of, self._others = bought, lot_of, others
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

        Without those that others sold or withdrew since. A lot less is none: fees are known to
        eight decimals.
        """
        # Of one millisecond, buys count first: only what was surely taken is.
        found, others = {}, sorted(self._others(), key=lambda row: (row.ts, row.side))
        for name, own in self._bought().items():
            if is_spot(name):
                moves = [coins_moved(row) for row in others if row.instrument == name]
                spare = max(wallet.get(base_coin(name), ZERO), ZERO) - own
                taken = min(taken_by_others(spare, moves), own)
                self.lacking[name] = taken if taken > self._lot_of(name) else ZERO
                found[name] = own - self.lacking[name]
        return found

    def in_full(self) -> dict[str, Decimal]:
        """Return the own coins, whatever a wallet has."""
        return {name: self._whole(name, q) for name, q in self._bought().items() if is_spot(name)}

    def foreign(self, wallet: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return what a wallet has beyond own coins and USDT, by coin."""
        left = {coin: held for coin, held in wallet.items() if coin != COIN}
        lots = {}
        for name, own in self.exact(wallet).items():
            if base_coin(name) in left:
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


def taken_by_others(spare: Decimal, moves: Sequence[Decimal]) -> Decimal:
    """Return how many own coins others took, who sell their own first. Pure.

    ``spare`` is what the wallet has now beyond own coins, negative where it has fewer. ``moves``
    are others' buys and sales since all own coins were there, signed, the oldest first. Coins that
    came without an execution count as before all moves, and those that left as after them.

    >>> taken_by_others(Decimal("-0.2"), [Decimal("-0.5"), Decimal("0.3")])
    Decimal('0.5')
    """
    before = max(spare - sum(moves, ZERO), ZERO)
    return max(-min(spare, *accumulate(moves, initial=before)), ZERO)


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
