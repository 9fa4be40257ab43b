"""The simulated venue of a backtest: balance, leverage, fees, slippage, how fills are made."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from config.documents.base import Flag, Part, Whole
from config.documents.slippage import FixedBpsSlippage, NoSlippage, Slippage, SlippageModel
from config.durations import DURATION, HOUR_NS, Interval, duration_ns

Milliseconds = Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(60_000))]
Seconds = Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(86_400))]


class Fees(Part):
    """Fee rates of one product.

    Source of the defaults used in `Venue`: Bybit, "Trading fee structure", VIP 0.
    """

    # Some times the highest of Bybit, below the lowest written in percent.
    maker: Annotated[Decimal, Field(ge=Decimal("-0.0005"), le=Decimal("0.005"))]
    """Fraction of the notional for resting orders, 0.0002 for 0.02 %; negative is a rebate."""
    taker: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal("0.005"))]
    """Fraction of the notional for orders that take, 0.00055 for 0.055 %."""


class ProductFees(Part):
    """Fee rates of each product."""

    linear: Fees = Fees(maker=Decimal("0.0002"), taker=Decimal("0.00055"))
    """USDT perpetuals."""
    spot: Fees = Fees(maker=Decimal("0.001"), taker=Decimal("0.001"))
    """Spot pairs."""


class Bursts(Part):
    """Stretches in which everything is slower, as when an exchange is overloaded."""

    every: Seconds = Decimal(600)
    """One burst in each such period, at a moment drawn from the seed; seconds."""
    length: Seconds = Decimal(5)
    """How long a burst lasts, at most ``every``; seconds."""
    delay: Milliseconds = Decimal(500)
    """What a burst adds; milliseconds."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.length > self.every:
            raise ValueError("length must be at most every")
        return self


class WayLatency(Part):
    """One way of the latency; milliseconds."""

    base: Milliseconds = Decimal(0)
    """What every message takes."""
    jitter: Milliseconds = Decimal(0)
    """Mean of what comes on top, drawn anew for each moment: seldom many times as much
    (exponential)."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Of the draws; equal seeds give equal delays at equal moments."""
    bursts: Bursts | None = None
    """Overload; null for none."""


class Latency(Part):
    """How long data and commands take, with ``market: quotes`` or ``book``.

    The engine has one clock: strategies see data at the exchange's time, and commands (new orders,
    amends, cancels) reach the venue after both ways together, in the order in which they left.
    """

    feed: WayLatency = WayLatency()
    """From the exchange to the strategy; it is the age of the data."""
    orders: WayLatency = WayLatency()
    """From the strategy to the exchange."""


Market = Literal["candles", "quotes", "book"]
"""What orders meet, the coarsest first."""


_OF_TICKS = ("latency", "queue", "valuation")
_OF_CANDLES = ("slippage", "fills", "execution_interval", "path")


class Venue(Part):
    """The simulated venue of a backtest."""

    market: Literal["auto", Market] = "auto"
    """What orders meet: opens of ``candles``, best ``quotes`` or the order ``book``; ``auto`` is
    the finest that the catalog has of every instrument throughout the window."""
    latency: Annotated[
        Latency,
        BeforeValidator(lambda v: {} if v is None else v, json_schema_input_type=Latency | None),
    ] = Latency()
    """Delay of commands and data (not with candles); null takes an inherited one away."""
    queue: Literal["optimistic", "realistic", "pessimistic"] = "realistic"
    """Resting orders (not with candles) fill with the first trade at their price, once what was
    displayed before them has traded, or only when the market passes their price."""
    valuation: Annotated[str, Field(pattern=DURATION)] = "1s"
    """How often equity, guards and margin look at the prices (not with candles), 1s to 1h."""

    starting_balance: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(10**12))] = Decimal(
        100_000
    )
    """USDT in the account at the start; the engine can't count much further than the maximum."""
    leverage: Annotated[Decimal, Field(ge=Decimal(1), le=Decimal(100))] = Decimal(5)
    """Largest gross notional per unit of equity that the order gate lets pass."""
    fees: ProductFees = ProductFees()
    """Fee rates by product."""
    slippage: Annotated[Slippage, Field(validate_default=True)] = FixedBpsSlippage(bps=Decimal(2))
    """How much worse than the reference price market orders fill (candles only)."""
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

    @field_validator("valuation")
    @classmethod
    def _bounded(cls, valuation: str) -> str:
        if HOUR_NS % duration_ns(valuation):
            raise ValueError("must divide an hour, such as 1s, 5s or 1m")
        return valuation

    @field_validator(*_OF_TICKS)
    @classmethod
    def _of_ticks(cls, value: object, info: ValidationInfo) -> object:
        name = str(info.field_name)
        if info.data.get("market") == "candles" and value != cls.model_fields[name].default:
            remedy = ": write latency: null" if name == "latency" else ""
            raise ValueError(f"means nothing with market: candles{remedy}")
        return value

    @field_validator(*_OF_CANDLES)
    @classmethod
    def _of_candles(cls, value: object, info: ValidationInfo) -> object:
        market, name = info.data.get("market"), str(info.field_name)
        if market in ("quotes", "book"):
            if name != "slippage" and value != cls.model_fields[name].default:
                raise ValueError(f"means nothing with market: {market}, where no candle fills")
            if isinstance(value, SlippageModel) and not isinstance(value, NoSlippage):
                raise ValueError(
                    f"with market: {market} orders find their prices there: use {{model: none}}"
                )
        return value

    def without_effect(self, market: Market) -> list[str]:
        """Return what was set otherwise than by default and means nothing with a market."""
        names = _OF_TICKS if market == "candles" else _OF_CANDLES
        return [n for n in names if getattr(self, n) != type(self).model_fields[n].default]

    @property
    def by_candles(self) -> bool:
        """Whether orders meet the opens of candles."""
        return self.market in ("auto", "candles")
