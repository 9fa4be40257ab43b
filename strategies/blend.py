"""Blend: several scorers, such as reversal, momentum and carry, own the same instruments.

Each scorer has a sleeve: it ranks the eligible instruments by itself and weighs them as it would
alone, with its own part of the gross. The sleeves' weights are combined to one weight an instrument
(added, by majority, or by past performance) before caps, what is remembered, and orders. A sleeve
that holds nothing leaves its part unused.
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from config.components import ROOMS, resolve_or_none
from config.parameter_types import Fraction, about
from config.params import build_params, parameter_fields, sound_instance
from strategies.order_ids import KEY
from strategies.rebalance.config import (
    PanelRebalancer,
    PanelRebalancerConfig,
    Scored,
    Sleeve,
    Votes,
    at_once,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from strategies.rebalance.history import Window

_OF_THE_PANEL = frozenset(PanelRebalancerConfig.__struct_fields__)
_OF_A_SLEEVE = frozenset({"side", "fraction", "weighting"}) | {
    f"volatility_{name}" for name in ("lookback", "estimator", "half_life")
}
"""Parameters of every rebalancer that each scorer has for itself; the others are the blend's."""
_OF_NO_BLEND = frozenset({"names", "bands", "regime"})
"""Rules about one ranking, which a blend has none of."""
_TAKEN_OVER = ("key", "instruments", "settlement", "interval", "every", "at", "covariance")
_ROUNDING = 1e-9
_NOT_HERE = "is for a strategy with one ranking, not for a blend"


