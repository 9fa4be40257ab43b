"""Parameters of the scalper's eight order-book signals and of their fusion; without NumPy.

Each signal's file says how it uses them. Times are seconds of the exchange's clock; distances are
in ticks or, where "volatilities" are named, in standard deviations of the mid price over that time,
as `volatility_regime` measures them, so one set fits calm and wild symbols.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from config.parameter_types import Fraction, PositiveFraction, about

SIGNALS = (
    "book_imbalance",
    "micro_momentum",
    "pull_replace",
    "large_trades",
    "sweep",
    "iceberg",
    "vwap_deviation",
    "volatility_regime",
)
"""Names of the signals, in the order of every array of scores and weights."""
REGIMES = ("low", "normal", "high", "extreme")

Seconds = Annotated[float, Meta(ge=0.001, le=86_400.0)]
Moment = Annotated[float, Meta(ge=0.0, le=1.0)]
Quantile = Annotated[float, Meta(ge=0.5, lt=1.0)]
Ratio = Annotated[float, Meta(gt=0.0, le=100.0)]
Amount = Annotated[int, Meta(ge=1, le=10_000)]
Problems = list[tuple[str, str]]


class BookImbalance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Depth-weighted imbalance of bids and asks, its change and the micro-price's pressure."""

    decay: Annotated[
        float, Meta(gt=0.0, le=1.0), about("Weight of each level, as part of that before it.")
    ] = 0.8
    smooth_s: Annotated[Seconds, about("Time over which the imbalance is averaged.")] = 0.25
    change_s: Annotated[Seconds, about("Its change is measured over about this time.")] = 1.0
    change_scale: Annotated[
        Ratio, about("Change of the imbalance a second that scores three quarters.")
    ] = 0.5
    change_share: Annotated[Fraction, about("Part of the score that the change has.")] = 0.3
    micro_share: Annotated[Fraction, about("Part that the micro-price's pressure has.")] = 0.2

    def check(self) -> Problems:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = []
        if self.smooth_s >= self.change_s:
            problems.append(("smooth_s", f"must be below change_s, which is {self.change_s:g}"))
        if self.change_share + self.micro_share > 1.0:
            problems.append(("micro_share", "must not exceed 1 together with change_share"))
        return problems


