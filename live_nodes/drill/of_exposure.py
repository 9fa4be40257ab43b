"""Recipes of the guards on how much is held, in what, and how alike and wild it is.

No entry passes that would reach a cap, so a position below it grows over it by its price: a short,
whose value rises while the equity falls.
"""

from __future__ import annotations

from typing import Any

from actors.guards.cluster_caps import belongs
from actors.guards.core.drill import Hold, Move, Moves, Plan, Scene, Stage, Wait
from actors.guards.core.exposure import asset_of
from actors.guards.core.params import seconds, span_ns
from config.durations import DAY_NS
from live_nodes.drill.of_losses import EQUITY

BEYOND = 1.02
HELD = 0.8
"""Of the cap, to begin with: clear of it by any usual hysteresis."""
MAINTENANCE = 0.005
"""Of the drill's instruments."""
YEAR_S = 365 * DAY_NS / 1e9
SHORT_PACE, SHORT_LOOKBACK = "1s", 8
"""What takes the place of hours of samples where a second takes a second."""


def position_cap(scene: Scene) -> Plan:
    """Grow one position over its cap."""
    params = scene.params
    caps = _set({"pct": params.limit_pct, "currency": params.limit_currency})
    return _grown(scene, caps, scene.scope_of(scene.first), f"{scene.first} over its cap")


def exposure_caps(scene: Scene) -> Plan:
    """Grow the book over its nearest cap."""
    params = scene.params
    caps = _set(
        {
            "leverage": params.leverage,
            "net_pct": params.net_pct,
            "gross_currency": params.gross_currency,
            "net_currency": params.net_currency,
        }
    )
    scope = scene.desk if params.of == "desk" else scene.strategy
    return _grown(scene, caps, scope, "the book over its cap")


def asset_caps(scene: Scene) -> Plan:
    """Grow a coin over its cap."""
    params = scene.params
    coin = asset_of(scene.first)
    own = params.assets.get(coin)
    net = params.net if own is None or own.net is None else own.net
    gross = params.gross if own is None or own.gross is None else own.gross
    if net is None and gross is None:
        # Only single coins have caps, and the first is none of them.
        name = next(i for i in scene.instruments if asset_of(i) in params.assets)
        own, coin = params.assets[asset_of(name)], asset_of(name)
        net, gross = own.net, own.gross
    else:
        name = scene.first
    caps = _set({f"{coin} net": net, f"{coin} gross": gross})
    return _grown(scene, caps, scene.scope_of(name), f"{coin} over its cap", name)


def cluster_caps(scene: Scene) -> Plan:
    """Grow a cluster over its cap."""
    found = [
        (key, cluster, name)
        for key, cluster in scene.params.clusters.items()
        for name in scene.instruments
        if belongs(name, cluster.instruments)
    ]
    key, cluster, name = found[0]
    caps = _set({f"{key} gross": cluster.cap, f"{key} net": cluster.net})
    return _grown(scene, caps, scene.scope_of(name), f"cluster {key} over its cap", name)


def free_margin(scene: Scene) -> Plan:
    """Let a position take up more margin than may be."""
    params = scene.params
    part = 1 / (params.leverage or scene.leverage)
    cap = (1 - params.least) / (part + (1 + part) * scene.taker_fee)
    return _grown(scene, {"": cap}, scene.desk, f"free margin below {params.least * 100:g} %")


def liquidation_distance(scene: Scene) -> Plan:
    """Let liquidation come near."""
    params = scene.params
    rate = MAINTENANCE + scene.taker_fee
    distances = {
        scope: least
        for scope, least in (
            (scene.desk, params.least),
            (scene.scope_of(scene.first), params.least_alone),
        )
        if least is not None
    }
    scope = max(distances, key=lambda name: distances[name])
    least = distances[scope]
    cap = 1 / (least * (1 + rate) + rate)
    return _grown(scene, {"": cap}, scope, f"liquidation {least * 100:g} % away")


