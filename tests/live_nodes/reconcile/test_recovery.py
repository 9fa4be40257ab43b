"""A start after a crash, at the exchange: every request ends, nothing is left or doubled."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal as D
from typing import Any
from unittest.mock import patch

import pytest

from actors.records.journal_files import NAME
from actors.records.journal_schema import FINAL, NEVER_ARRIVED
from actors.records.rows import OrderRow
from config.documents.scenario import Http
from config.errors import DeskError
from live_nodes.bybit.facts import refused
from live_nodes.bybit.rest import VenueError
from live_nodes.practice.exchange.model import FINAL_STATUSES
from live_nodes.practice.wire import account_payloads
from live_nodes.reconcile.recovery import Recovered
from live_nodes.reconcile.recovery_rules import (
    OVERLAP_NS,
    Settled,
    conclude,
    made_since,
    since_when,
)
from live_nodes.reconcile.venue_books import VenueCheck
from strategies.order_ids import closers_session, order_id, session_of
from strategies.refusals import Refusal
from tests.live_nodes.at_the_exchange import Scene, at_the_exchange, opened
from tests.live_nodes.venue_by_hand import BTC, MINE, SECOND, order

FIRST, OTHER = "n1-rev-abc-1", "n1-rev-abc-2"


def status(scene: Scene, name: str = FIRST) -> str:
    return str(scene.journal.order(name).status)


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
async def test_transfers_are_journaled_once_from_the_first_start_on(scene: Scene) -> None:
    venue = scene.exchange.server.venue
    scene.journal.state("node").save("explained", b"yes")

    def move(amount: str, kind: str, ago_s: int = 0) -> None:
        at = venue.clock_ms() - 1000 * ago_s
        venue.exchange.transfer("anna", kind, "USDT", D(amount), at)

    move("500", "TRANSFER_IN", ago_s=200)
    await scene.recovery().run()
    move("250", "TRANSFER_IN")
    move("-0.5", "INTEREST")
    await scene.send(FIRST)
    recovery = scene.recovery(products=("LINEAR",))
    await recovery.take_transfers()
    # Of a node that started minutes ago, the venue's log may show one as late.
    started = str(time.time_ns() - 150 * SECOND).encode()
    scene.journal.state("node").save("transfers from", started)
    move("-9", "TRANSFER_OUT", ago_s=120)
    for _ in range(2):
        await recovery.take_transfers()
    rows = [row for row in scene.journal.fills_since(0) if row.instrument == "USDT"]
    assert sorted((row.kind, row.fee, row.strategy) for row in rows) == [
        ("INTEREST", D("0.5"), ""), ("TRANSFER_IN", D(-250), ""), ("TRANSFER_OUT", D(9), ""),
    ]  # fmt: skip
    await scene.rest.create(
        "BTCUSDT-SPOT.BYBIT",
        {"side": "Buy", "qty": "0.01", "orderType": "Market", "marketUnit": "baseCoin"},
    )
    await scene.recovery().take_transfers()
    assert len(scene.journal.fills_since(0)) == 3
    scene.restart()
    await scene.recovery(products=("LINEAR",)).run()
    spent = [row.fee for row in scene.journal.fills_since(0) if row.kind == "TRADE"]
    assert spent == [D("500.0010")]


@at_the_exchange
async def test_a_log_that_gives_no_answer_is_noted_once_and_read_later(scene: Scene) -> None:
    venue = scene.exchange.server.venue
    scene.journal.state("node").save("explained", b"yes")
    recovery = scene.recovery()
    await recovery.run()
    # The venue's times are whole milliseconds: what moved in that of the first start was before it.
    await asyncio.sleep(0.002)
    venue.exchange.transfer("anna", "TRANSFER_OUT", "USDT", D(-70), venue.clock_ms())
    venue.faults.add("deaf", Http(path="/v5/account/transaction-log", status=404, times=2))
    wrong: list[str] = []
    scene.rest.on_error = lambda path, text: wrong.append(path)
    for _ in range(3):
        assert len(scene.journal.fills_since(0)) == 0
        await recovery.take_transfers()
    assert [row.fee for row in scene.journal.fills_since(0)] == [D(70)]
    assert [note["kind"] for note in scene.journal.notes()] == ["transfers"]
    assert (wrong, scene.rest.answers) == ([], True)
    # Once for each time that it is so, and an entry that can't be read stops no node.
    venue.faults.add("deaf again", Http(path="/v5/account/transaction-log", status=404, times=1))
    await recovery.take_transfers()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            account_payloads, "transferred", lambda row: {"id": "odd", "currency": "USDT"}
        )
        await recovery.take_transfers()
    assert [note["kind"] for note in scene.journal.notes()] == ["transfers"] * 3
    assert "can't be read: {'id': 'odd'" in scene.journal.notes(1)[0]["text"]


@at_the_exchange
async def test_an_order_that_fills_while_another_recovers_is_settled_too(
    scene: Scene,
) -> None:
    """One rests partly filled, the other never left and is asked for again and again."""
    await scene.recovery().run()
    for name in (FIRST, OTHER):
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
    assert status(scene, OTHER) == "NEVER_ARRIVED"
    assert scene.journal.unsettled() == []
    assert scene.journal.explained() == {BTC: D("0.010")}


def test_an_order_that_is_left_open_has_one_line_with_its_trigger() -> None:
    stop = order(price=D(0), trigger_price=D(48000))
    found = Recovered(settled=[(MINE, "ACCEPTED"), (OTHER, "FILLED")], kept=[stop])
    said = f"left open: buy 0.010 with trigger 48000 in {BTC} ({MINE})"
    assert found.lines() == [f"{OTHER}: filled", said]


@at_the_exchange
async def test_a_fill_without_a_push_is_journaled_at_the_stop(scene: Scene) -> None:
    """On the first run nothing was taken before it; later the last time counts."""
    scene.journal.state("node").save("explained", b"yes")
    scene.intend(FIRST)
    await scene.send(FIRST)
    with patch.object(scene.journal, "fill", wraps=scene.journal.fill) as booked:
        for _ in range(2):
            await scene.recovery().catch_up()
            assert scene.journal.explained() == {BTC: D("0.010")}
    # Orders wait while a known one is looked up, and a busy minute has thousands.
    booked.assert_called_once()


@pytest.mark.parametrize(
    ("policy", "stays"), [("ignore", True), ("adopt", True), ("cancel", False)]
)
@at_the_exchange
async def test_what_becomes_of_the_orders_found_open_at_a_start(
    scene: Scene, policy: str, stays: bool
) -> None:
    """The stop-loss that the venue keeps for a position is nobody's order."""
    await scene.send("", quantity="0.020", stopLoss="45000")
    await scene.send("", price="49000")
    await scene.send(FIRST, price="49500")
    await scene.send(OTHER, "Sell", price="52000", reduceOnly=True)
    found = await scene.recovery(policies={"foreign_orders": policy}).run()
    assert [order.price for order in found.foreign] == [49000]
    assert [order.order_link_id for order in found.cancelled] == [FIRST]
    assert [order.order_link_id for order in found.kept] == [OTHER]
    assert found.lines()[-1].startswith("foreign order: buy 0.010 at 49000")
    left = await scene.rest.open_orders("LINEAR")
    assert {order.stop_order_type or order.price for order in left} == {
        "StopLoss",
        D(52000),
        *([D(49000)] if stays else []),
    }


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
    scene.restart()
    journal, folder = scene.journal, scene.journal.folder
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


