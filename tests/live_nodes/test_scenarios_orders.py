"""Faults of orders, fills and positions, and what our node does about them."""

from __future__ import annotations

from decimal import Decimal as D
from functools import partial
from math import isclose
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.live.config import LiveExecEngineConfig

import live_nodes.node.build
import live_nodes.reconcile.venue_books
from config.documents.scenario import Drop, Http, LostAck, LostRequest
from live_nodes.bybit.adapter import DeskExecutionClient
from live_nodes.reconcile.repair import Repairer
from live_nodes.reconcile.sweep import FindingKind, SweepFinding
from strategies.refusals import refusal_of
from tests.live_nodes.by_hand import BTC_ID, BUY, SELL
from tests.live_nodes.practice.still_market import BTC, ETH
from tests.live_nodes.stage import NAME, Desk, Stage, desk_node, stage
from tests.waiting import slack

IMPATIENT: dict[str, Any] = {
    "inflight_check_interval_ms": 200,
    "inflight_check_threshold_ms": 300,
    "inflight_check_retries": 2,
    "reconciliation_startup_delay_secs": 0.2,
}
"""What takes half a minute by default takes a second."""
CROSSED = "EC_PostOnlyWillTakeLiquidity"


def maker_first(**execution: Any) -> dict[str, Any]:
    execution |= {"tactic": "maker_first", "least_rest": "1s"}
    return {"hand": {"use": "tests.live_nodes.by_hand:ByHand", "params": {"execution": execution}}}


# Ghost order: open at the venue, given up in the books (live.md 4.4) ------------------------------


def ghost(st: Stage, desk: Desk, price: str = "49000") -> Any:
    """Let the engine give up an order that rests at the venue; the faults go on."""
    st.play("ghost_order", times=1)
    st.play("ghost_order", "question", times=10_000)
    order = desk.strategy.limit(BUY, price)
    desk.until(lambda: desk.strategy.status(order) == "REJECTED", "the giving up")
    assert desk.strategy.reasons(order) == ["UNKNOWN"]
    assert list(st.open_orders()) == [order.value]
    return order


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = live_nodes.node.build._execution_engine

    def hurried(*, reconciliation: bool) -> LiveExecEngineConfig:
        settings = patient(reconciliation=reconciliation).dict() | IMPATIENT
        return LiveExecEngineConfig(**settings)

    monkeypatch.setattr(live_nodes.node.build, "_execution_engine", hurried)


@pytest.mark.usefixtures("impatient")
def test_our_node_cancels_a_ghost_order_at_the_venue() -> None:
    with stage() as st, desk_node(st) as desk:
        order = ghost(st, desk)
        st.end_faults()
        took = desk.until(lambda: not st.open_orders(), "the cancel")
        print(f"ghost order cancelled {took:.1f} s after the venue answered again")
        desk.until(lambda: desk.counted("ghost_order_cancelled") == 1)
        assert desk.counted("ghost_order") == 1
        assert any(order.value in line for line in desk.said)
        row = desk.journal.order(order.value)
        assert (row.status, row.final) == ("CANCELED", True)
        assert desk.strategy.net() == 0


@pytest.mark.usefixtures("impatient")
def test_our_node_takes_the_fill_of_a_ghost_order_into_its_books() -> None:
    with stage() as st, desk_node(st) as desk:
        order = ghost(st, desk, "49999.9")
        st.hit("Sell", "49999.9", "1.51")
        desk.until(lambda: st.position() == D("0.010"), "the fill at the venue")
        st.end_faults()
        took = desk.until(lambda: desk.strategy.net() == D("0.010"), "the position")
        print(f"fill of a ghost order taken in {took:.1f} s after the venue answered again")
        assert st.position() == desk.strategy.net()
        desk.until(lambda: order.value in {fill.client_order_id for fill in desk.fills()})
        desk.until(lambda: not desk.halted(), "the end of the halt")


# Post-only that crosses: told as a rejection, and not as one for being post-only (live.md 4.8) ----


