"""Guards in a real node on the practice exchange: what they stop, close, keep and report."""

from __future__ import annotations

import json
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.identifiers import InstrumentId

from actors.guards.core.snapshot import ErrorEvent, FillEvent, Mismatch, Snapshot
from config.errors import InputError
from live_nodes.local.heartbeat import last_beat
from live_nodes.local.mailbox import MailAnswer, MailRequest, answer, ask
from live_nodes.node.guard_status import GuardStatus, risk_of
from live_nodes.node.operator_desk import node_guards
from live_nodes.node.report import RunOptions
from tests.live_nodes.by_hand import BUY, SELL, ByHand, ByHandConfig
from tests.live_nodes.documents import guard
from tests.live_nodes.stage import ACCOUNT, NAME, Desk, desk_document, desk_node, stage
from tests.live_nodes.test_alerts import ear
from tests.waiting import slack

RISK = {"every": 0.1, "heartbeat": 2.0, "exit_grace": 1.0, "deadline": 5.0}
FEE = D("0.00055")
"""Of a taker on the practice exchange: 0.02 BTC at 50,000 cost 0.55 USDT, 0.1 cost 2.75."""
DAILY = guard("daily_loss:DailyLoss", limit_currency=2.0, release="manual")
STUBBORN = {"hand": {"use": "tests.live_nodes.test_risk_live:Stubborn"}}


class Stubborn(ByHand):
    """Follows no verdict."""

    Config = ByHandConfig

    def _on_verdict(self, verdict: Any) -> None:
        """Do nothing."""


def limits_of(desk: Desk) -> dict[str, GuardStatus]:
    """Return the newest status of each guard that measures one thing."""
    return {status.guard: status for status in risk_of(desk.folder, desk.node)}


def told(desk: Desk, words: str) -> bool:
    return any(words in line for line in desk.said)


def asked(desk: Desk, request: MailRequest) -> MailAnswer:
    """Ask the node and let it run until it answers."""
    name = ask(desk.folder, request)
    found: list[MailAnswer] = []

    def heard() -> bool:
        said = answer(desk.folder, name, 0.0)
        if said is not None:
            found.append(said)
        return bool(found)

    desk.until(heard, "the answer")
    return found[0]


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
            desk.until(lambda: "flat after" in there.text, "the alerts")
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
            said = answer(tmp_path, name, 0.0)
            assert said.done
            assert verdicts(desk) == [("operator", "FLATTEN", "desk")]
            desk.until(lambda: st.position() == 0, "flat")
            # While something is held, the engine's own lock is the first to refuse.
            desk.until(lambda: not desk.strategy.holdings(), "the news of it")
            assert "flatten by operator: I am off" in desk.denied()
            status = limits_of(desk)["operator"]
            assert (status.latched, status.reason) == (True, "I am off")


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
            assert books.results(lambda _: D("50000"))[0]["hand"] == D("1000") - paid
        # Sold by an order of ours while the node was down, as one that rested at the venue.
        st.order("Sell", "0.005", name="n1-hand-zzz-1")
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            books = desk.live.risk.desk.books
            assert books.open["hand", NAME].quantity == D("0.015")
            assert books.open["hand", NAME].funding == -funding
            assert desk.journal.state_names("risk", "") == []


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
            said = answer(tmp_path, name, 0.0)
            assert said.done
            assert verdicts(desk) == []


def test_a_guard_that_left_the_document_holds_nothing_back_and_is_reported(tmp_path: Path) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path, risk=RISK, actors={"daily": DAILY}) as desk:
            desk.strategy.market_order(BUY, "0.100")
            desk.until(lambda: told(desk, "flat after"), "flat")
        with desk_node(st, folder=tmp_path, risk=RISK) as desk:
            assert verdicts(desk) == []
            assert told(desk, "daily is no guard of the document any more: its flatten on desk")


def test_components_that_are_no_guards_and_the_operators_name_are_refused(tmp_path: Path) -> None:
    by_hand = {"use": "tests.live_nodes.by_hand:ByHand"}
    for key, component, words in (
        ("x", by_hand, ".* is no guard"),
        ("operator", DAILY, "this name"),
    ):
        with pytest.raises(InputError, match=rf"actors.{key}: {words}"):
            node_guards(desk_document(tmp_path, actors={key: component}))


def test_guards_receive_the_market_the_venue_and_failures(tmp_path: Path) -> None:
    remembers = {"use": "tests.live_nodes.odd_guards:Remembers"}
    with stage() as st:
        now = st.call(st.server.venue.clock_ms)
        st.call(lambda: st.server.venue.announcements.announce("upgrade", now, now + 600_000))
        with desk_node(st, folder=tmp_path, risk=RISK, actors={"all": remembers}) as desk:
            seen = desk.live.risk.guards["all"].seen
            assert isinstance(seen[0], Snapshot)
            desk.until(lambda: seen[-1].maintenance, "the announcement")
            snapshot = seen[-1]
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
            desk.until(lambda: sum(not isinstance(x, Snapshot) for x in seen) >= 3, "the trade")
            events = sorted(type(x).__name__ for x in seen if not isinstance(x, Snapshot))
            assert events == ["FillEvent", "OrderRequested", "VenueResponse"]
            trade = next(x for x in seen if isinstance(x, FillEvent))
            assert (trade.strategy, trade.quantity, trade.opened) == ("hand", D("0.010"), True)
            # Asked for at a mark of about 50,000, filled at 50,000.1.
            assert trade.slippage == pytest.approx(2e-6, abs=3e-6)
            assert desk.strategy.status(entry) == "FILLED"
            st.play("server_errors")
            desk.until(lambda: any(isinstance(x, ErrorEvent) for x in seen), "an error")
            st.end_faults()
            st.order("Sell", "0.004")
            desk.until(lambda: any(isinstance(x, Mismatch) for x in seen), "it")
            differed = next(x for x in seen if isinstance(x, Mismatch))
            assert differed.instrument == NAME


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
    risk = RISK | {"heartbeat": 1.0}
    with (
        stage() as st,
        ear() as there,
        desk_node(st, folder=tmp_path, risk=risk, actors=odd, told=(there.address,)) as desk,
    ):
        strategy = desk.strategy
        entry = strategy.market_order(BUY, "0.010")
        desk.until(lambda: strategy.status(entry) in ("FILLED", "DENIED"), "an answer")
        # It looked often enough to let one through.
        assert strategy.status(entry) == "FILLED"
        desk.until(lambda: alert in there.text, "the alert")
        assert words in desk.denied()
        desk.filled(SELL, "0.010")
        if name == "Breaks":
            assert limits_of(desk)["odd"].failed
            done = asked(desk, MailRequest(command="release", guard="odd", reason="try again"))
            assert done.done


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
            found = st.call(
                lambda: [st.exchange.position(ACCOUNT, n.partition("-")[0]) for n in coins]
            )
            return sum(position.size > 0 for position in found)

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
