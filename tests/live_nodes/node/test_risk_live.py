"""Guards in a real node on the practice exchange: what they stop, close, keep and report."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from nautilus_trader.model.identifiers import InstrumentId

from actors.guards.core.snapshot import DeskEvent, ErrorEvent, FillEvent, Mismatch, Snapshot
from config.documents.scenario import Delay, LostRequest, RefusedOp
from config.errors import GateRefused
from live_nodes.bybit import notices, pending_cash
from live_nodes.local.heartbeat import last_beat
from live_nodes.local.mailbox import MailAnswer, MailRequest, answer, ask
from live_nodes.node.guard_status import GuardStatus, risk_of
from live_nodes.node.report import RunOptions
from live_nodes.node.risk_books import OWNER, UNSEEN
from strategies.order_ids import is_closers
from tests.live_nodes.by_hand import BUY, SELL, ByHand, ByHandConfig
from tests.live_nodes.documents import guard
from tests.live_nodes.local.test_alerts import ear
from tests.live_nodes.practice.still_market import BTC
from tests.live_nodes.stage import NAME, Desk, Stage, desk_node, stage
from tests.waiting import slack

RISK = {"every": 0.1, "heartbeat": 2.0, "exit_grace": 1.0, "deadline": 5.0}
FEE = D("0.00055")
"""Of a taker on the practice exchange: 0.02 BTC at 50,000 cost 0.55 USDT, 0.1 cost 2.75."""
DAILY = guard("daily_loss:DailyLoss", limit_currency=2.0, release="manual")
STUBBORN = {"hand": {"use": "tests.live_nodes.node.test_risk_live:Stubborn"}}


class Stubborn(ByHand):
    """Follows no verdict."""

    Config = ByHandConfig

    def _on_verdict(self, verdict: Any) -> None:
        """Do nothing."""


class Slow(ByHand):
    """Takes some time over each book; enters at the book after one that took half a second."""

    Config = ByHandConfig
    seconds, stalls, late = 0.0, False, None

    def on_order_book_deltas(self, deltas: Any) -> None:
        """Be busy."""
        super().on_order_book_deltas(deltas)
        if self.stalls and self.late is None:
            self.late = self.market_order(BUY) if self.seconds else None
            self.seconds = 0.5 if self.late is None else 0.0
        time.sleep(self.seconds)


def limits_of(desk: Desk) -> dict[str, GuardStatus]:
    """Return the newest status of each guard that measures one thing."""
    return {status.guard: status for status in risk_of(desk.folder, desk.node)}


def told(desk: Desk, words: str) -> bool:
    """Whether it said the words; "NOT flat after" does not say "flat after"."""
    exact = re.compile(rf"(?<!NOT ){re.escape(words)}")
    return any(exact.search(line) for line in desk.said)


def asked(desk: Desk, request: MailRequest) -> MailAnswer:
    """Ask the node and let it run until it answers."""
    name = ask(desk.folder, request)
    found: list[Any] = []
    desk.until(lambda: found.append(answer(desk.folder, name, 0.0)) or found[-1], "the answer")
    return found[-1]  # type: ignore[no-any-return]


def verdicts(desk: Desk) -> list[tuple[str, str, str]]:
    """Return what stands by guards of the document and the operator, and on what."""
    return [
        (verdict.guard, verdict.action.name, verdict.scope)
        for _, verdict in desk.journal.standing()
        if not verdict.guard.startswith("node.")
    ]


def test_a_daily_loss_closes_all_alerts_survives_a_restart_and_is_released(tmp_path: Path) -> None:
    guarded: dict[str, Any] = {"actors": {"daily": DAILY}, "risk": RISK, "folder": tmp_path}
    with stage() as st, ear() as there:
        with desk_node(st, told=(there.address,), **guarded) as desk:
            strategy = desk.strategy
            # It has looked before any strategy started.
            status = limits_of(desk)["daily"]
            assert (status.measured, status.limit, status.headroom) == (0.0, 2.0, 2.0)
            first = strategy.market_order(BUY, "0.020")
            strategy.limit(BUY, "49000")
            desk.until(lambda: strategy.status(first) == "FILLED", "the entry")
            desk.until(lambda: len(st.open_orders()) == 1, "the resting order")
            assert verdicts(desk) == []
            # One more costs 2.75 in fees.
            strategy.market_order(BUY, "0.100")
            desk.until(lambda: verdicts(desk), "the verdict")
            assert verdicts(desk) == [("daily", "FLATTEN", "desk")]
            desk.until(lambda: st.position() == 0 and not st.open_orders(), "flat")
            desk.until(lambda: told(desk, "flat after"), "the good news")
            assert "flatten by daily" in desk.denied()
            desk.until(lambda: re.search("(?<!NOT )flat after", there.text), "the alerts")
            assert "flatten on desk by daily" in there.text
            # Readings are written once a second.
            desk.until(lambda: limits_of(desk)["daily"].over, "the reading")
            status = limits_of(desk)["daily"]
            assert (status.latched, status.action, status.release) == (True, "flatten", "manual")
            # The breach stands, so that it must be accepted.
            said = asked(desk, MailRequest(command="release", guard="daily", reason="go on"))
            assert not said.done
            assert "--accept" in said.text
            desk.until(lambda: last_beat(tmp_path).flat, "a beat since")  # type: ignore[union-attr]
            beat = last_beat(tmp_path)
            assert beat is not None
            assert beat.phase == "running"
            assert beat.verdict.startswith("flatten by daily")
            assert beat.guards["daily"] is not None
            desk.until(lambda: desk.counted("alerts_sent") >= 2, "the count")
        with desk_node(st, told=(there.address,), **guarded) as desk:
            assert verdicts(desk) == [("daily", "FLATTEN", "desk")]
            assert "flatten by daily" in desk.denied()
            go = MailRequest(command="release", guard="daily", accept=True, reason="cause found")
            done = asked(desk, go)
            assert done.done
            assert done.text.startswith("daily released (cause found): flatten on desk since")
            assert verdicts(desk) == []
            desk.filled(BUY, "0.010")
            assert st.position() == D("0.010")
            desk.until(lambda: "is over: released: cause found" in there.text, "the alert")
    kept = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert [line["level"] for line in kept if line["kind"] == "guard"][:1] == ["critical"]


def test_a_request_to_a_stopped_node_is_carried_out_before_any_strategy_starts(
    tmp_path: Path,
) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            desk.filled(BUY, "0.020")
        assert st.position() == D("0.020")
        name = ask(tmp_path, MailRequest(command="flatten", reason="I am off"))
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            assert answer(tmp_path, name, 0.0).done
            assert verdicts(desk) == [("operator", "FLATTEN", "desk")]
            desk.until(lambda: st.position() == 0, "flat")
            # While something is held, the engine's own lock is the first to refuse.
            desk.until(lambda: not desk.strategy.holdings(), "the news of it")
            assert "flatten by operator: I am off" in desk.denied()
            status = limits_of(desk)["operator"]
            assert (status.latched, status.reason) == (True, "I am off")


def test_the_readings_of_a_stopped_node_are_those_of_its_end(tmp_path: Path) -> None:
    daily = guard("daily_loss:DailyLoss", limit_currency=100.0)
    with stage() as st, desk_node(st, folder=tmp_path, risk=RISK, actors={"daily": daily}) as desk:
        desk.filled(BUY, "0.100")
    # The fee, and at most a tick.
    assert limits_of(desk)["daily"].measured == pytest.approx(2.75, abs=0.02)


def test_a_strategy_that_follows_no_verdict_is_closed_by_the_desk_by_rest_as_well(
    tmp_path: Path,
) -> None:
    guarded: dict[str, Any] = {"actors": {"daily": DAILY}, "risk": RISK, "strategies": STUBBORN}
    with stage() as st, desk_node(st, folder=tmp_path, **guarded) as desk:
        desk.filled(BUY, "0.100")
        st.play("links_frozen", "trade")
        desk.until(lambda: verdicts(desk), "the verdict")
        desk.until(lambda: st.position() == 0, "flat")
        desk.until(lambda: told(desk, "flat after"), "the good news")


def fetch_rules(desk: Desk) -> None:
    """Fetch the venue's rules anew, as the adapter does each hour."""
    (client,) = desk.live.built.kernel.data_engine._clients.values()  # type: ignore[union-attr]

    async def fetch() -> None:
        await client._instrument_provider.initialize(reload=True)
        client._cache_instruments()
        client._send_all_instruments_to_data_engine()

    desk.loop.run_until_complete(fetch())
    desk.wait(0.0)