@at_the_exchange
async def test_what_another_node_with_our_tag_traded_is_not_ours_over_restarts(
    scene: Scene,
) -> None:
    await scene.recovery().run()
    recovery, now = scene.recovery(), time.time_ns()
    others, closers = (
        order_id("n1", "rev", session, 1) for session in (session_of(now), closers_session(now))
    )
    for name in (FIRST, others, closers):
        await scene.send(name)
    await recovery.catch_up()
    owners = {fill.client_order_id: fill.strategy for fill in scene.journal.fills_since(0)}
    # A lost journal may have had the first, and a flatten beside the node closes in its name.
    assert owners == {FIRST: "rev", others: "", closers: "rev"}
    assert list(recovery.other_nodes.values()) == [(others, BTC)]
    assert [recovery.takes_over(D(2), D(there)) for there in (-1, 0, 1, 3)] == [0, 1, 1, 0]
    scene.restart()
    warned: list[str] = []
    again = scene.recovery(warn=warned.append)
    await again.run()
    assert warned == []
    assert again.takes_over(D(2), D(3))
    assert (again.is_own(FIRST), again.is_own(others), again.other_nodes) == (True, False, {})


@pytest.mark.parametrize("stays", [True, False])
@at_the_exchange
async def test_an_order_of_others_that_is_to_stay_is_not_what_a_flatten_leaves(
    scene: Scene, stays: bool
) -> None:
    recovery = scene.recovery()
    others = order_id("n1", "rev", session_of(time.time_ns() + SECOND), 1)
    await scene.send(others, price="49000")

    async def repaired(finding: Any) -> bool:
        raise AssertionError(finding)

    check = VenueCheck(scene.rest, ("LINEAR",), dict, repaired, recovery, others_stay=stays)
    assert list((await check(lambda name: True)).orders) == ([] if stays else [others])
    assert len(await scene.rest.open_orders("LINEAR")) == stays


