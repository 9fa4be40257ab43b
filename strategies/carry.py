"""Carry: receive funding, long where shorts pay it and short where longs do.

Documented for coins by Schmeling, Schrimpf and Todorov (2023), "Crypto Carry", and for other assets
by Koijen, Moskowitz, Pedersen and Vrugt (2018), "Carry". Positions are not hedged with spot: where
only one side has instruments, the book moves with the market. Only perpetuals settle funding, so
nothing else is ever traded; the basis between spot and futures is not part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from config.durations import DAY_NS, interval_ns
from config.parameter_types import Count, Lookback, PositiveFraction, UpToHundred, about
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from strategies.rebalance.history import Window


class CarryConfig(PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the carry, beside those of every rebalancer."""

    side: Annotated[
        Literal["by_sign"],
        about("by_sign: long where funding is negative, short where it is positive."),
    ] = "by_sign"
    fraction: Annotated[
        PositiveFraction, about("Part of those worth receiving, on each side; 1 = all.")
    ] = 1.0
    lookback: Annotated[Lookback, about("Candles over which the mean funding rate is taken.")] = 72
    enter: Annotated[UpToHundred, about("Mean funding a year from which it is received …")] = 0.15
    leave: Annotated[UpToHundred, about("… until the mean is below this.")] = 0.08
    same_sign: Annotated[
        int,
        Meta(ge=0, le=1000, description="Least settlements that would have been received …"),
    ] = 5
    same_sign_of: Annotated[
        Count, about("… of so many before an entry; those of one candle count as one.")
    ] = 6
    own_percentile: Annotated[
        PositiveFraction | None,
        about(
            "At an entry, the mean's size is at least this quantile of the instrument's own means "
            "in the history, such as 0.8; null: any."
        ),
    ] = None
    history: Annotated[
        int,
        Meta(
            ge=1,
            le=20000,
            description="Candles back to which entries are known; older ones are forgotten, and "
            "what they entered is left unless it is entered again.",
        ),
    ] = 720

    @property
    def wants_funding(self) -> bool:
        """Whether a decision uses settled funding rates."""
        return True

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        if self.leave > self.enter:
            problems.append(("leave", f"must not exceed enter, which is {self.enter:g}"))
        if self.same_sign > self.same_sign_of:
            problems.append(
                ("same_sign", f"must not exceed same_sign_of, which is {self.same_sign_of}")
            )
        if self.history < self.lookback:
            problems.append(("history", f"must not be below lookback, which is {self.lookback}"))
        return problems


class Carry(PanelRebalancer):
    """Carry: the score is minus the mean funding rate a year, where it is worth receiving."""

    Config: ClassVar[type[CarryConfig]] = CarryConfig

    @staticmethod
    def rows_for_scores(config: CarryConfig) -> int:
        """Return the number of candles from the oldest mean's first one to the newest."""
        return config.lookback + config.history

    @staticmethod
    def scores(config: CarryConfig, window: Window) -> NDArray[np.float64]:
        """Return minus the mean funding rate a year; see `strategies.signals.carry`."""
        from strategies.signals.carry import carry

        return carry(
            # A longer window, as for a volatility, must not change what is remembered.
            window.funding[-Carry.rows_for_scores(config) :],
            lookback=config.lookback,
            candles_a_year=365 * DAY_NS / interval_ns(config.interval),
            enter=config.enter,
            leave=config.leave,
            same_sign=config.same_sign,
            same_sign_of=config.same_sign_of,
            own_percentile=config.own_percentile,
        )
