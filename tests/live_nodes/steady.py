"""A strategy for tests of live nodes: the first half of its names long, the rest short."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.history import Window


class SteadyConfig(PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As of any rebalancer."""


class Steady(PanelRebalancer):
    """Scores fall with the name, whatever the candles say."""

    Config = SteadyConfig

    @staticmethod
    def rows_for_scores(config: Any) -> int:
        return 1

    @staticmethod
    def scores(config: Any, window: Window) -> NDArray[np.float64]:
        count = window.close.shape[1]
        known = ~np.isnan(window.close[-1])
        return np.where(known, np.arange(count, 0, -1, dtype=float), np.nan)
