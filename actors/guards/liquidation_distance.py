"""Distance to liquidation: the price move against the account that liquidates it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from actors.guards.core.calm import Calm
from actors.guards.core.drill import MAINTENANCE, Plan, Scene, grow
from actors.guards.core.examples import Example, holding
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.limits import Reading, exact, limit_reading, none_given, percent
from actors.guards.core.margin import (
    ABOVE,
    ONE,
    Stake,
    against,
    alone,
    bounds_of_market,
    maintenance_margin,
    stakes,
    together,
    top_rates,
)
from actors.guards.core.params import ActionName, Fraction, GuardParams, Release
from actors.guards.core.snapshot import ZERO, Snapshot

FARTHEST = Decimal(10)
"""Shown for all larger distances, and where no move would liquidate."""


class LiquidationDistanceParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least distance to liquidation, fractions of prices; at least one of the two.

    The reading on ``desk`` is the move of all that is held, those on ``instrument:<id>`` the move
    of one price while the others stand still. Bybit's first risk tier is taken for all sizes.

    Parameters
    ----------
    least : float or None
        Least move of all prices at once.
    move : {"against", "together"}
        How they move: each against the position, so that hedges help nothing; or all alike, up or
        down, so that longs and shorts hedge each other, as two legs of one coin do.
    least_alone : float or None
        Least move of one instrument alone.
    """

    action: ActionName = "reduce_only"
    release: Release = "recovered"
    least: Fraction | None = 0.2
    move: Literal["against", "together"] = "against"
    least_alone: Fraction | None = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when neither distance is given."""
        return super().check() + none_given(self, "least", "least_alone")


class LiquidationDistance(Guard[LiquidationDistanceParams, Nothing]):
    """Keeps prices at least a given move away from liquidation."""

    Config = LiquidationDistanceParams
    unit = "%"
    needs = frozenset({"markets"})
    example = Example(LiquidationDistanceParams(least=0.2), holding, (4999, 5000, 5001), clear=4545)

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure the distances; no position, no reading."""
        params = self.params
        every = stakes(snapshot)
        # Coins are no collateral, and can't be liquidated.
        held = {name: one for name, one in every.items() if not one.spot}
        if not held:
            return state, ()
        equity = snapshot.equity - sum((one.value for one in every.values() if one.spot), ZERO)
        readings: list[Reading] = []
        if params.least is not None:
            move = against if params.move == "against" else together
            distance = move(equity, held.values())
            how = "a move of all prices against us" if params.move == "against" else "a common move"
            readings.append(_reading("desk", distance, params.least, params, how))
        if params.least_alone is not None:
            readings += _alone(equity, held, params.least_alone, params)
        return state, tuple(readings)

    def calm(self, state: Nothing, snapshot: Snapshot) -> Calm:
        """Return the gross value that is safe if all of it had the highest rate and lost at once.

        Coins are no collateral at all.
        """
        params, rates = self.params, top_rates(snapshot)
        rate = rates.maintenance
        least = exact(max(params.least or 0.0, params.least_alone or 0.0))
        near = least * (ONE + exact(params.hysteresis)) * ABOVE
        loses = rate + near * (ONE + rate)
        return bounds_of_market(snapshot, ONE / (max(loses, ONE) if rates.spot else loses))

    def drill(self, scene: Scene) -> Plan:
        """Bring liquidation near."""
        params, rate = self.params, MAINTENANCE + scene.taker_fee
        found = {scene.desk: params.least, scene.scope_of(scene.first): params.least_alone}
        distances = {scope: least for scope, least in found.items() if least is not None}
        scope = max(distances, key=lambda name: distances[name])
        least = distances[scope]
        caps = {"": 1 / (least * (1 + rate) + rate)}
        return grow(scene, params, caps, scope, f"liquidation {least * 100:g} % away")


def _alone(
    equity: Decimal, held: Mapping[str, Stake], least: float, params: LiquidationDistanceParams
) -> list[Reading]:
    margin = maintenance_margin(held.values())
    distances = {name: alone(equity, margin, one) for name, one in held.items()}
    near = [name for name, d in distances.items() if not _is_clear(d, least, params)]
    if not near:
        near = [min(distances, key=lambda name: (_told(distances[name]), name))]
    return [
        _reading(f"instrument:{name}", distances[name], least, params, f"a move of {name} alone")
        for name in sorted(near)
    ]


def _reading(
    scope: str,
    distance: Decimal | None,
    least: float,
    params: LiquidationDistanceParams,
    how: str,
) -> Reading:
    told = float(_told(distance))
    return limit_reading(
        params,
        scope,
        told,
        least,
        distance is not None and distance <= exact(least),
        f"{how} by {percent(told)} would liquidate, least {percent(least)}",
        clear=_is_clear(distance, least, params),
    )


def _is_clear(distance: Decimal | None, least: float, params: GuardParams) -> bool:
    if distance is None:
        return True
    limit = exact(least)
    return distance > limit and distance >= limit * (1 + exact(params.hysteresis))


def _told(distance: Decimal | None) -> Decimal:
    return FARTHEST if distance is None else min(distance, FARTHEST)
