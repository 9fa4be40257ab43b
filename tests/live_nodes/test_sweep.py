"""The sweep at the exchange: what stands there and not in our books is found and put right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal as D

import pytest

from config.documents.watch import Policies, WatchSettings
from live_nodes.bybit.facts import VenueFill
from live_nodes.bybit.rest import VenueError
from live_nodes.practice.faults import FaultEffect
from live_nodes.reconcile.sweep import EngineBooks, FindingKind, Sweep, SweepFinding
from tests.live_nodes.at_the_exchange import BTC, Scene, at_the_exchange

FIRST = "n1-rev-abc-1"
NOTHING = EngineBooks({}, frozenset(), frozenset(), {BTC: D(0)}, {})


@dataclass
class Desk:
    """Our side, set by hand; a repair takes over what the venue has."""

    books: EngineBooks = NOTHING
    repaired: list[SweepFinding] = field(default_factory=list)
    on_repair: Callable[[SweepFinding], None] | None = None

    async def repair(self, finding: SweepFinding) -> bool:
        self.repaired.append(finding)
        if self.on_repair is not None:
            self.on_repair(finding)
        return True


def sweep_of(scene: Scene, desk: Desk, settle: float = 0.2, **policies: str) -> Sweep:
    watch = WatchSettings(sweep_settle=settle, policies=Policies.model_validate(policies))

    def books(fills: tuple[VenueFill, ...]) -> EngineBooks:
        return replace(desk.books, explained=scene.journal.explained())

    return Sweep(scene.recovery(products=("LINEAR",)), desk.repair, books, watch)


async def ripened(sweep: Sweep) -> list[SweepFinding]:
    """Look until a difference has stood long enough."""
    assert await sweep.look() == []
    await asyncio.sleep(0.25)
    return await sweep.look()


@at_the_exchange
async def test_books_that_agree_leave_the_venue_alone(scene: Scene) -> None:
    await scene.send(FIRST, price="49000")
    desk = Desk(replace(NOTHING, open_orders={FIRST: BTC}, confirmed={FIRST}))
    sweep = sweep_of(scene, desk)
    assert await ripened(sweep) == []
    assert await scene.open() == {FIRST}
    assert scene.journal.counters() == {"sweeps": 2}
    assert sweep.pause == 10.0


@at_the_exchange
async def test_a_ghost_order_is_cancelled_at_the_venue(scene: Scene) -> None:
    """Locally rejected as UNKNOWN after failed queries, and live at the venue (live.md 4.4)."""
    scene.intend(FIRST)
    scene.journal.outcome(FIRST, "UNKNOWN")
    await scene.send(FIRST, price="49000")
    sweep = sweep_of(scene, Desk())
    assert await sweep.look() == []
    # It looks again as soon as the difference could have stood.
    assert sweep.pause == 0.5
    assert await scene.open() == {FIRST}
    await asyncio.sleep(0.25)
    (found,) = await sweep.look()
    assert found.kind is FindingKind.GHOST_ORDER
    assert await scene.open() == set()
    row = scene.journal.order(FIRST)
    assert row.status == "CANCELED"
    assert scene.journal.counters()["ghost_order"] == 1
    assert scene.journal.counters()["ghost_order_cancelled"] == 1
    assert "buy 0.010 at 49000" in scene.journal.notes(1)[0]["text"]


@at_the_exchange
async def test_a_ghost_is_only_reported_where_the_document_says_so(scene: Scene) -> None:
    await scene.send(FIRST, price="49000")
    (found,) = await ripened(sweep_of(scene, Desk(), ghost_orders="report"))
    assert found.kind is FindingKind.GHOST_ORDER
    assert await scene.open() == {FIRST}


@pytest.mark.parametrize(
    ("policy", "left", "repairs"), [("ignore", 1, 0), ("cancel", 0, 0), ("adopt", 1, 1)]
)
@at_the_exchange
async def test_a_foreign_order_is_handled_by_policy(
    scene: Scene, policy: str, left: int, repairs: int
) -> None:
    await scene.send("", price="49000")
    desk = Desk()
    (found,) = await ripened(sweep_of(scene, desk, foreign_orders=policy))
    assert found.kind is FindingKind.FOREIGN_ORDER
    assert len(await scene.open()) == left
    assert len(desk.repaired) == repairs


@at_the_exchange
async def test_a_lost_fill_is_recovered(scene: Scene) -> None:
    """The push of the fill never came: journal and engine learn of it from the sweep."""
    desk = Desk()

    def take_over(finding: SweepFinding) -> None:
        fills = {fill.execution_id for fill in scene.journal.fills_since(0)}
        desk.books = replace(desk.books, executions=fills, positions={BTC: D("0.010")})

    desk.on_repair = take_over
    sweep = sweep_of(scene, desk)
    await scene.send(FIRST)
    found = await ripened(sweep)
    assert {f.kind for f in found} == {FindingKind.UNKNOWN_FILL, FindingKind.POSITION_DIFFERS}
    assert scene.journal.explained() == {BTC: D("0.010")}
    assert [fill.source for fill in scene.journal.fills_since(0)] == ["sweep"]
    assert await ripened(sweep) == []
    assert sweep.halts == []


@at_the_exchange
async def test_a_manual_trade_halts_its_instrument_until_it_is_closed(scene: Scene) -> None:
    """The engine takes it into its books within seconds (live.md 4.11); ours don't forget."""
    sweep, desk = None, Desk()
    sweep = sweep_of(scene, desk)
    await scene.send("", "Sell", "0.005")
    desk.books = replace(NOTHING, positions={BTC: D("-0.005")})
    (found,) = await ripened(sweep)
    assert found.kind is FindingKind.EXTERNAL_POSITION
    assert [halt.instrument for halt in sweep.halts] == [BTC]
    await scene.send("", "Buy", "0.005")
    desk.books = NOTHING
    assert await sweep.look() == []
    assert sweep.halts == []


@at_the_exchange
async def test_a_manual_trade_that_is_only_reported_is_told_once(scene: Scene) -> None:
    desk = Desk(replace(NOTHING, positions={BTC: D("-0.005")}))
    sweep = sweep_of(scene, desk, external_positions="report")
    await scene.send("", "Sell", "0.005")
    (found,) = await ripened(sweep)
    assert found.kind is FindingKind.EXTERNAL_POSITION
    assert sweep.halts == []
    assert await ripened(sweep) == []
    assert scene.journal.counters()["external_position"] == 1


@at_the_exchange
async def test_an_order_lost_by_the_venue_is_asked_for(scene: Scene) -> None:
    desk = Desk(replace(NOTHING, open_orders={FIRST: BTC}, confirmed={FIRST}))
    (found,) = await ripened(sweep_of(scene, desk))
    assert found.kind is FindingKind.LOST_ORDER
    assert desk.repaired == [found]


@at_the_exchange
async def test_an_error_is_never_an_empty_account(scene: Scene) -> None:
    """One 10006 on open orders must not make our orders look lost (live.md 4.5)."""
    desk = Desk(replace(NOTHING, open_orders={FIRST: BTC}, confirmed={FIRST}))
    await scene.send(FIRST, price="49000")
    sweep = sweep_of(scene, desk, settle=0.0)
    scene.rest._tries = 1
    scene.exchange.faults.http = FaultEffect(ret_code=10006)
    with pytest.raises(VenueError):
        await sweep.look()
    assert await sweep.look() == []
    assert desk.repaired == []
