"""Faults of links and feeds, and what our node does about them; some on a plain node first."""

from __future__ import annotations

import re
import time
from decimal import Decimal as D

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import GenerateOrderStatusReports

import live_nodes.bybit.links
import live_nodes.reconcile.venue_books
from config.documents.scenario import Http
from live_nodes.bybit.sockets import SUPPORTED
from live_nodes.local.heartbeat import last_beat
from live_nodes.operate.status import rendered, status_of
from tests.live_nodes.by_hand import BTC_ID, BUY, SELL, SPOT_ID, PlainByHand
from tests.live_nodes.practice.still_market import BTC, SPOT
from tests.live_nodes.stage import Desk, Plain, Stage, desk_node, plain_node, stage
from tests.waiting import slack

LASTING = D(600)
"""Seconds of a fault that the test itself ends."""
CREATED = "POST /v5/order/create"
needs_linux = pytest.mark.skipif(not SUPPORTED, reason="TCP_INFO is Linux's")


def ready(desk: Desk, *names: str) -> bool:
    states = desk.live.links.by_name()
    return all(states[name].ready for name in names or states)


def arrived(st: Stage) -> int:
    """Return how many orders ever arrived at the exchange."""
    return len(st.orders())


# Half-open links (live.md 4.2) --------------------------------------------------------------------


@pytest.mark.slow
def test_a_plain_node_notices_a_frozen_link_only_after_half_a_minute() -> None:
    with stage() as st, plain_node(st) as plain:
        (client,) = plain.node.kernel.exec_engine._clients.values()
        st.play("links_frozen", seconds=D(60))
        took = plain.until(lambda: not client._ws_private_client.is_active(), "the notice")
        print(f"plain node: half-open noticed after {took:.1f} s")
        assert took > 25


@needs_linux
def test_our_node_notices_frozen_links_within_five_seconds_and_lets_only_exits_out() -> None:
    with stage() as st, desk_node(st) as desk:
        desk.filled(BUY, "0.020")
        desk.wait(3)
        st.play("links_frozen", seconds=LASTING)
        began = time.monotonic()
        desk.until(lambda: not ready(desk, "trade"), "the notice of the trade link")
        trade = time.monotonic() - began
        desk.until(lambda: not ready(desk, "private"), "the notice of the private link")
        private = time.monotonic() - began
        links = desk.live.links.by_name
        desk.until(lambda: links()["public linear"].half_opens == 1, "of the public link")
        public = time.monotonic() - began
        print(f"half-open noticed: trade {trade:.1f}, private {private:.1f}, public {public:.1f} s")
        assert max(trade, private, public) <= slack(5.0)
        assert "private and trade link down" in desk.denied()
        exit_ = desk.strategy.market_order(SELL, "0.020", reduce_only=True)
        took = desk.until(lambda: desk.strategy.status(exit_) == "FILLED", "the exit")
        print(f"exit by REST known to be filled after {took:.1f} s while all links are frozen")
        assert st.requests(CREATED) == 1
        assert st.position() == desk.strategy.net() == 0
        st.end_faults()
        took = desk.until(lambda: ready(desk) and not desk.halted(), "the links")
        print(f"all links back {took:.1f} s after the thaw")
        assert arrived(st) == 2
        desk.filled(BUY, "0.020")
        assert desk.counted("half_open_links") >= 3


@needs_linux
def test_an_order_sent_into_a_frozen_link_dies_of_its_own_timestamp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_nodes.reconcile.venue_books, "UNANSWERED_NS", 7_000_000_000)
    with stage() as st, desk_node(st) as desk:
        # Nobody can know of the freeze yet.
        st.play("links_frozen", "trade", seconds=LASTING)
        desk.wait(0.1)
        order = desk.strategy.market_order(BUY)
        # Longer than the window in which the venue takes a request.
        desk.wait(6.4)
        desk.until(lambda: not ready(desk, "trade"), "the notice")
        st.end_faults()
        desk.until(lambda: ready(desk), "the link")
        desk.until(lambda: desk.strategy.status(order) == "REJECTED", "the end of it")
        assert "never arrived" in desk.strategy.reasons(order)[0]
        desk.until(lambda: desk.journal.order(order.value).status == "REJECTED")
        assert desk.counted("never_arrived") == 1
        assert arrived(st) == 0
        assert desk.strategy.net() == 0


