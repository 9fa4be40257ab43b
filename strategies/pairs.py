"""Pairs: trade the spread of two instruments back to its mean, both legs or none.

Pair (a, b): the spread is ln a - beta ln b (`signals.spread`). Above its mean, a is dear against b:
a is sold and b bought; below, the other way round. Documented for stocks by Gatev, Goetzmann and
Rouwenhorst (2006), "Pairs Trading: Performance of a Relative-Value Arbitrage Rule".
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from config.durations import Interval
from config.parameter_types import (
    Count,
    Money,
    Multiple,
    PositiveFraction,
    RangeLength,
    TimeSpan,
    UpToHundred,
    about,
)
from strategies.desk_config import DeskStrategyConfig
from strategies.signals.pair_parameters import (
    Cointegration,
    Correlation,
    HalfLife,
    Hedge,
    Selection,
)
from strategies.tactics.two_leg import TwoLegRules

PastChanges = Annotated[int, Meta(ge=3, le=5000)]


class Tiers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Three tiers of an entry by z-score and by the RSI of both legs.

    The RSI must agree: the dear leg overbought, the cheap one oversold.
    """

    length: Annotated[RangeLength, about("Candles of Wilder's RSI.")] = 14
    strong: Annotated[
        UpToHundred,
        about(
            "Strong: |z| from entry, RSI of the cheap leg at most this, of the dear one at least "
            "100 less this."
        ),
    ] = 30.0
    moderate: Annotated[UpToHundred, about("Moderate: RSI in the same way …")] = 40.0
    moderate_z: Annotated[PositiveFraction, about("… and |z| from this part of entry.")] = 0.5
    divergence: Annotated[
        UpToHundred, about("Weak: RSI of the dear leg above that of the cheap one by this …")
    ] = 10.0
    weak_z: Annotated[PositiveFraction, about("… and |z| from this part of entry.")] = 0.3
    confidence: Annotated[
        tuple[PositiveFraction, PositiveFraction, PositiveFraction],
        about("Part of the size of a strong, a moderate and a weak entry."),
    ] = (0.95, 0.65, 0.55)


class MinCorrelation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Least correlation of the legs' returns at an entry."""

    least: Annotated[Correlation, about("Least correlation.")] = 0.5
    lookback: Annotated[PastChanges, about("Returns, in candles before the current one.")] = 120


