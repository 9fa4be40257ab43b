"""Coins bought on spot: a buy's fee is paid out of what it buys. Pure, exact.

At Bybit a buyer pays the fee in the coin itself, a seller in USDT ("Spot Fee Currency Instruction",
https://bybit-exchange.github.io/docs/v5/enum). So a buy of q at price p costs q p in cash and
brings less than q coins, with a part of a lot that no order can sell. Books and the engine's
positions count whole lots; all else of the cost is booked as the fee, in USDT. What is left of a
lot counts from the buy on that makes it whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from actors.records.rows import FillRow
from strategies.account_value import is_spot

ZERO = Decimal(0)
COIN = "USDT"
Lot = Callable[[str], Decimal]
"""Returns the lot step of an instrument, base coin; zero where every part of a coin counts."""


def every_part(instrument: str) -> Decimal:
    """Return no lot: every part of a coin counts."""
    return ZERO


def seen_lot(quantity: Decimal) -> Decimal | None:
    """Return the power of ten that a quantity is written in; None for a 0 that says nothing.

    >>> seen_lot(Decimal("1.80"))
    Decimal('0.01')
    """
    exponent = int(quantity.as_tuple().exponent)
    return Decimal(1).scaleb(min(exponent, 0)) if quantity or exponent else None


def base_coin(instrument: str) -> str:
    """Return the coin that a spot pair buys.

    >>> base_coin("BTCUSDT-SPOT.BYBIT")
    'BTC'
    """
    return instrument.partition("-")[0].removesuffix(COIN)


class WholeLots:
    """Counts the coins of spot buys in whole lots, by owner and instrument.

    ``rest`` is what each has beyond its whole lots: less than a lot, and negative only after buys
    of a single lot, which count as one although the fee was paid out of them.
    """

    def __init__(self, lot_of: Lot) -> None:
        self._lot_of = lot_of
        self.rest: dict[tuple[str, str], Decimal] = {}

    def bought(self, owner: str, instrument: str, coins: Decimal) -> Decimal:
        """Return how many coins in whole lots a buy of so many brings; `take` books it."""
        lot, rest = self._lot_of(instrument), self.rest.get((owner, instrument), ZERO)
        if not lot:
            return coins
        # The engine can't open a position of nothing.
        return max((rest + coins) // lot * lot, lot if rest > -lot else ZERO)

    def take(self, owner: str, instrument: str, coins: Decimal) -> Decimal:
        """Book a buy of so many coins; return how many in whole lots it brings."""
        whole = self.bought(owner, instrument, coins)
        self.add(owner, instrument, coins - whole)
        return whole

    def add(self, owner: str, instrument: str, coins: Decimal) -> None:
        """Book coins that count with the next buy."""
        key = owner, instrument
        self.rest[key] = self.rest.get(key, ZERO) + coins

    def book(self, fill: FillRow) -> FillRow:
        """Return a fill as books have it: coins in whole lots, and the fee in USDT."""
        if not pays_in_coin(fill):
            return fill
        key, whole = (fill.strategy, fill.instrument), fill.quantity
        if fill.side == "BUY":
            whole = self.take(*key, fill.quantity - fill.fee)
        else:
            # A seller's fee in coins is a rebate.
            self.add(*key, -fill.fee)
        fee = (fill.quantity - whole) * fill.price
        return replace(fill, quantity=whole, fee=fee, fee_coin=COIN)


def pays_in_coin(fill: FillRow) -> bool:
    """Whether a fill's fee was paid out of the coins that it bought."""
    return is_spot(fill.instrument) and fill.fee_coin == base_coin(fill.instrument)


def cash_moved(fill: FillRow) -> Decimal:
    """Return the change of a wallet's USDT by a spot fill, of pairs of other coins too; signed."""
    pair = fill.instrument.partition("-")[0]
    if pair.endswith(COIN):
        moved = -fill.signed * fill.price
    else:
        moved = fill.signed if pair.startswith(COIN) else ZERO
    return moved - fill.fee if fill.fee_coin == COIN else moved


def coins_moved(fill: FillRow) -> Decimal:
    """Return the change of a wallet's coin by a spot fill, of a position by another; signed.

    A seller of coins pays the fee in USDT.
    """
    return fill.signed - fill.fee if pays_in_coin(fill) else fill.signed