def closes_at_once(desk: Desk, st: Stage) -> None:
    """Flatten; all must go, with at most one refusal that the venue's rules have changed."""
    assert asked(desk, MailRequest(command="flatten", reason="enough")).done
    desk.until(lambda: told(desk, "flat after"), "flat")
    assert (st.position(), st.open_orders()) == (D(0), {})
    assert sum("refused" in line for line in desk.said) == 0, desk.said
    desk.until(lambda: desk.strategy.net() == 0, "the books")


@pytest.mark.parametrize(
    ("lot", "knows"), [("0.010", False), ("0.010", True), ("0.005", False), ("0.005", True)]
)
def test_a_flatten_closes_what_is_no_whole_number_of_lots_any_more(
    tmp_path: Path, lot: str, knows: bool
) -> None:
    with stage() as st, desk_node(st, folder=tmp_path, risk=RISK) as desk:
        held = desk.filled(BUY, "0.012")
        desk.do(lambda: desk.strategy.place_stop(InstrumentId.from_str(NAME), D("45000")))
        desk.until(lambda: len(st.open_orders()) == 1, "the stop")
        st.change_rules(BTC, lot=D(lot), min_qty=D(lot))
        if knows:
            fetch_rules(desk)
            # Its decimals stay: 0.012 would be 0.01 in the venue's next report.
            assert desk.strategy.cache.instrument(InstrumentId.from_str(NAME)).size_precision == 3
        closes_at_once(desk, st)
        assert desk.strategy.status(held) == "FILLED"