class SpreadVolatility(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Most volatility of the spread at an entry."""

    most: Annotated[Multiple, about("Deviation of the spread's changes, a day.")] = 0.1
    lookback: Annotated[PastChanges, about("Changes, in candles before the current one.")] = 120


class TimeStop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closes a position that did not come back in time."""

    half_lives: Annotated[
        Annotated[float, Meta(gt=0.0, le=100.0)] | None,
        about(
            "Half-lives of the spread at the entry; a pair without one, as its spread does not "
            "come back, is not entered. null: no such limit."
        ),
    ] = None
    candles: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None, about("Candles; null: no such limit.")
    ] = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when nothing is limited."""
        if self.half_lives is None and self.candles is None:
            return [("candles", "give half_lives, candles or both")]
        return []


class PairsConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a strategy that trades pairs."""

    interval: Annotated[Interval, about("Candles by which pairs are judged.")] = "1h"
    pairs: Annotated[
        tuple[tuple[str, str], ...],
        about("Pairs of instrument ids, such as [[BTCUSDT-LINEAR.BYBIT, …]]."),
    ] = ()
    select: Annotated[
        Selection | None,
        about("Selects pairs among the strategy's instruments; null: those of pairs."),
    ] = None
    hedge: Annotated[Hedge, about("Hedge ratio, spread and z-score.")] = Hedge()
    freeze_hedge: Annotated[
        bool,
        about(
            "Take all spreads of the z-score by one hedge ratio: an open pair's of its entry, the "
            "others' the newest (true); or each candle's by its own, so that the z-score of what "
            "is held moves with it (false). Quantities stay as entered."
        ),
    ] = True
    rules: Annotated[
        Literal["zscore", "tiers"],
        about("Enter by the z-score alone, or by tiers of z-score and RSI."),
    ] = "zscore"
    entry: Annotated[
        float, Meta(gt=0.0, le=20.0, description="|z| from which a pair is entered.")
    ] = 2.0
    exit: Annotated[
        float, Meta(ge=0.0, le=20.0, description="z this near to the mean, or past it, closes it.")
    ] = 0.5
    stop: Annotated[
        float,
        Meta(gt=0.0, le=100.0),
        about(
            "|z| from which it is closed at a loss; not entered in the last tenth of the way there "
            "from entry."
        ),
    ] = 4.0
    cooldown: Annotated[
        bool,
        about(
            "After a stop, a cut entry, or an exit by others, no new entry of a pair until |z| has "
            "been below the entry's."
        ),
    ] = True
    tiers: Annotated[Tiers, about("For rules: tiers; zscore does not use them.")] = Tiers()
    min_correlation: Annotated[
        MinCorrelation | None, about("Condition of an entry; null: any.")
    ] = None
    cointegration: Annotated[
        Cointegration | None, about("Condition of an entry; null: not tested.")
    ] = None
    half_life: Annotated[
        HalfLife | None, about("Bounds of the spread's half-life at an entry; null: any.")
    ] = None
    volatility: Annotated[SpreadVolatility | None, about("Condition of an entry; null: any.")] = (
        None
    )
    time_stop: Annotated[TimeStop | None, about("How long a position is held; null: no limit.")] = (
        None
    )
    size: Annotated[
        Literal["dollar_neutral", "beta_weighted"],
        about(
            "The same value of both legs, or beta times as much of b as of a. A pair whose beta is "
            "below 0.1 is not entered."
        ),
    ] = "dollar_neutral"
    max_leg: Annotated[
        Money | None, about("Most value of a leg, settlement currency; null: any.")
    ] = 1000.0
    risk: Annotated[
        PositiveFraction | None,
        about(
            "Most that is lost from the entry to the stop's z, of equity; null: any. The smallest "
            "of max_leg, risk and max_weight counts."
        ),
    ] = 0.02
    max_weight: Annotated[PositiveFraction, about("Most value of a leg, of equity.")] = 0.25
    max_open: Annotated[Count | None, about("Most pairs held at a time; null: any.")] = None
    check_every: Annotated[
        TimeSpan | None,
        about(
            "How often, between candles, the newest price is judged by closed candles; null: "
            "never. A backtest on candles has no such prices."
        ),
    ] = None
    two_leg: Annotated[TwoLegRules, about("How both legs reach the market.")] = TwoLegRules()

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        if bool(self.pairs) == (self.select is not None):
            words = "give pairs, or select, which chooses them"
            problems.append(("pairs", words + (", not both" if self.pairs else "")))
        for index, pair in enumerate(self.pairs):
            before = self.pairs[:index]
            problems += [
                (f"pairs[{index}][{leg}]", f"{name} is spot, which can't be sold short")
                for leg, name in enumerate(pair)
                if name.endswith("-SPOT.BYBIT")
            ]
            if pair[0] == pair[1]:
                problems.append((f"pairs[{index}]", f"{pair[0]} is no pair with itself"))
            elif frozenset(pair) in map(frozenset, before):
                swapped = "" if pair in before else ": with legs swapped it is the same pair"
                problems.append((f"pairs[{index}]", f"is given twice{swapped}"))
            elif pair_name(pair) in map(pair_name, before):
                words = f"has the name of another pair, {pair_name(pair)}: give only one of them"
                problems.append((f"pairs[{index}]", words))
        if self.exit >= self.least_entry:
            words = f"must be below {self.least_entry:g}, where a pair is entered"
            problems.append(("exit", words))
        if self.stop <= self.entry:
            problems.append(("stop", f"must be above entry, which is {self.entry:g}"))
        if self.max_leg is None and self.risk is None:
            problems.append(("max_leg", "give max_leg, risk or both"))
        if self.volatility is not None and self.volatility.lookback >= self.hedge.z_lookback:
            words = f"must be below hedge.z_lookback, which is {self.hedge.z_lookback}"
            problems.append(("volatility.lookback", words))
        if self.protection is not None:
            words = "a stop of one leg leaves the other unhedged: use stop and time_stop"
            problems.append(("protection", words))
        return problems

    @property
    def sells_short(self) -> bool:
        """Whether a decision may sell short, which spot can't."""
        return True

    @property
    def least_entry(self) -> float:
        """Least |z| at which a pair may be entered."""
        least = min(self.tiers.weak_z, self.tiers.moderate_z)
        return self.entry * (1.0 if self.rules == "zscore" else least)

    @property
    def stops_by_half_lives(self) -> bool:
        """Whether a position is held for some half-lives at most."""
        return self.time_stop is not None and self.time_stop.half_lives is not None

    def instruments_read(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return (path below ``params``, id) of instruments that must be among the strategy's."""
        return [
            (("pairs", index, leg), name)
            for index, pair in enumerate(self.pairs)
            for leg, name in enumerate(pair)
        ]


class Pairs:
    """Trades spreads of pairs back to their mean."""

    Config: ClassVar[type[PairsConfig]] = PairsConfig
    engine: ClassVar[str] = "strategies.hedged.trader:HedgedTrader"
    """Address of the engine's strategy class that runs it."""


def pair_name(legs: tuple[str, str]) -> str:
    """Return a pair's name.

    Examples
    --------
    >>> pair_name(("BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"))
    'BTCUSDT/ETHUSDT'
    """
    return "/".join(name.partition("-")[0] for name in legs)
