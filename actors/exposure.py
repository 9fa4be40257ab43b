"""Guards on how much is held, in what, how near liquidation is, and how alike and wild it is."""

from __future__ import annotations

from typing import ClassVar

from actors.desk.guard import Guard
from actors.guards import (
    asset_caps,
    cluster_caps,
    correlation,
    exposure_caps,
    free_margin,
    liquidation_distance,
    position_cap,
    volatility,
)
from actors.guards.core.guard import Rule
from actors.guards.core.params import GuardParams


class PositionCap(Guard):
    """Keeps each instrument's position below a value: a share of equity, an amount, or both.

    An entry that could reach the cap with what is already under way is refused before it leaves.
    A position that grew over it by its price may only be reduced until it is smaller.
    """

    Config: ClassVar[type[GuardParams]] = position_cap.PositionCapParams
    rule: ClassVar[Rule] = position_cap.RULE


class ExposureCaps(Guard):
    """Keeps gross value, net value and leverage of the desk, or of each strategy, below caps.

    An entry that could reach a cap with what is already under way is refused before it leaves.
    """

    Config: ClassVar[type[GuardParams]] = exposure_caps.ExposureCapsParams
    rule: ClassVar[Rule] = exposure_caps.RULE


class AssetCaps(Guard):
    """Keeps what is held of one coin below a share of equity, spot and perpetuals together.

    An entry that could reach the cap with what is already under way is refused before it leaves.
    """

    Config: ClassVar[type[GuardParams]] = asset_caps.AssetCapsParams
    rule: ClassVar[Rule] = asset_caps.RULE


class ClusterCaps(Guard):
    """Keeps what is held of instruments that move together below a share of equity.

    An entry that could reach the cap with what is already under way is refused before it leaves.
    """

    Config: ClassVar[type[GuardParams]] = cluster_caps.ClusterCapsParams
    rule: ClassVar[Rule] = cluster_caps.RULE


class FreeMargin(Guard):
    """Keeps a part of the equity free of initial margin.

    An entry that could use it up with what is already under way is refused before it leaves.
    """

    Config: ClassVar[type[GuardParams]] = free_margin.FreeMarginParams
    rule: ClassVar[Rule] = free_margin.RULE


class LiquidationDistance(Guard):
    """Keeps prices a least move away from the one at which the venue liquidates the account."""

    Config: ClassVar[type[GuardParams]] = liquidation_distance.LiquidationDistanceParams
    rule: ClassVar[Rule] = liquidation_distance.RULE


class Correlation(Guard):
    """Stops entries while legs of a pair, or any two positions of the book, move as one."""

    Config: ClassVar[type[GuardParams]] = correlation.CorrelationParams
    rule: ClassVar[Rule] = correlation.RULE


class Volatility(Guard):
    """Stops entries in markets that move too much, or too little: each by itself, or all by one."""

    Config: ClassVar[type[GuardParams]] = volatility.VolatilityParams
    rule: ClassVar[Rule] = volatility.RULE
