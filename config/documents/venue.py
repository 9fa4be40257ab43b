"""The simulated venue of a backtest: balance, leverage, fees, slippage, how fills are made."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from config.documents.base import Flag, Part
from config.documents.slippage import FixedBpsSlippage, Slippage
from config.durations import Interval


class Fees(Part):
    """Fee rates of one product.

    Source of the defaults used in `Venue`: Bybit, "Trading fee structure", VIP 0.
    """

    maker: Annotated[Decimal, Field(ge=Decimal("-0.01"), le=Decimal("0.05"))]
    """Fraction of the notional for resting orders; negative is a rebate."""
    taker: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal("0.05"))]
    """Fraction of the notional for orders that take."""


class ProductFees(Part):
    """Fee rates of each product."""

    linear: Fees = Fees(maker=Decimal("0.0002"), taker=Decimal("0.00055"))
    """USDT perpetuals."""
    spot: Fees = Fees(maker=Decimal("0.001"), taker=Decimal("0.001"))
    """Spot pairs."""


class Venue(Part):
    """The simulated venue of a backtest."""

    starting_balance: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(10**12))] = Decimal(
        100_000
    )
    """USDT in the account at the start; the engine can't count much further than the maximum."""
    leverage: Annotated[Decimal, Field(ge=Decimal(1), le=Decimal(100))] = Decimal(5)
    """Largest gross notional per unit of equity that the order gate lets pass."""
    fees: ProductFees = ProductFees()
    """Fee rates by product."""
    slippage: Slippage = FixedBpsSlippage(bps=Decimal(2))
    """How much worse than the reference price market orders fill."""
    fills: Literal["next_open", "signal_close"] = "next_open"
    """Where market orders fill: at the next candle's open, or (for references only) at the close
    that gave the signal."""
    path: Literal["pessimistic", "adaptive", "open_high_low_close"] = "pessimistic"
    """How the price moves inside a candle for resting orders (with ``fills: next_open``): against
    the position first, to the extreme nearer the open first, or to the high first."""
    execution_interval: Literal["auto", Interval] = "auto"
    """Candles that orders fill on; ``auto`` takes the finest in the catalog."""
    funding: Flag = True
    """Whether funding is settled."""
    liquidation: Flag = True
    """Whether the account can be liquidated."""
