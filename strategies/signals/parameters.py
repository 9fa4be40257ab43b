"""Parameters of filters, regimes and selection; declared without NumPy: documents check at once.

Each block is null by default, which switches its rule off. `filters`, `regime`, `selection` and
`symbol_record` apply them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from config.parameter_types import (
    AverageLength,
    Count,
    Fraction,
    Lookback,
    NotNegative,
    RangeLength,
    Returns,
    TimeSpan,
    UpToHundred,
    about,
)

Majors = Annotated[
    tuple[str, ...],
    Meta(
        min_length=1,
        extra_json_schema={"uniqueItems": True},
        description="Ids of the instruments that are looked at.",
    ),
]
BITCOIN, ETHER = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"


class Names(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many instruments each side holds, by how much all of them differ."""

    least: Annotated[Count, about("Instruments a side at low_bps …")] = 2
    most: Annotated[Count, about("… and at high_bps; in between in proportion.")] = 6
    lookback: Annotated[Lookback, about("Candles of the returns whose dispersion counts.")] = 24
    low_bps: Annotated[
        NotNegative, about("Dispersion: standard deviation across returns, basis points …")
    ] = 35.0
    high_bps: Annotated[NotNegative, about("… from which the most instruments are held.")] = 300.0

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = []
        if self.most < self.least:
            problems.append(("most", f"must not be below least, which is {self.least}"))
        if self.high_bps <= self.low_bps:
            problems.append(("high_bps", f"must be above low_bps, which is {self.low_bps:g}"))
        return problems


class Bands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a score must be from the mean to open a position, and to keep one."""

    entry: Annotated[
        float,
        Meta(
            ge=0.0,
            le=10.0,
            description="Least distance of a new position's score, in standard"
            " deviations of all scores, on its side of the mean.",
        ),
    ] = 0.65
    exit: Annotated[
        float,
        Meta(
            ge=0.0,
            le=10.0,
            description="Least distance at which a position is kept; it goes before new ones.",
        ),
    ] = 0.45

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        if self.exit > self.entry:
            return [("exit", f"must not exceed entry, which is {self.entry:g}")]
        return []


class AdxFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Holds only instruments whose own trend is strong enough, or weak enough."""

    length: Annotated[RangeLength, about("Candles of the ADX.")] = 14
    least: Annotated[UpToHundred, about("Lowest ADX; 0 = any.")] = 25.0
    most: Annotated[UpToHundred, about("Highest ADX; 100 = any.")] = 100.0

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        wrong = self.most < self.least
        return [("most", f"must not be below least, which is {self.least:g}")] if wrong else []


class SlopeFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Holds only instruments whose exponential average goes somewhere."""

    length: Annotated[AverageLength, about("Candles of the average.")] = 200
    least_bps: Annotated[NotNegative, about("Least slope, basis points a day, up or down.")] = 3.5
    sides: Annotated[
        Literal["both", "with_trend", "against_trend"],
        about(
            "both: long or short. with_trend: long only what rises so much, short only what falls. "
            "against_trend: the reverse."
        ),
    ] = "both"


class HoursFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Holds nothing outside some hours of the day; `dropped: keep` keeps what is held."""

    hours: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=23)], ...],
        Meta(
            min_length=1,
            extra_json_schema={"uniqueItems": True},
            description="Hours (UTC) of the decision's newest candle's close.",
        ),
    ] = tuple(range(24))


class FundingFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Holds no side that pays too much funding; what receives it may be held."""

    most_bps: Annotated[NotNegative, about("Most that a side may pay, basis points a day.")] = 3.6


class Regime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to hold what trends by itself (own_trend) in place of the scores (cross_section).

    Own trends are held while all move together and the majors trend, up or down, and while
    instruments hardly differ. Then the sides need not be equal: all may be long.
    """

    majors: Majors = (BITCOIN, ETHER)
    slope_length: Annotated[AverageLength, about("Candles of the majors' exponential average.")] = (
        200
    )
    high_slope_bps: Annotated[
        NotNegative,
        about(
            "Its slope from which majors trend, basis points a day, up or down; of several, their "
            "mean."
        ),
    ] = 2.0
    correlation_lookback: Annotated[Returns, about("Candles of the mean correlation.")] = 96
    high_correlation: Annotated[
        float, Meta(ge=-1.0, le=1.0, description="Correlation from which all move together.")
    ] = 0.6
    dispersion_lookback: Annotated[Lookback, about("Candles of the dispersion.")] = 24
    low_dispersion_bps: Annotated[
        NotNegative,
        about(
            "Standard deviation across returns, basis points, below which instruments hardly "
            "differ."
        ),
    ] = 35.0
    least_names: Annotated[
        int, Meta(ge=2, description="Eligible instruments without which there is nothing to rank.")
    ] = 6
    hysteresis: Annotated[
        float,
        Meta(
            ge=0.0,
            lt=1.0,
            description="Part of each limit by which own trends must be clear of "
            "it before the scores are held again.",
        ),
    ] = 0.1
    trend_lookback: Annotated[
        Returns, about("Candles of the own trend, and of its volatility.")
    ] = 96


class MajorsGate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Holds less, or nothing, while the majors go nowhere."""

    instruments: Majors = (BITCOIN, ETHER)
    length: Annotated[AverageLength, about("Candles of their exponential average.")] = 200
    least_bps: Annotated[
        float,
        Meta(
            gt=0.0,
            description="Least slope, basis points a day, up or down; of several, their mean.",
        ),
    ] = 1.0
    action: Annotated[
        Literal["skip", "scale"], about("Below it: hold nothing, or scale all weights by factor.")
    ] = "skip"
    factor: Annotated[Fraction, about("Part of the weights that scale leaves.")] = 0.6


class MarketTrend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do in a strong trend of the market or of one instrument; meant for the reversal."""

    instruments: Majors = (BITCOIN,)
    length: Annotated[RangeLength, about("Candles of the ADX.")] = 14
    above: Annotated[
        UpToHundred | None,
        about(
            "Their ADX (of several, the mean) from which the market trends, and all are treated "
            "so; null: never."
        ),
    ] = 25.0
    name_above: Annotated[
        UpToHundred | None,
        about("An instrument's own ADX from which it alone is treated so; null: never."),
    ] = 30.0
    action: Annotated[
        Literal["skip", "scale", "flip"],
        about(
            "skip: hold none; scale: its weight by factor; flip: the opposite side, its score "
            "mirrored at the mean, by_sign at zero."
        ),
    ] = "skip"
    factor: Annotated[Fraction, about("Part of the weight that scale leaves; applied once.")] = 0.25


class SymbolRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pauses an instrument whose own closed trades went badly.

    An instrument's numbers are shrunk towards those of all: ``prior`` trades of the average
    instrument are added to its own, so that a few trades decide little, and one that has never
    lost is not thought to be without profit.
    """

    trades: Annotated[
        int, Meta(ge=1, le=50, description="Closed trades before an instrument is judged.")
    ] = 8
    hit_rate: Annotated[Fraction, about("Least part of trades that won; 0 = any.")] = 0.4
    profit_factor: Annotated[UpToHundred, about("Least ratio of gains to losses; 0 = any.")] = 1.2
    prior: Annotated[
        float, Meta(gt=0.0, le=1000.0, description="Trades of the average instrument added.")
    ] = 4.0
    pause: Annotated[TimeSpan, about("How long after its last closed trade it rests.")] = "24h"
