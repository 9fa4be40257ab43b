"""Mean reversion of single instruments: back to the middle of Bollinger bands, or to the VWAP.

Each instrument is entered, left and stopped by its own candles, whatever the others do. Which
positions are held is found from the window alone (`strategies.signals.mean_reversion`). The bands
are those of Bollinger (2001), "Bollinger on Bollinger Bands", the RSI that of Wilder (1978).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta

from config.durations import DAY_NS, duration_ns, interval_ns
from config.parameter_types import (
    Lookback,
    Multiple,
    PositiveFraction,
    RangeLength,
    Returns,
    UpToHundred,
    about,
)
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig, Scored
from strategies.sizing import Weighting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from strategies.rebalance.history import Window
    from strategies.signals.mean_reversion import Marks

    Floats = NDArray[np.float64]

Distance = Annotated[float, Meta(gt=0.0, lt=1.0)]
VolumeMultiple = Annotated[float, Meta(ge=0.0, le=1000.0)]


class ReversionConfig(PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of both mean reversions, beside those of every rebalancer."""

    side: Annotated[
        Literal["by_sign"],
        about("by_sign: long what has fallen too far, short what has risen too far."),
    ] = "by_sign"
    fraction: Annotated[
        PositiveFraction, about("Part of the positions held on each side; 1 = all.")
    ] = 1.0
    weighting: Annotated[
        Weighting, about("risk: by the distance from the stop; or as of every rebalancer.")
    ] = "risk"
    risk: Annotated[
        PositiveFraction,
        about("Fraction of equity that a position loses at its stop, for weighting risk."),
    ] = 0.01
    volume_lookback: Annotated[
        Lookback, about("Candles before, with whose mean volume is compared.")
    ] = 20
    cooldown: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="Candles after a stop, or after a break on volume while flat, in which "
            "nothing is entered; nor is anything until the price came back inside.",
        ),
    ] = 5
    history: Annotated[
        Lookback,
        about(
            "Candles back to which entries and stops are known; what was entered before is left "
            "unless it is entered again."
        ),
    ] = 120

    @property
    def risk_at_stop(self) -> float | None:
        """Part of equity lost at a position's stop."""
        return self.risk

    @property
    def wants_memory(self) -> bool:
        """Whether a decision depends on earlier ones: what a stop closed is not entered again."""
        return True

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        if self.bands is not None:
            problems.append(("bands", "are for scores that rank; these have levels of their own"))
        most = None if self.hold is None else self.hold.most
        if most is not None and duration_ns(most) > self.history * interval_ns(self.interval):
            problems.append(("history", f"must reach back as far as hold.most, which is {most}"))
        return problems