class MicroMomentum(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fast against slow average of the mid, gated by volatility, confirmed by trades."""

    fast_s: Annotated[Seconds, about("Time of the fast average.")] = 1.0
    slow_s: Annotated[Seconds, about("Time of the slow average.")] = 5.0
    flow_s: Annotated[Seconds, about("Time over which bought and sold sizes are compared.")] = 10.0
    scale: Annotated[
        Ratio, about("Distance of the averages, in volatilities, that scores three quarters.")
    ] = 2.0
    least_ratio: Annotated[
        Ratio, about("No score while volatility is below this multiple of its usual.")
    ] = 0.25
    most_ratio: Annotated[Ratio, about("No score while volatility is above this multiple.")] = 6.0

    def check(self) -> Problems:
        """Return (field, message) for each parameter that does not go with the others."""
        return _rising(self, ("fast_s", "slow_s"), ("least_ratio", "most_ratio"))


class PullReplace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Large orders away from the best price that vanish before they trade."""

    usual_s: Annotated[Seconds, about("Time over which sizes of new orders are remembered.")] = (
        600.0
    )
    quantile: Annotated[Quantile, about("An order is large from this quantile of them …")] = 0.998
    multiple: Annotated[Ratio, about("… and from this multiple of their median.")] = 15.0
    part: Annotated[
        PositiveFraction,
        about("Pulled: at least this part of its size, at most its size over this, goes at once."),
    ] = 0.7
    life_s: Annotated[Seconds, about("An order that stood longer was meant.")] = 20.0
    match_s: Annotated[
        Seconds, about("Trades up to so long after a decrease of the book explain it.")
    ] = 0.1
    decay_s: Annotated[Seconds, about("Time in which the score fades.")] = 3.0
    scale: Annotated[Ratio, about("Size pulled, in large orders, that scores three quarters.")] = (
        1.0
    )
    least_orders: Annotated[Amount, about("New orders seen before it scores.")] = 500


class LargeTrades(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bursts of large market orders, mostly of one side."""

    usual_s: Annotated[Seconds, about("Time over which sizes of orders are remembered.")] = 900.0
    quantile: Annotated[Quantile, about("An order is large from this quantile of them …")] = 0.9
    multiple: Annotated[Ratio, about("… and from this multiple of their median.")] = 4.0
    join_s: Annotated[Moment, about("Trades of one side at most so far apart are one order.")] = 0.0
    decay_s: Annotated[Seconds, about("Time in which a large order is forgotten.")] = 4.0
    burst: Annotated[
        Ratio, about("A burst has more large orders than this multiple of their usual number …")
    ] = 3.0
    scale: Annotated[Ratio, about("… and a number further by so many times scores 0.63.")] = 1.0
    least_orders: Annotated[Amount, about("Orders seen before it scores.")] = 100


class Sweep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One aggressor that clears several levels within milliseconds."""

    within_s: Annotated[
        Moment, about("Time from its first trade to its last; fills of one order have one time.")
    ] = 0.0
    levels: Annotated[Amount, about("Prices it has to clear.")] = 7
    least_move: Annotated[
        Ratio, about("Distance that it has to go, in volatilities of one second.")
    ] = 1.5
    decay_s: Annotated[Seconds, about("Time in which the score fades.")] = 2.0
    scale: Annotated[Ratio, about("Further volatilities that score 0.82.")] = 2.0


class Iceberg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """More traded at a price than it showed, and it is shown again."""

    refill_s: Annotated[
        Seconds, about("Time in which a price that was taken shows a new size.")
    ] = 0.05
    refills: Annotated[Amount, about("Refills from which it is an iceberg.")] = 3
    beyond: Annotated[
        Ratio, about("Traded there, as a multiple of the largest size shown since it was taken.")
    ] = 1.5
    decay_s: Annotated[Seconds, about("Time since the last refill in which the score fades.")] = (
        10.0
    )
    scale: Annotated[Ratio, about("Further refills that score 0.63.")] = 2.0


class VwapDeviation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Distance of the mid from the volume-weighted average price; expects it to come back."""

    window_s: Annotated[Seconds, about("Time of the average.")] = 60.0
    scale: Annotated[Ratio, about("Distance, in volatilities, that scores three quarters.")] = 2.0


class VolatilityRegime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Volatility now against its usual: low, normal, high or extreme; it takes no side."""

    sample_s: Annotated[Seconds, about("Time between two mids whose difference is taken.")] = 1.0
    short_s: Annotated[
        Seconds, about("Time of the volatility now; a silence as long begins anew.")
    ] = 60.0
    long_s: Annotated[Seconds, about("Time of the usual volatility.")] = 3_600.0
    warm_s: Annotated[Seconds, about("Time before the regime is known.")] = 120.0
    low: Annotated[Ratio, about("Low below this multiple of the usual.")] = 0.6
    high: Annotated[Ratio, about("High from this multiple.")] = 1.6
    extreme: Annotated[Ratio, about("Extreme from this multiple.")] = 3.0
    floor_ticks: Annotated[
        Ratio, about("Least volatility of a second, in ticks: a price that stands has none.")
    ] = 0.1

    def check(self) -> Problems:
        """Return (field, message) for each parameter that does not go with the others."""
        return _rising(
            self,
            ("sample_s", "short_s", "long_s"),
            ("short_s", "warm_s"),
            ("low", "high", "extreme"),
        )


class ScalperSignals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The eight order-book signals of the scalper."""

    levels: Annotated[
        int,
        Meta(ge=1, le=50),
        about(
            "Levels of each side that the signals read. With 20, pull_replace finds 69 of 72 "
            "planted bluffs in place of 62, gives 4 alarms in place of 1 in six minutes of a real "
            "book of BTC, and an event takes 4 % longer."
        ),
    ] = 10
    book_imbalance: BookImbalance = BookImbalance()
    micro_momentum: MicroMomentum = MicroMomentum()
    pull_replace: PullReplace = PullReplace()
    large_trades: LargeTrades = LargeTrades()
    sweep: Sweep = Sweep()
    iceberg: Iceberg = Iceberg()
    vwap_deviation: VwapDeviation = VwapDeviation()
    volatility_regime: VolatilityRegime = VolatilityRegime()

    def check(self) -> Problems:
        """Return (field, message) for each parameter that does not go with the others."""
        return [
            (f"{name}.{field}", message)
            for name in ("book_imbalance", "micro_momentum", "volatility_regime")
            for field, message in getattr(self, name).check()
        ]


Score = Annotated[float, Meta(ge=-1.0, le=1.0)]
Weight = Annotated[float, Meta(ge=0.0, le=1.0)]


class Weights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weight of each signal in the fused score; they are divided by their sum."""

    book_imbalance: Annotated[Weight, about("Weight of the book imbalance.")] = 0.30
    micro_momentum: Annotated[Weight, about("Weight of the momentum of seconds.")] = 0.20
    pull_replace: Annotated[Weight, about("Weight of pulled orders.")] = 0.15
    large_trades: Annotated[Weight, about("Weight of bursts of large trades.")] = 0.12
    sweep: Annotated[Weight, about("Weight of sweeps.")] = 0.08
    iceberg: Annotated[Weight, about("Weight of icebergs.")] = 0.05
    vwap_deviation: Annotated[Weight, about("Weight of the distance from the average price.")] = (
        0.07
    )
    volatility_regime: Annotated[
        Weight, about("The regime takes no side: its weight makes the other scores smaller.")
    ] = 0.03

    def check(self) -> Problems:
        """Return (field, message) for each parameter that does not go with the others."""
        total = sum(msgspec.structs.astuple(self)[:-1])
        return [] if total > 0.0 else [("book_imbalance", "some signal must have a weight")]


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which fused score to enter, below which to leave."""

    entry: Annotated[Fraction, about("Least fused score of an entry, without its sign.")]
    exit: Annotated[
        Score,
        about("Leave when the score towards the position's side falls below; negative: turns."),
    ]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds by volatility regime; in the extreme one nothing is entered, all is left."""

    low: Threshold = Threshold(entry=0.25, exit=-0.1)
    normal: Threshold = Threshold(entry=0.2, exit=-0.1)
    high: Threshold = Threshold(entry=0.25, exit=-0.05)

    def check(self) -> Problems:
        """Return (field, message) for each parameter that does not go with the others."""
        return [
            (f"{name}.exit", "must not exceed entry")
            for name in REGIMES[:3]
            if getattr(self, name).exit > getattr(self, name).entry
        ]


class FusionRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How eight scores become one, what move it lets expect, and how weights follow their edge."""

    weights: Weights = Weights()
    thresholds: Thresholds = Thresholds()
    by_symbol: Annotated[
        dict[str, Thresholds], about("Thresholds of single symbols, such as ETHUSDT.")
    ] = {}
    horizons_s: Annotated[
        tuple[Seconds, ...],
        Meta(min_length=1, max_length=6),
        about("Times after which the mid's move is compared with the scores; rising."),
    ] = (1.0, 5.0, 30.0)
    horizon_s: Annotated[
        Seconds, about("That of the expected move that must exceed the cost; one of horizons_s.")
    ] = 30.0
    sample_s: Annotated[Seconds, about("Time between two scores that are compared.")] = 1.0
    half_life_s: Annotated[
        Annotated[float, Meta(gt=0.0, le=30 * 86_400.0)],
        about("Time after which a compared score counts half."),
    ] = 14_400.0
    bins: Annotated[
        int, Meta(ge=1, le=50), about("Steps of the fused score whose moves are averaged apart.")
    ] = 20
    least_samples: Annotated[
        Amount,
        about(
            "Compared scores before a step, or an adaptive weight, counts; a step with fewer is "
            "taken with the smaller scores below it."
        ),
    ] = 50
    prior: Annotated[
        Amount, about("Each mean is taken with so many moves of zero: few samples promise little.")
    ] = 30
    frozen: Annotated[bool, about("Keep the weights as they are declared.")] = False
    least_weight: Annotated[PositiveFraction, about("A weight falls to this multiple at most.")] = (
        0.25
    )
    most_weight: Annotated[Ratio, about("A weight grows to this multiple at most.")] = 2.0
    edge_scale_bps: Annotated[
        Ratio, about("Edge after costs, basis points, that multiplies a weight by 2.7.")
    ] = 5.0

    def check(self) -> Problems:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = [(f"weights.{field}", text) for field, text in self.weights.check()]
        for where, found in [("thresholds", self.thresholds), *self.by_symbol.items()]:
            place = where if where == "thresholds" else f"by_symbol.{where}"
            problems += [(f"{place}.{field}", text) for field, text in found.check()]
        if any(low >= high for low, high in pairwise(self.horizons_s)):
            problems.append(("horizons_s", "must rise"))
        if self.horizon_s not in self.horizons_s:
            problems.append(("horizon_s", "must be one of horizons_s"))
        if max(self.horizons_s) > 1000 * self.sample_s:
            problems.append(("sample_s", "must be at least a thousandth of the longest horizon"))
        return problems + _rising(self, ("least_weight", "most_weight"))


def _rising(rules: msgspec.Struct, *chains: tuple[str, ...]) -> Problems:
    return [
        (low, f"must be below {high}, which is {getattr(rules, high):g}")
        for chain in chains
        for low, high in pairwise(chain)
        if getattr(rules, low) >= getattr(rules, high)
    ]