def test_a_restart_closes_what_is_no_whole_number_of_lots_any_more(tmp_path: Path) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            desk.filled(BUY, "1.012")
        st.change_rules(BTC, lot=D("0.005"), min_qty=D("0.005"))
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            closes_at_once(desk, st)


@pytest.mark.parametrize(
    ("lot", "left"),
    [
        # Until the next start lots stay: fills of a tenth of one would be rounded.
        ("0.0001", "0.009"),
        ("0.010", "0.000"),
    ],
)
def test_orders_pass_after_the_venue_changed_the_decimals_of_its_lots(
    tmp_path: Path, lot: str, left: str
) -> None:
    with stage() as st, desk_node(st, folder=tmp_path, risk=RISK) as desk:
        desk.filled(BUY, "0.010")
        st.change_rules(BTC, lot=D(lot), min_qty=D(lot))
        fetch_rules(desk)
        step = desk.strategy.market.lot(InstrumentId.from_str(NAME)).step
        assert step == max(D(lot), D("0.001"))
        desk.filled(SELL, str(step))
        assert st.position() == desk.strategy.net() == D(left)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"lot": D("0.01"), "min_qty": D("0.01")}, "0.012, no whole number of its lots of 0.01"),
        ({"status": "Delivering"}, "0.012, and it takes no new positions: it is being delisted"),
    ],
)
def test_a_start_says_which_position_it_can_not_take_up_and_how_it_is_closed(
    tmp_path: Path, rules: dict[str, Any], said: str
) -> None:
    known: dict[str, Any] = {
        "folder": tmp_path,
        "risk": RISK,
        "universe": {"instruments": (NAME, "ETHUSDT-LINEAR.BYBIT")},
    }
    with stage() as st:
        with desk_node(st, **known) as desk:
            desk.filled(BUY, "0.012")
        st.change_rules(BTC, **rules)
        with pytest.raises(GateRefused) as refused, desk_node(st, **known):
            pass
    assert f"gate held: {NAME} {said}" in str(refused.value)
    assert "perpdesk risk flatten" in str(refused.value)
    assert "start again; if it stays" not in str(refused.value)


