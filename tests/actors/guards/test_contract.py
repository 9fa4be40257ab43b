"""What holds for every guard that is shipped; the set of them is found by scanning the package."""

from __future__ import annotations

import ast
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from actors.guards.core.drill import Plan, Scene
from actors.guards.core.examples import NOON, desk
from actors.guards.core.guard import Guard
from actors.guards.core.halts import Latches, step
from actors.guards.core.limits import Reading
from actors.guards.core.snapshot import (
    DeskEvent,
    ErrorEvent,
    FillEvent,
    Holding,
    Input,
    Market,
    Mismatch,
    OpenExposure,
    OrderRequested,
    Refused,
    RoundTripEvent,
    Snapshot,
    VenueResponse,
)
from config.components import resolve, shipped
from config.durations import HOUR_NS
from config.params import check_params
from live_nodes.node.operator_desk import OperatorHalt
from tests.actors.guards.playing import at, snapshot

ROOT = Path(__file__).parents[3]
GUARDS: dict[str, type[Guard[Any, Any]]] = {
    use: resolve(use) for use in shipped() if use.startswith("actors.")
}
ALL = [*GUARDS.values(), OperatorHalt]
X, Y = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"
SCENE = Scene(key="mine", instruments=(X, Y))
NEEDED: dict[str, dict[str, Any]] = {
    "ClusterCaps": {"clusters": {"all": {"instruments": ["*"], "cap": 0.5}}},
    "DailyLoss": {"limit_pct": 0.1},
    "MaxDrawdown": {"limit_pct": 0.1},
    "OrderRate": {"count": 1},
    "SessionProfit": {"limit_pct": 0.1},
    "SpreadGate": {"max_bps": 5.0},
    "SymbolLoss": {"limit_pct": 0.1},
    "Unhedged": {"legs": [[X, Y]]},
}
"""Parameters without which a guard guards nothing."""
ONE = Decimal(1)
LATER = at(0, "13:00")
ROW = OpenExposure(strategy="a", instrument=X, held=ONE, price=ONE)
ORDER: dict[str, Any] = {"ts": LATER, "strategy": "a", "instrument": X}
EVENTS: list[DeskEvent] = [
    OrderRequested(**ORDER, quantity=ONE, price=None, is_exit=False, open_exposure=(ROW,)),
    Refused(**ORDER, reason="1 orders of a within 1s"),
    FillEvent(**ORDER, quantity=ONE, price=ONE, fee=ONE, slippage=0.5, opened=True),
    RoundTripEvent(**ORDER, net=-ONE, value=ONE),
    VenueResponse(**ORDER, accepted=False, reason="no"),
    VenueResponse(**ORDER, accepted=True),
    ErrorEvent(ts=LATER, source="sweep", text="no"),
    Mismatch(ts=LATER, kind="position_differs", instrument=X, detail="2 there, 1 here"),
]
BUSY = snapshot(
    1000,
    holdings=(Holding(strategy="a", instrument=X, quantity=ONE, entry=ONE, price=ONE),),
    results={"a": ONE},
    results_by_instrument={X: ONE},
    markets={X: Market(price=ONE)},
)

each_guard = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)


def made(cls: type[Guard[Any, Any]]) -> Guard[Any, Any]:
    """Return a guard as a document would make it."""
    params = NEEDED.get(cls.__name__, {})
    assert check_params(cls.Config, params) == []
    return cls(msgspec.convert(params, cls.Config))


def test_all_guards_are_found() -> None:
    assert len(GUARDS) == len(list((ROOT / "actors" / "guards").glob("[a-z]*.py"))) >= 29


def test_every_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(DeskEvent))


@each_guard
def test_only_events_that_a_guard_lists_change_anything(cls: type[Guard[Any, Any]]) -> None:
    guard = made(cls)
    state, _ = guard.observe(guard.start(BUSY), BUSY)
    spoken = set()
    for event in EVENTS:
        after, readings = guard.observe(state, event)
        if after is not state or readings is not None:
            spoken.add(type(event))
        state = after
    assert spoken == guard.events


@each_guard
def test_a_state_survives_json(cls: type[Guard[Any, Any]]) -> None:
    guard = made(cls)
    state = guard.start(BUSY)
    for seen in (BUSY, *EVENTS, snapshot(900, LATER), BUSY):
        state, readings = guard.observe(state, seen)
        assert msgspec.json.decode(msgspec.json.encode(state), type=cls.State) == state
        assert readings is None or not any(r.over and r.clear for r in readings)