class BollingerReversionConfig(
    ReversionConfig, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Parameters of the reversion to the middle band, beside those of both."""

    lookback: Annotated[Returns, about("Candles of the bands.")] = 20
    width: Annotated[Multiple, about("Distance of the bands, in standard deviations.")] = 2.0
    rsi_length: Annotated[RangeLength, about("Candles of the RSI.")] = 14
    enter_rsi: Annotated[
        float,
        Meta(gt=0.0, le=101.0, description="RSI below which a long is entered; 101 = any."),
    ] = 30.0
    leave_rsi: Annotated[
        UpToHundred,
        about(
            "RSI above which it is left, if not at the middle band; 100 = never. Shorts count the "
            "RSI from 100."
        ),
    ] = 50.0
    stop_width: Annotated[
        Multiple,
        about(
            "Distance of the stop beyond the band, in standard deviations; nothing is entered "
            "there."
        ),
    ] = 1.0
    stop_volume: Annotated[
        VolumeMultiple, about("Only volume above this multiple stops; 0 = any.")
    ] = 2.0
    least_distance: Annotated[
        Distance, about("Distance from the stop that sizes count at least, a fraction of price.")
    ] = 0.005

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        if self.leave_rsi < self.enter_rsi <= 100.0:
            text = f"must not be below enter_rsi, which is {self.enter_rsi:g}"
            problems.append(("leave_rsi", text))
        return problems


class VwapReversionConfig(ReversionConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the reversion to the VWAP, beside those of both."""

    average: Annotated[
        Literal["session", "rolling"],
        about("VWAP of the UTC day so far, or of the last lookback candles."),
    ] = "rolling"
    lookback: Annotated[Lookback, about("Candles of the VWAP, for rolling.")] = 24
    deviation: Annotated[Distance, about("Distance from the VWAP beyond which it is entered …")] = (
        0.015
    )
    volume: Annotated[VolumeMultiple, about("… on volume above this multiple; 0 = any.")] = 1.5
    stop: Annotated[
        Distance, about("Distance of the stop beyond the entry's close, a fraction.")
    ] = 0.03

    @property
    def wants_range(self) -> bool:
        """Whether a decision uses open, high and low of candles."""
        return True

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        if self.average == "session" and interval_ns(self.interval) >= DAY_NS:
            problems.append(("average", "session needs candles shorter than a day"))
        return problems


class _Reversion(PanelRebalancer):
    """What both have: a score is 1 over the distance from the stop, negative for a short."""

    stops_at_entry: ClassVar[bool]

    @classmethod
    def marks(cls, config: Any, window: Window, close: Floats) -> Marks:
        """Return what each candle says; ``close`` has its gaps filled."""
        raise NotImplementedError

    @classmethod
    def scores(cls, config: Any, window: Window) -> Floats:
        """Return the scores; see `scored`."""
        return cls.scored(config, window).score

    @classmethod
    def scored(cls, config: Any, window: Window) -> Scored:
        """Return the positions held by the window; see `strategies.signals.mean_reversion`."""
        import numpy as np

        from strategies.rebalance.history import newest
        from strategies.signals.mean_reversion import held_reversions
        from strategies.signals.trend import filled

        # A longer window, as for a volatility, must not change what is remembered.
        window = newest(window, cls.rows_for_scores(config))
        close = filled(window.close)
        held = held_reversions(
            close,
            cls.marks(config, window, close),
            history=config.history,
            cooldown=config.cooldown,
            stops_at_entry=cls.stops_at_entry,
        )
        score = np.where(held.side != 0, held.side / held.distance, np.nan)
        return Scored(score, window.ts - held.age * interval_ns(config.interval))


class BollingerReversion(_Reversion):
    """Reversion to the middle of Bollinger bands, entered outside of them where the RSI agrees."""

    Config: ClassVar[type[BollingerReversionConfig]] = BollingerReversionConfig
    stops_at_entry = False

    @staticmethod
    def rows_for_scores(config: BollingerReversionConfig) -> int:
        """Return how many candles there are from the first one of the oldest averages on."""
        from strategies.signals.oscillators import rows_for_rsi

        before = config.lookback - 1, rows_for_rsi(config.rsi_length) - 1, config.volume_lookback
        return config.history + max(before)

    @classmethod
    def marks(cls, config: BollingerReversionConfig, window: Window, close: Floats) -> Marks:
        """Return what each candle says, by bands, RSI and volume."""
        from strategies.signals.mean_reversion import bollinger_marks, volume_multiple
        from strategies.signals.oscillators import bollinger, rows_for_rsi, rsi

        return bollinger_marks(
            close,
            bollinger(close, config.lookback, config.width),
            rsi(close, config.rsi_length, rows_for_rsi(config.rsi_length)),
            volume_multiple(window.volume, config.volume_lookback) > config.stop_volume,
            enter_rsi=config.enter_rsi,
            leave_rsi=config.leave_rsi,
            stop_width=config.stop_width,
            least_distance=config.least_distance,
        )


class VwapReversion(_Reversion):
    """Reversion to the volume-weighted average price, entered far from it on high volume."""

    Config: ClassVar[type[VwapReversionConfig]] = VwapReversionConfig
    stops_at_entry = True

    @staticmethod
    def rows_for_scores(config: VwapReversionConfig) -> int:
        """Return how many candles there are from the first one of the oldest averages on."""
        a_day = DAY_NS // interval_ns(config.interval)
        back = a_day if config.average == "session" else config.lookback
        return config.history + max(back - 1, config.volume_lookback)

    @classmethod
    def marks(cls, config: VwapReversionConfig, window: Window, close: Floats) -> Marks:
        """Return what each candle says, by VWAP and volume."""
        from strategies.signals.mean_reversion import volume_multiple, vwap_marks
        from strategies.signals.oscillators import rolling_vwap, session_vwap, utc_days

        candles = window.high, window.low, window.close, window.volume
        if config.average == "session":
            days = utc_days(window.ts, interval_ns(config.interval), len(close))
            vwap = session_vwap(*candles, days)
        else:
            vwap = rolling_vwap(*candles, config.lookback)
        return vwap_marks(
            close,
            vwap,
            volume_multiple(window.volume, config.volume_lookback) > config.volume,
            deviation=config.deviation,
            stop=config.stop,
        )