def test_the_books_go_on_over_a_restart_with_funding_and_what_filled_meanwhile(
    tmp_path: Path,
) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            desk.filled(BUY, "0.020")
            st.settle_funding("0.001")
            books = desk.live.risk.desk.books
            # 0.020 at 50,000 pays 1 USDT, and its fee was 0.55.
            fee = D("0.020") * D("50000.1") * FEE
            desk.until(lambda: len(desk.fills()) == 2, "the payment")
            funding = next(f.fee for f in desk.fills() if f.kind == "Funding")
            paid = D("0.020") * D("50000.1") + fee + funding
            assert books.booked.results(lambda _: D("50000"))[0]["hand"] == D("1000") - paid
        # Sold by an order of ours while the node was down, as one that rested at the venue.
        st.order("Sell", "0.005", name="n1-hand-zzz-1")
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            books = desk.live.risk.desk.books
            assert books.open["hand", NAME].quantity == D("0.015")
            assert books.open["hand", NAME].funding == -funding
            assert desk.journal.state_names(OWNER, UNSEEN) == []


def test_a_dry_run_leaves_halts_and_requests_as_they_are(tmp_path: Path) -> None:
    guarded: dict[str, Any] = {"actors": {"daily": DAILY}, "risk": RISK, "folder": tmp_path}
    with stage() as st:
        with desk_node(st, **guarded) as desk:
            desk.strategy.market_order(BUY, "0.100")
            desk.until(lambda: told(desk, "flat after"), "flat")
            before = desk.journal.load_state("guard:daily", "state")
        go_on = MailRequest(command="release", guard="daily", accept=True, reason="go on")
        name = ask(tmp_path, go_on)
        with desk_node(st, options=RunOptions(dry_run=True), **guarded) as desk:
            assert verdicts(desk) == [("daily", "FLATTEN", "desk")]
            assert "flatten by daily" in desk.denied()
            desk.wait(1.0)
            assert answer(tmp_path, name, 0.0) is None
            assert desk.journal.load_state("guard:daily", "state") == before
        with desk_node(st, **guarded) as desk:
            assert answer(tmp_path, name, 0.0).done
            assert verdicts(desk) == []


def test_a_guard_that_left_the_document_holds_nothing_back_and_is_reported(tmp_path: Path) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path, risk=RISK, actors={"daily": DAILY}) as desk:
            desk.strategy.market_order(BUY, "0.100")
            desk.until(lambda: told(desk, "flat after"), "flat")
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            assert verdicts(desk) == []
            assert told(desk, "daily is no guard of the document any more: its flatten on desk")


def test_guards_receive_the_market_the_venue_and_failures(tmp_path: Path) -> None:
    records = {"use": "tests.live_nodes.odd_guards:Records"}
    with stage() as st:
        now = st.call(st.server.venue.clock_ms)
        st.call(lambda: st.server.venue.announcements.announce("upgrade", now, now + 600_000))
        with desk_node(st, folder=tmp_path, risk=RISK, actors={"all": records}) as desk:
            recorder = desk.live.risk.guards["all"]

            def seen(*kinds: type) -> list[Any]:
                return [x for x in recorder.tape if isinstance(x, kinds)]

            assert isinstance(recorder.tape[0], Snapshot)

            def whole() -> bool:
                newest = seen(Snapshot)[-1]
                return bool(newest.maintenance and newest.markets[NAME].bid)

            desk.until(whole, "the announcement and a book")
            snapshot = seen(Snapshot)[-1]
            assert snapshot.equity == snapshot.balance == D("100000")
            assert snapshot.maintenance.endswith("UTC: upgrade")
            market = snapshot.markets[NAME]
            assert (market.bid, market.ask, market.tick) == (D("49999.9"), D("50000.1"), D("0.1"))
            assert abs(market.price - D("50000")) <= D("0.1")
            assert 0 <= market.silent_ns < slack(1_000_000_000)
            assert 0 <= market.delay_ns < slack(1_000_000_000)
            assert market.taker_fee == FEE
            assert market.maintenance_rate > 0
            assert market.trading
            assert not market.spot
            # Every eight hours.
            assert 0 < market.next_funding_ns - snapshot.now <= 8 * 3600 * 1_000_000_000
            entry = desk.strategy.market_order(BUY, "0.010")
            desk.until(lambda: len(seen(*get_args(DeskEvent))) >= 3, "the trade")
            events = sorted(type(x).__name__ for x in seen(*get_args(DeskEvent)))
            assert events == ["FillEvent", "OrderRequested", "VenueResponse"]
            (trade,) = seen(FillEvent)
            assert (trade.strategy, trade.quantity, trade.opened) == ("hand", D("0.010"), True)
            # Asked for at a mark of about 50,000, filled at 50,000.1.
            assert trade.slippage == pytest.approx(2e-6, abs=3e-6)
            assert desk.strategy.status(entry) == "FILLED"
            st.play("server_errors")
            desk.until(lambda: seen(ErrorEvent), "an error")
            st.end_faults()
            st.order("Sell", "0.004")
            desk.until(lambda: seen(Mismatch), "it")
            assert seen(Mismatch)[0].instrument == NAME


