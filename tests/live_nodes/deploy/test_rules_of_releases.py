"""A canary is judged once a day at full size; a release drops neither halts nor positions."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from config.durations import DAY_NS
from live_nodes.deploy.rules import (
    CanaryState,
    canary_verdict,
    day_of,
    first_decided,
    judged,
    lost_halts,
    orphans,
)
from live_nodes.deploy.study import Band
from live_nodes.local.releases import Move
from strategies.messages import Action, Verdict
from tests.live_nodes.documents import BTC, ETH, STEADY, daily, node_of

BAND = Band([-4.0, -6.0, -7.0, None, 1.0], [5.0, 8.0, 9.0, 9.0, 9.0]).days
MOVE = Move(number=3, ts=1, by="anna", why="w", kind="deploy", size=0.25, days=3)


def canary(days: float, day: int = 0) -> CanaryState:
    lived = round(days * DAY_NS)
    return CanaryState(move=1, equity=D(10_000), result=D(200), lived=lived, day=day)


@pytest.mark.parametrize(
    ("days", "profit", "within", "pct"),
    [
        # -101 of 10,000 USDT are -1.01 %; a quarter of the size, so -4.04 % at full size.
        (1.0, "-101", False, -4.04),
        (1.0, "-100", True, -4.0),
        (1.0, "125", True, 5.0),
        (1.9, "126", False, 5.04),
        (2.0, "126", True, 5.04),
        (3.0, "-170", True, -6.8),
        (9.0, "-176", False, -7.04),
    ],
)
def test_it_is_judged_by_the_band_at_full_size(
    days: float, profit: str, within: bool, pct: float
) -> None:
    state, inside, why = judged(canary(days), MOVE, BAND, D(200) + D(profit))
    assert (inside, round(state.pct, 6), state.day) == (within, pct, min(int(days), 3))
    assert f"{pct:+.2f} % at the end of day {state.day}, for full size" in why


def test_a_day_ends_once_it_was_lived_and_a_band_where_it_is_unknown() -> None:
    assert [day_of(canary(days), MOVE) for days in (0.99, 1.0, 1.5, 9.0)] == [0, 1, 1, 3]
    assert len(BAND) == 3


def test_it_is_measured_from_when_all_strategies_have_decided_by_its_size() -> None:
    """Positions of the size before would count four times."""
    week, hour = 7 * DAY_NS, DAY_NS // 24
    assert first_decided(DAY_NS, [(week, 0), (hour, 0), None]) == week
    assert first_decided(DAY_NS, [None]) == DAY_NS


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
