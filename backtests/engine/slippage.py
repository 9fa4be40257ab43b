"""Slippage by name: how much worse than the reference price a market order fills, as a fraction.

The reference is the price that stood when the order reached the venue. The result is rounded to the
tick that is worse for the order, so a simulated fill never flatters.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from config.documents import BasePlusSizeSlippage, FixedBpsSlippage, NoSlippage

Slippage = Callable[[Decimal], Decimal]
"""From an order's notional (settlement currency) to a fraction of its price."""


def slippage_of(document: NoSlippage | FixedBpsSlippage | BasePlusSizeSlippage) -> Slippage:
    """Return the model that a document names."""
    match document:
        case FixedBpsSlippage():
            fraction = document.bps / Decimal(10_000)
            return lambda notional: fraction
        case BasePlusSizeSlippage():
            return lambda notional: base_plus_size(
                notional, base=document.base, per=document.per, cap=document.cap
            )
        case NoSlippage():
            return lambda notional: Decimal(0)


def base_plus_size(notional: Decimal, *, base: Decimal, per: Decimal, cap: Decimal) -> Decimal:
    """Return ``base + min(notional / per, cap)``, a fraction of the price.

    With the defaults (0.05 %, 10,000, 1 %) the size part reaches its cap at a notional of 100, so
    the model is harsh on purpose; a larger ``per`` softens it.
    """
    return base + min(notional / per, cap)


def slipped_price(reference: Decimal, fraction: Decimal, tick: Decimal, *, buy: bool) -> Decimal:
    """Return the fill price: worse than the reference by the fraction, on the worse tick.

    A sell never fills below one tick.
    """
    if buy:
        steps = (reference * (1 + fraction) / tick).to_integral_value(ROUND_CEILING)
    else:
        steps = (reference * (1 - fraction) / tick).to_integral_value(ROUND_FLOOR)
    return max(steps, Decimal(1)) * tick
