"""A canary is judged once a day at full size; a release drops neither halts nor positions."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from config.durations import DAY_NS
from live_nodes.deploy.rules import CanaryState, canary_verdict, judged, lost_halts, orphans
from live_nodes.deploy.study import Band
from live_nodes.local.releases import Move
from strategies.messages import Action, Verdict
from tests.live_nodes.documents import BTC, ETH, STEADY, daily, node_of

BAND = Band([-4.0, -6.0, -7.0], [5.0, 8.0, 9.0])
MOVE = Move(number=3, ts=1, by="anna", why="w", kind="deploy", size=0.25, days=3)


def after(days: float, profit: str, **state: Any) -> Any:
    begun = CanaryState(
        move=1, equity=D(10_000), result=D(200), lived=round(days * DAY_NS), **state
    )
    return judged(begun, MOVE, BAND, D(200) + D(profit))


@pytest.mark.parametrize(
    ("days", "profit", "word", "pct"),
    [
        # -101 of 10,000 USDT are -1.01 %; a quarter of the size, so -4.04 % at full size.
        (1.0, "-101", "revert", -4.04),
        (1.0, "-100", "on", -4.0),
        (1.0, "125", "on", 5.0),
        (1.9, "126", "revert", 5.04),
        (2.0, "126", "on", 5.04),
        (3.0, "-170", "full", -6.8),
        (9.0, "-176", "revert", -7.04),
    ],
)
def test_it_reverts_outside_the_band_and_grows_after_its_days(
    days: float, profit: str, word: str, pct: float
) -> None:
    found = after(days, profit)
    assert (found.word, round(found.state.pct, 6)) == (word, pct)
    assert f"{pct:+.2f} % at the end of day {min(int(days), 3)}, for full size" in found.why


def test_nothing_is_judged_within_a_day_nor_a_day_twice() -> None:
    assert after(0.99, "-5000") == (CanaryState(**state_of(0.99)), "on", "")
    assert after(1.5, "-5000", day=1).word == "on"


def state_of(days: float) -> dict[str, Any]:
    return {"move": 1, "equity": D(10_000), "result": D(200), "lived": round(days * DAY_NS)}


def test_a_canary_is_held_small_and_a_full_release_is_not() -> None:
    verdict = canary_verdict(MOVE)
    assert verdict is not None
    assert (verdict.action.name, verdict.multiplier, verdict.scope) == ("SHRINK", 0.25, "desk")
    assert canary_verdict(Move(number=3, ts=1, by="anna", why="w", kind="full")) is None


def test_a_guard_that_holds_something_back_may_not_be_dropped() -> None:
    standing = [
        Verdict(action=Action.SHRINK, guard="daily"),
        Verdict(action=Action.FLATTEN, guard="operator"),
        Verdict(action=Action.HALT_ENTRIES, guard="node.links"),
    ]
    old = node_of(actors={"daily": daily()})
    assert lost_halts(old, node_of(actors={"daily": daily(limit_pct=0.03)}), standing) == []
    other = daily("actors.guards.session_profit:SessionProfit")
    for actors in ({}, {"daily": daily() | {"enabled": False}}, {"daily": other}):
        assert lost_halts(old, node_of(actors=actors), standing) == ["daily"]
    assert lost_halts(old, node_of(), standing[1:]) == []


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, []),
        ({"universe": {"exclude": ["ETH*"]}}, [f"steady's {ETH}"]),
        ({"strategies": {"calm": {"use": STEADY}}}, [f"steady's {BTC}", f"steady's {ETH}"]),
        ({"tag": "n2"}, [f"steady's {BTC}", f"steady's {ETH}"]),
        ({"account": {"name": "bert"}}, [f"steady's {BTC}", f"steady's {ETH}"]),
        ({"account": {"name": "anna", "leverage": "set"}}, []),
    ],
)
def test_a_document_that_would_not_own_an_open_position_is_named(
    changes: dict[str, Any], left: list[str]
) -> None:
    held = {"steady": {BTC: D(1), ETH: D(-2)}, "idle": {}}
    assert orphans(node_of(), node_of(**changes), held) == left
