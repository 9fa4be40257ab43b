"""Parameters of pairs' signals: hedge ratio, cointegration, selection; declared without NumPy.

`spread`, `cointegration` apply them. Documents are checked without numpy and statsmodels.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from config.parameter_types import Count, NotNegative, PositiveFraction, TimeSpan, about

Correction = Literal["none", "bonferroni", "benjamini_hochberg"]
Lags = Annotated[
    int,
    Meta(ge=0, le=50),
    about(
        "Lagged differences in the test's regression. With too few, prices that bounce between "
        "bid and ask look like pairs; with more, fewer true pairs are found."
    ),
]
Correlation = Annotated[float, Meta(ge=-1.0, le=1.0)]
Level = Annotated[float, Meta(gt=0.0, lt=1.0)]
Missing = Annotated[float, Meta(ge=0.0, le=0.5)]
TestedCandles = Annotated[int, Meta(ge=30, le=50000)]
JOHANSEN_LEVELS = (0.1, 0.05, 0.01)
"""Levels for which the critical values of Johansen's trace are tabulated."""


class Hedge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pair's hedge ratio, its spread and the spread's z-score are computed.

    Both use complete candles before the current one only.
    """

    model: Annotated[
        Literal["ratio", "ols", "kalman"],
        about(
            "ratio: ln(a) - ln(b). ols: regression of ln(a) on ln(b) with an intercept over "
            "lookback. kalman: intercept and ratio wander; with freeze_hedge: false the spread is "
            "the error of their prediction."
        ),
    ] = "ols"
    lookback: Annotated[
        int,
        Meta(ge=3, le=20000),
        about("Candles of the regression; with kalman those before it is trusted."),
    ] = 720
    z_lookback: Annotated[
        int, Meta(ge=2, le=20000), about("Candles whose spreads give mean and deviation.")
    ] = 720
    most_missing: Annotated[
        Missing,
        about(
            "Part of a lookback that may lack a candle of either leg, and is left out; with more "
            "missing the pair is unknown."
        ),
    ] = 0.02
    drift: Annotated[
        PositiveFraction,
        about(
            "With kalman, variance by which intercept and ratio wander each candle, as part of the "
            "variance of the noise around them."
        ),
    ] = 1e-6

    @property
    def candles_to_hedge(self) -> int:
        """How many candles come before the first spread."""
        return 0 if self.model == "ratio" else self.lookback

    @property
    def rows_needed(self) -> int:
        """How many candles a z-score needs, the current one included."""
        return self.candles_to_hedge + self.z_lookback + 1


class HalfLife(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the time in which a spread goes half of the way back to its mean."""

    least: Annotated[NotNegative, about("Shortest, in candles.")] = 1.0
    most: Annotated[NotNegative, about("Longest, in candles.")] = 720.0

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        wrong = self.least > self.most
        return [("least", f"must not exceed most, which is {self.most:g}")] if wrong else []


class Cointegration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tests whether a spread of two instruments comes back, on past candles."""

    test: Annotated[
        Literal["engle_granger", "johansen"],
        about(
            "engle_granger: residuals of ln(a) on ln(b), p-values of MacKinnon. johansen: trace "
            "statistic, at level 0.1, 0.05 or 0.01."
        ),
    ] = "engle_granger"
    level: Annotated[Level, about("Largest p-value at which they count as cointegrated.")] = 0.05
    lags: Lags = 4
    lookback: Annotated[TestedCandles, about("Candles that are tested.")] = 720
    every: Annotated[TimeSpan, about("How often it is tested again.")] = "1d"

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = []
        if self.test == "johansen" and self.level not in JOHANSEN_LEVELS:
            problems.append(("level", "must be 0.1, 0.05 or 0.01 with test: johansen"))
        if self.test == "johansen" and not self.lags:
            problems.append(("lags", "must be at least 1 with test: johansen"))
        return problems + _too_short("lookback", self.lookback, self.lags)


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Selects pairs on a formation window, and again on a schedule."""

    formation: Annotated[TestedCandles, about("Candles on which pairs are selected.")] = 2160
    every: Annotated[TimeSpan, about("How often they are selected.")] = "30d"
    level: Annotated[Level, about("Largest p-value of Engle and Granger's test, corrected.")] = 0.05
    correction: Annotated[
        Correction,
        about(
            "For the number of pairs tested. none: a twentieth of all unrelated pairs passes at "
            "0.05. bonferroni: hardly any false pair. benjamini_hochberg: at most the level's part "
            "of those chosen is false, on average."
        ),
    ] = "benjamini_hochberg"
    lags: Lags = 4
    min_correlation: Annotated[
        Correlation | None,
        about(
            "Least correlation of the legs' returns; others are not tested, and do not count for "
            "the correction; null: any."
        ),
    ] = None
    half_life: Annotated[
        HalfLife | None, about("Bounds of the half-life on the formation window; null: any.")
    ] = None
    most_missing: Annotated[
        Missing,
        about(
            "Part of the candles that an instrument may lack; a gap counts as the close before. "
            "With more missing, or without the first, it is in no pair."
        ),
    ] = 0.02
    most_pairs: Annotated[Count, about("Most pairs that are chosen, smallest p-value first.")] = 10
    most_per_instrument: Annotated[Count, about("Most chosen pairs that share an instrument.")] = 2

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        return _too_short("formation", self.formation, self.lags)


def _too_short(field: str, candles: int, lags: int) -> list[tuple[str, str]]:
    least = 10 * (lags + 1)
    return [(field, f"must be at least {least} with such lags")] if candles < least else []