def test_our_tactic_goes_on_after_a_post_only_order_crossed() -> None:
    tactic = maker_first(reprice_every="2s", deadline="4s")
    with stage() as st, desk_node(st, strategies=tactic) as desk:
        # The book that the node sees is late, and the market has fallen by 10.
        st.play("book_late", by=D(8))
        st.move("49990.0")
        desk.until(lambda: not st.market.changed, "the fall")
        desk.do(lambda: desk.strategy.execute(BTC_ID, D("0.010"), "try"))
        desk.until(lambda: CROSSED in str(desk.strategy.events), "the crossing")
        desk.until(lambda: not desk.strategy.busy, "the end")
        assert desk.strategy.net() == st.position() == D("0.010")


def test_a_rejection_of_which_only_a_question_tells_is_final() -> None:
    """As of an order that crossed while a maintenance cut its link."""
    with stage() as st, desk_node(st) as desk:
        st.call(lambda: st.faults.add("answer", LostAck(op="order.create", times=1)))
        st.call(lambda: st.faults.add("push", Drop(channel="private", topic="order")))
        order = desk.strategy.limit(BUY, "50010", post_only=True)
        desk.until(lambda: desk.strategy.status(order) == "REJECTED", "the end")
        row = desk.journal.order(order.value)
        assert (row.status, row.final) == ("REJECTED", True)
        assert desk.journal.unsettled() == []
        # Pairs don't block a leg for it.
        why = refusal_of(desk.strategy.cache.order(order).last_event.reason)
        assert (why.code, why.transient) == ("venue", True)


def test_an_order_that_got_lost_with_its_cancel_ends() -> None:
    with stage() as st, desk_node(st) as desk:
        for op in ("order.create", "order.cancel"):
            lost = LostRequest(op=op)
            st.call(lambda lost=lost: st.faults.add(lost.op, lost))
        order = desk.strategy.limit(BUY, "49000")
        desk.until(lambda: st.struck("order.create"), "the loss")
        desk.do(lambda: desk.strategy.cancel_waiting())
        desk.until(lambda: desk.strategy.status(order) == "REJECTED", "the end")
        assert desk.counted("never_arrived_repaired") == 1


# Lost fill (live.md 4.10) -------------------------------------------------------------------------


def test_our_node_recovers_a_lost_fill_with_its_price_and_fee() -> None:
    with stage() as st, desk_node(st) as desk:
        order = desk.strategy.limit(BUY, "49999.9")
        desk.until(lambda: desk.strategy.status(order) == "ACCEPTED", "the acceptance")
        st.play("fill_lost")
        st.hit("Sell", "49999.9", "1.51")
        desk.until(lambda: st.position() == D("0.010"), "the fill at the venue")
        took = desk.until(lambda: desk.strategy.net() == D("0.010"), "the fill")
        print(f"lost fill recovered in {took:.1f} s")
        assert desk.strategy.status(order) == "FILLED"
        found = desk.strategy.cache.order(order)
        assert found.avg_px == 49999.9
        (fill,) = [f for f in desk.fills() if f.client_order_id == order.value]
        assert (fill.quantity, fill.price, fill.strategy) == (D("0.010"), D("49999.9"), "hand")
        desk.until(lambda: not desk.halted(), "the end of the halt")
        desk.until(lambda: desk.counted("unknown_fill_repaired") == 1)
        assert desk.journal.explained() == {NAME: D("0.010")}
        assert desk.journal.unsettled() == []