# Trade link down (live.md 4.3) --------------------------------------------------------------------


@pytest.mark.slow
def test_a_plain_node_sends_what_waited_in_a_burst_when_the_trade_link_is_back() -> None:
    with stage() as st, plain_node(st) as plain:
        st.play("links_cut", "trade", at=D(0), seconds=D(4))
        plain.wait(0.5)
        for _ in range(6):
            plain.strategy.market_order(BUY)
            plain.wait(0.5)
        assert arrived(st) == 0
        plain.until(lambda: arrived(st), "the burst")
        plain.wait(0.3)
        assert arrived(st) >= 4


def test_our_node_sends_no_late_burst_and_lets_exits_out_by_rest() -> None:
    with stage() as st, desk_node(st) as desk:
        desk.filled(BUY, "0.020")
        st.play("links_cut", "trade", at=D(0), seconds=LASTING)
        desk.until(lambda: not ready(desk, "trade"), "the notice")
        for _ in range(4):
            assert "trade link down" in desk.denied()
            desk.wait(0.3)
        desk.filled(SELL, "0.005", reduce_only=True)
        resting = desk.strategy.limit(SELL, "51000", "0.005", reduce_only=True)
        desk.until(lambda: desk.strategy.status(resting) == "ACCEPTED", "an exit that rests")
        desk.do(lambda: desk.strategy.cancel_order(desk.strategy.cache.order(resting)))
        desk.until(lambda: desk.strategy.status(resting) == "CANCELED", "its cancel")
        st.end_faults()
        desk.until(lambda: ready(desk) and not desk.halted(), "the link")
        desk.wait(1)
        assert arrived(st) == 3
        assert st.position() == desk.strategy.net() == D("0.015")


# Links cut ----------------------------------------------------------------------------------------


def test_links_that_are_cut_are_back_in_a_moment_with_the_same_book() -> None:
    with stage() as st, desk_node(st) as desk:
        desk.wait(0.5)
        st.play("links_cut", "public", "private", at=D(0))
        whole = {"public": 1, "private": 1, "trade": 1}
        took = desk.until(lambda: st.connections() == whole, "the links")
        seen = desk.strategy.updates
        took += desk.until(lambda: desk.strategy.updates > seen, "the feed")
        print(f"links connected and the feed heard {took:.2f} s after the cut")
        st.call(lambda: st.market.set_bid(BTC, 0, "7.000"))
        desk.until(lambda: desk.strategy.best_bid() == ("49999.9", "7.000"), "the change")
        desk.until(lambda: levels(desk) == at_the_exchange(st), "the whole book")
        desk.until(lambda: ready(desk) and not desk.halted(), "the logins")
        desk.filled(BUY, "0.020")


def levels(desk: Desk) -> list[list[tuple[D, D]]]:
    book = desk.strategy.cache.order_book(BTC_ID)
    return [
        [(level.price.as_decimal(), D(repr(level.size()))) for level in side[:25]]
        for side in (book.bids(), book.asks())
    ]


def at_the_exchange(st: Stage) -> list[list[tuple[D, D]]]:
    bids, asks = st.call(lambda: st.exchange.book(BTC, 25))
    return [list(bids), list(asks)]


@pytest.mark.parametrize("link", ["private", pytest.param("trade", marks=pytest.mark.slow)])
def test_a_login_that_is_refused_for_a_while_is_tried_again(
    link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_nodes.bybit.links, "RENEW_AFTER", 2.0)
    with stage() as st, desk_node(st) as desk:
        st.play("login_refused", f"{link}_login")
        st.play("links_cut", link, at=D(0), seconds=D("0.5"))
        desk.until(lambda: st.struck(f"{link}_login"), "the refusal")
        desk.until(lambda: not ready(desk, link), "the notice")
        # Longer than it takes to renew the link.
        desk.wait(3)
        assert f"{link} link down" in desk.denied()
        st.end_faults()
        took = desk.until(lambda: ready(desk) and not desk.halted(), "the login")
        print(f"{link}: logged in {took:.1f} s after the venue takes the login again")
        desk.filled(BUY, "0.020")


# Silent feed --------------------------------------------------------------------------------------


