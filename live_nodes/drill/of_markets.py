"""Recipes of the guards on the market's state."""

from __future__ import annotations

from actors.guards.core.drill import (
    Announced,
    Book,
    Funding,
    Hold,
    Late,
    Mended,
    Move,
    Plan,
    Scene,
    Silence,
    Stage,
    facts_of,
)
from actors.guards.core.params import seconds, span_ns
from strategies.messages import Action

LONG = 600.0
"""Seconds that a state of the market lasts: over the restart, until it is mended."""


def spread_gate(scene: Scene) -> Plan:
    """Widen the book."""
    params, facts = scene.params, facts_of(scene.first)
    limits = {}
    if params.max_ticks is not None:
        limits["ticks"] = params.max_ticks * float(facts.tick / facts.price) * 10_000
    if params.max_bps is not None:
        limits["bps"] = params.max_bps
    key = min(limits, key=lambda name: limits[name])
    bps = limits[key] * 1.2 + 1
    wide = Book(scene.first, "spread", bps, LONG)
    return _instrument(scene, wide, f"spread of {bps:.3g} bps", key)


def crossed_book(scene: Scene) -> Plan:
    """Show a bid above the ask."""
    return _instrument(scene, Book(scene.first, "crossed", 2.0, LONG), "bid 2 bps above the ask")


def latency_gate(scene: Scene) -> Plan:
    """Let market data come late."""
    late = seconds(span_ns(scene.params.limit)) * 2 + 0.2
    return _instrument(
        scene, Late(scene.first, late, LONG), f"market data {late * 1000:.0f} ms late"
    )


def stale_feed(scene: Scene) -> Plan:
    """Let an instrument fall silent."""
    limit = seconds(span_ns(scene.params.limit))
    return _instrument(
        scene,
        Silence(scene.first, LONG),
        f"{scene.first} silent for {limit:g} s",
        within=limit + 15.0,
    )


def funding_window(scene: Scene) -> Plan:
    """Let funding come soon."""
    params = scene.params
    before = seconds(span_ns(params.before))
    after = seconds(span_ns(params.after))
    steps = (Funding(scene.first, before, after),)
    flattens = params.asks == Action.FLATTEN
    return Plan(
        breach="funding is settled soon",
        before=(Hold({scene.first: 0.2}),) if flattens else (),
        stages=(
            Stage(
                steps=steps,
                scope=scene.scope_of(scene.first),
                action=params.asks,
                multiplier=params.multiplier,
                # The venue settles on whole minutes.
                within=75.0,
            ),
        ),
        mend=(Mended(),),
        insist=scene.first,
        release=params.release,
    )


def price_jump(scene: Scene) -> Plan:
    """Let the price jump."""
    limit = scene.params.limit_pct
    return _instrument(
        scene, Move(scene.first, limit * 1.02), f"price jumps by {limit * 102:.3g} %"
    )


def maintenance(scene: Scene) -> Plan:
    """Announce maintenance that has begun."""
    params = scene.params
    return Plan(
        breach="the venue announces maintenance",
        stages=(
            Stage(
                steps=(Announced("drill", LONG),),
                scope=scene.desk,
                action=params.asks,
                multiplier=params.multiplier,
                key="venue",
                within=60.0,
            ),
        ),
        mend=(Mended(),),
        insist=scene.first,
        release=params.release,
    )


def unhedged(scene: Scene) -> Plan:
    """Hold one leg without the other."""
    params = scene.params
    pair = params.legs[0]
    leg, ratio = (pair.second, pair.ratio) if "-SPOT" in pair.first else (pair.first, 1.0)
    # About three seconds until the limit, with a position that the drill can bear.
    weight = min(max(params.limit / 3.0 / 100_000.0 / ratio, 0.01), 0.5)
    lasts = params.limit / (weight * ratio * 100_000.0)
    return Plan(
        breach=f"{leg} without its other leg for {lasts:.0f} s",
        stages=(
            Stage(
                steps=(Hold({leg: weight}),),
                scope=scene.scope_of(leg),
                action=params.asks,
                multiplier=params.multiplier,
                key=pair.name,
                within=lasts + 15.0,
            ),
        ),
        insist=leg,
        release=params.release,
    )


def _instrument(
    scene: Scene,
    happens: Book | Late | Silence | Move,
    words: str,
    key: str = "",
    within: float = 20.0,
) -> Plan:
    params = scene.params
    flattens = params.asks == Action.FLATTEN
    return Plan(
        breach=words,
        before=(Hold({scene.first: 0.2}),) if flattens else (),
        stages=(
            Stage(
                steps=(happens,),
                scope=scene.scope_of(scene.first),
                action=params.asks,
                multiplier=params.multiplier,
                key=key,
                within=within,
            ),
        ),
        mend=(Mended(),),
        insist=scene.first,
        release=params.release,
    )
