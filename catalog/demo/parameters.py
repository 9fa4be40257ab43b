"""Parameters of the demo market, and its time range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from catalog.instruments import InstrumentInfo, instrument_info
from config.durations import DAY_NS, HOUR_NS, MINUTE_NS, nanoseconds, parse
from config.errors import InputError

STEPS_PER_HOUR = 12
STEPS_PER_DAY = 24 * STEPS_PER_HOUR
FUNDING_NS = 8 * HOUR_NS


@dataclass(frozen=True, kw_only=True)
class DemoParams:
    """Choices of the demo market; the defaults make the one the shipped documents use."""

    seed: int = 12
    """Same seed, same market, to the byte (on one machine and one numpy version)."""
    start: date = date(2023, 1, 1)
    """First day (UTC)."""
    days: int = 730
    """Length in days; hourly and daily candles cover all of it."""
    perps: int = 44
    """USDT perpetuals, 4 to 400. The first 24 carry well-known names (the prices are invented all
    the same), the others invented names."""
    spots: int = 2
    """Spot pairs, 0 to 24: those of the first perps. They follow the perp's index price."""
    listed_share: float = 0.14
    delisted_share: float = 0.10
    """Shares of the perps (rounded down) first listed, and delisted, between 15 % and 85 % of the
    window, never BTC and ETH: 6 and 4 of the default 44."""
    reversal: float = 0.06
    """Expected log return of a day per unit of the day before's idiosyncratic log return, with the
    sign turned: 0.05 gives back 5 % of yesterday's idiosyncratic move. 0 plants none."""
    momentum: float = 0.20
    """Expected log return of a day per unit of the mean idiosyncratic daily log return over the 20
    days before yesterday. 0 plants none."""
    market_drift: float = 0.0005
    """Expected log return of the market factor per day."""
    market_volatility: float = 0.025
    sector_volatility: float = 0.010
    """Standard deviation of the factors' daily log returns."""
    volatility_scale: float = 1.0
    """Multiplies every instrument's idiosyncratic volatility (1.1 % a day for BTC, 2.5 to 4.5 % for
    the invented ones)."""

    def __post_init__(self) -> None:
        """Raise InputError with the first parameter that is out of its range."""
        limits: dict[str, tuple[float, float]] = {
            "seed": (0, 2**63 - 1),
            "days": (2, 3653),
            "perps": (4, 400),
            "spots": (0, min(24, self.perps)),
            "listed_share": (0.0, 0.3),
            "delisted_share": (0.0, 0.3),
            "reversal": (-0.4, 0.4),
            "momentum": (-0.5, 0.5),
            "market_drift": (-0.01, 0.01),
            "market_volatility": (0.0, 0.1),
            "sector_volatility": (0.0, 0.1),
            "volatility_scale": (0.05, 3.0),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise InputError(f"demo market: {name} must be {low} to {high}, was {value}")

    @property
    def start_ns(self) -> int:
        """Midnight (UTC) of the first day, UNIX nanoseconds."""
        return nanoseconds(parse(self.start))

    @property
    def hours(self) -> int:
        """Hours in the window."""
        return self.days * 24

    @property
    def listings(self) -> int:
        """Perps first listed within the window."""
        return int(self.listed_share * self.perps)

    @property
    def delistings(self) -> int:
        """Perps delisted within the window."""
        return int(self.delisted_share * self.perps)


@dataclass(frozen=True, kw_only=True)
class TickParams:
    """Choices of a demo of books or quotes; the defaults make what shipped documents use."""

    name: ClassVar[str]
    longest_h: ClassVar[int]
    seed: int = 12
    hours: float
    start: datetime

    def __post_init__(self) -> None:
        """Raise InputError for a length that is no whole number of minutes, or too long."""
        if not (0 < self.hours <= self.longest_h and (self.hours * 60).is_integer()):
            raise InputError(
                f"demo {self.name}: hours must be whole minutes up to {self.longest_h} h: "
                f"{self.hours:g}"
            )

    @property
    def start_ns(self) -> int:
        """Beginning, UNIX nanoseconds (UTC)."""
        return nanoseconds(self.start)

    @property
    def seconds(self) -> int:
        """Length in seconds."""
        return round(self.hours * 3600)

    def instrument(self, symbol: str, product: str, tick: str, lot: str) -> InstrumentInfo:
        """Return an invented instrument's facts."""
        return instrument_info(
            symbol,
            product,
            tick=tick,
            lot=lot,
            max_leverage="50",
            maintenance_margin="0.01",
            funding_minutes=FUNDING_NS // MINUTE_NS,
            listed_ns=self.start_ns - 400 * DAY_NS,
            source=f"demo {self.name}",
        )