def test_our_node_renews_a_silent_feed_and_holds_entries_in_it() -> None:
    watch = {"feed_silence": 2.0}
    with stage() as st, desk_node(st, watch=watch) as desk:
        desk.filled(BUY, "0.020")
        st.play("feed_silent", times=None, seconds=LASTING)
        took = desk.until(lambda: "node.feed" in desk.halted(), "the halt")
        print(f"silent feed (limit 2 s) halted after {took:.1f} s")
        assert took < slack(3.0)
        assert "no data" in desk.denied()
        desk.filled(SELL, "0.020", reduce_only=True)
        desk.until(lambda: desk.counted("feed_renewals") >= 1, "a renewal")
        st.end_faults()
        desk.until(lambda: not desk.halted(), "the feed")
        seen = desk.strategy.updates
        desk.until(lambda: desk.strategy.updates > seen + 3, "the book")
        desk.until(lambda: levels(desk) == at_the_exchange(st), "the whole book")


# A feed that is late ------------------------------------------------------------------------------


def test_a_node_that_handles_less_than_comes_shows_its_lag_and_drops_what_waits() -> None:
    with stage() as st, desk_node(st, watch={"half_open": 2.0}) as desk:
        desk.until(lambda: desk.strategy.updates > 3)
        data = desk.live.built.kernel.data_engine  # type: ignore[union-attr]
        handle = data._handle_data
        data._handle_data = lambda message: (time.sleep(0.06), handle(message))
        desk.until(lambda: any("and were dropped" in line for line in desk.said), "the drop")
        data._handle_data = handle
        assert desk.counted("feed_lags") == 1
        beat = last_beat(desk.folder)
        assert beat is not None
        assert beat.feed_lag is not None
        # What waited longer than two seconds was not handled.
        assert 0.5e9 < beat.feed_lag[1] < slack(3e9)
        seen = desk.strategy.updates
        desk.until(lambda: desk.strategy.updates > seen + 3, "the book")
        desk.until(lambda: levels(desk) == at_the_exchange(st), "the whole book")
        desk.until(lambda: desk.strategy.market.event_age_ns(BTC_ID) < 0.5e9, "fresh prices")


def test_data_that_come_late_show_as_lag_and_their_age_leaves_the_clocks_difference_out() -> None:
    with stage() as st, desk_node(st) as desk:
        desk.until(lambda: desk.strategy.updates > 3)
        market, risk = desk.strategy.market, desk.live.risk
        assert risk is not None
        risk.markets.skew_ns = 600_000_000_000
        assert market.event_age_ns(BTC_ID) >= 600_000_000_000
        risk.markets.skew_ns = 0
        st.play("book_late")
        desk.until(lambda: market.event_age_ns(BTC_ID) > 1e9, "a late book")
        desk.until(lambda: (last_beat(desk.folder).feed_lag or (0,))[0] > 1e9, "the lag")  # type: ignore[union-attr]
        assert "feed lag 1," in str(rendered(status_of("scene", desk.folder)).renderables[0])  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_feed_that_cannot_be_renewed_at_once_is_renewed_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_nodes.bybit.links, "RENEW_AFTER", 1.0)
    # After the one renewal that fails, the next would be a while later.
    watch = {"feed_silence": 4.0}
    with stage() as st, desk_node(st, watch=watch) as desk:
        desk.until(lambda: desk.strategy.updates > 3)
        st.play("links_cut", "public", at=D(0), seconds=D(6))
        desk.until(lambda: desk.counted("feed_renewals") >= 1, "a try")
        desk.until(lambda: st.faults.link("public") == "open", "the end of it")
        took = desk.until(lambda: not desk.halted(), "the feed")
        print(f"feed back {took:.1f} s after the venue lets us in again")
        seen = desk.strategy.updates
        desk.until(lambda: desk.strategy.updates > seen + 3, "the book")
        assert st.connections()["public"] == 1


def open_orders() -> GenerateOrderStatusReports:
    """Return what the engine asks its client every few seconds."""
    every = {"instrument_id": None, "start": None, "end": None}
    return GenerateOrderStatusReports(open_only=True, command_id=UUID4(), ts_init=0, **every)


# Maintenance and clocks while it runs -------------------------------------------------------------


