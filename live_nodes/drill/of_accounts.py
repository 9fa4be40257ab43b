"""Recipes of the guards on the account itself, and of the operator's kill switch."""

from __future__ import annotations

from actors.guards.core.drill import Hold, KillSwitch, Plan, Scene, Stage, Strange
from strategies.messages import Action


def account_mismatch(scene: Scene) -> Plan:
    """Trade by hand on the account, as often as the limit."""
    params = scene.params
    by_hand = tuple(Strange(name, 0.01) for name in scene.instruments[: params.count])
    return Plan(
        breach=f"{len(by_hand)} positions at the venue that are not the desk's",
        stages=(
            Stage(
                steps=by_hand,
                scope=scene.desk,
                action=params.asks,
                multiplier=params.multiplier,
                within=2 * scene.sweep_s + 10.0,
            ),
        ),
        # Where nobody traded by hand: there the node halts entries by itself.
        insist=scene.instruments[-1],
        release=params.release,
    )


def operator(scene: Scene) -> Plan:
    """Pull the kill switch."""
    return Plan(
        breach="the operator's kill switch",
        before=(Hold({scene.first: 0.5, scene.second: -0.5}),),
        stages=(Stage(steps=(KillSwitch(),), scope=scene.desk, action=Action.FLATTEN),),
        insist=scene.first,
        release="manual",
    )
