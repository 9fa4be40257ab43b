"""Recipes of the guards on what the desk does, and on how its orders fare."""

from __future__ import annotations

from actors.guards.core.drill import (
    Failures,
    Mended,
    Plan,
    Rejects,
    Scene,
    Slips,
    Stage,
    Trade,
    Trades,
)
from strategies.messages import Action


def trades_per_day(scene: Scene) -> Plan:
    """Open and close as often as the limit."""
    params = scene.params
    return Plan(
        breach=f"{params.limit} round trips in {scene.first} on one day",
        stages=(
            Stage(
                steps=(_round_trips(scene, params.limit),),
                scope=scene.scope_of(scene.first),
                action=params.asks,
                multiplier=params.multiplier,
            ),
        ),
        insist=scene.first,
        release=params.release,
    )


def cooldown(scene: Scene) -> Plan:
    """Close a trade, at a loss for its fees, and want the next one at once."""
    params = scene.params
    scopes = {
        "instrument": scene.scope_of(scene.first),
        "strategies": scene.strategy,
        "desk": scene.desk,
    }
    return Plan(
        breach=f"a losing trade in {scene.first}, and the next wanted at once",
        stages=(
            Stage(
                steps=(_round_trips(scene, 1),),
                scope=scopes[params.of],
                action=params.asks,
                multiplier=params.multiplier,
                within=scene.beat + 3.0,
            ),
        ),
        insist=scene.first,
        release=params.release,
    )


def error_rate(scene: Scene) -> Plan:
    """Let as many questions to the venue fail as the limit."""
    params = scene.params
    within = (params.limit + 1) * scene.sweep_s
    return Plan(
        breach=f"{params.limit} requests of the desk fail within {params.window}",
        stages=(
            Stage(
                steps=(Failures(params.limit, within),),
                scope=scene.desk,
                action=params.asks,
                multiplier=params.multiplier,
                within=within,
            ),
        ),
        after=(Mended(),),
        insist=scene.first,
        release=params.release,
    )


def slippage_breaches(scene: Scene) -> Plan:
    """Fill as often as the limit at worse prices than it bears."""
    params = scene.params
    bps = params.limit_bps * 1.3 + 2
    scopes = {
        "instrument": scene.scope_of(scene.first),
        "strategies": scene.strategy,
        "desk": scene.desk,
    }
    slips = Slips(scene.first, bps, params.count, weight=0.03, every=max(1.0, scene.beat))
    return Plan(
        breach=f"{params.count} fills {bps:g} bps worse than the price that stood",
        stages=(
            Stage(
                steps=(slips,),
                scope=scopes[params.of],
                action=params.asks,
                multiplier=params.multiplier,
            ),
        ),
        after=(Mended(),),
        insist=scene.first,
        release=params.release,
    )


def rejections(scene: Scene) -> Plan:
    """Let the venue reject as many orders in a row as the limit."""
    params = scene.params
    return Plan(
        breach=f"{params.limit} rejections in a row",
        stages=(
            Stage(
                steps=(Rejects(scene.first, params.limit, weight=0.005),),
                scope=scene.desk if params.of == "desk" else scene.strategy,
                action=params.asks,
                multiplier=params.multiplier,
            ),
        ),
        after=(Mended(),),
        insist=scene.first,
        release=params.release,
    )


def order_rate(scene: Scene) -> Plan:
    """Send what the rate allows at one moment, and so many more that it counts as misbehaving."""
    params = scene.params
    many = min(params.count, params.per_minute or params.count) + params.spam_after
    # They rest far from the price: what left before the halt must not fill after it.
    burst = tuple(
        (Trade(instrument=scene.first, quantity="0", away=0.05), 0.0011) for _ in range(many)
    )
    shrinks = params.asks == Action.SHRINK
    return Plan(
        breach=f"{many} orders at one moment",
        stages=(
            Stage(
                steps=(Trades(burst),),
                scope=scene.strategy,
                action=params.asks,
                multiplier=params.multiplier,
            ),
        ),
        insist=scene.second,
        release=params.release,
        note="without refusals an order rate can't shrink" if shrinks else "",
    )


def _round_trips(scene: Scene, count: int) -> Trades:
    return Trades(
        tuple(
            (
                Trade(after=(2 * n + closes) * scene.beat, instrument=scene.first, quantity="0"),
                weight,
            )
            for n in range(count)
            for closes, weight in ((0, 0.02), (1, 0.0))
        )
    )
