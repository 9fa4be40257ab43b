"""How a strategy's orders reach the market: the parameters, declared once for every tactic."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from config.durations import SECOND_NS, duration_ns
from config.parameter_types import BasisPoints, Count, FineTimeSpan, Multiple, TimeSpan, about

TacticName = Literal["taker", "maker_first"]
RestingPlace = Literal["join", "improve", "behind"]


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tactic, and what it may do; ``tactic`` and ``retry_for`` apart, of maker_first."""

    tactic: Annotated[
        TacticName,
        about(
            "taker: market orders at once. maker_first: rest near the touch first; on candles "
            "alone, which know no touch, it takes like taker."
        ),
    ] = "taker"
    retry_for: Annotated[
        TimeSpan,
        about(
            "How long after a decision, or a start that takes it up, legs are tried again that a "
            "passing condition refused: a link or the venue down, a halted symbol, a rate limit, a "
            "guard's halt that ends within this time."
        ),
    ] = "30m"
    place: Annotated[
        RestingPlace,
        about(
            "Where an order rests: at the best price of its side (join), `ticks` better but short "
            "of the other side (improve), or `ticks` worse (behind)."
        ),
    ] = "join"
    ticks: Annotated[Count, about("Ticks, for improve and behind.")] = 1
    reprice_every: Annotated[FineTimeSpan, about("How long an order rests before it follows.")] = (
        "15s"
    )
    move_bps: Annotated[
        BasisPoints, about("A move of so many basis points is followed sooner …")
    ] = 5.0
    least_rest: Annotated[
        FineTimeSpan,
        about("… but never sooner than this; under a second, it looks at the time as often."),
    ] = "2s"
    max_reprices: Annotated[
        int, Meta(ge=0, le=1000, description="How often an order is repriced at most.")
    ] = 10
    participation: Annotated[
        Multiple | None,
        about(
            "Largest resting order, as a fraction of the size that is displayed at the best price "
            "of its side; null: the whole quantity at once."
        ),
    ] = None
    deadline: Annotated[FineTimeSpan, about("How long it tries to be a maker.")] = "3m"
    at_deadline: Annotated[
        Literal["take", "give_up"],
        about("Then: take what is left (immediate or cancel), or leave it."),
    ] = "take"
    max_slippage_bps: Annotated[
        BasisPoints, about("Worst price of that taking, in basis points from …")
    ] = 20.0
    slippage_from: Annotated[
        Literal["arrival", "touch"],
        about("… the mid at the start (arrival) or the other side's best price then."),
    ] = "arrival"
    max_leg_imbalance: Annotated[
        Multiple,
        about(
            "While legs of a rebalance fill, net exposure strays no further than this from the way "
            "between the old book and the new, of equity."
        ),
    ] = 0.25

    @property
    def pace_ns(self) -> int:
        """How often it looks at the time, and how long it pauses after a refusal, nanoseconds."""
        return min(SECOND_NS, duration_ns(self.least_rest))

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = []
        if duration_ns(self.least_rest) > duration_ns(self.reprice_every):
            problems.append(
                ("least_rest", f"must not exceed reprice_every, which is {self.reprice_every}")
            )
        if duration_ns(self.reprice_every) > duration_ns(self.deadline):
            problems.append(
                ("reprice_every", f"must not exceed deadline, which is {self.deadline}")
            )
        return problems