# -- examples ------------------------------------------------------------------------------------

shipped_guard = pytest.mark.parametrize("cls", GUARDS.values(), ids=lambda cls: cls.__name__)


class Played:
    """A guard's state, latches and newest readings after what an example shows."""

    def __init__(self, cls: type[Guard[Any, Any]], value: float) -> None:
        self.example, self.now = cls.example, NOON
        self.guard = cls(self.example.params)
        self.state: Any = None
        self.latches: Latches = ()
        self.readings: tuple[Reading, ...] = ()
        tape = self.example.play(value)
        self.last = next((x for x in reversed(tape) if isinstance(x, Snapshot)), desk())
        if not isinstance(tape[0], Snapshot):
            tape = (desk(), *tape)
        self.observe(*tape)

    def observe(self, *tape: Input) -> None:
        """Take in what happens; a state read back at any point goes on the same."""
        for seen in tape:
            if self.state is None:
                assert isinstance(seen, Snapshot)
                self.state = self.guard.start(seen)
            kept = msgspec.json.decode(msgspec.json.encode(self.state), type=self.guard.State)
            after, readings = self.guard.observe(self.state, seen)
            assert self.guard.observe(kept, seen) == (after, readings)
            assert (after is self.state) == (after == self.state), "a write for nothing"
            self.state = after
            self.now = seen.now if isinstance(seen, Snapshot) else seen.ts
            self.latches = step(self.latches, readings, self.now, self.guard.params)
            self.readings = self.readings if readings is None else readings
            assert not any(reading.over and reading.clear for reading in self.readings)

    @property
    def reading(self) -> Reading | None:
        """Return the example's reading."""
        name = (self.example.scope, self.example.key)
        return next((r for r in self.readings if (r.scope, r.key) == name), None)

    @property
    def over(self) -> bool:
        """Whether the example's limit is reached."""
        return self.reading is not None and self.reading.over


@shipped_guard
def test_a_limit_is_reached_where_its_example_says(cls: type[Guard[Any, Any]]) -> None:
    example = cls.example
    assert example.params.check() == []
    inside, at_limit, outside = (Played(cls, value).over for value in example.values)
    assert (inside, at_limit, outside) == (False, example.at_limit, True)


@shipped_guard
def test_a_value_is_clear_of_its_limit_by_the_hysteresis(cls: type[Guard[Any, Any]]) -> None:
    example = cls.example
    if example.clear is not None:
        found = Played(cls, example.clear).reading
        assert found is None or found.clear
        near = Played(cls, example.values[0]).reading
        assert near is None or near.clear is (example.clear == example.values[0])


@shipped_guard
def test_a_halt_stands_over_a_restart_and_a_clock_that_goes_back(
    cls: type[Guard[Any, Any]],
) -> None:
    played = Played(cls, cls.example.values[2])
    halt = next(x for x in played.latches if x.scope == played.example.scope)
    again = msgspec.json.decode(msgspec.json.encode(played.latches), type=Latches)
    assert again == played.latches
    if halt.release == "manual":
        played.observe(msgspec.structs.replace(played.last, now=NOON - HOUR_NS))
        assert halt in played.latches


@shipped_guard
def test_an_accepted_breach_is_measured_anew(cls: type[Guard[Any, Any]]) -> None:
    if cls.released is not Guard.released:
        played = Played(cls, cls.example.values[2])
        played.state = played.guard.released(played.state, played.last, played.example.scope)
        played.observe(played.last)
        assert not played.over


@each_guard
def test_a_drill_says_how_to_breach_it(cls: type[Guard[Any, Any]]) -> None:
    plan = made(cls).drill(SCENE)
    assert isinstance(plan, Plan)
    assert all(stage.steps for stage in plan.stages)
    assert plan.stages


@each_guard
def test_it_says_what_it_is_for_and_names_its_parameters(cls: type[Guard[Any, Any]]) -> None:
    assert cls.__doc__
    assert "Config" in vars(cls)


def _named(file: Path) -> set[str]:
    """Return the modules that a file imports and all that its strings say."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def test_a_guard_is_named_in_no_other_source_file_than_its_own() -> None:
    ways = {way for use in GUARDS for way in (use, *use.split(":"))}
    # A word of English says nothing by itself.
    ways = {way for way in ways if re.search("[a-z][A-Z]|[.]", way)}
    for room in ("config", "catalog", "strategies", "actors", "backtests", "live_nodes"):
        for file in (ROOT / room).rglob("*.py"):
            assert not _named(file) & ways, file
