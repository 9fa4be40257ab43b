"""Basis arbitrage: buy spot and sell its perpetual short while the basis pays more than it costs.

The perpetual trades above spot from time to time, and comes back; meanwhile its longs often pay
funding to the shorts. A position is opened when a policy wants it and the edge is positive, all
fees of both legs, slippage and expected funding counted, at the prices that the books display for
the whole size. This desk never borrows: where the perpetual is below spot, nothing is traded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from config.durations import duration_ns
from config.parameter_types import (
    BasisPoints,
    FineTimeSpan,
    Money,
    Multiple,
    PositiveFraction,
    TimeSpan,
    about,
)
from strategies.basis.threshold import Threshold
from strategies.desk_config import DeskStrategyConfig
from strategies.tactics.two_leg import TwoLegRules

SPOT, PERP = "-SPOT.BYBIT", "-LINEAR.BYBIT"
POLICY_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


class TrainedPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy that `perpdesk policy train` made, and when its trees are not followed."""

    name: Annotated[str, Meta(pattern=POLICY_NAME), about("Its name.")]
    version: Annotated[str, Meta(pattern=POLICY_NAME), about("Its version, such as 1.")]
    folder: Annotated[str, about("Folder of all policies.")] = "policies"
    drift_looks: Annotated[
        int,
        Meta(ge=1, le=10_000_000),
        about("Looks over which features are compared with the ranges of the training."),
    ] = 600
    drift_most: Annotated[
        PositiveFraction,
        about(
            "Where a feature is out of its range in more of them, the policy's threshold decides, "
            "with an alert, until none is in half as many."
        ),
    ] = 0.2

    @property
    def path(self) -> Path:
        """Folder of this policy."""
        return Path(self.folder) / self.name / self.version


class BasisConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the basis arbitrage."""

    pairs: Annotated[
        tuple[tuple[str, str], ...],
        Meta(min_length=1, max_length=100),
        about("Spot pair and perpetual, such as [[BTCUSDT-SPOT.BYBIT, BTCUSDT-LINEAR.BYBIT]]."),
    ]
    threshold: Annotated[
        Threshold, about("When a pair is opened and closed; with policy, that of the policy.")
    ] = Threshold()
    policy: Annotated[
        TrainedPolicy | None, about("A trained policy that decides; null: the threshold does.")
    ] = None
    look: Annotated[FineTimeSpan, about("Least time between two decisions on a pair.")] = "1s"
    max_age: Annotated[
        FineTimeSpan,
        about("Nothing is decided while the newest prices of a leg are older than this."),
    ] = "5s"
    half_life: Annotated[
        TimeSpan,
        about(
            "Half-life of volatility and of the mean of the basis. Nothing is opened until one has "
            "passed since the start."
        ),
    ] = "10m"
    levels: Annotated[
        int, Meta(ge=1, le=50), about("Levels of each side of a book that are read.")
    ] = 25
    slippage_bps: Annotated[
        BasisPoints,
        about("Expected slippage of a round trip's four fills, beyond the books' prices."),
    ] = 0.0
    horizon: Annotated[
        TimeSpan, about("How long a position is planned to be held; its funding counts so long.")
    ] = "8h"
    min_edge_bps: Annotated[
        BasisPoints,
        about(
            "Opened only above this edge: basis less the basis at the exit, four fees and "
            "slippage, plus expected funding; basis points of the spot leg."
        ),
    ] = 0.0
    funding_alone: Annotated[
        bool,
        about(
            "Whether a pair is also opened where basis and costs lock in a loss that expected "
            "funding makes up for. The decision then says so. The policy does not close it while "
            "funding is still expected within `horizon` of its entry; guards do."
        ),
    ] = False
    risk: Annotated[
        PositiveFraction,
        about("Most of equity that one leg may lose in a minute, at a move of `deviations`."),
    ] = 0.005
    deviations: Annotated[
        float,
        Meta(gt=0.0, le=1000.0),
        about("Move that risk is counted at, in deviations of a minute's moves."),
    ] = 3.0
    max_position: Annotated[Money, about("Most value of a leg, settlement currency.")] = 1000.0
    max_weight: Annotated[PositiveFraction, about("Most value of a leg, of equity.")] = 0.25
    max_gross: Annotated[
        PositiveFraction,
        about("Most value of all spot legs together, a fraction of equity; coins cost cash."),
    ] = 0.5
    max_of_book: Annotated[
        Multiple, about("Most of a leg, as a part of what the thinner side of its book displays.")
    ] = 0.25
    pause: Annotated[FineTimeSpan, about("Time without entries in a pair after it closed.")] = (
        "500ms"
    )
    cut_pause: Annotated[
        FineTimeSpan,
        about(
            "Time without entries in a pair after one was cut to what both legs have, which costs "
            "a round trip. It doubles with each cut until an entry is carried out."
        ),
    ] = "10s"
    longest_pause: Annotated[TimeSpan, about("What cut_pause doubles up to.")] = "1h"
    report_every: Annotated[
        TimeSpan, about("How often entries that were refused are published, counted by reason.")
    ] = "1m"
    two_leg: Annotated[TwoLegRules, about("How both legs reach the market.")] = TwoLegRules()

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        seen = set[str]()
        for index, (spot, perp) in enumerate(self.pairs):
            where = f"pairs[{index}]"
            if not (spot.endswith(SPOT) and perp.endswith(PERP)):
                words = "give the spot pair first, then its perpetual: this desk does not borrow"
                problems.append((where, words))
            elif pair_symbol((spot, perp)) != perp.removesuffix(PERP):
                problems.append((where, f"{spot} and {perp} are not of one coin"))
            elif seen & {spot, perp}:
                problems.append((where, f"{pair_symbol((spot, perp))} is given twice"))
            seen |= {spot, perp}
        if duration_ns(self.longest_pause) < duration_ns(self.cut_pause):
            problems.append(("longest_pause", f"give cut_pause ({self.cut_pause}) or longer"))
        if self.protection is not None:
            words = "a stop of one leg leaves the other unhedged: leave it out"
            problems.append(("protection", words))
        return problems

    @property
    def sells_short(self) -> bool:
        """Whether spot may be sold short: never; the perpetual is."""
        return False

    def instruments_read(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return (path below ``params``, id) of instruments that must be among the strategy's."""
        return [
            (("pairs", index, leg), name)
            for index, pair in enumerate(self.pairs)
            for leg, name in enumerate(pair)
        ]


class BasisArbitrage:
    """Holds spot against a short perpetual while the basis pays more than it costs."""

    Config: ClassVar[type[BasisConfig]] = BasisConfig
    engine: ClassVar[str] = "strategies.basis.trader:BasisTrader"
    """Address of the engine's strategy class that runs it."""


def pair_symbol(legs: tuple[str, str]) -> str:
    """Return a pair's name.

    Examples
    --------
    >>> pair_symbol(("BTCUSDT-SPOT.BYBIT", "BTCUSDT-LINEAR.BYBIT"))
    'BTCUSDT'
    """
    return legs[0].partition("-")[0]
