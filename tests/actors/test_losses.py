"""The guards on losses as a document names them."""

from __future__ import annotations

from typing import Any

import pytest

from actors.desk.guard import Guard
from actors.guards.core.halts import step, verdicts
from config.components import resolve, shipped
from config.params import build_params, check_params
from strategies.messages import Action
from tests.actors.guards.playing import at, closed, nets, snapshot

GUARDS = {
    "DrawdownTiers": {"tiers": [{"at": 0.05, "size": 0.75}, {"at": 0.1, "size": "flatten"}]},
    "MaxDrawdown": {"limit_pct": 0.1, "limit_currency": 100, "of": "strategies", "capital": 1000},
    "SymbolLoss": {"limit_currency": 100, "trailing_pct": 0.1},
    "DailyLoss": {"limit_r": 10, "r_pct": 0.01},
    "ConsecutiveLosses": {"losses": 1, "of": "instruments"},
    "SessionProfit": {"limit_pct": 0.1, "action": "reduce_only"},
}


def test_these_are_all() -> None:
    found = {use.partition(":")[2] for use in shipped() if use.startswith("actors.losses:")}
    assert found == GUARDS.keys()


@pytest.mark.parametrize(("name", "params"), GUARDS.items())
def test_a_document_names_a_guard_and_its_limits(name: str, params: dict[str, Any]) -> None:
    cls = resolve(f"actors.losses:{name}")
    assert issubclass(cls, Guard)
    assert check_params(cls.Config, params) == []
    assert cls("mine", cls.Config(**build_params(cls, params))).params.check() == []


BREACHES = {
    "DrawdownTiers": ("desk", Action.FLATTEN),
    "MaxDrawdown": ("strategy:a", Action.FLATTEN),
    "SymbolLoss": ("instrument:X", Action.FLATTEN),
    "DailyLoss": ("desk", Action.FLATTEN),
    "ConsecutiveLosses": ("instrument:X", Action.HALT_ENTRIES),
}


@pytest.mark.parametrize(("name", "expected"), BREACHES.items())
def test_each_stops_what_lost(name: str, expected: tuple[str, Action]) -> None:
    cls = resolve(f"actors.losses:{name}")
    params = cls.Config(**build_params(cls, GUARDS[name]))
    # A strategy loses 100 of the account's 1000 in one instrument, in one round trip.
    first = snapshot(1000, at(0), results=nets(a=0), results_by_instrument=nets(X=0))
    last = snapshot(900, at(0), results=nets(a=-100), results_by_instrument=nets(X=-100))
    state, latches = cls.rule.start(params, first), ()
    for seen in (first, closed(-100, at(0)), last):
        state, readings = cls.rule.step(state, seen, params)
        latches = step(latches, readings, at(0), params)
    found = verdicts(latches, "mine")
    assert {scope: verdict.action for scope, verdict in found.items()} == dict([expected])