def correlation(scene: Scene) -> Plan:
    """Let two prices move as one."""
    params = scene.params
    pace, lookback, changed = _pace(scene)
    pair = params.pairs[0] if params.pairs else (scene.first, scene.second)
    # Moves of different sizes: prices that always rise alike have no correlation.
    sizes = (0.001, 0.002, 0.004, 0.0005)
    rows = tuple((sizes[n % 4], sizes[n % 4]) for n in range(lookback + 4))
    size = max(0.2, params.least_value * 2)
    still = tuple((sizes[n % 4], sizes[(n + 2) % 4]) for n in range(lookback + 3))
    return Plan(
        breach=f"{pair[0]} and {pair[1]} move as one",
        before=() if params.pairs else (Hold({pair[0]: size, pair[1]: size}),),
        stages=(
            Stage(
                steps=(Moves(pair, rows, pace),),
                scope=scene.scope_of(pair[0]) if params.pairs else scene.desk,
                action=params.asks,
                multiplier=params.multiplier,
                key="/".join(pair) if params.pairs else "",
                within=pace * 4 + 5,
            ),
        ),
        mend=(Moves(pair, still, pace),),
        insist=pair[0],
        release=params.release,
        params=changed,
        note=_changed_words(changed),
    )


def volatility(scene: Scene) -> Plan:
    """Let a market move too much, or too little where only that is limited."""
    params = scene.params
    pace, lookback, changed = _pace(scene)
    name = params.reference or scene.first
    root = (pace / YEAR_S) ** 0.5

    def moves(yearly: float) -> Moves:
        return Moves((name,), ((yearly * root,),) * (lookback + 3), pace)

    # A market that stands still is too calm where there is a least: it must move before.
    fit = (moves(params.least * 1.5),) if params.least is not None else ()
    if params.most is not None:
        least = params.least or 0.0
        fit = (moves((least + params.most) / 2),) if params.least is not None else ()
        key, words = "most", f"{name} moves by {params.most * 150:.0f} % a year"
        steps: Moves | Wait = moves(params.most * 1.5)
        calms: tuple[Moves | Wait, ...] = fit or (Wait(pace * (lookback + 3)),)
    else:
        key, words = "least", f"{name} stands still"
        steps = Wait(pace * (lookback + 3))
        calms = fit
    return Plan(
        breach=words,
        before=fit,
        stages=(
            Stage(
                steps=(steps,),
                scope=scene.desk if params.reference else scene.scope_of(name),
                action=params.asks,
                multiplier=params.multiplier,
                key=key,
                within=pace * 4 + 5,
            ),
        ),
        mend=calms,
        insist=name,
        release=params.release,
        params=changed,
        note=_changed_words(changed),
    )


def _set(caps: dict[str, float | None]) -> dict[str, float]:
    """Return the caps that are set, as fractions of the equity."""
    shares = {}
    for name, cap in caps.items():
        if cap is not None:
            shares[name] = cap / EQUITY if name.endswith("currency") else cap
    return shares


def _grown(scene: Scene, caps: dict[str, float], scope: str, words: str, name: str = "") -> Plan:
    """Return the plan of a short that grows over the nearest of the caps."""
    params, name = scene.params, name or scene.first
    key = min(caps, key=lambda cap: caps[cap])
    cap = caps[key]
    held = min(HELD * cap, 0.9 * scene.leverage)
    money = key.endswith("currency")
    over = cap * BEYOND
    # Of a short s after a rise r: value s (1 + r), equity 1 - s r.
    rise = over / held - 1 if money else (over - held) / (held * (1 + over))
    return Plan(
        breach=words,
        before=(Hold({name: -held}),),
        stages=(
            Stage(
                steps=(Move(name, rise),),
                scope=scope,
                action=params.asks,
                multiplier=params.multiplier,
                key=key,
            ),
        ),
        mend=(Move(name, 1 / (1 + rise) - 1),),
        insist=name,
        # On the side that is held, or it would be an exit.
        weight=-0.002,
        release=params.release,
    )


def _pace(scene: Scene) -> tuple[float, int, dict[str, Any]]:
    """Return the seconds between two samples, their number, and what the drill changed of both."""
    every, lookback = seconds(span_ns(scene.params.every)), scene.params.lookback
    if not scene.real_time or every * lookback <= 30:
        return every, lookback, {}
    changed = {"every": SHORT_PACE, "lookback": min(lookback, SHORT_LOOKBACK)}
    return 1.0, int(changed["lookback"]), changed


def _changed_words(changed: dict[str, Any]) -> str:
    if not changed:
        return ""
    told = ", ".join(f"{name} {value}" for name, value in changed.items())
    return f"drilled with {told}: the document's take hours"
