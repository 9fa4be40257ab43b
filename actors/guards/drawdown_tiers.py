"""Drawdown tiers: smaller positions the deeper equity is below its peak, at last none."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from actors.guards.core.drill import BEYOND, Hold, Plan, Scene, Stage, bearing, lose
from actors.guards.core.equity_curves import CurveGuard, CurveParams, Peaks
from actors.guards.core.examples import Example, lost
from actors.guards.core.guard import Measured
from actors.guards.core.limits import Limit, limit, percent
from actors.guards.core.snapshot import Snapshot
from strategies.messages import Action


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step down.

    Parameters
    ----------
    at : float
        Drawdown, a fraction of the peak, at which it begins.
    size : float or "flatten"
        Size of new positions from there on, a fraction of the normal one; 0 and ``flatten`` close
        everything.
    """

    at: Annotated[float, Meta(gt=0, le=1)]
    size: Annotated[float, Meta(ge=0, lt=1)] | Literal["flatten"]

    @property
    def share(self) -> float:
        """The size as a number."""
        return 0.0 if self.size == "flatten" else float(self.size)


class DrawdownTiersParams(CurveParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes by drawdown.

    Parameters
    ----------
    tiers : tuple of Tier
        With rising ``at`` and falling ``size``. A tier that shrinks ends when the drawdown is
        inside its ``at`` again by the hysteresis; one that flattens ends as ``release`` says.
    """

    desk_fields: ClassVar[tuple[str, ...]] = ("action", "size")

    tiers: Annotated[tuple[Tier, ...], Meta(min_length=1, max_length=20)] = (
        Tier(at=0.05, size=0.75),
        Tier(at=0.10, size=0.5),
        Tier(at=0.15, size=0.25),
        Tier(at=0.20, size=0),
    )

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) where tiers do not go with each other."""
        problems = super().check()
        if self.release == "next_day":
            problems.append(("release", "can't be next_day: no peak begins anew at midnight"))
        for number, (upper, lower) in enumerate(pairwise(self.tiers), start=2):
            if lower.at <= upper.at:
                problems.append(("tiers", f"at of tier {number} must be above {upper.at:g}"))
            if lower.share >= upper.share:
                problems.append(("tiers", f"size of tier {number} must be below {upper.share:g}"))
        return problems


class DrawdownTiers(CurveGuard[DrawdownTiersParams]):
    """Makes positions smaller the deeper equity falls below its peak, and closes them at last.

    Sizes grow again as equity recovers, each tier by its hysteresis, so that they do not flicker. A
    tier that closed positions keeps them closed until the trader's release.
    """

    Config = DrawdownTiersParams
    unit = "%"
    example = Example(DrawdownTiersParams(), lost, (49.99, 50, 60), clear=45, key="5 %")

    def measure(self, state: Peaks, snapshot: Snapshot) -> Measured[Peaks]:
        """Update the peaks; one reading for each curve and tier, a fraction of the peak."""
        state, falls = self.follow(state, snapshot)
        readings = [
            tier.read(fall.lost, fall.scope, "drawdown of {} from the peak")
            for fall in falls
            for tier in self.limits(fall.peak)
        ]
        return state, tuple(readings)

    def limits(self, peak: Decimal) -> tuple[Limit, ...]:
        """Return the tiers below a peak."""
        return _limits(self.params, peak)

    def drill(self, scene: Scene) -> Plan:
        """Fall through one tier after another."""
        params, name = self.params, scene.first
        weight = bearing(scene, params.tiers[-1].at)
        stages, lost = [], 0.0
        for tier in params.tiers:
            flat, now = not tier.share, tier.at * BEYOND
            halt = Stage(
                steps=(lose(name, weight, lost, now),),
                scope=scene.counted_scope(params.of),
                action=Action.FLATTEN if flat else Action.SHRINK,
                multiplier=0.0 if flat else tier.share,
                key=f"{tier.at * 100:g} %",
            )
            stages.append(halt)
            lost = now
        shrinks = stages[-1].action == Action.SHRINK
        return Plan(
            breach=f"equity {params.tiers[-1].at * 100:g} % below its peak, tier by tier",
            before=(Hold({name: weight}),),
            stages=tuple(stages),
            mend=(lose(name, weight, lost, 0.0),) if shrinks else (),
            insist=scene.second,
            release="recovered" if shrinks else params.release,
        )


# Cached: a peak rarely changes.
@lru_cache(maxsize=256)
def _limits(params: DrawdownTiersParams, peak: Decimal) -> tuple[Limit, ...]:
    found = []
    for tier in params.tiers:
        action, release = (Action.SHRINK, "recovered") if tier.share else (Action.FLATTEN, None)
        key = percent(tier.at)
        found.append(limit(params, "pct", tier.at, peak, key, action, tier.share, release))
    return tuple(found)
