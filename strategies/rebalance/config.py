"""Parameters and scores of a strategy that ranks a universe; no engine."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from msgspec import Meta

from config.durations import CLOCK, Interval, duration_ns, offset_ns
from config.parameter_types import (
    Fraction,
    Lookback,
    Multiple,
    NotNegative,
    PositiveFraction,
    Returns,
    TimeSpan,
    about,
)
from strategies.desk_config import DeskStrategyConfig
from strategies.rebalance.blocks import Hold, LossExit, LossStreak, Partial
from strategies.signals.parameters import (
    AdxFilter,
    Bands,
    FundingFilter,
    HoursFilter,
    MajorsGate,
    MarketTrend,
    Names,
    Regime,
    SlopeFilter,
    SymbolRecord,
)
from strategies.sizing import Side, VolatilityEstimator, Weighting
from strategies.sizing.parameters import ClusterCap, Covariance, Kelly, Neutral, VolatilityTarget
from strategies.sizing.rounding import Minimum

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from strategies.rebalance.history import Window


class PanelRebalancerConfig(
    DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Parameters of a strategy that ranks a universe on a schedule and rebalances to weights."""

    interval: Annotated[Interval, about("Candles that are ranked.")] = "1d"
    every: Annotated[TimeSpan, about("Time between rebalances, such as 5m, 8h, 1d, 7d.")] = "1d"
    at: Annotated[
        str,
        Meta(
            pattern=CLOCK,
            description='Offset from the start of each period, "HH:MM" or "HH:MM:SS" UTC. "00:00" '
            "decides as the candle closes; live candles need a moment to arrive, so allow some.",
        ),
    ] = "00:05"
    side: Annotated[
        Side,
        about(
            "long_short: best long, worst short; long_only: best long; by_sign: positive scores "
            "long, negative short, one side alone if need be."
        ),
    ] = "long_short"
    fraction: Annotated[
        PositiveFraction, about("Part of the eligible held on each side; 0.2 = a fifth.")
    ] = 0.2
    weighting: Annotated[
        Weighting,
        about(
            "equal, inverse_volatility, risk_parity, rank or zscore; risk: by the distance from "
            "the stop, for a strategy whose scores know it."
        ),
    ] = "equal"
    volatility_lookback: Annotated[
        Returns, about("Returns, in candles, for inverse_volatility.")
    ] = 20
    volatility_estimator: Annotated[
        VolatilityEstimator,
        about(
            "For inverse_volatility: from closes (sample, or ewma, in which newer ones count more) "
            "or from the range of candles (parkinson, garman_klass)."
        ),
    ] = "sample"
    volatility_half_life: Annotated[
        float,
        Meta(gt=0.0, le=5000.0, description="Candles after which a return counts half, for ewma."),
    ] = 11.0
    gross_leverage: Annotated[
        Multiple,
        about("Largest sum of absolute weights, in units of equity; times allocation."),
    ] = 1.0
    max_weight: Annotated[Multiple, about("Largest weight of one instrument, of equity.")] = 0.2
    covariance: Annotated[
        Covariance, about("How covariances are estimated, where one is needed.")
    ] = Covariance()
    volatility_target: Annotated[
        VolatilityTarget | None,
        about("Shrinks the whole book to a volatility, from gross_leverage down."),
    ] = None
    kelly: Annotated[
        Kelly | None, about("Shrinks the whole book to part of its growth-optimal size.")
    ] = None
    cluster_cap: Annotated[
        ClusterCap | None, about("Caps what one side holds of what moves together.")
    ] = None
    neutral: Annotated[
        Neutral | None, about("Shrinks the heavier side until the net exposure is small enough.")
    ] = None
    allocation: Annotated[PositiveFraction, about("Part of equity that this strategy manages.")] = (
        1.0
    )
    no_trade_band: Annotated[
        Fraction,
        about(
            "Smallest change of weight worth an order, of equity. Smaller cuts are made, largest "
            "first, where entries would exceed gross_leverage with what is held; exits always."
        ),
    ] = 0.0
    min_turnover: Annotated[
        NotNegative, about("Least mean turnover a day, settlement currency; 0 = any.")
    ] = 0.0
    turnover_lookback: Annotated[Lookback, about("Candles over which turnover is averaged.")] = 20
    min_price: Annotated[NotNegative, about("Lowest price, settlement currency; 0 = any.")] = 0.0
    min_age_days: Annotated[NotNegative, about("Days since the listing; 0 = any.")] = 0.0
    max_spread_bps: Annotated[
        NotNegative,
        about(
            "Widest spread at the decision, basis points of the mid; 0 = any. Candles know none: "
            "in a backtest on candles this is not applied, and the decision says so."
        ),
    ] = 0.0
    min_depth: Annotated[
        NotNegative,
        about(
            "Least value displayed within depth_bps of the mid on the thinner side, settlement "
            "currency; 0 = any. As above for candles."
        ),
    ] = 0.0
    depth_bps: Annotated[
        float,
        Meta(
            gt=0.0,
            le=1000.0,
            description="How far from the mid depth is counted, basis points; quotes (paper, "
            "backtests on quotes) show no more than the best prices.",
        ),
    ] = 10.0
    exclude: Annotated[tuple[str, ...], about("Ids or patterns of ids that are never traded.")] = ()
    top_n: (
        Annotated[int, Meta(ge=2, description="Keep only the N with the most turnover; null: all.")]
        | None
    ) = None
    exchange_minimum: Annotated[
        Minimum,
        about(
            "An order below the exchange's minimum: skip it, raise it unless max_weight would be "
            "exceeded (respect_cap), or raise it (force_exchange_min)."
        ),
    ] = "skip"
    flatten_on_empty_targets: Annotated[
        bool, about("With nothing to hold, close everything (true) or keep what is held.")
    ] = True

    names: Annotated[
        Names | None,
        about("Number held a side, by dispersion, in place of fraction; null: fraction."),
    ] = None
    bands: Annotated[
        Bands | None, about("Thresholds of scores to enter and to exit; null: none.")
    ] = None
    regime: Annotated[
        Regime | None, about("Hold own trends in place of scores in some markets; null: never.")
    ] = None
    majors_gate: Annotated[
        MajorsGate | None, about("Hold less while majors go nowhere; null: off.")
    ] = None
    market_trend: Annotated[
        MarketTrend | None, about("Skip, scale or flip in a strong trend; null: off.")
    ] = None
    adx_filter: Annotated[
        AdxFilter | None, about("Limits on an instrument's own ADX; null: off.")
    ] = None
    slope_filter: Annotated[
        SlopeFilter | None, about("Least slope of an instrument's exponential average; null: off.")
    ] = None
    hours_filter: Annotated[
        HoursFilter | None, about("Hours in which to hold anything; null: all.")
    ] = None
    funding_filter: Annotated[
        FundingFilter | None, about("Most funding that a side may pay; null: any.")
    ] = None
    symbol_record: Annotated[
        SymbolRecord | None, about("Pause instruments on which own trades went badly; null: off.")
    ] = None

    partial: Annotated[Partial | None, about("Move toward the target by steps; null: at once.")] = (
        None
    )
    hold: Annotated[Hold | None, about("How long a position is held; null: no limits.")] = None
    loss_exit: Annotated[LossExit | None, about("Exit after a loss at closes; null: none.")] = None
    dropped: Annotated[
        Literal["close", "keep"],
        about(
            "A held name that a filter leaves out: close it, or keep its last weight, which counts "
            "toward the caps."
        ),
    ] = "close"
    turnover_budget: (
        Annotated[
            float,
            Meta(
                gt=0.0,
                le=20.0,
                description="Largest sum of changes of weights at a decision, of equity, exits "
                "apart; all are cut alike. null: any.",
            ),
        ]
        | None
    ) = None
    stop_cooldown: Annotated[
        TimeSpan | None,
        about(
            "No new entry for this long after an exit that no decision asked for, as by a stop or "
            "a guard, or after hold.most, from that exit; null: none."
        ),
    ] = None
    loss_streak: Annotated[LossStreak | None, about("Pause after losing trades; null: none.")] = (
        None
    )

    @property
    def wants_memory(self) -> bool:
        """Whether a decision depends on earlier ones."""
        takes = self.protection is not None and self.protection.take
        steps = self.partial, self.hold, self.loss_exit, self.turnover_budget, self.stop_cooldown
        blocks = *steps, self.loss_streak, self.bands, self.regime, self.symbol_record
        uses = any(block is not None for block in blocks)
        return uses or self.dropped == "keep" or bool(takes)

    @property
    def sleeves(self) -> tuple[Sleeve, ...]:
        """Sleeves of a blend; empty for a strategy with one score an instrument."""
        return ()

    @property
    def votes(self) -> Votes:
        """How the sleeves of a blend are combined."""
        return Votes("sum", 0)

    @property
    def wants_range(self) -> bool:
        """Whether a decision uses open, high and low of candles."""
        if self.adx_filter is not None or self.market_trend is not None:
            return True
        ranges = ("parkinson", "garman_klass")
        return self.weighting == "inverse_volatility" and self.volatility_estimator in ranges

    @property
    def wants_funding(self) -> bool:
        """Whether a decision uses settled funding rates."""
        return self.funding_filter is not None

    @property
    def sells_short(self) -> bool:
        """Whether a decision may sell short, which spot can't."""
        return self.side != "long_only"

    @property
    def wants_covariance(self) -> bool:
        """Whether a decision uses covariances, correlations or betas."""
        by_beta = self.neutral is not None and self.neutral.by == "beta"
        blocks = (self.volatility_target, self.kelly, self.cluster_cap)
        return by_beta or self.weighting == "risk_parity" or blocks != (None, None, None)

    @property
    def wants_liquidity(self) -> bool:
        """Whether spread or depth are limited."""
        return self.max_spread_bps > 0.0 or self.min_depth > 0.0

    @property
    def risk_at_stop(self) -> float | None:
        """Part of equity lost at a position's stop; None where scores know no stop."""
        return None

    @property
    def _holds_the_mean(self) -> bool:
        """Whether all are held long, so that scores about their mean cancel out."""
        by_score = self.weighting in ("rank", "zscore")
        chooses = by_score or self.names is not None or self.bands is not None
        return self.side == "long_only" and self.fraction == 1.0 and not chooses

    @property
    def largest_position(self) -> float:
        """Most value of one position that is aimed at, a multiple of equity."""
        return min(self.max_weight, self.gross_leverage) * self.allocation

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        if offset_ns(self.at) >= duration_ns(self.every):
            problems.append(("at", f"must be below every, which is {self.every}"))
        if self.side == "long_short" and self.fraction > 0.5:
            problems.append(("fraction", "must be at most 0.5 when both sides are held"))
        if self.neutral is not None and not self.sells_short:
            problems.append(("neutral", "needs a side that sells short"))
        if self.kelly is not None and self._holds_the_mean:
            words = "expects no return of all instruments held long: use a fraction below 1"
            problems.append(("kelly", words))
        if self.weighting == "risk":
            flips = self.market_trend is not None and self.market_trend.action == "flip"
            if self.risk_at_stop is None:
                words = "risk is for scores that know their stop, as strategies.mean_reversion has"
                problems.append(("weighting", words))
            if self.regime is not None or flips:
                name = "market_trend" if flips else "regime"
                problems.append((name, "weighting risk needs a stop, and what this holds has none"))
        if self.regime is not None and self.neutral is not None:
            problems.append(("neutral", "own trends, which regime may hold, are not neutral"))
        return problems

    def instruments_named(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return (path below ``params``, id or pattern) for `perpdesk validate` to look for."""
        return [(("exclude", index), name) for index, name in enumerate(self.exclude)]

    def instruments_read(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return (path below ``params``, id) of instruments that must be among the strategy's."""
        named = {
            ("majors_gate", "instruments"): self.majors_gate and self.majors_gate.instruments,
            ("market_trend", "instruments"): self.market_trend and self.market_trend.instruments,
            ("regime", "majors"): self.regime and self.regime.majors,
        }
        return [
            ((*path, index), name)
            for path, names in named.items()
            for index, name in enumerate(names or ())
        ]


def at_once[Scores: Callable[..., Any]](scores: Scores) -> Scores:
    """Mark ``scores`` that also take windows of shape (W, T, N), of T moments at once.

    The result is of shape (T, N), each row as of its moment alone, to the last bit. The screen is
    many times as fast with it. A function that overrides a marked one has no mark of its own.
    """
    scores.at_once = True  # type: ignore[attr-defined]
    return scores


class PanelRebalancer:
    """Base class of reversal and momentum: override `scores` and `rows_for_scores`."""

    Config: ClassVar[type[PanelRebalancerConfig]] = PanelRebalancerConfig
    engine: ClassVar[str] = "strategies.rebalance.rebalancer:Rebalancer"
    """Address of the engine's strategy class that runs it."""

    @staticmethod
    @abstractmethod
    def rows_for_scores(config: Any) -> int:
        """Return how many candles the scores need, the newest included.

        ``config`` is of the derived class's own ``Config``.
        """

    @staticmethod
    @abstractmethod
    def scores(config: Any, window: Window) -> NDArray[np.float64]:
        """Return a score for each instrument from its candles; higher is bought, lower sold.

        Return an array of floats of shape (N,), NaN where history is too short; that of a blend has
        shape (K, N), a row a sleeve. The function must be pure: the screen calls it on windows cut
        from a panel. ``window`` has the candles that are complete at the decision; its arrays are
        shared with what sizes positions, and read-only: copy first what you change, such as
        ``window.close.copy()``. ``config`` is of the derived class's own ``Config``, whose
        ``wants_range`` and ``wants_funding`` say which arrays there are beside close and volume.
        """

    @classmethod
    @at_once
    def scored(cls, config: Any, window: Window) -> Scored:
        """Return the scores with the times of their entries; override where these are known.

        Such a config ``wants_memory``.
        """
        return Scored(cls.scores(config, window))


class Scored(NamedTuple):
    """Scores of a decision, shape (N,), and since when each is a position.

    ``entered`` are close times of the candles of the entries, UNIX nanoseconds (UTC); None where
    scores are no positions. What a stop, a guard or a limit of the rules has closed since is not
    entered again. Those of a blend have a row a sleeve.
    """

    score: NDArray[np.float64]
    entered: NDArray[np.int64] | None = None


class Votes(NamedTuple):
    """How a blend is combined; ``prior`` decisions count as much as the weights given."""

    by: Literal["sum", "majority", "performance"]
    prior: int


class Sleeve(NamedTuple):
    """One scorer of a blend: its name, its part of the gross, its class and all its parameters."""

    name: str
    part: float
    ranking: type[PanelRebalancer]
    rules: PanelRebalancerConfig
