"""A start after a crash, at the exchange: every request ends, nothing is left or doubled."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D

import pytest

from actors.records.journal_files import NAME
from config.errors import DeskError
from live_nodes.bybit.rest import VenueError
from tests.live_nodes.at_the_exchange import BTC, Scene, at_the_exchange, opened

FIRST, SECOND = "n1-rev-abc-1", "n1-rev-abc-2"


def status(scene: Scene, name: str = FIRST) -> str:
    row = scene.journal.order(name)
    return row.status


@at_the_exchange
async def test_a_clean_start_finds_nothing(scene: Scene) -> None:
    found = await scene.recovery().run()
    assert found.lines() == []
    assert scene.journal.explained() == {}


@at_the_exchange
async def test_an_order_that_filled_unseen_is_filled_with_its_executions(scene: Scene) -> None:
    """Killed between sending and the push of the fill."""
    scene.journal.state("node").save("explained", b"yes")
    scene.intend(FIRST)
    await scene.send(FIRST)
    found = await scene.recovery().run()
    assert found.settled == [(FIRST, "FILLED")]
    row = scene.journal.order(FIRST)
    assert row.filled == D("0.010")
    fills = scene.journal.fills_since(0)
    assert sum(f.quantity for f in fills) == D("0.010")
    assert {(f.strategy, f.source, f.client_order_id) for f in fills} == {
        ("rev", "recovery", FIRST)
    }
    assert scene.journal.explained() == {BTC: D("0.010")}
    assert found.external == {}
    scene.restart()
    again = await scene.recovery().run()
    assert again.lines() == []
    assert scene.journal.explained() == {BTC: D("0.010")}


@at_the_exchange
async def test_an_order_that_fills_while_another_recovers_is_settled_too(
    scene: Scene,
) -> None:
    """One rests partly filled, the other never left and is asked for again and again."""
    await scene.recovery().run()
    for name in (FIRST, SECOND):
        scene.intend(name)
    await scene.send(FIRST, price="50000")
    scene.print_at("Sell", "50000", "0.004")
    running = asyncio.ensure_future(scene.recovery().run())
    while status(scene) != "PARTIALLY_FILLED":
        await asyncio.sleep(0.01)
    scene.print_at("Sell", "50000", "0.006")
    found = await running
    assert status(scene) == "FILLED"
    assert (FIRST, "FILLED") in found.settled
    assert status(scene, SECOND) == "NEVER_ARRIVED"
    assert scene.journal.unsettled() == []
    assert scene.journal.explained() == {BTC: D("0.010")}


@at_the_exchange
async def test_a_fill_without_a_push_is_journaled_at_the_stop(scene: Scene) -> None:
    """On the first run nothing was taken before it; later the last time counts."""
    scene.journal.state("node").save("explained", b"yes")
    scene.intend(FIRST)
    await scene.send(FIRST)
    for _ in range(2):
        await scene.recovery().catch_up()
        assert scene.journal.explained() == {BTC: D("0.010")}


@pytest.mark.parametrize(("policy", "left"), [("ignore", {""}), ("adopt", {""}), ("cancel", set())])
@at_the_exchange
async def test_foreign_orders_are_reported_and_cancelled_only_by_policy(
    scene: Scene, policy: str, left: set[str]
) -> None:
    await scene.send("", price="49000")
    found = await scene.recovery(policies={"foreign_orders": policy}).run()
    assert len(found.foreign) == 1
    assert "foreign order: buy 0.010 at 49000" in found.lines()[0]
    assert await scene.open() == left


@at_the_exchange
async def test_own_orders_are_found_without_any_journal(scene: Scene) -> None:
    """The journal was damaged beyond repair, and no backup is good."""
    await scene.send(FIRST, price="49000")
    folder = scene.journal.folder
    scene.journal.close()
    for file in folder.glob("*.db*"):
        file.unlink()
    (folder / NAME).write_bytes(b"no database" * 1000)
    scene.journal = opened(folder)
    assert scene.journal.restored is not None
    found = await scene.recovery().run()
    assert [order.order_link_id for order in found.cancelled] == [FIRST]
    assert status(scene) == "CANCELED"


@at_the_exchange
async def test_what_a_restored_backup_lacks_comes_from_the_venue(scene: Scene) -> None:
    """The backup is from before the order; the venue knows the order, its fill and the rest."""
    await scene.recovery().run()
    scene.restart()
    await scene.recovery().run()
    folder = scene.journal.folder
    scene.journal.close()
    journal = opened(folder)
    scene.journal = journal
    scene.intend(FIRST)
    await scene.send(FIRST)
    journal._connection.close()
    journal.closed = True
    journal._lock.release()
    (folder / NAME).write_bytes(b"no database" * 1000)
    scene.journal = opened(folder)
    assert scene.journal.restored is not None
    assert scene.journal.restored.source is not None
    found = await scene.recovery().run()
    assert found.fills == 1
    assert found.external == {}
    assert scene.journal.explained() == {BTC: D("0.010")}


@pytest.mark.parametrize(
    ("policy", "traded", "strange"),
    [
        ("halt", (BTC,), {BTC: D("0.020")}),
        ("report", (BTC,), {}),
        # What no strategy trades is nobody's business here.
        ("halt", (), {}),
    ],
)
@at_the_exchange
async def test_what_others_hold_at_the_first_start_is_theirs(
    scene: Scene, policy: str, traded: tuple[str, ...], strange: dict[str, D]
) -> None:
    await scene.send("", quantity="0.020")
    policies = {"external_positions": policy}
    for _ in range(2):
        found = await scene.recovery(policies=policies, traded=traded).run()
        assert found.foreign_positions == strange
        assert found.external == {}
        # A start that is refused leaves the next one a first start too.
        assert scene.journal.explained() == ({} if strange else {BTC: D("0.020")})
        scene.restart()


@at_the_exchange
async def test_positions_of_own_orders_are_explained_to_a_new_journal(scene: Scene) -> None:
    await scene.send(FIRST, quantity="0.030")
    await scene.send(SECOND, "Sell", quantity="0.010")
    found = await scene.recovery(traded=(BTC,)).run()
    assert found.foreign_positions == {}
    assert scene.journal.explained() == {BTC: D("0.020")}


@pytest.mark.parametrize("policy", ["halt", "report"])
@at_the_exchange
async def test_a_manual_trade_while_the_node_was_down_is_found(scene: Scene, policy: str) -> None:
    await scene.recovery().run()
    await scene.send("", "Sell", "0.005")
    scene.restart()
    policies = {"external_positions": policy}
    found = await scene.recovery(policies=policies).run()
    assert found.external == {BTC: (D(0), D("-0.005"))}
    scene.restart()
    again = await scene.recovery(policies=policies).run()
    # What was only reported is part of what is there from then on.
    assert again.external == ({} if policy == "report" else found.external)


@at_the_exchange
async def test_a_venue_that_can_not_be_asked_stops_the_start(scene: Scene) -> None:
    scene.intend(FIRST)
    await scene.exchange.server.stop()
    with pytest.raises(VenueError):
        await scene.recovery().run()
    assert [order.client_order_id for order in scene.journal.unsettled()] == [FIRST]


@at_the_exchange
async def test_a_leftover_that_does_not_go_stops_the_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live_nodes.reconcile.recovery.CANCEL_DEADLINE_S", 0.2)
    await scene.send(FIRST, price="49000")

    async def does_nothing(*_: object, **__: object) -> bool:
        return True

    monkeypatch.setattr(scene.rest, "cancel", does_nothing)
    with pytest.raises(DeskError, match="does not cancel what was left open"):
        await scene.recovery().run()
