"""A strategy for tests: scores that use every array of a window."""

import numpy as np

from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig


class EveryArrayConfig(
    PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Uses the range of candles and funding."""

    rows: int = 4
    wants_range = True
    wants_funding = True


class EveryArray(PanelRebalancer):
    """Scores by what settled in the window, and by where the closes lie in the candles' ranges."""

    Config = EveryArrayConfig

    @staticmethod
    def rows_for_scores(config):
        return config.rows

    @staticmethod
    def scores(config, window):
        assert all(
            getattr(window, name).flags.c_contiguous for name in ("open", "high", "low", "funding")
        )
        paid = np.nansum(window.funding, axis=0)
        body = (window.close - window.open).sum(axis=0)
        return body / (window.high - window.low).sum(axis=0) - 1e3 * paid
