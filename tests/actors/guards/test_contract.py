"""What holds for every guard that is shipped; the set of them is found by scanning the package."""

import ast
import random
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest

from actors.desk.guard_state import Kept
from actors.guards.core.calm import facts_of
from actors.guards.core.drill import Plan, Scene
from actors.guards.core.examples import NOON, desk
from actors.guards.core.guard import Guard
from actors.guards.core.lazy import Markets, Results, UnpricedMarkets
from actors.guards.core.limits import Reading
from actors.guards.core.positions import Holdings, OpenPositions, positions_of
from actors.guards.core.snapshot import (
    DeskEvent,
    ErrorEvent,
    FillEvent,
    Market,
    Mismatch,
    OpenExposure,
    OrderRequested,
    Refused,
    RoundTripEvent,
    Snapshot,
    VenueResponse,
)
from config.components import resolve, shipped_addresses
from config.durations import DAY_NS, HOUR_NS
from config.params import check_params
from live_nodes.node.operator_desk import OperatorHalt
from tests.actors.guards.moments import BTC, BTC_SPOT, ETH, SECOND, at
from tests.actors.guards.playing import Player, held, nets, snapshot

ROOT = Path(__file__).parents[3]
GUARDS: dict[str, type[Guard[Any, Any]]] = {
    use: resolve(use) for use in shipped_addresses() if use.startswith("actors.")
}
ALL = [*GUARDS.values(), OperatorHalt]
SCENE = Scene(key="mine", instruments=(BTC, ETH))
NEEDED: dict[str, dict[str, Any]] = {
    "ClusterCaps": {"clusters": {"all": {"instruments": ["*"], "cap": 0.5}}},
    "ConsecutiveLosses": {"legs": [[BTC, ETH]]},
    "DailyLoss": {"limit_pct": 0.1},
    "MaxDrawdown": {"limit_pct": 0.1},
    "OrderRate": {"count": 1},
    "SessionProfit": {"limit_pct": 0.1},
    "SpreadGate": {"max_bps": 5.0},
    "SymbolLoss": {"limit_pct": 0.1},
    "Unhedged": {"legs": [[BTC, ETH]]},
}
"""Parameters without which a guard guards nothing, or leaves some events alone."""
ONE = Decimal(1)
LATER = at(0, "13:00")
ROW = OpenExposure(strategy="a", instrument=BTC, held=ONE, price=ONE)
ORDER: dict[str, Any] = {"ts": LATER, "strategy": "a", "instrument": BTC}
EVENTS: list[DeskEvent] = [
    OrderRequested(**ORDER, quantity=ONE, price=None, is_exit=False, open_exposure=(ROW,)),
    Refused(**ORDER, reason="1 orders of a within 1s"),
    FillEvent(**ORDER, quantity=ONE, price=ONE, fee=ONE, slippage=0.5, opened=True),
    RoundTripEvent(**ORDER, net=-ONE, value=ONE),
    VenueResponse(**ORDER, accepted=False, reason="no"),
    VenueResponse(**ORDER, accepted=True),
    ErrorEvent(ts=LATER, source="sweep", text="no"),
    Mismatch(ts=LATER, kind="position_differs", instrument=BTC, detail="2 there, 1 here"),
]
BUSY = desk(
    NOON,
    held(1, price=1, entry=1),
    results=nets(a=1),
    results_by_instrument={BTC: ONE},
    markets={BTC: Market(price=ONE)},
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
def test_a_guard_goes_on_over_restarts_whatever_happens(cls: type[Guard[Any, Any]]) -> None:
    Player(cls, made(cls).params).observe(BUSY, *EVENTS, snapshot(900, LATER), BUSY)


# -- examples ------------------------------------------------------------------------------------

shipped_guard = pytest.mark.parametrize("cls", GUARDS.values(), ids=lambda cls: cls.__name__)


def played(cls: type[Guard[Any, Any]], value: float) -> Player:
    """Play the guard's example, which measures a value; the player checks restarts."""
    tape = cls.example.play(value)
    before = () if isinstance(tape[0], Snapshot) else (desk(),)
    return Player(cls, cls.example.params).observe(*before, *tape)


def reading(player: Player) -> Reading | None:
    """Return the example's reading."""
    name = (player.guard.example.scope, player.guard.example.key)
    return next((r for r in player.readings if (r.scope, r.key) == name), None)


def is_over(player: Player) -> bool:
    """Whether the example's limit is reached."""
    found = reading(player)
    return found is not None and found.over


@shipped_guard
def test_a_limit_is_reached_where_its_example_says(cls: type[Guard[Any, Any]]) -> None:
    inside, at_limit, outside = (is_over(played(cls, value)) for value in cls.example.values)
    assert (inside, at_limit, outside) == (False, cls.example.at_limit, True)


@shipped_guard
def test_a_value_is_clear_of_its_limit_by_the_hysteresis(cls: type[Guard[Any, Any]]) -> None:
    example = cls.example
    if example.clear is not None:
        found = reading(played(cls, example.clear))
        assert found is None or found.clear
        near = reading(played(cls, example.values[0]))
        assert near is None or near.clear is (example.clear == example.values[0])


def rests(player: Player) -> bool:
    assert player.last is not None
    calm = player.guard.calm(player.state, player.last)
    return calm is not None and calm.holds(facts_of(player.last))


@shipped_guard
def test_a_guard_is_quiet_only_far_inside_its_limit(cls: type[Guard[Any, Any]]) -> None:
    if cls.calm is not Guard.calm:
        near = (cls.example.clear or 0.0) / 2, *cls.example.values[1:]
        players = [played(cls, value) for value in near]
        assert [rests(player) for player in players] == [True, False, False]


def walk(chance: random.Random) -> Iterator[Snapshot]:
    """Take snapshots as a backtest does, where positions and markets stay the same for a while."""
    now, names, positions = NOON, (BTC, ETH, BTC_SPOT), OpenPositions()
    booked, markets = dict.fromkeys(names, Decimal(0)), UnpricedMarkets()
    for step in range(40):
        if not step or chance.random() < 0.1:
            markets = UnpricedMarkets(
                (
                    name,
                    Market(
                        silent_ns=chance.choice((1, 1, 29, 31)) * SECOND,
                        trading=chance.random() < 0.95,
                        maintenance_rate=Decimal(chance.choice((0, 1, 5))) / 100,
                        taker_fee=Decimal("0.0006"),
                        spot=name == BTC_SPOT,
                    ),
                )
                for name in names
                if chance.random() < 0.95
            )
        if step and chance.random() < 0.2:
            sizes = {name: Decimal(chance.randint(-9, 9)) for name in names}
            booked = {name: -100 * size for name, size in sizes.items()}
            rows = [(name, "a", size, Decimal(100)) for name, size in sizes.items() if size]
            positions = positions_of(rows, lambda _: 0)
        whole = [100 + chance.randint(-12, 12) * chance.choice((0, 0, 1)) for _ in positions.names]
        holdings = Holdings(positions, partial(list, map(Decimal, whole)), whole)
        nets = dict(booked)
        for name, value in zip(positions.names, holdings.values, strict=True):
            nets[name] += value
        total = sum(nets.values(), Decimal(0))
        quantities = {("a", name): size for name, size in zip(*positions[:3:2], strict=True)}
        yield Snapshot(
            now=now,
            equity=1000 + total,
            holdings=holdings,
            results={"a": total},
            results_by_instrument=Results(partial(dict, nets), booked, quantities, holdings),
            markets=Markets(markets, partial(list, [ONE] * len(markets)), np.ones(len(markets))),
            maintenance=chance.choice(("upgrade", *[""] * 19)),
        )
        now += chance.choice((SECOND, SECOND, DAY_NS // 5))


@shipped_guard
def test_a_guard_within_its_bounds_would_measure_nothing(cls: type[Guard[Any, Any]]) -> None:
    if cls.calm is Guard.calm:
        return
    params = [made(cls).params, cls.example.params]
    if "session" in cls.Config.__struct_fields__:
        params += [msgspec.structs.replace(each, session="day") for each in params]
    rested = 0
    for seed, each in enumerate(params * 15):
        guard, state, calm_of, calm = cls(each), None, None, None
        for seen in walk(random.Random(seed)):
            if state is None:
                state = guard.start(seen)
            facts = facts_of(seen)
            if calm_of is not state or calm is None or not calm.holds(facts):
                calm_of, calm = state, guard.calm(state, seen)
            after, readings = guard.measure(state, seen)
            if calm is not None and calm.holds(facts):
                rested += 1
                assert after is state
                assert all(reading.clear for reading in readings or ())
            state = after
    assert rested > 100


@shipped_guard
def test_a_halt_stands_over_a_clock_that_goes_back(cls: type[Guard[Any, Any]]) -> None:
    player = played(cls, cls.example.values[2])
    halt = next(x for x in player.latches if x.scope == cls.example.scope)
    if halt.release == "manual":
        assert player.last is not None
        player.observe(msgspec.structs.replace(player.last, now=NOON - HOUR_NS))
        assert halt in player.latches


@shipped_guard
def test_an_accepted_breach_is_measured_anew(cls: type[Guard[Any, Any]]) -> None:
    if cls.released is not Guard.released:
        player = played(cls, cls.example.values[2]).accept(cls.example.scope)
        assert player.last is not None
        assert not is_over(player.observe(player.last))


KEPT = (Path(__file__).parent / "kept_before.jsonl").read_text(encoding="utf-8").splitlines()
"""What the release of October 2026 kept in its journal, byte for byte."""
FILES = {use.partition(":")[0].rpartition(".")[2]: cls for use, cls in GUARDS.items()}


@pytest.mark.parametrize("line", KEPT, ids=lambda line: line.partition(" ")[0])
def test_a_guard_reads_the_state_of_an_earlier_release(line: str) -> None:
    name, _, kept = line.partition(" ")
    found = msgspec.json.decode(kept, type=Kept)
    state = msgspec.json.decode(found.state, type=FILES[name].State)
    rewritten = Kept(msgspec.Raw(msgspec.json.encode(state)), found.latches)
    assert msgspec.json.decode(msgspec.json.encode(rewritten)) == msgspec.json.decode(kept)


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
