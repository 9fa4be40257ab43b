"""Guards on how much is held, in what, and how near liquidation is."""

from __future__ import annotations

from typing import ClassVar

from actors.guard import Guard
from actors.rules import asset_caps, cluster_caps, exposure_caps, position_cap
from actors.rules.params import GuardParams
from actors.rules.rule import Rule


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