def test_our_node_outlives_maintenance_without_a_word_of_trade(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with stage() as st, desk_node(st) as desk:
        desk.filled(BUY, "0.020")
        st.play("maintenance", at=D(0), seconds=LASTING)
        desk.until(lambda: not ready(desk, "trade", "private"), "the notice")
        assert "link down" in desk.denied()
        desk.until(lambda: desk.counted("sweeps_failed") >= 1, "a failed sweep")
        assert desk.live.built is not None
        (client,) = desk.live.built.kernel.exec_engine._clients.values()
        assert not desk.loop.run_until_complete(client.generate_order_status_reports(open_orders()))
        st.end_faults()
        took = desk.until(lambda: ready(desk) and not desk.halted(), "the end of it")
        print(f"trading again {took:.1f} s later")
        assert arrived(st) == 1
        assert desk.strategy.net() == st.position() == D("0.020")
        desk.filled(BUY, "0.020")
    # The sweep has said it.
    assert "Traceback" not in capfd.readouterr().err


def test_a_clock_that_goes_wrong_while_it_runs_stops_entries() -> None:
    watch = {"clock_every": 1.0}
    with stage() as st, desk_node(st, watch=watch) as desk:
        desk.filled(BUY, "0.020")
        st.play("clock_ahead", seconds=LASTING)
        desk.until(lambda: "node.clock" in desk.halted(), "the halt")
        assert re.search(r"the venue's clock is \+(2\.9|3\.0)", desk.denied())
        desk.filled(SELL, "0.020", reduce_only=True)
        st.end_faults()
        desk.until(lambda: not desk.halted(), "the end of it")


# A lost delta of the book -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_adapter_keeps_a_wrong_book_after_a_lost_delta() -> None:
    with stage() as st, plain_node(st) as plain:
        plain.until(lambda: plain.strategy.updates > 3)
        st.play("book_gap", probability=D(1), times=1)
        st.call(lambda: st.market.set_bid(BTC, 0, "7.000"))
        plain.wait(1)
        assert st.struck("gap") == 1
        assert plain.strategy.best_bid() == ("49999.9", "1.500")
        assert at_the_exchange(st)[0][0] == (D("49999.9"), D("7.000"))


def test_our_node_fetches_a_book_that_lost_a_message_anew() -> None:
    with stage() as st, desk_node(st) as desk:
        desk.until(lambda: desk.strategy.updates > 3)
        st.play("book_gap", probability=D(1), times=1)
        st.call(lambda: st.market.set_bid(BTC, 0, "7.000"))
        desk.until(lambda: st.struck("gap"), "the gap")
        # The next message shows by its id that one is missing; its own level alone would be right.
        st.call(lambda: st.market.set_bid(BTC, 1, "3.000"))
        took = desk.until(lambda: levels(desk) == at_the_exchange(st), "the whole book")
        print(f"book replaced in {took:.1f} s")
        assert desk.strategy.best_bid() == ("49999.9", "7.000")
        assert desk.counted("book_losses") == 1


# Quotes and a book of one spot pair (live.md 4.9; our base class never asks for both) -------------


def depth(node: Plain) -> int:
    book = node.strategy.cache.order_book(SPOT_ID)
    return 0 if book is None else len(book.bids())


@pytest.mark.slow
def test_a_plain_node_loses_its_spot_book_to_its_own_quotes() -> None:
    strategy = PlainByHand()
    strategy.where, strategy.quotes = SPOT_ID, True
    with stage() as st, plain_node(st, strategy=strategy) as plain:
        plain.until(lambda: depth(plain), "the book")
        st.call(lambda: st.market.set_bid(SPOT, 0, "7.000000"))
        plain.until(lambda: depth(plain) == 1, "the loss")


# Positions that the venue does not tell -----------------------------------------------------------


@pytest.mark.parametrize("stops", [False, True], ids=["refused while it runs", "cut by the stop"])
def test_positions_that_the_venue_does_not_tell_are_not_taken_for_flat(stops: bool) -> None:
    """The engine would invent a sale by others of all that is held."""
    silent = {"wait": LASTING} if stops else {"ret_code": 10006}
    with stage() as st:
        with desk_node(st) as desk:
            desk.filled(BUY, "0.020")
            execution = desk.live.built.kernel.exec_engine
            # Seconds without a fill before the engine compares.
            execution._position_check_threshold_ns = 0
            st.call(lambda: st.faults.add("silent", Http(path="/v5/position/list", **silent)))
            check = desk.loop.create_task(execution._check_positions_consistency())
            if not stops:
                desk.until(check.done, "the check")
                assert desk.strategy.net() == D("0.020")
            else:
                desk.until(lambda: st.struck("silent"), "the request")
        assert not [line for line in desk.said if "in its books" in line]