def test_an_entry_knows_of_a_notice_that_is_newer_than_the_last_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "STATUS_EVERY_S", 0.1)
    seldom = RISK | {"every": 60.0, "heartbeat": 600.0}
    actors = {"closed": guard("maintenance:Maintenance")}
    with stage() as st, desk_node(st, folder=tmp_path, risk=seldom, actors=actors) as desk:
        desk.filled(BUY, "0.010")
        now = st.call(st.server.venue.clock_ms)
        st.call(lambda: st.server.venue.announcements.announce("upgrade", now, now + 600_000))
        desk.until(lambda: desk.live.risk.desk.maintenance, "the announcement")
        assert "UTC: upgrade" in desk.denied()


@pytest.mark.parametrize(
    ("name", "words", "alert"),
    [
        ("Breaks", "guard odd failed: ZeroDivisionError: made to break", "made to break"),
        ("Sleeps", "silent for more than 1 s", "guard odd is silent"),
    ],
)
def test_a_guard_that_measures_no_more_stops_entries_and_no_exit(
    tmp_path: Path, name: str, words: str, alert: str
) -> None:
    odd = {"odd": {"use": f"tests.live_nodes.odd_guards:{name}"}}
    settings: dict[str, Any] = {"risk": RISK | {"heartbeat": 1.0}, "actors": odd}
    with (
        stage() as st,
        ear() as there,
        desk_node(st, folder=tmp_path, told=(there.address,), **settings) as desk,
    ):
        # It looked often enough to let one through.
        desk.filled(BUY)
        desk.until(lambda: alert in there.text, "the alert")
        assert words in desk.denied()
        desk.filled(SELL, "0.010")
        if name == "Breaks":
            assert limits_of(desk)["odd"].failed
            done = asked(desk, MailRequest(command="release", guard="odd", reason="try again"))
            assert done.done
        else:
            desk.until(lambda: last_beat(tmp_path).silent == ("odd",), "the heartbeat")


@pytest.mark.slow
def test_fifty_positions_are_closed_at_the_pace_that_the_venue_takes(tmp_path: Path) -> None:
    coins = tuple(f"C{n:02}USDT-LINEAR.BYBIT" for n in range(50))
    universe = {"instruments": ("C*USDT-LINEAR.BYBIT",)}
    risk = RISK | {"deadline": 30.0}
    with (
        stage(coins=50) as st,
        desk_node(st, folder=tmp_path, risk=risk, strategies=STUBBORN, universe=universe) as desk,
    ):
        strategy = desk.strategy

        def held() -> int:
            return sum(st.position(name.partition("-")[0]) != 0 for name in coins)

        for name in coins:
            strategy.where = InstrumentId.from_str(name)
            strategy.market_order(BUY, "1.00")
        desk.until(lambda: held() == 50, "the entries")
        # Entries that wait for their turn when everything is closed leave no more.
        late = []
        for name in coins:
            strategy.where = InstrumentId.from_str(name)
            late.append(strategy.market_order(BUY, "1.00"))
        assert asked(desk, MailRequest(command="flatten", reason="off")).done
        took = desk.until(lambda: held() == 0, "flat")
        desk.until(lambda: told(desk, "flat after"), "the good news")
        print(f"50 positions at the venue's pace: flat after {took:.1f} s")
        words = [strategy.status(order) for order in late]
        assert words.count("DENIED") > 25
        assert not told(desk, "NOT flat")
        assert took < slack(25)
        # Nothing was sent faster than the venue takes it.
        assert not any("10006" in reason for o in late for reason in strategy.reasons(o))
        assert st.open_orders() == {}
        desk.wait(1.0)
        assert held() == 0


