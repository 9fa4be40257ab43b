"""Cross-sectional momentum: buy what rose most against the others, sell what fell most.

Documented for stocks by Jegadeesh and Titman (1993), "Returns to Buying Winners and Selling
Losers", and for coins by Liu, Tsyvinski and Wu (2022), "Common Risk Factors in Cryptocurrency".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from config.parameter_types import about
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig, at_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from strategies.rebalance.history import Window


class XSMomentumConfig(
    PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Parameters of the momentum, beside those of every rebalancer."""

    lookbacks: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=5000)], ...],
        Meta(
            min_length=1,
            extra_json_schema={"uniqueItems": True},
            description="Candles over which past returns are taken, one or more.",
        ),
    ] = (12, 24, 48, 96)
    lookback_weights: Annotated[
        tuple[Annotated[float, Meta(ge=0.0)], ...] | None,
        about("How much each lookback counts, in their order; null: all alike."),
    ] = None
    skip: Annotated[int, Meta(ge=0, le=1000, description="Newest candles that are left out.")] = 0
    past_returns: Annotated[
        Literal["total", "mean"],
        about(
            "total: from the first price to the last. mean: mean of the candles' returns, in which "
            "one large move counts only once."
        ),
    ] = "total"
    volatility_adjusted: Annotated[
        bool, about("Divide the returns by the volatility over volatility_lookback.")
    ] = False
    winsorize: Annotated[
        float,
        Meta(
            ge=0.0,
            le=0.25,
            description="Part of the instruments at either end whose return counts as the one at "
            "its border, so that a single jump does not outweigh all others; 0 = off.",
        ),
    ] = 0.025
    power: Annotated[
        float,
        Meta(gt=0.0, le=4.0, description="Exponent of the forecast; above 1 favours its extremes."),
    ] = 1.0
    forecast_cap: (
        Annotated[
            float,
            Meta(
                gt=0.0,
                le=100.0,
                description="Largest forecast, in mean absolute forecasts; null: any.",
            ),
        ]
        | None
    ) = 2.0

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        weights, count = self.lookback_weights, len(self.lookbacks)
        if weights is not None and len(weights) != count:
            problems.append(("lookback_weights", f"must be {count} numbers, one a lookback"))
        elif weights is not None and not any(weights):
            problems.append(("lookback_weights", "must not all be zero"))
        return problems


class XSMomentum(PanelRebalancer):
    """Cross-sectional momentum: the score is the forecast of several past returns."""

    Config: ClassVar[type[XSMomentumConfig]] = XSMomentumConfig

    @staticmethod
    def rows_for_scores(config: XSMomentumConfig) -> int:
        """Return the number of candles from the longest return's first price to the newest."""
        rows = max(config.lookbacks) + config.skip + 1
        return max(rows, config.volatility_lookback + 1) if config.volatility_adjusted else rows

    @staticmethod
    @at_once
    def scores(config: XSMomentumConfig, window: Window) -> NDArray[np.float64]:
        """Return the combined forecast; see `momentum_forecast`."""
        # Documents are checked without NumPy.
        from strategies.signals.momentum import momentum_forecast, past_returns

        returns = past_returns(
            window.close,
            config.lookbacks,
            config.skip,
            kind=config.past_returns,
            volatility_lookback=config.volatility_lookback if config.volatility_adjusted else None,
        )
        return momentum_forecast(
            returns,
            config.lookback_weights or (1.0,) * len(config.lookbacks),
            winsorize=config.winsorize,
            power=config.power,
            cap=config.forecast_cap,
        )