@pytest.mark.parametrize("running", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("price", [{}, {"price": "49000"}], ids=["filled", "resting"])
@at_the_exchange
async def test_an_order_of_minutes_ago_or_of_a_runs_first_seconds_that_its_journal_lacks_is_told_of(
    scene: Scene, price: dict[str, str], running: bool
) -> None:
    warned: list[str] = []
    await scene.send(order_id("n1", "doctor", closers_session(time.time_ns()), 1))
    recovery = scene.recovery(warn=warned.append)
    await recovery.run()
    scene.intend(OTHER)
    await scene.send(OTHER)
    assert warned == []
    await scene.send(FIRST, **price)
    if running:
        for _ in range(2):
            recovery.of_others(await scene.rest.open_orders("LINEAR"))
            await recovery.catch_up()
    else:
        scene.restart()
        await scene.recovery(warn=warned.append).run()
    assert [line.partition(" was given")[0] for line in warned] == [FIRST]


@pytest.mark.parametrize(
    ("session", "made", "since"),
    [(99, 110, False), (100, 110, False), (101, 101, True), (99, 111, True)],
)
def test_an_order_is_younger_than_a_run_by_its_session_or_where_no_dead_node_could_have_sent_it(
    session: int, made: int, since: bool
) -> None:
    # Sessions of today have eight digits, those of closers nine.
    session, made, began = (1_795_219_200 * SECOND + at * SECOND for at in (session, made, 100))
    name = order_id("n1", "rev", session_of(session), 1)
    assert made_since(name, made, began) is since
    closers = order_id("n1", "rev", closers_session(session), 1)
    assert not made_since(closers, made, began)


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
    await scene.send(OTHER, "Sell", quantity="0.010")
    found = await scene.recovery(traded=(BTC,)).run()
    assert found.foreign_positions == {}
    assert scene.journal.explained() == {BTC: D("0.020")}
    # What is in them is not counted again as newer executions are taken.
    await asyncio.sleep(0.002)
    scene.intend("n1-rev-abc-3", quantity="0.001")
    await scene.send("n1-rev-abc-3", quantity="0.001")
    await scene.recovery().catch_up()
    assert scene.journal.explained() == {BTC: D("0.021")}


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
    with pytest.raises(DeskError, match="did not cancel leftover orders"):
        await scene.recovery().run()


@pytest.mark.parametrize(
    ("status", "word", "final"),
    [
        ("New", "ACCEPTED", False),
        ("Untriggered", "ACCEPTED", False),
        ("Triggered", "TRIGGERED", False),
        ("PartiallyFilled", "PARTIALLY_FILLED", False),
        ("Filled", "FILLED", True),
        ("Cancelled", "CANCELED", True),
        ("PartiallyFilledCanceled", "CANCELED", True),
        ("Deactivated", "CANCELED", True),
        ("Rejected", "REJECTED", True),
    ],
)
def test_the_venues_word_for_an_order(status: str, word: str, final: bool) -> None:
    answer = order(status=status, filled=D("0.004"), reject_reason="EC_PostOnlyWillTakeLiquidity")
    said = conclude(answer, 0, SECOND)
    assert said == Settled(
        word, f"venue-{MINE}", D("0.004"), D("0.010"), "EC_PostOnlyWillTakeLiquidity"
    )
    assert (said.status in FINAL) is final


def test_every_final_status_of_the_exchange_is_final_here() -> None:
    for status in FINAL_STATUSES:
        assert conclude(order(status=status), 0, SECOND).status in FINAL


def test_an_order_never_arrived_when_it_is_missed_twice_far_enough_apart() -> None:
    assert conclude(None, 0, 6 * SECOND) is None
    assert conclude(None, 6 * SECOND - 1, 6 * SECOND) is None
    assert conclude(None, 6 * SECOND, 6 * SECOND).status == NEVER_ARRIVED
    assert conclude(order(), 9 * SECOND, 6 * SECOND).status == "ACCEPTED"
    assert NEVER_ARRIVED in FINAL


def unsettled(created: int) -> OrderRow:
    zero = D(0)
    return OrderRow(
        MINE, "", 1, created, created, "rev", BTC, "BUY", D(1), zero, None, None, "LIMIT",
        False, False, "INTENDED", False, "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("orders", "complete", "known", "since"),
    [
        ([], None, [], None),
        ([], None, [None], None),
        ([], None, [None, 500], 500),
        ([], None, [900, 500], 500),
        ([], 800, [900, 500], 800),
        ([700], 800, [900, 500], 700),
        ([850], 800, [], 800),
        ([700], None, [], 700),
    ],
)
def test_from_when_on_executions_are_asked_for(
    orders: list[int], complete: int | None, known: list[int | None], since: int | None
) -> None:
    def later(ts: int) -> int:
        return ts * SECOND

    found = since_when(
        [unsettled(later(ts)) for ts in orders],
        None if complete is None else later(complete),
        [None if ts is None else later(ts) for ts in known],
    )
    assert found == (None if since is None else later(since) - OVERLAP_NS)


@pytest.mark.parametrize(
    ("words", "code", "transient"),
    [
        ("EC_PostOnlyWillTakeLiquidity", "post_only", False),
        ("EC_NoImmediateQtyToFill", "nothing_to_take", False),
        ("Too many visits!", "busy", True),
        ("retCode 10016: Server error", "busy", True),
        ("System maintenance", "busy", True),
        ("please check your server timestamp or recv_window param.", "busy", True),
        ("Trading is currently not allowed.", "not_trading", True),
        ("order not exists or too late to cancel", "gone", False),
        ("Order has been finished or canceled", "gone", False),
        ("expect Rising, but trigger_price[5] <= current[5]??LastPrice", "passed", False),
        ("ab not enough for new order", "venue", False),
        # Prices and quantities are no codes.
        ("expect Falling, but trigger_price[100065.5] >= current[110001]??", "passed", False),
        ("retCode 110093: reached at [10006]", "passed", False),
        ("Price 100061 is above the limit [110001]", "venue", False),
    ],
)
def test_bybits_words_become_codes_once(words: str, code: str, transient: bool) -> None:
    assert refused(words) == Refusal(code=code, text=words, transient=transient)  # type: ignore[arg-type]