CLOSING_RISK = {"every": 0.1, "exit_grace": 0.3, "deadline": 3.0}


@contextmanager
def holding(folder: Path, quantity: str, **settings: Any) -> Iterator[tuple[Stage, Desk]]:
    """Give a node whose strategy follows no verdict and holds bitcoin."""
    settings |= {"risk": CLOSING_RISK | settings.get("risk", {}), "strategies": STUBBORN}
    with stage() as st, desk_node(st, folder=folder, **settings) as desk:
        desk.filled(BUY, quantity)
        yield st, desk


def flatten(st: Stage, desk: Desk, news: str = "flat after") -> None:
    """Flatten by the operator and wait until the node says that it is flat."""
    desk.do(lambda: desk.live.risk.operator.halt("desk", "test"))
    desk.until(lambda: told(desk, news), news)
    desk.until(lambda: st.position() == 0, "flat")
    desk.until(lambda: told(desk, "flat after"), "the good news")


def closes(st: Stage) -> list[str]:
    return [name for name in st.orders() if is_closers(name)]


def test_through_the_venues_rate_limit_it_goes_on_until_it_is_flat(tmp_path: Path) -> None:
    with holding(tmp_path, "0.100") as (st, desk):
        busy = RefusedOp(op="order.create", ret_code=10006, message="Too many visits", times=2)
        st.call(lambda: st.faults.add("busy", busy))
        flatten(st, desk)
        assert st.struck("busy") == 2
        assert len(closes(st)) == 1


def test_on_a_thin_book_it_closes_part_by_part(tmp_path: Path) -> None:
    with holding(tmp_path, "0.100") as (st, desk):

        def thin() -> None:
            """Leave three hundredths of a bitcoin, which come back ten times a second."""
            bids, asks = st.market.books[BTC]
            st.market.books[BTC] = ([(price, D("0.010")) for price, _ in bids[:3]], asks)
            st.market.set_bid = lambda key, place, qty: st.market.changed.add(key)  # type: ignore[method-assign]
            st.market.changed.add(BTC)

        st.call(thin)
        desk.until(lambda: not st.market.changed, "the thin book")
        flatten(st, desk)
        assert len(closes(st)) >= 4
        sold = [fill.quantity for fill in desk.fills() if fill.side == "SELL"]
        assert sum(sold, D(0)) == D("0.100")


@pytest.mark.parametrize("external", ["universe", pytest.param("leave", marks=pytest.mark.slow)])
def test_foreign_orders_are_cancelled_by_the_documents_policy(
    tmp_path: Path, external: str
) -> None:
    with holding(tmp_path, "0.010", risk={"external": external}) as (st, desk):
        st.order("Buy", "0.010", "49000")
        desk.until(lambda: len(desk.strategy.cache.orders_open()) == 1, "the stranger's order")
        flatten(st, desk)
        assert len(st.open_orders()) == (0 if external == "universe" else 1)


@pytest.mark.slow
def test_a_close_that_never_arrives_is_sent_again_once_that_is_sure(tmp_path: Path) -> None:
    with holding(tmp_path, "0.010") as (st, desk):
        lost = LostRequest(op="order.create", times=1)
        st.call(lambda: st.faults.add("lost", lost))
        flatten(st, desk, "NOT flat after")
        assert len(closes(st)) == 1