@pytest.mark.parametrize("by_repair", [False, True], ids=["the engine", "a repair"])
def test_no_trade_is_invented_while_nothing_was_heard_of_an_order_that_filled(
    by_repair: bool,
) -> None:
    """The engine would book the difference as a trade of others, and the order's fill after it."""
    with stage() as st, desk_node(st) as desk:
        desk.filled(BUY, "0.020")
        kernel = desk.live.built.kernel
        # Seconds without a fill before the engine compares.
        kernel.exec_engine._position_check_threshold_ns = 0
        st.play("fill_lost")
        # Orders can't be asked for, and the strategy takes it back meanwhile.
        no_answer = Http(path="/v5/order/*", ret_code=10016, seconds=4)
        st.call(lambda: st.faults.add("closed", no_answer))
        order = desk.strategy.market_order(BUY, "0.010")
        desk.until(lambda: st.position() == D("0.030"), "the fill at the venue")
        desk.do(lambda: desk.strategy.cancel_order(desk.strategy.cache.order(order)))
        desk.until(lambda: desk.strategy.status(order) == "PENDING_CANCEL", "the cancel")
        finding = SweepFinding(FindingKind.POSITION_DIFFERS, NAME, NAME, "")
        look = kernel.exec_engine._check_positions_consistency()
        check = desk.loop.create_task(Repairer(kernel).repair(finding) if by_repair else look)
        desk.until(check.done, "the check")
        check.result()
        assert desk.strategy.net() == D("0.020")
        desk.until(lambda: desk.strategy.status(order) == "FILLED", "the fill")
        assert desk.strategy.net() == D("0.030")
        assert not [line for line in desk.said if "others traded" in line]


# Manual trade (live.md 4.11) ----------------------------------------------------------------------


def test_our_node_stops_entries_after_a_manual_trade_and_lets_exits_go() -> None:
    with stage() as st, desk_node(st) as desk:
        desk.filled(BUY, "0.020")
        st.order("Sell", "0.005")
        took = desk.until(lambda: "node.position" in desk.halted(), "the halt")
        print(f"manual trade noticed in {took:.1f} s")
        assert desk.strategy.holding(BTC_ID) == st.position() == D("0.015")
        arrived = len(st.orders())
        assert "our orders made 0.02" in desk.denied()
        assert len(st.orders()) == arrived
        desk.filled(SELL, "0.015", reduce_only=True)
        assert st.position() == 0
        # What was sold by hand is bought back by hand: our books and the venue's agree again.
        st.order("Buy", "0.005")
        desk.until(lambda: not desk.halted(), "the end of the halt")


@pytest.mark.parametrize("name", ["", "by-hand", "n2-hand-abc-1"])
def test_an_order_of_others_is_reported_left_alone_and_never_taken_for_ours(
    tmp_path: Path, name: str
) -> None:
    """The second start once cancelled it, and its fill once counted as ours."""
    with stage() as st:
        for _ in range(2):
            with desk_node(st, folder=tmp_path) as desk:
                if not st.open_orders():
                    resting = st.order("Buy", "0.010", "49999.9", name)
                desk.until(lambda: desk.counted("foreign_order"), "the finding")
                assert list(st.open_orders()) == [name or resting.order_id]
                desk.wait(2.0)
                assert desk.counted("lost_order") == 0
                assert desk.journal.unsettled() == []
        with desk_node(st, folder=tmp_path) as desk:
            st.hit("Sell", "49999.9", "1.51")
            desk.until(lambda: "node.position" in desk.halted(), "the halt")
            assert any("the venue holds 0.010, our orders made 0" in line for line in desk.said)
            assert [fill.strategy for fill in desk.fills()] == [""]


def test_an_order_of_others_whose_end_was_lost_ends_in_our_books_too() -> None:
    """Such as a stop that the venue keeps: known there by its own id, it kept a desk from flat."""
    with stage() as st, desk_node(st) as desk:
        cache = desk.strategy.cache
        st.order("Buy", "0.010", "49000")
        desk.until(lambda: cache.orders_open(instrument_id=BTC_ID), "the order")
        lost = Drop(model="drop", topic="order", times=10)
        st.call(lambda: st.faults.add("lost", lost))
        st.cancel_all()
        assert not st.open_orders()
        desk.until(lambda: not cache.orders_open(instrument_id=BTC_ID), "its end")
        desk.until(lambda: desk.counted("lost_order_repaired") == 1, "the count")


