"""Recipes of the guards on losses and on profit: prices move against a position, or with it."""

from __future__ import annotations

from typing import Any

from actors.guards.core.drill import BALANCE, Hold, Move, Plan, Scene, Stage, Trade, Trades
from strategies.messages import Action

BEYOND = 1.01
"""How far beyond its limit a value goes."""
EQUITY = float(BALANCE)


def drawdown_tiers(scene: Scene) -> Plan:
    """Fall through one tier after another."""
    params = scene.params
    weight = _weight(scene, params.tiers[-1].at)
    stages, lost = [], 0.0
    for tier in params.tiers:
        flat = not tier.share
        now = tier.at * BEYOND
        stages.append(
            Stage(
                steps=(_lose(scene, weight, lost, now),),
                scope=_curve(scene),
                action=Action.FLATTEN if flat else Action.SHRINK,
                multiplier=0.0 if flat else tier.share,
                key=f"{tier.at * 100:g} %",
            )
        )
        lost = now
    last = stages[-1]
    shrinks = last.action == Action.SHRINK
    return Plan(
        breach=f"equity {params.tiers[-1].at * 100:g} % below its peak, tier by tier",
        before=(Hold({scene.first: weight}),),
        stages=tuple(stages),
        mend=(_lose(scene, weight, lost, 0.0),) if shrinks else (),
        insist=scene.second,
        release="recovered" if shrinks else params.release,
    )


def max_drawdown(scene: Scene) -> Plan:
    """Fall from the peak."""
    limit, key = _nearest(scene.params, ("limit_pct", "limit_currency"))
    return _loss(scene, limit, key, _curve(scene), f"equity {limit * 100:g} % below its peak")


def daily_loss(scene: Scene) -> Plan:
    """Lose what a day may."""
    params = scene.params
    limits = _limits(params, ("limit_pct", "limit_currency"))
    if params.limit_r is not None:
        risk = params.r_pct if params.r_pct is not None else params.r_currency / EQUITY
        limits["r"] = params.limit_r * risk
    key = min(limits, key=lambda name: limits[name])
    limit = limits[key]
    return _loss(scene, limit, key, scene.desk, f"{limit * 100:g} % of equity lost since midnight")


def symbol_loss(scene: Scene) -> Plan:
    """Lose in one instrument."""
    names = ("limit_pct", "limit_currency", "trailing_pct", "trailing_currency")
    limit, key = _nearest(scene.params, names)
    scope = scene.scope_of(scene.first)
    words = f"{limit * 100:g} % of equity lost in {scene.first}"
    return _loss(scene, limit, key, scope, words, insist=scene.first)


def session_profit(scene: Scene) -> Plan:
    """Earn enough."""
    limit, key = _nearest(scene.params, ("limit_pct", "limit_currency"))
    weight = min(1.5, 0.6 * scene.leverage)
    # What opening the position cost comes off the profit.
    gain = limit * BEYOND + weight * 0.002
    return Plan(
        breach=f"{limit * 100:g} % of equity earned in the session",
        before=(Hold({scene.first: weight}),),
        stages=(
            Stage(
                steps=(Move(scene.first, gain / weight),),
                scope=scene.desk,
                action=scene.params.asks,
                multiplier=scene.params.multiplier,
                key=key,
            ),
        ),
        insist=scene.second,
        release=scene.params.release,
    )


def consecutive_losses(scene: Scene) -> Plan:
    """Lose as often in a row as the limit: each round trip costs its fees."""
    params, name = scene.params, scene.first
    trades = tuple(
        (Trade(after=(2 * n + closes) * scene.beat, instrument=name, quantity="0"), weight)
        for n in range(params.losses)
        for closes, weight in ((0, 0.02), (1, 0.0))
    )
    scopes = {
        "desk": scene.desk,
        "strategies": scene.strategy,
        "instruments": scene.scope_of(name),
    }
    return Plan(
        breach=f"{params.losses} losing round trips in a row",
        stages=(
            Stage(
                steps=(Trades(trades),),
                scope=scopes[params.of],
                action=params.asks,
                multiplier=params.multiplier,
            ),
        ),
        insist=name,
        release=params.release,
    )


def _loss(scene: Scene, limit: float, key: str, scope: str, words: str, insist: str = "") -> Plan:
    params, weight = scene.params, _weight(scene, limit)
    recovers = params.release == "recovered" and params.asks < Action.FLATTEN
    return Plan(
        breach=words,
        before=(Hold({scene.first: weight}),),
        stages=(
            Stage(
                steps=(_lose(scene, weight, 0.0, limit * BEYOND),),
                scope=scope,
                action=params.asks,
                multiplier=params.multiplier,
                key=key,
            ),
        ),
        mend=(_lose(scene, weight, limit * BEYOND, 0.0),) if recovers else (),
        insist=insist or scene.second,
        release=params.release,
    )


def _weight(scene: Scene, loss: float) -> float:
    """Return a weight that loses so much without a fall by more than a half."""
    return min(max(min(1.5, 0.6 * scene.leverage), loss * 2.2), 0.9 * scene.leverage)


def _lose(scene: Scene, weight: float, before: float, after: float) -> Move:
    """Return the move from one loss of a position of that weight to another."""
    return Move(scene.first, (1 - after / weight) / (1 - before / weight) - 1)


def _curve(scene: Scene) -> str:
    return scene.desk if scene.params.of == "desk" else scene.strategy


def _limits(params: Any, names: tuple[str, ...]) -> dict[str, float]:
    """Return the limits that are set by the readings' keys, as fractions of the equity."""
    found = {}
    for name in names:
        value = getattr(params, name)
        if value is not None:
            share = value / EQUITY if name.endswith("currency") else value
            found[name.removeprefix("limit_")] = share
    return found


def _nearest(params: Any, names: tuple[str, ...]) -> tuple[float, str]:
    limits = _limits(params, names)
    key = min(limits, key=lambda name: limits[name])
    return limits[key], key