ON_WORTH: dict[str, Any] = {
    "max": guard("max_drawdown:MaxDrawdown", limit_currency=40.0),
    "gain": guard("session_profit:SessionProfit", limit_currency=260.0),
}


@pytest.mark.parametrize(("price", "about"), [("51000", 100_095), ("49700", 99_965)])
def test_realized_profit_counts_once_however_late_the_wallet_comes(
    tmp_path: Path, price: str, about: int
) -> None:
    """0.1 BTC that gained 100 or lost 30 are closed in two parts while the wallet lags."""
    risk = RISK | {"every": 0.05}
    with stage() as st, desk_node(st, folder=tmp_path, risk=risk, actors=ON_WORTH) as desk:
        account = desk.live.risk._account
        desk.filled(BUY, "0.100")
        st.move(price)
        desk.until(lambda: abs((account.worth() or D(0)) - about) < 5, "the price")
        late = Delay(channel="private", topic="wallet", by=D(1), seconds=D(600))
        st.call(lambda: (st.faults.add("late", late), st.faults.poll()))
        seen: list[D] = []

        def watched() -> bool:
            seen.append(account.worth() or D(0))
            return st.position() == 0 and len(seen) > 250

        for _ in range(2):
            desk.filled(SELL, "0.050", reduce_only=True)
        desk.until(watched, "the wallet")
        assert [worth for worth in seen if abs(worth - about) > 5] == []
        # Once the wallet has come, it is what the venue says.
        desk.until(lambda: account.worth() == st.call(lambda: st.exchange.wallet("anna").equity))
        assert verdicts(desk) == []


def test_what_is_realised_while_the_private_link_is_down_stays_in_the_equity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The venue sends no wallet again that it sent while nobody listened: it is asked for."""
    monkeypatch.setattr(pending_cash, "PATIENCE_NS", 500_000_000)
    with stage() as st, desk_node(st) as desk:
        account = desk.live.risk._account
        desk.filled(BUY, "0.100")
        st.move("49700")
        st.play("links_cut", "private", at=D(0), seconds=D(600))
        desk.until(lambda: not desk.live.links.ready("private"), "the cut")
        desk.filled(SELL, "0.100", reduce_only=True)
        there = st.call(lambda: st.exchange.wallet("anna").equity)
        desk.until(lambda: account.worth() == there and not desk.live.risk.pending_cash._moved)
        # What others paid in while the link was down, no execution tells of.
        st.call(lambda: setattr(st.exchange._state.account("anna").coin("USDT"), "balance", D(1)))
        st.end_faults()
        desk.until(lambda: account.wallet() == 1, "the wallet")


def test_a_backlog_in_the_node_closes_the_scalpers_latency_gate_until_it_is_gone(
    tmp_path: Path,
) -> None:
    setup = yaml.safe_load(Path("config/setups/scalper.yaml").read_text(encoding="utf-8"))
    actors = {"latency": setup["actors"]["latency"]}
    slow = {"hand": {"use": "tests.live_nodes.node.test_risk_live:Slow"}}
    settings: dict[str, Any] = {"actors": actors, "risk": RISK, "strategies": slow}
    with stage() as st, desk_node(st, folder=tmp_path, **settings) as desk:
        desk.filled(BUY)
        # A book comes each tenth of a second: more than it can handle.
        desk.strategy.seconds = 0.15
        desk.until(lambda: verdicts(desk), "the halt")
        assert verdicts(desk) == [("latency", "HALT_ENTRIES", f"instrument:{NAME}")]
        assert "ms late, limit 80ms" in desk.denied()
        desk.until(lambda: limits_of(desk)["latency"].over, "the reading")
        desk.strategy.seconds = 0.0
        desk.until(lambda: not verdicts(desk), "the end of the halt")
        desk.filled(BUY)
        # What comes first after a stall has waited, before any guard has looked again.
        desk.strategy.stalls = True
        desk.until(lambda: desk.strategy.late is not None, "the book after the stall")
        desk.until(lambda: desk.strategy.status(desk.strategy.late) in ("DENIED", "FILLED"))
        assert "ms late, limit 80ms" in str(desk.strategy.reasons(desk.strategy.late))