class Scorer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scorer of a blend and its part of it."""

    use: Annotated[str, about("Address of a strategy that ranks, as strategies.carry:Carry.")]
    weight: Annotated[Fraction, about("Its part of gross_leverage; 0 = off.")]
    params: Annotated[
        dict[str, Any],
        about(
            "Its own parameters, and its side, fraction, weighting and volatility; everything else "
            "is the blend's."
        ),
    ] = {}

    def ranking(self) -> type[PanelRebalancer] | None:
        """Return the scorer's class; None for one that can't be a scorer, or was not allowed."""
        package = self.use.partition(":")[0].partition(".")[0]
        # Loading a document imports what it allows, and nothing else may be imported.
        if package not in ROOMS and package not in sys.modules:
            return None
        found = resolve_or_none(self.use, [package])
        if found is None or not issubclass(found, PanelRebalancer) or issubclass(found, XSBlend):
            return None
        return found

    @property
    def sells_short(self) -> bool:
        """Whether it may sell short, as far as its parameters are right."""
        ranking = self.ranking()
        rules = None if ranking is None else sound_instance(ranking.Config, self.params)
        return rules is not None and rules.sells_short


class XSBlendConfig(
    PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True
):
    """Parameters of a blend, beside those of every rebalancer that are not a scorer's own."""

    desk_fields: ClassVar[frozenset[str]] = (
        PanelRebalancerConfig.desk_fields | _OF_A_SLEEVE | _OF_NO_BLEND
    )
    elsewhere: ClassVar[dict[str, str]] = dict.fromkeys(
        _OF_A_SLEEVE, "is each scorer's own: write it in the params of a scorer"
    ) | dict.fromkeys(_OF_NO_BLEND, _NOT_HERE)
    components: ClassVar[tuple[str, ...]] = ("scorers",)

    scorers: Annotated[
        dict[Annotated[str, Meta(pattern=f"^{KEY}$")], Scorer],
        Meta(
            min_length=1,
            description="By name: use (address), weight (part of gross_leverage; all at most 1), "
            "params (its own, side, fraction, weighting and volatility).",
        ),
    ]

    combine: Annotated[
        Literal["sum", "majority", "performance"],
        Meta(
            description="sum: weights are added. majority: an instrument is held on a side where "
            "the scorers that vote for it have more than half of the weight of all that hold it, "
            "else not at all. performance: weights are added by what each scorer would have "
            "earned alone."
        ),
    ] = "sum"
    prior: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="For performance: decisions after which what a scorer of this name has "
            "earned counts as much as its weight.",
        ),
    ] = 250

    @property
    def votes(self) -> Votes:
        """How the sleeves are combined."""
        return Votes(self.combine, self.prior)

    @cached_property
    def sleeves(self) -> tuple[Sleeve, ...]:
        """Scorers with a weight, each with all its parameters."""
        return tuple(
            self._sleeve(name, scorer) for name, scorer in self.scorers.items() if scorer.weight
        )

    def _sleeve(self, name: str, scorer: Scorer) -> Sleeve:
        ranking = scorer.ranking()
        if ranking is None:
            raise ValueError(f"scorer {name}: {scorer.use} is no strategy that ranks a universe")
        rules = ranking.Config(
            **{field: getattr(self, field) for field in _TAKEN_OVER},
            **build_params(ranking.Config, scorer.params),
            gross_leverage=self.gross_leverage,
            # Of the sleeve's own book: times the weight it is the blend's.
            max_weight=self.max_weight / scorer.weight,
        )
        return Sleeve(name, scorer.weight, ranking, rules)

    @property
    def wants_memory(self) -> bool:
        """Whether a decision depends on earlier ones."""
        remember = any(sleeve.rules.wants_memory for sleeve in self.sleeves)
        return super().wants_memory or remember or self.combine == "performance"

    @property
    def wants_range(self) -> bool:
        """Whether a decision uses open, high and low of candles."""
        return super().wants_range or any(sleeve.rules.wants_range for sleeve in self.sleeves)

    @property
    def wants_funding(self) -> bool:
        """Whether a decision uses settled funding rates."""
        return super().wants_funding or any(sleeve.rules.wants_funding for sleeve in self.sleeves)

    @cached_property
    def sells_short(self) -> bool:
        """Whether a decision may sell short, which spot can't."""
        return any(scorer.sells_short for scorer in self.scorers.values() if scorer.weight)

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = super().check()
        total = sum(scorer.weight for scorer in self.scorers.values())
        if not _ROUNDING < total <= 1.0 + _ROUNDING:
            problems.append(("scorers", f"weights must add up to at most 1, and are {total:g}"))
        for name, scorer in self.scorers.items():
            ranking = scorer.ranking()
            if ranking is None:
                text = f"{scorer.use} is no strategy that ranks a universe"
                problems.append((f"scorers.{name}.use", text))
                continue
            problems += [
                (
                    f"scorers.{name}.params.{field}",
                    _NOT_HERE
                    if field in _OF_NO_BLEND
                    else "is the blend's: write it beside scorers",
                )
                for field in scorer.params
                if field in (_OF_THE_PANEL - _OF_A_SLEEVE) & parameter_fields(ranking.Config).keys()
            ]
        return problems


class XSBlend(PanelRebalancer):
    """Blend of scorers that own the same instruments: their weights are netted before orders."""

    Config: ClassVar[type[XSBlendConfig]] = XSBlendConfig

    @staticmethod
    def rows_for_scores(config: XSBlendConfig) -> int:
        """Return the number of candles that the scorer needs that needs most."""
        from strategies.rebalance.sleeves import rows_for_sleeve

        return max(rows_for_sleeve(sleeve) for sleeve in config.sleeves)

    @staticmethod
    @at_once
    def scores(config: XSBlendConfig, window: Window) -> NDArray[np.float64]:
        """Return each sleeve's scores, one row a sleeve."""
        return XSBlend.scored(config, window).score

    @classmethod
    @at_once
    def scored(cls, config: XSBlendConfig, window: Window) -> Scored:
        """Return each sleeve's scores and entries, one row a sleeve."""
        from strategies.rebalance.sleeves import scores_of_sleeves

        return scores_of_sleeves(config.sleeves, window)
