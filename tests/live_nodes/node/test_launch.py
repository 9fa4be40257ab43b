"""Whole runs of a node in this process, against the practice exchange."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.records.journal import Journal
from actors.records.journal_reading import read
from actors.records.rows import EquityRow, PositionRow
from config.documents import Node
from config.errors import DeskError, GateRefused, InputError
from config.load import load
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.endpoints import Endpoints
from live_nodes.local.keys import KeyPair, Secret
from live_nodes.local.releases import RUNS, Releases
from live_nodes.node.launch import launch
from live_nodes.node.report import RunOptions, RunReport, raise_left
from live_nodes.node.take_up import RunningRelease
from live_nodes.operate.commands import live
from live_nodes.operate.status import status_of
from live_nodes.practice.faults import FaultEffect
from tests.actors.test_journal import FILL, ORDER
from tests.live_nodes.documents import BTC, ETH, STEADY, node_file, node_of
from tests.live_nodes.practice.background import Background, background
from tests.live_nodes.stage import stage
from tests.waiting import slack

KEYS = KeyPair(Secret("practice-anna"), Secret("practice-secret-anna"))
ONCE = RunOptions(run_once=True, force=True)


@pytest.fixture
def exchange() -> Iterator[Background]:
    with background() as running:
        yield running


def node(**changes: Any) -> Node:
    params = {
        "interval": "1m",
        "every": "1d",
        "at": "00:00",
        "fraction": 0.5,
        "max_weight": 0.5,
        "min_age_days": 0,
        "turnover_lookback": 1,
        "execution": {"tactic": "taker"},
    }
    known: dict[str, Any] = {
        "name": "steady",
        "strategies": {"steady": {"use": STEADY, "params": params}},
        "gates": {"connect_timeout": 8, "reconcile_timeout": 8, "request_timeout": 2},
        "watch": {"sweep_every": 1.0},
    }
    return node_of(**(known | changes))


class Run:
    """Launches nodes with one state folder and keeps what they say."""

    def __init__(self, running: Background, folder: Path) -> None:
        self.where, self.folder = running.where, folder
        self.said: list[str] = []

    def __call__(self, options: RunOptions = ONCE, **changes: Any) -> RunReport:
        document, say = node(**changes), self.said.append
        return launch(document, self.where, KEYS, self.folder, "hash", options, say)


@pytest.fixture
def run(exchange: Background, tmp_path: Path) -> Run:
    return Run(exchange, tmp_path / "state")


def ask[T](running: Background, question: Callable[[VenueRest], Any]) -> Any:
    async def body() -> Any:
        async with VenueRest(running.where.http, KEYS) as rest:
            return await question(rest)

    return asyncio.run(body())


def held(running: Background) -> dict[str, D]:
    return ask(running, lambda rest: rest.positions())


@pytest.mark.end_to_end
def test_a_run_trades_to_its_targets_and_the_venue_agrees(run: Run, exchange: Background) -> None:
    report = run()
    assert report.outcome == "ran once"
    # Half of 100,000 USDT each: one bitcoin at 50,000, and 16.66 ether at 3,000.
    assert report.positions == {"BTCUSDT-LINEAR.BYBIT": D(1), "ETHUSDT-LINEAR.BYBIT": D("-16.66")}
    assert held(exchange) == report.positions
    # The second run finds its positions again, under the strategy that owns them, and nothing due.
    again = run(RunOptions(run_once=True))
    assert again.outcome == "nothing due"
    assert again.positions == report.positions
    (audit,) = (run.folder / "audit").glob("*.json")
    assert json.loads(audit.read_text())["status"] == "done"


@pytest.mark.parametrize(
    "effect", [FaultEffect(ret_code=10006, message="slow"), FaultEffect(silent=True)]
)
def test_flatten_sends_again_what_the_venue_rejects_or_what_gets_lost(
    run: Run, exchange: Background, effect: FaultEffect
) -> None:
    """As for its rate limit: a stop that gives up there leaves naked positions behind."""
    seen: list[str] = []

    def refuse(op: str, account: str | None) -> Any:
        if op != "order.create":
            return None
        seen.append(op)
        # Two entries, then the first of the exits.
        return effect if len(seen) == 3 else None

    exchange.call(lambda: setattr(exchange.faults, "on_op", refuse))
    report = run(on_stop="flatten")
    assert held(exchange) == report.positions == {}
    assert report.left == []
    assert len(seen) == 5


@pytest.mark.parametrize("at", ["book", "fill", "timer"])
def test_a_strategy_that_ends_the_process_stops_the_node_in_order_with_an_error(
    run: Run, exchange: Background, at: str
) -> None:
    wants, prices = {BTC: "0.1", ETH: "0"}, {BTC: "50000", ETH: "3000"}
    params = {"at": at, "wants": wants, "prices": prices}
    ending = {"use": "tests.live_nodes.desk_strategies:Ending", "params": params}
    own = r"own \(tests.live_nodes.desk_strategies:Ending\) ends the process, by SystemExit\(0\) at"
    with pytest.raises(DeskError, match=own):
        run(RunOptions(seconds=slack(20)), on_stop="flatten", strategies={"own": ending})
    assert held(exchange) == {}
    with read(run.folder) as journal:
        assert journal.runs()[0].phase == "failed"


def test_a_node_that_waits_says_until_when(run: Run) -> None:
    run(RunOptions(seconds=0.5))
    assert any(
        re.fullmatch(r"steady: next decision at \S+ 00:00:00 UTC, in \d+ h \d+ min", line)
        for line in run.said
    ), run.said


def test_a_start_without_a_server_is_refused_in_bounded_time(tmp_path: Path) -> None:
    nowhere = Endpoints("http://127.0.0.1:9", *(["ws://127.0.0.1:9/v5/x"] * 3))
    began = time.monotonic()
    with pytest.raises(GateRefused, match="is it up, and is this its address"):
        launch(node(), nowhere, KEYS, tmp_path / "state", "hash", ONCE, print)
    assert time.monotonic() - began < slack(10)


@pytest.mark.parametrize("fault", [FaultEffect(ret_code=10016), FaultEffect(status=503)])
def test_a_start_in_maintenance_is_refused_in_bounded_time(
    run: Run, exchange: Background, fault: FaultEffect
) -> None:
    exchange.call(lambda: setattr(exchange.faults, "on_http", lambda *_: fault))
    began = time.monotonic()
    with pytest.raises(GateRefused, match="gate venue"):
        run()
    assert time.monotonic() - began < slack(10)


def test_fees_above_those_tested_refuse_the_start(run: Run) -> None:
    fees = {"linear": {"maker": "0.0001", "taker": "0.0005"}}
    with pytest.raises(
        GateRefused, match=r"gate fees: linear: BTCUSDT-LINEAR\.BYBIT maker 0\.0002"
    ):
        run(expected={"fees": fees})


def test_a_start_that_is_refused_or_sends_nothing_leaves_what_stops_the_last_run(
    run: Run, exchange: Background, tmp_path: Path
) -> None:
    def starts(name: str, options: RunOptions = ONCE, **changes: Any) -> None:
        file = node_file(tmp_path, account={"name": name})
        release = RunningRelease(Releases(run.folder), None, load(file))
        document = node(**changes)
        launch(document, exchange.where, KEYS, run.folder, "hash", options, print, release=release)

    def kept() -> str:
        return yaml.safe_load((run.folder / RUNS).read_text())["account"]["name"]

    cheap = {"fees": {"linear": {"maker": "0.0001", "taker": "0.0005"}}}
    with pytest.raises(GateRefused, match="gate fees"):
        starts("bob", expected=cheap)
    assert not (run.folder / RUNS).exists()
    starts("anna")
    assert kept() == "anna"
    with pytest.raises(GateRefused, match="gate fees"):
        starts("bob", expected=cheap)
    starts("bob", RunOptions(dry_run=True, run_once=True))
    assert kept() == "anna"


def test_a_position_of_others_refuses_the_first_start(run: Run, exchange: Background) -> None:
    """The strategies would take it for theirs, and sell it at the next rebalance."""
    fields = {"side": "Buy", "orderType": "Market", "qty": "0.5"}
    ask(exchange, lambda rest: rest.create("BTCUSDT-LINEAR.BYBIT", fields))
    for _ in range(2):
        with pytest.raises(GateRefused, match=r"gate first start: .* BTCUSDT-LINEAR\.BYBIT 0\.5"):
            run()
    assert held(exchange) == {"BTCUSDT-LINEAR.BYBIT": D("0.5")}
    # Given to the node by word, it is the strategy's: half of the equity is near one bitcoin.
    report = run(watch={"sweep_every": 1.0, "policies": {"external_positions": "report"}})
    assert held(exchange) == report.positions
    assert D("0.9") < report.positions["BTCUSDT-LINEAR.BYBIT"] < D("1.1")


def test_what_others_traded_while_the_node_was_off_is_not_undone_at_the_start(
    run: Run, exchange: Background
) -> None:
    """Nor by the first decision: the halt stands before the strategy may send anything."""
    run()
    steady = node().strategies["steady"]
    execution = {"tactic": "taker", "retry_for": "3s"}
    halted = steady.model_copy(update={"params": steady.params | {"execution": execution}})
    fields = {"side": "Sell", "orderType": "Market", "qty": "0.7"}
    ask(exchange, lambda rest: rest.create("BTCUSDT-LINEAR.BYBIT", fields))
    for _ in range(2):
        report = run(strategies={"steady": halted})
        assert held(exchange)["BTCUSDT-LINEAR.BYBIT"] == D("0.3")
        (missed,) = report.missed
        assert "our orders made 1" in missed
    # By word it goes on from there: to half of the equity, near one bitcoin.
    run(watch={"sweep_every": 1.0, "policies": {"external_positions": "report"}})
    assert D("0.9") < held(exchange)["BTCUSDT-LINEAR.BYBIT"] < D("1.1")


def test_orders_that_the_venue_rejects_are_reported_with_its_reason(
    run: Run, exchange: Background
) -> None:
    """Leverage at the venue that is lower than the setup assumes shows itself so."""

    def refuse(op: str, account: str | None) -> Any:
        fault = FaultEffect(execute=False, ret_code=110007, message="ab not enough for new order")
        return fault if op == "order.create" else None

    exchange.call(lambda: setattr(exchange.faults, "on_op", refuse))
    report = run()
    assert report.outcome == "ran once"
    assert held(exchange) == report.positions == {}
    assert len(report.missed) == 2
    for line in report.missed:
        assert "holds 0, wanted" in line
        assert "not enough" in line
    assert any("0 of 2 positions where wanted" in line for line in run.said)
    # A later start sends nothing again, and says what is missing.
    again = run(RunOptions(run_once=True))
    assert (again.outcome, again.decisions, again.missed) == ("nothing due", 0, report.missed)
    with pytest.raises(DeskError, match=r"wanted it: BTC.* holds 0, wanted 1\.000 .*--force"):
        raise_left(again)


def test_a_strategy_that_sells_short_gets_no_spot(run: Run) -> None:
    with pytest.raises(InputError, match=r"steady: spot can't be sold short: use long_only, or"):
        run(universe={"instruments": ["BTC*"]})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return node_file(tmp_path, state=str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"force": True}, "--force belongs to --run-once"),
        ({"duration": "soon"}, "--for: expected a duration"),
        ({"duration": "5m", "run_once": True}, "exclude each other"),
        ({"settings": ["environment=mainet"]}, "did you mean mainnet"),
    ],
)
def test_wrong_input_is_named(file: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        live(file, **asked)
    assert refused.value.exit_code == 2


def test_unconfirmed_mainnet_is_refused_and_a_lack_of_guards_is_said(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GateRefused, match="confirm: mainnet") as refused:
        live(file, ["environment=mainnet"])
    assert refused.value.exit_code == 3
    assert "warning: no guard is enabled" in capsys.readouterr().err


@pytest.mark.slow
def test_a_decision_has_the_candles_that_the_feed_has_lost(tmp_path: Path) -> None:
    said: list[str] = []
    with background() as exchange:
        before = exchange.faults.on_push

        def on_push(channel: str, topic: str, payload: Any) -> Any:
            return [] if topic.startswith("kline.1.BTC") else before(channel, topic, payload)

        exchange.call(lambda: setattr(exchange.faults, "on_push", on_push))
        params = node().strategies["steady"].params | {"every": "1m"}
        document = node(strategies={"steady": {"use": STEADY, "params": params}})
        # Past the next close, and what it takes to notice.
        options = RunOptions(seconds=80)
        launch(document, exchange.where, KEYS, tmp_path, "hash", options, said.append)
    assert any(line.startswith("fetched by REST, as the feed missed BTC") for line in said), said
    with read(tmp_path) as journal:
        decisions = journal.decisions(5)
    assert decisions
    for decision in decisions:
        assert decision.kind == "rebalance", decision
        prices = {target.instrument: target.price for target in decision.targets}
        assert prices["BTCUSDT-LINEAR.BYBIT"] is not None, decision


def test_a_start_elsewhere_says_what_is_held_with_real_money(run: Run) -> None:
    """The document named mainnet before; its node bought, and stopped."""
    with Journal.open(run.folder.parent / "mainnet", node="steady") as journal:
        journal.begin_run(environment="mainnet", document="hash")
        journal.fill(FILL)
        run()
        assert not any("mainnet" in line for line in run.said)
    run()
    (line,) = (line for line in run.said if line.startswith("mainnet: "))
    assert f"{FILL.instrument} {FILL.signed:f} held" in line
    assert f"{run.folder.parent / 'mainnet'}, and nothing watches it" in line


def test_a_paper_node_begins_anew_at_each_start_and_says_so(tmp_path: Path) -> None:
    """Its positions were in memory: a stamp that stayed done would leave it flat for good."""
    once = RunOptions(run_once=True)
    reports, said = [], []
    # It must breathe: the sandbox fills when something comes in.
    with stage() as exchange:
        for _ in range(2):
            lines: list[str] = []
            document = node(environment="paper", account={"name": "anna", "balance": 1_000})
            run = launch(document, exchange.where, None, tmp_path, "hash", once, lines.append)
            reports.append(run)
            said.append([line for line in lines if line.startswith("paper:")])
            most = "steady: one position: at most 0.5 x equity, 500 USDT on 1,000"
            assert most in lines
    assert [report.outcome for report in reports] == ["ran once", "ran once"]
    # Half of 1,000 USDT each, at 50,000 and 3,000: no more than the touch shows.
    assert reports[0].positions == reports[1].positions
    assert reports[0].positions["BTCUSDT-LINEAR.BYBIT"] == D("0.01")
    for (line,) in said:
        assert "begins flat with 1000 USDT" in line
        assert "knows nothing of earlier runs" in line
    found = status_of("steady", tmp_path)
    assert found.state == "stopped"
    assert found.positions == []
    assert found.equity is not None


def test_coins_on_paper_are_paid_in_cash_and_pay_the_fee(tmp_path: Path) -> None:
    """0.18 coins at 50,000.1, of which 0.00018 is the fee; what is left is worth 50,000 each."""
    params = node().strategies["steady"].params | {"side": "long_only", "fraction": 1.0}
    coins = {"steady": {"use": STEADY, "params": params | {"max_weight": 0.9}}}
    with stage() as exchange:
        document = node(
            environment="paper",
            account={"name": "anna", "balance": 10_000},
            universe={"instruments": ["BTCUSDT-SPOT.BYBIT"]},
            strategies=coins,
        )
        once = RunOptions(run_once=True)
        report = launch(document, exchange.where, None, tmp_path, "hash", once, print)
    assert (report.positions, report.missed) == ({"BTCUSDT-SPOT.BYBIT": D("0.17982")}, [])
    with read(tmp_path) as journal:
        worth = journal.last_equity()
    assert worth is not None
    assert worth.equity == 10_000 - D("9000.018") + D("8991")
    assert worth.balance == 10_000 - D("9000.018") + D("0.17982") * D("50000.1")


@pytest.mark.parametrize("environment", ["paper", "practice"])
def test_status_shows_no_positions_of_a_paper_run_that_is_gone(
    tmp_path: Path, environment: str
) -> None:
    there = [(1, 1), (1, 1), (1, 1)] if environment == "practice" else [(1, 1), (0, 0), (0, 0)]
    shown = []

    def look() -> None:
        found = status_of("test", tmp_path)
        shown.append((len(found.positions), len(found.orders)))

    for start in (10, 2_000):
        clock = [start]
        with Journal.open(tmp_path, node="test", clock_ns=lambda clock=clock: clock[0]) as journal:  # type: ignore[misc]
            journal.begin_run(environment=environment, document="abc")
            if start == 10:
                journal.intended(ORDER)
                journal.positions([PositionRow(ORDER.instrument, "rev", 11, D(1), D(5), D(0))])
                journal.equity(EquityRow(12, D(1), D(1), D(1), D(1)))
            look()
            journal.end_run("stopped", "told to")
        if start == 10:
            look()
    assert shown == there
