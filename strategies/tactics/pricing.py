"""Price and size of the next order: resting, following or taking. Pure; prices are on the tick."""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_UP, Decimal

import msgspec

from strategies.sizing.rounding import whole_lots
from strategies.tactics.execution import RestingPlace

ZERO = Decimal(0)
_BASIS_POINT = Decimal("0.0001")


class TopOfBook(msgspec.Struct, frozen=True):
    """Best bid and ask, and the sizes displayed at them, base coin."""

    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal

    @property
    def mid(self) -> Decimal:
        """Mid price."""
        return (self.bid + self.ask) / 2

    @property
    def spread_bps(self) -> float:
        """Bid-ask spread, basis points of the mid."""
        return float((self.ask - self.bid) / self.mid / _BASIS_POINT)

    def best(self, buy: bool) -> Decimal:
        """Return the best price of that side."""
        return self.bid if buy else self.ask

    def size(self, buy: bool) -> Decimal:
        """Return the size displayed at the best price of that side."""
        return self.bid_size if buy else self.ask_size


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Exchange rules for orders in one instrument.

    Prices are multiples of ``tick``, quantities of ``step``. ``min_notional`` is the least value of
    an order that opens or enlarges a position; orders that only shrink one (``exits``) need none.
    """

    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    max_quantity: Decimal | None
    exits: bool


def resting_price(
    buy: bool, top: TopOfBook, tick: Decimal, place: RestingPlace, ticks: int
) -> Decimal:
    """Return the price of a resting order; never at or through the other side of the book.

    ``place`` is ``join``, ``improve`` or ``behind`` the best price of its side, by ``ticks`` ticks.
    """
    toward = tick if buy else -tick
    best, other = top.best(buy), top.best(not buy)
    if place == "behind":
        return max(best - ticks * toward, tick)
    if place == "improve":
        improved, last = best + ticks * toward, other - toward
        return max(best, min(improved, last)) if buy else min(best, max(improved, last))
    return best


def worst_price(buy: bool, reference: Decimal, bps: float, tick: Decimal) -> Decimal:
    """Return the worst price on the tick that is no further than ``bps`` from the reference."""
    away = reference * Decimal(repr(bps)) * _BASIS_POINT
    if buy:
        return ((reference + away) / tick).to_integral_value(ROUND_FLOOR) * tick
    return max((reference - away) / tick, Decimal(1)).to_integral_value(ROUND_UP) * tick


def stands_at_best(buy: bool, price: Decimal, top: TopOfBook) -> bool:
    """Whether a resting price is the best of its side.

    That best price may be the order's own, so it must not be followed.
    """
    return price >= top.bid if buy else price <= top.ask


def smallest(left: Decimal, price: Decimal, terms: Terms) -> Decimal:
    """Return the least quantity that the exchange takes at a limit price, whole lots.

    An exit may always trade all that is left, however small.
    """
    least = max(terms.min_quantity, terms.step)
    if terms.exits:
        return min(least, left)
    lots = (terms.min_notional / price / terms.step).to_integral_value(ROUND_UP)
    return max(least, lots * terms.step)


def portion(left: Decimal, price: Decimal, most: Decimal | None, terms: Terms) -> Decimal:
    """Return the size of the next order, whole lots; zero when none is allowed.

    ``left`` is positive base coin. ``most`` is the share of the displayed size, but the exchange's
    minimum goes before it, and its largest order goes before everything.
    """
    least = smallest(left, price, terms)
    if left < least:
        return ZERO
    largest = None if terms.max_quantity is None else whole_lots(terms.max_quantity, terms.step)
    if largest is not None and largest < least:
        return ZERO
    size = left if most is None else min(left, max(whole_lots(most, terms.step), least))
    if largest is not None:
        size = min(size, largest)
    rest = left - size
    if ZERO < rest < smallest(rest, price, terms):
        # The rest would be too small to order: add it, or keep enough for a later order.
        if largest is None or left <= largest:
            return left
        size = max(size - least, least)
    return size
