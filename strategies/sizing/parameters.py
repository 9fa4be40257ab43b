"""Parameters of a book's size; declared here, without NumPy, so that documents check at once.

`strategies.sizing.book` documents in which order they apply.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from config.parameter_types import Multiple, PositiveFraction, Returns, about

CovarianceEstimator = Literal["ledoit_wolf", "oas"]


class Covariance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the returns' covariance is estimated, wherever one is needed."""

    estimator: Annotated[
        CovarianceEstimator, about("Shrinkage of scikit-learn: ledoit_wolf or oas.")
    ] = "ledoit_wolf"
    lookback: Annotated[
        Returns,
        about(
            "Returns, in candles, also for correlations and betas; an instrument with a candle "
            "missing among them is left out."
        ),
    ] = 72


class VolatilityTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scales the whole book down to a volatility; gross_leverage is its largest size."""

    annual: Annotated[Multiple, about("Largest volatility of the book in a year of 365 days.")] = (
        0.24
    )


class Kelly(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scales the whole book to part of its growth-optimal size; gross_leverage is its cap."""

    fraction: Annotated[PositiveFraction, about("Part of the growth-optimal size.")] = 0.5
    information_coefficient: Annotated[
        PositiveFraction,
        about("Correlation that you expect of scores with returns until the next rebalance."),
    ] = 0.05


class ClusterCap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps what is held, on one side, of instruments that move together."""

    correlation: Annotated[
        float,
        Meta(ge=0.0, lt=1.0, description="In a cluster every two correlate above this."),
    ] = 0.8
    max_weight: Annotated[
        Multiple, about("Largest sum of long weights, and of short ones, in a cluster.")
    ] = 0.4


class Neutral(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shrinks the heavier side of the book until its net exposure is small enough."""

    by: Annotated[
        Literal["currency", "beta"],
        about(
            "currency: longs minus shorts. beta: the same, each times its beta to the mean return "
            "of the eligible instruments."
        ),
    ] = "currency"
    max_net: Annotated[
        float, Meta(ge=0.0, le=10.0, description="Largest net exposure, of equity.")
    ] = 0.0
