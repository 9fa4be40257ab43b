"""A rule is shown only what it events: of all else its step says nothing, and keeps its state."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from actors import accounts, activity, exposure, losses, markets
from actors.desk.guard import Guard
from actors.guards.core.guard import EVERYTHING
from actors.guards.core.snapshot import (
    DeskEvent,
    ErrorEvent,
    FillEvent,
    Holding,
    Market,
    Mismatch,
    OpenExposure,
    OrderRequested,
    Refused,
    RoundTripEvent,
    VenueResponse,
)
from actors.guards.unhedged import Pair
from live_nodes.node.operator_desk import OperatorGuard
from tests.actors.guards.playing import at, snapshot

ONE = Decimal(1)
GUARDS: list[type[Guard]] = [
    OperatorGuard,
    *(
        found
        for module in (accounts, activity, exposure, losses, markets)
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Guard) and found is not Guard
    ),
]
NEEDED: dict[str, dict[str, Any]] = {"Unhedged": {"legs": (Pair(first="Y", second="Z"),)}}
LATER = at(0, "13:00")
ROW = OpenExposure(strategy="a", instrument="X", held=ONE, price=ONE)
ORDER: dict[str, Any] = {"ts": LATER, "strategy": "a", "instrument": "X"}
HAPPENED: list[DeskEvent] = [
    OrderRequested(**ORDER, quantity=ONE, price=None, is_exit=False, open_exposure=(ROW,)),
    Refused(**ORDER, reason="1 orders of a within 1s"),
    FillEvent(**ORDER, quantity=ONE, price=ONE, fee=ONE, slippage=0.5, opened=True),
    RoundTripEvent(**ORDER, net=-ONE, value=ONE),
    VenueResponse(**ORDER, accepted=False, reason="no"),
    VenueResponse(**ORDER, accepted=True),
    ErrorEvent(ts=LATER, source="sweep", text="no"),
    Mismatch(ts=LATER, kind="position_differs", instrument="X", detail="2 there, 1 here"),
]


def test_every_kind_of_thing_that_happens_is_tried() -> None:
    assert {type(fact) for fact in HAPPENED} == EVERYTHING


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_a_rule_says_nothing_of_what_it_does_not_hear(guard: type[Guard]) -> None:
    rule, params = guard.rule, guard.Config(**NEEDED.get(guard.__name__, {}))
    held = Holding(strategy="a", instrument="X", quantity=ONE, entry=ONE, price=ONE)
    seen = snapshot(
        1,
        holdings=(held,),
        results={"a": ONE},
        results_by_instrument={"X": ONE},
        markets={"X": Market(price=ONE)},
    )
    state, _ = rule.step(rule.start(params, seen), seen, params)
    for fact in HAPPENED:
        if type(fact) not in rule.events:
            after, readings = rule.step(state, fact, params)
            assert after is state
            assert readings is None


def test_what_each_rule_hears_is_what_its_docstring_counts() -> None:
    events = {guard.__name__: guard.rule.events for guard in GUARDS if guard.rule.events}
    assert events == {
        "AccountMismatch": {Mismatch},
        "ConsecutiveLosses": {RoundTripEvent},
        "Cooldown": {FillEvent, RoundTripEvent},
        "ErrorRate": {ErrorEvent},
        "OrderRate": {OrderRequested, Refused},
        "Rejections": {VenueResponse},
        "SlippageBreaches": {FillEvent},
        "TradesPerDay": {FillEvent},
        "Unhedged": {FillEvent},
    }