def test_our_node_goes_on_with_a_manual_trade_where_the_document_only_wants_a_report() -> None:
    watch = {"policies": {"external_positions": "report"}}
    with stage() as st, desk_node(st, watch=watch) as desk:
        desk.filled(BUY, "0.020")
        st.order("Sell", "0.005")
        desk.until(lambda: desk.counted("external_position") == 1, "the finding")
        assert desk.halted() == set()
        desk.filled(BUY)
        assert desk.strategy.holding(BTC_ID) == st.position() == D("0.025")
        # Reported once: it is part of what our books explain from then on.
        desk.until(lambda: desk.journal.explained() == {NAME: D("0.025")}, "the books")


def test_a_perpetual_that_a_hand_opened_beside_the_universe_counts_at_its_mark_price(
    tmp_path: Path,
) -> None:
    """10 ether at 3,000, worth 2,500 then: 5,000 are lost, and after a restart 10,000 at 2,000."""
    watch = {"policies": {"external_positions": "report"}}
    with stage() as st:
        for price, left in (("2500", 95_000), ("2000", 90_000)):
            with desk_node(st, folder=tmp_path, watch=watch) as desk:
                if not st.position("ETHUSDT"):
                    st.order("Buy", "10", symbol="ETHUSDT")
                desk.until(lambda: desk.journal.explained(), "the position")
                clock, move = st.server.venue.clock_ms, st.market.move
                st.call(partial(move, ETH, D(price), clock()))
                value = desk.live.risk._account.value
                near = partial(isclose, left, rel_tol=0.001)
                desk.until(lambda value=value, near=near: near(value()[0]), "the loss")
                assert isclose(value()[1], 10 * float(price), rel_tol=0.001)


# Halted symbol ------------------------------------------------------------------------------------


def test_a_halted_symbol_refuses_every_order_and_the_tactic_ends_within_its_time() -> None:
    tactic = maker_first(reprice_every="1s", deadline="2s", max_reprices=3)
    with stage() as st, desk_node(st, strategies=tactic) as desk:
        st.play("symbol_halted", at=0)
        desk.until(lambda: st.call(lambda: st.exchange.market(BTC).halted), "the halt")
        desk.do(lambda: desk.strategy.execute(BTC_ID, D("0.010"), "try"))
        took = desk.until(lambda: not desk.strategy.busy, "the end")
        assert took < slack(6)
        assert st.sent() <= 6
        assert st.position() == desk.strategy.net() == 0
        st.end_faults()
        desk.until(lambda: not st.call(lambda: st.exchange.market(BTC).halted), "its end")
        desk.filled(BUY, "0.010")


# Pushes late, twice, in another order -------------------------------------------------------------


def test_pushes_that_come_late_twice_and_in_another_order_count_once() -> None:
    with stage(seed=7) as st, desk_node(st) as desk:
        st.play("pushes_late_and_twice")
        orders = [desk.strategy.market_order(side, "0.010") for side in (BUY, BUY, SELL, BUY, BUY)]
        desk.until(lambda: all(desk.strategy.status(o) == "FILLED" for o in orders))
        assert desk.strategy.net() == st.position() == D("0.030")
        desk.wait(2)
        assert desk.strategy.net() == D("0.030")
        assert desk.halted() == set()
        ids = [fill.execution_id for fill in desk.fills()]
        assert len(ids) == len(set(ids)) == 5
        assert NAME in {fill.instrument for fill in desk.fills()}


def test_an_acceptance_that_overtakes_our_own_event_of_the_sending_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = DeskExecutionClient.generate_order_submitted

    def late(client: Any, **event: Any) -> None:
        client._loop.call_later(0.2, lambda: said(client, **event))

    with stage() as st, desk_node(st) as desk:
        monkeypatch.setattr(DeskExecutionClient, "generate_order_submitted", late)
        resting = desk.strategy.limit(BUY, "49000")
        desk.until(lambda: desk.strategy.status(resting) == "ACCEPTED", "the acceptance")
        assert list(st.open_orders()) == [resting.value]
