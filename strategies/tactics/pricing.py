"""At what price and size an order rests, follows or takes. Pure; prices stay on the tick."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_FLOOR, ROUND_UP, Decimal

import msgspec

from strategies.tactics.execution import RestingPlace

ZERO = Decimal(0)
_BASIS_POINT = Decimal("0.0001")


class TopOfBook(msgspec.Struct, frozen=True):
    """The best prices of a book and the sizes displayed at them, base coin."""

    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal

    @property
    def mid(self) -> Decimal:
        """The middle of the two prices."""
        return (self.bid + self.ask) / 2

    @property
    def spread_bps(self) -> float:
        """The distance of the two prices, basis points of their mid."""
        return float((self.ask - self.bid) / self.mid / _BASIS_POINT)

    def best(self, buy: bool) -> Decimal:
        """Return the best price of that side."""
        return self.bid if buy else self.ask

    def size(self, buy: bool) -> Decimal:
        """Return the size displayed at the best price of that side."""
        return self.bid_size if buy else self.ask_size


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange asks of an order in one instrument.

    Parameters
    ----------
    tick, step : Decimal
        Prices and quantities are multiples of them.
    min_quantity, min_notional : Decimal
        Least quantity of an order, and least value of one that opens or enlarges a position.
    max_quantity : Decimal or None
        Largest order.
    exits : bool
        Whether the orders only shrink a position: those need no least value.
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
    """Return where an order rests; never at or through the other side of the book.

    Parameters
    ----------
    buy : bool
        Side of the order.
    top : TopOfBook
        Best prices now.
    tick : Decimal
        Price step.
    place : str
        ``join``, ``improve`` or ``behind`` the best price of its side …
    ticks : int
        … by so many ticks.
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
    """Whether a resting price is the best of its side, so that it may be that price itself.

    Following it would be a chase after one's own shadow.
    """
    return price >= top.bid if buy else price <= top.ask


def smallest(left: Decimal, price: Decimal, terms: Terms) -> Decimal:
    """Return the least quantity that the exchange takes at the price, whole lots.

    Parameters
    ----------
    left : Decimal
        What is to be traded; an exit's rest may always go whole, however small.
    price : Decimal
        Limit price.
    terms : Terms
        The exchange's rules.
    """
    least = max(terms.min_quantity, terms.step)
    if terms.exits:
        return min(least, left)
    lots = (terms.min_notional / price / terms.step).to_integral_value(ROUND_UP)
    return max(least, lots * terms.step)


def portion(left: Decimal, price: Decimal, most: Decimal | None, terms: Terms) -> Decimal:
    """Return how much of what is left goes into the next order; zero when none is allowed.

    Parameters
    ----------
    left : Decimal
        Base coin, whole lots, positive.
    price : Decimal
        Limit price.
    most : Decimal or None
        Share of the displayed size; the exchange's minimum goes before it.
    terms : Terms
        The exchange's rules; its largest order goes before everything.
    """
    least = smallest(left, price, terms)
    if left < least:
        return ZERO
    size = left if most is None else min(left, max(_whole(most, terms), least))
    largest = None if terms.max_quantity is None else _whole(terms.max_quantity, terms)
    if largest is not None:
        size = min(size, largest)
    rest = left - size
    if ZERO < rest < smallest(rest, price, terms):
        # What would be left over could not be ordered any more: it goes along, or waits its turn.
        if largest is None or left <= largest:
            return left
        size = max(size - least, least)
    return size


def _whole(quantity: Decimal, terms: Terms) -> Decimal:
    return (quantity / terms.step).to_integral_value(ROUND_DOWN) * terms.step
