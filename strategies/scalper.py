"""Scalper: trades order-book signals whose expected move exceeds the costs of a round trip.

Eight scores of books and trades become one (`signals.book_scores`, `signals.fusion`). What move a
score lets expect is learned from what followed such scores before, so that at first nothing is
traded, unless the document gives a calibration. A bracket of take-profit and stop at the exchange
protects each position (`tactics.bracket`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from config.parameter_types import (
    BasisPoints,
    FineTimeSpan,
    Multiple,
    PositiveFraction,
    TimeSpan,
    about,
)
from strategies.desk_config import DeskStrategyConfig
from strategies.signals.scalper_parameters import FusionRules, ScalperSignals
from strategies.tactics.bracket import Bracket
from strategies.tactics.execution import Execution, TacticName

Score = Annotated[float, Meta(ge=0.0, le=1.0)]
Move = Annotated[float, Meta(gt=0.0, le=1000.0)]


class QuickExecution(Execution, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How entries reach the market: within seconds; exits by the score go at market."""

    tactic: Annotated[
        TacticName, about("maker_first: rest near the touch first; taker: market orders at once.")
    ] = "maker_first"
    reprice_every: Annotated[FineTimeSpan, about("How long an order rests before it follows.")] = (
        "500ms"
    )
    move_bps: Annotated[
        BasisPoints, about("A move of so many basis points is followed sooner …")
    ] = 1.0
    least_rest: Annotated[
        FineTimeSpan, about("… but never sooner than this, as often as which it looks at the time.")
    ] = "100ms"
    max_reprices: Annotated[
        int, Meta(ge=0, le=1000), about("How often an order is repriced at most.")
    ] = 3
    deadline: Annotated[FineTimeSpan, about("How long it tries to be a maker.")] = "2s"
    at_deadline: Annotated[
        Literal["take", "give_up"],
        about("Then it takes what is left (immediate or cancel), or leaves it."),
    ] = "give_up"
    max_slippage_bps: Annotated[
        BasisPoints, about("Worst price of that taking, in basis points from …")
    ] = 5.0

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        usual, problems = Execution(), super().check()
        for name in ("retry_for", "max_leg_imbalance"):
            if getattr(self, name) != getattr(usual, name):
                problems.append((name, "is of rebalances, a scalper has none: leave it out"))
        return problems


class ScalperConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the scalper."""

    needs_books: ClassVar[bool] = True

    signals: Annotated[ScalperSignals, about("The eight signals of the order book.")] = (
        ScalperSignals()
    )
    fusion: Annotated[FusionRules, about("How they become one score, and what it promises.")] = (
        FusionRules()
    )
    calibration: Annotated[
        tuple[tuple[Score, Move], ...],
        Meta(max_length=50),
        about(
            "Expected moves until enough are learned: scores, rising, each with the basis points "
            "within fusion.horizon_s from that score on. Empty: none, so nothing is traded before."
        ),
    ] = ()
    look: Annotated[FineTimeSpan, about("Least time between two decisions on an instrument.")] = (
        "50ms"
    )
    candle: Annotated[
        TimeSpan, about("Length of the candles of the mid, whose ATR sizes the bracket.")
    ] = "1s"
    protection: Annotated[Bracket, about("The bracket of each position.")] = Bracket()
    risk: Annotated[
        PositiveFraction, about("Most that a trade loses at its stop, with fees, of equity.")
    ] = 0.005
    max_weight: Annotated[Multiple, about("Most value of a position, a multiple of equity.")] = 1.0
    max_of_book: Annotated[
        PositiveFraction,
        about("Most of a position, a part of what signals.levels display on the thinner side."),
    ] = 0.25
    slippage_bps: Annotated[
        BasisPoints, about("Slippage that a round trip is expected to have beside the spread.")
    ] = 1.0
    pause: Annotated[
        FineTimeSpan, about("After a position or an entry has ended: no entry there so long.")
    ] = "1s"
    report_every: Annotated[
        TimeSpan, about("How often what was learned is saved, and refusals are published.")
    ] = "1m"
    execution: Annotated[
        QuickExecution, about("How entries reach the market; exits go at market.")
    ] = QuickExecution()

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        if any(low >= high for (low, _), (high, _) in pairwise(self.calibration)):
            problems.append(("calibration", "its scores must rise"))
        return problems

    @property
    def largest_position(self) -> float:
        """Most value of one position that is aimed at, a multiple of equity."""
        return self.max_weight

    @property
    def sells_short(self) -> bool:
        """Whether a decision may sell short, which spot can't."""
        return True

    def instruments_read(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return (path below ``params``, id) of instruments that must be among the strategy's."""
        return [
            (("fusion", "by_symbol", symbol), f"{symbol}-LINEAR.BYBIT")
            for symbol in self.fusion.by_symbol
        ]

    def declared_bps(self, score: float) -> float | None:
        """Return the move that the document expects of a score without its sign, None for none."""
        return next((move for least, move in reversed(self.calibration) if score >= least), None)


class Scalper:
    """Trades scores of the order book that promise more than a round trip costs."""

    Config: ClassVar[type[ScalperConfig]] = ScalperConfig
    engine: ClassVar[str] = "strategies.scalping.trader:ScalpTrader"
    """Address of the engine's strategy class that runs it."""
