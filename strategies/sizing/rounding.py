"""Round a wanted quantity to an order that the exchange accepts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Literal

Minimum = Literal["skip", "respect_cap", "force_exchange_min"]
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Lot:
    """Exchange rules for order sizes, in base coin and settlement currency.

    Quantities are multiples of ``step``. ``min_notional`` is the least value of an order that opens
    or enlarges a position.
    """

    step: Decimal
    min_quantity: Decimal
    min_notional: Decimal


@dataclass(frozen=True, slots=True)
class Sized:
    """Signed order quantity, zero for none; anything unusual, and the guard that changed it.

    ``wanted`` is the position without a halt that held back an entry, signed base coin.
    """

    quantity: Decimal
    reason: str = ""
    guard: str = ""
    wanted: Decimal | None = None


NO_ORDER = Sized(ZERO)


def whole_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """Return a quantity rounded toward zero to whole lots."""
    return (quantity / lot).to_integral_value(ROUND_DOWN) * lot


def size_order(
    current: Decimal,
    wanted: Decimal,
    price: Decimal,
    lot: Lot,
    *,
    minimum: Minimum,
    largest: Decimal,
) -> Sized:
    """Return the order that brings a position as near to the wanted one as the exchange allows.

    The target is rounded toward zero to whole lots. An order below the exchange's minimum, an entry
    of less than a lot included, is dropped (``skip``), raised to it unless the position would
    exceed ``largest`` (``respect_cap``), or raised in any case (``force_exchange_min``). An order
    that only shrinks the position needs no minimum notional, and a whole exit no minimum at all.

    ``current`` and ``wanted`` are positions, signed base coin. ``price`` is in the settlement
    currency, positive. ``largest`` is the largest absolute position that the cap allows, base coin.
    """
    target = whole_lots(wanted, lot.step)
    order = target - current
    if target == ZERO and wanted and not current:
        # Less than a lot: treated, and explained, as any order that is too small.
        order = wanted
    elif target == ZERO and wanted:
        return Sized(order, f"closed: the position wanted is less than the lot of {lot.step:f}")
    elif order == ZERO or target == ZERO:
        return Sized(order)
    shrinks = current * target > ZERO and abs(target) < abs(current)
    floor = max(lot.min_quantity, lot.step)
    if shrinks:
        floor = min(floor, abs(current))
    else:
        least = (lot.min_notional / price / lot.step).to_integral_value(ROUND_UP)
        floor = max(floor, least * lot.step)
    if abs(order) >= floor:
        return Sized(order)
    short_of = _what_is_missing(abs(order), price, lot)
    if minimum == "skip":
        return Sized(ZERO, f"skipped: {short_of}")
    raised = floor if order > ZERO else -floor
    if minimum == "respect_cap" and abs(current + raised) > max(largest, abs(current)):
        return Sized(
            ZERO, f"skipped: {short_of}, and the minimum would exceed the cap of {_short(largest)}"
        )
    return Sized(raised, f"raised from {_short(abs(order))} to the exchange's minimum {floor:f}")


def shrunk(held: Decimal, quantity: Decimal, multiplier: Decimal, step: Decimal) -> Decimal:
    """Return what is left of an order where positions may be ``multiplier`` times their size.

    All is signed base coin. An order that opens or enlarges a position, or turns it round, leads to
    that part of the position that it would lead to, rounded down to whole lots of ``step``; it is
    zero where as much is held already. Exits stay whole.

    Examples
    --------
    >>> half, lot = Decimal("0.5"), Decimal(1)
    >>> [int(shrunk(Decimal(4), Decimal(n), half, lot)) for n in (6, 2, -4, -10)]
    [1, 0, -4, -7]
    """
    if multiplier >= 1 or (held * quantity < ZERO and abs(quantity) <= abs(held)):
        return quantity
    left = whole_lots((held + quantity) * multiplier - held, step)
    return left if left * quantity > ZERO else ZERO


def outside_band(current: float, target: float, band: float) -> bool:
    """Whether to trade from the current to the target weight, signed fractions of equity.

    False when the change is smaller than ``band``, a fraction of equity. A whole exit (target zero)
    is always traded, so that no small position stays for ever.
    """
    if target == 0.0:
        return current != 0.0
    return current != target and abs(target - current) >= band


def split(size: Decimal, step: Decimal, largest: Decimal | None) -> list[Decimal]:
    """Split a size into orders of whole lots, about equal, none above the largest order.

    Equal, because a small remainder could fall below the exchange's minimum.
    """
    if largest is None or size <= largest:
        return [size]
    count = int((size / largest).to_integral_value(ROUND_UP))
    lots = int(size / step)
    # Where the largest order is no whole number of lots, rounding up could exceed it.
    while -(-lots // count) * step > largest:
        count += 1
    each, more = divmod(lots, count)
    return [(each + (n < more)) * step for n in range(count)]


def _what_is_missing(size: Decimal, price: Decimal, lot: Lot) -> str:
    if size < lot.step:
        return f"order quantity {size:.3g} is below the lot of {lot.step:f}"
    if size < lot.min_quantity:
        return f"order quantity {size:f} is below the exchange's minimum {lot.min_quantity:f}"
    return f"order value {size * price:.2f} is below the exchange's minimum {lot.min_notional:f}"


def _short(value: Decimal) -> str:
    return f"{value:f}" if len(value.as_tuple().digits) <= 6 else f"{Decimal(f'{value:.6g}'):f}"
