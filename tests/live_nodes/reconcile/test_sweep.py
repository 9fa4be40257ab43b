"""The sweep at the exchange: what policies and errors do to differences; repairs are by nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal as D
from functools import partial
from typing import Any

import pytest
from nautilus_trader.cache.cache import Cache
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.test_kit.stubs.events import TestEventStubs
from nautilus_trader.test_kit.stubs.execution import TestExecStubs

from config.documents.watch import Policies, WatchSettings
from live_nodes.bybit.facts import VenueFill
from live_nodes.bybit.rest import VenueError
from live_nodes.practice.faults import FaultEffect
from live_nodes.reconcile.recovery_rules import own_by
from live_nodes.reconcile.sweep import (
    EngineBooks,
    FindingKind,
    Ripening,
    Sweep,
    SweepAction,
    SweepFinding,
    VenueBooks,
    actions_for,
    compare,
)
from live_nodes.reconcile.venue_books import engine_books
from tests.live_nodes.at_the_exchange import Scene, at_the_exchange
from tests.live_nodes.venue_by_hand import BTC, ETH, MINE, SECOND, fill, order

FIRST = "n1-rev-abc-1"
NOTHING = EngineBooks({}, frozenset(), frozenset(), {BTC: D(0)}, {})
OPEN = replace(NOTHING, open_orders={FIRST: BTC}, confirmed={FIRST})


def sweep_of(
    scene: Scene,
    books: EngineBooks,
    settle: float = 0.2,
    external: Mapping[str, tuple[D, D]] | None = None,
    **policies: str,
) -> tuple[Sweep, list[SweepFinding]]:
    """Return a sweep whose own side has these books, and the findings given to its repair.

    ``external`` is what the start found: what own orders made, and what the venue has.
    """
    watch = WatchSettings(sweep_settle=settle, policies=Policies.model_validate(policies))
    repaired: list[SweepFinding] = []

    async def repair(finding: SweepFinding) -> bool:
        repaired.append(finding)
        return True

    recovery = scene.recovery(products=("LINEAR",))
    recovery.external = external or {}
    return Sweep(recovery, repair, lambda _: books, watch), repaired


async def ripened(sweep: Sweep) -> list[SweepFinding]:
    """Look until a difference has stood long enough."""
    assert await sweep.look() == []
    await asyncio.sleep(0.25)
    return await sweep.look()


@at_the_exchange
async def test_what_the_start_found_halts_and_is_not_found_again(scene: Scene) -> None:
    """A guard that was released after the start would halt once more for the same trade."""
    await scene.send("")
    key, same = f"{BTC} 0 0.010", replace(NOTHING, positions={BTC: D("0.01")})
    sweep, _ = sweep_of(scene, same, external={BTC: (D(0), D("0.010"))})
    assert await ripened(sweep) == []
    assert [halt.key for halt in sweep.halts] == [key]
    # Without the start's word it is found.
    sweep, _ = sweep_of(scene, same)
    assert [finding.key for finding in await ripened(sweep)] == [key]


@at_the_exchange
async def test_books_that_agree_leave_the_venue_alone(scene: Scene) -> None:
    await scene.send(FIRST, price="49000")
    sweep, _ = sweep_of(scene, OPEN)
    assert await ripened(sweep) == []
    assert await scene.open() == {FIRST}
    assert scene.journal.counters() == {"sweeps": 2}
    assert sweep.pause == 10.0


@pytest.mark.parametrize(("known", "asked"), [(True, [1, 0]), (False, [1, 1])])
@at_the_exchange
async def test_only_executions_that_our_books_lacked_are_looked_up_again(
    scene: Scene, known: bool, asked: list[int]
) -> None:
    held = {BTC: D("0.010")}
    lengths = []

    def books(fills: tuple[VenueFill, ...]) -> EngineBooks:
        lengths.append(len(fills))
        ids = {fill.execution_id for fill in fills if known}
        return replace(NOTHING, executions=ids, positions=held, explained=held)

    sweep, _ = sweep_of(scene, NOTHING, settle=60)
    sweep._books = books
    await scene.send(MINE)
    for _ in range(2):
        assert await sweep.look() == []
        assert len(sweep._ripening.since) == 2 * (not known)
    assert lengths == asked


@pytest.mark.parametrize(
    ("name", "policies", "left", "repairs"),
    [
        (FIRST, {"ghost_orders": "report"}, 1, 0),
        ("", {"foreign_orders": "ignore"}, 1, 0),
        ("", {"foreign_orders": "cancel"}, 0, 0),
        ("", {"foreign_orders": "adopt"}, 1, 1),
    ],
)
@at_the_exchange
async def test_an_order_that_only_the_venue_knows_is_handled_by_policy(
    scene: Scene, name: str, policies: dict[str, str], left: int, repairs: int
) -> None:
    await scene.send(name, price="49000")
    sweep, repaired = sweep_of(scene, NOTHING, **policies)
    assert await sweep.look() == []
    # It looks again as soon as the difference could have stood.
    assert sweep.pause == 0.5
    await asyncio.sleep(0.25)
    (found,) = await sweep.look()
    assert found.kind is (FindingKind.GHOST_ORDER if name else FindingKind.FOREIGN_ORDER)
    assert "buy 0.010 at 49000" in scene.journal.notes(1)[0]["text"]
    assert len(await scene.open()) == left
    assert len(repaired) == repairs


@at_the_exchange
async def test_an_order_lost_by_the_venue_is_repaired(scene: Scene) -> None:
    sweep, repaired = sweep_of(scene, OPEN)
    (found,) = await ripened(sweep)
    assert found.kind is FindingKind.LOST_ORDER
    assert repaired == [found]


@at_the_exchange
async def test_an_error_is_never_an_empty_account(scene: Scene) -> None:
    """One 10006 on open orders must not make our orders look lost (live.md 4.5)."""
    await scene.send(FIRST, price="49000")
    sweep, repaired = sweep_of(scene, OPEN, settle=0.0)
    scene.rest.tries = 1
    scene.exchange.faults.http = FaultEffect(ret_code=10006)
    with pytest.raises(VenueError):
        await sweep.look()
    assert await sweep.look() == []
    assert repaired == []


@at_the_exchange
async def test_what_the_venue_did_not_answer_about_is_repaired_and_told_by_the_next_sweep(
    scene: Scene,
) -> None:
    sweep, repaired = sweep_of(scene, OPEN)
    mend = sweep._repair

    async def silent(finding: SweepFinding) -> bool:
        sweep._repair = mend
        raise VenueError("positions can't be fetched")

    sweep._repair = silent
    with pytest.raises(VenueError):
        await ripened(sweep)
    assert await sweep.look() == repaired
    assert [finding.key for finding in repaired] == [FIRST]
    assert await sweep.look() == []


def is_own(link_id: str) -> bool:
    return link_id.startswith("n1-")


def books(**facts: Any) -> EngineBooks:
    known: dict[str, Any] = {
        "open_orders": {},
        "confirmed": set(),
        "executions": set(),
        "positions": {BTC: D(0)},
        "explained": {},
    }
    return EngineBooks(**(known | facts))


def venue(**facts: Any) -> VenueBooks:
    return VenueBooks(**({"orders": (), "fills": (), "positions": {}} | facts))


HELD = {"positions": {BTC: D("0.01")}, "explained": {BTC: D("0.01")}}


def position_findings(ours_and_theirs: str) -> list[tuple[FindingKind, str]]:
    both = (FindingKind.POSITION_DIFFERS, FindingKind.EXTERNAL_POSITION)
    return [(kind, f"{BTC} {ours_and_theirs}") for kind in both]


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        # Orders: who knows them?
        ({}, {}, []),
        ({"open_orders": {MINE: BTC}}, {"orders": (order(),)}, []),
        ({}, {"orders": (order(),)}, [(FindingKind.GHOST_ORDER, MINE)]),
        ({}, {"orders": (order("x"),)}, [(FindingKind.FOREIGN_ORDER, "venue-x")]),
        # The engine follows it too, under the trader's id or one of its own.
        (
            {"open_orders": {"x": BTC}, "confirmed": {"x"}},
            {"orders": (order("x"),)},
            [(FindingKind.FOREIGN_ORDER, "venue-x")],
        ),
        (
            {"open_orders": {"u": BTC}, "confirmed": {"u"}, "venue_ids": {"u": "venue-"}},
            {"orders": (order(""),)},
            [(FindingKind.FOREIGN_ORDER, "venue-")],
        ),
        (
            {},
            {"orders": (order("n2-rev-abc-1"),)},
            [(FindingKind.FOREIGN_ORDER, "venue-n2-rev-abc-1")],
        ),
        # The venue's own stop of a position carries no link id and is nobody's fault.
        ({}, {"orders": (order("", stop_order_type="StopLoss", reduce_only=True),)}, []),
        ({}, {"orders": (order(status="Filled"),)}, []),
        # Open here and not there: only what the venue once confirmed can be missed.
        ({"open_orders": {MINE: BTC}}, {}, []),
        ({"open_orders": {MINE: BTC}, "confirmed": {MINE}}, {}, [(FindingKind.LOST_ORDER, MINE)]),
        (
            {"open_orders": {MINE: BTC}, "confirmed": {MINE}},
            {"orders": (order(status="PartiallyFilled", filled=D("0.004")),)},
            [],
        ),
        # Sent long ago and never answered: the venue is asked for each by its id.
        ({"open_orders": {MINE: BTC}, "unanswered": {MINE: BTC}}, {}, []),
        (
            {"open_orders": {MINE: BTC}, "unanswered": {MINE: BTC}},
            {"unknown": {MINE}},
            [(FindingKind.NEVER_ARRIVED, MINE)],
        ),
        # Executions.
        ({}, {"fills": (fill(),)}, [(FindingKind.UNKNOWN_FILL, "e-1")]),
        ({"executions": {"e-1"}}, {"fills": (fill(),)}, []),
        ({}, {"fills": (fill(link_id=""),)}, []),
        ({}, {"fills": (fill(link_id="manual"),)}, []),
        ({}, {"fills": (fill(kind="Funding"),)}, []),
        # Positions: the engine's books, and what our own orders made.
        (HELD, {"positions": {BTC: D("0.01")}}, []),
        (HELD, {"positions": {BTC: D("-0.01")}}, position_findings("0.01 -0.01")),
        (HELD, {"positions": {}}, position_findings("0.01 0")),
        (
            # The engine took a manual trade into its books: only the explanation is missing.
            {"positions": {BTC: D("0.015")}, "explained": {BTC: D("0.02")}},
            {"positions": {BTC: D("0.015")}},
            [(FindingKind.EXTERNAL_POSITION, f"{BTC} 0.02 0.015")],
        ),
        # What the node does not trade is not in its engine's books.
        (
            {"positions": {BTC: D(0)}},
            {"positions": {ETH: D(1)}},
            [(FindingKind.EXTERNAL_POSITION, f"{ETH} 0 1")],
        ),
    ],
)
def test_what_is_found(
    ours: dict[str, Any], theirs: dict[str, Any], found: list[tuple[FindingKind, str]]
) -> None:
    differences = compare(books(**ours), venue(**theirs), is_own)
    assert [(f.kind, f.key) for f in differences] == found


def test_own_executions_that_are_coming_explain_a_position() -> None:
    """Ours holds 0.004 less than the venue: an execution that is repaired, or was in vain."""
    theirs = venue(fills=(fill(),), positions={BTC: D("0.004")})
    ours = books(explained={BTC: D("0.004")})
    coming = compare(ours, theirs, is_own, lambda execution: True)
    assert [f.kind for f in coming] == [FindingKind.UNKNOWN_FILL]
    in_vain = compare(ours, theirs, is_own)
    assert [f.kind for f in in_vain] == [FindingKind.UNKNOWN_FILL, FindingKind.POSITION_DIFFERS]


def test_an_order_is_ours_by_its_tag_or_by_the_journal() -> None:
    is_ours = own_by("n1", {"adopted"}.__contains__)
    assert is_ours(MINE)
    assert is_ours("adopted")
    assert not is_ours("n2-rev-abc-1")
    assert not is_ours("n1-rev")
    assert not is_ours("")


# A moment proves nothing --------------------------------------------------------------------------


def ghost(key: str = MINE) -> SweepFinding:
    return SweepFinding(FindingKind.GHOST_ORDER, key, BTC, "", order=order(key))


def test_a_finding_is_acted_upon_once_it_stood_long_enough() -> None:
    state, fresh, ripe = Ripening().seen([ghost()], 0, 3 * SECOND)
    assert (fresh, ripe) == ([], [])
    state, fresh, ripe = state.seen([ghost()], 3 * SECOND - 1, 3 * SECOND)
    assert (fresh, ripe) == ([], [])
    state, fresh, ripe = state.seen([ghost()], 3 * SECOND, 3 * SECOND)
    assert fresh == ripe == [ghost()]
    state, fresh, ripe = state.seen([ghost()], 4 * SECOND, 3 * SECOND)
    assert (fresh, ripe) == ([], [ghost()])


def test_a_finding_that_went_away_starts_anew() -> None:
    state, _, _ = Ripening().seen([ghost()], 0, 3 * SECOND)
    state, _, _ = state.seen([], SECOND, 3 * SECOND)
    state, fresh, _ = state.seen([ghost()], 4 * SECOND, 3 * SECOND)
    assert fresh == []
    _, fresh, _ = state.seen([ghost()], 7 * SECOND, 3 * SECOND)
    assert fresh == [ghost()]


def test_a_position_that_moves_on_is_trading_and_no_fault() -> None:
    """Each look shows another difference: none of them ever stands."""
    state = Ripening()
    for second in range(10):
        there = {BTC: D(second) / 1000}
        found = compare(books(explained={BTC: D(1)}), venue(positions=there), is_own)
        state, fresh, _ = state.seen(found, second * SECOND, 3 * SECOND)
        assert fresh == []


# Policies -----------------------------------------------------------------------------------------


def finding(kind: FindingKind) -> SweepFinding:
    return SweepFinding(kind, "k", BTC, "")


@pytest.mark.parametrize(
    ("kind", "policies", "done"),
    [
        (FindingKind.GHOST_ORDER, {}, [SweepAction.CANCEL]),
        (FindingKind.GHOST_ORDER, {"ghost_orders": "report"}, []),
        (FindingKind.FOREIGN_ORDER, {}, []),
        (FindingKind.FOREIGN_ORDER, {"foreign_orders": "cancel"}, [SweepAction.CANCEL]),
        (FindingKind.FOREIGN_ORDER, {"foreign_orders": "adopt"}, [SweepAction.REPAIR]),
        (FindingKind.UNKNOWN_FILL, {}, [SweepAction.REPAIR]),
        (FindingKind.UNKNOWN_FILL, {"unknown_fills": "report"}, []),
        (FindingKind.LOST_ORDER, {}, [SweepAction.REPAIR]),
        (FindingKind.NEVER_ARRIVED, {}, [SweepAction.REPAIR]),
        (FindingKind.POSITION_DIFFERS, {}, [SweepAction.REPAIR, SweepAction.HALT]),
        (FindingKind.POSITION_DIFFERS, {"external_positions": "report"}, [SweepAction.REPAIR]),
        (FindingKind.EXTERNAL_POSITION, {}, [SweepAction.HALT]),
        (FindingKind.EXTERNAL_POSITION, {"external_positions": "report"}, []),
        (FindingKind.OTHER_NODE, {"foreign_orders": "cancel"}, []),
    ],
)
def test_what_the_policies_do(
    kind: FindingKind, policies: dict[str, Any], done: list[SweepAction]
) -> None:
    assert list(actions_for(kind, Policies(**policies))) == done


def test_orders_that_have_not_left_yet_are_open_in_our_books_and_ended_ones_are_not() -> None:
    cache, instrument = Cache(), TestInstrumentProvider.ethusdt_perp_binance()
    events = TestEventStubs.order_submitted, TestEventStubs.order_accepted
    fills = [partial(TestEventStubs.order_filled, instrument=instrument)]
    for name, steps in (("waits", ()), ("rests", events), ("ended", (*events, *fills))):
        order = TestExecStubs.limit_order(
            instrument=instrument, client_order_id=ClientOrderId(name)
        )
        cache.add_order(order)
        for step in steps:
            order.apply(step(order))
            cache.update_order(order)
    found = engine_books(cache, (), {}, set(), now_ns=0)
    assert set(found.open_orders) == {"waits", "rests"}
    assert found.confirmed == {"rests"}
