"""The sweep at the exchange: what policies and errors do to differences; repairs are by nodes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal as D

import pytest

from config.documents.watch import Policies, WatchSettings
from live_nodes.bybit.rest import VenueError
from live_nodes.practice.faults import FaultEffect
from live_nodes.reconcile.sweep import EngineBooks, FindingKind, Sweep, SweepFinding
from tests.live_nodes.at_the_exchange import BTC, Scene, at_the_exchange

FIRST = "n1-rev-abc-1"
NOTHING = EngineBooks({}, frozenset(), frozenset(), {BTC: D(0)}, {})
OPEN = replace(NOTHING, open_orders={FIRST: BTC}, confirmed={FIRST})


def sweep_of(
    scene: Scene, books: EngineBooks, settle: float = 0.2, **policies: str
) -> tuple[Sweep, list[SweepFinding]]:
    """Return a sweep whose own side has these books, and the findings given to its repair."""
    watch = WatchSettings(sweep_settle=settle, policies=Policies.model_validate(policies))
    repaired: list[SweepFinding] = []

    async def repair(finding: SweepFinding) -> bool:
        repaired.append(finding)
        return True

    return Sweep(scene.recovery(products=("LINEAR",)), repair, lambda _: books, watch), repaired


async def ripened(sweep: Sweep) -> list[SweepFinding]:
    """Look until a difference has stood long enough."""
    assert await sweep.look() == []
    await asyncio.sleep(0.25)
    return await sweep.look()


@at_the_exchange
async def test_books_that_agree_leave_the_venue_alone(scene: Scene) -> None:
    await scene.send(FIRST, price="49000")
    sweep, _ = sweep_of(scene, OPEN)
    assert await ripened(sweep) == []
    assert await scene.open() == {FIRST}
    assert scene.journal.counters() == {"sweeps": 2}
    assert sweep.pause == 10.0


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
    scene.rest._tries = 1
    scene.exchange.faults.http = FaultEffect(ret_code=10006)
    with pytest.raises(VenueError):
        await sweep.look()
    assert await sweep.look() == []
    assert repaired == []
