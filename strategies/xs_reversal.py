"""Cross-sectional reversal: buy the largest relative losers, sell the largest winners.

The one-candle reversal of relative returns is documented for stocks by Lehmann (1990), "Fads,
Martingales, and Market Efficiency", and Jegadeesh (1990), "Evidence of Predictable Behavior of
Security Returns".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta

from config.parameter_types import Count, about
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig, at_once
from strategies.signals.past_return import past_return

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from strategies.rebalance.history import Window


class XSReversalConfig(
    PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Parameters of the reversal, beside those of every rebalancer."""

    lookback: Annotated[Count, about("Candles over which the past return is taken.")] = 1
    skip: Annotated[int, Meta(ge=0, le=1000, description="Newest candles that are left out.")] = 0


class XSReversal(PanelRebalancer):
    """Cross-sectional reversal: the score is minus the past return."""

    Config: ClassVar[type[XSReversalConfig]] = XSReversalConfig

    @staticmethod
    def rows_for_scores(config: XSReversalConfig) -> int:
        """Return the number of candles from the return's first price to the newest."""
        return config.lookback + config.skip + 1

    @staticmethod
    @at_once
    def scores(config: XSReversalConfig, window: Window) -> NDArray[np.float64]:
        """Return minus the return of the last ``lookback`` candles before the ``skip`` newest."""
        return -past_return(window.close, config.lookback, config.skip)
