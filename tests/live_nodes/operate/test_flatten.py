"""The kill switch past the node: straight at a real practice exchange, with all that goes wrong."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.records.journal import Journal
from config.documents import Node
from config.documents.scenario import LostAck
from config.errors import DocumentErrors, GateRefused
from live_nodes.local.folder import node_to_stop, state_folder
from live_nodes.local.mailbox import pending
from live_nodes.local.releases import RUNS
from live_nodes.operate import flatten_at_venue
from live_nodes.operate.flatten import FlattenOutcome, flatten_node
from live_nodes.operate.flatten_at_venue import VenueFlatten
from live_nodes.operate.flatten_request import ask_to_flatten
from live_nodes.reconcile.own_positions import OwnPositions
from strategies.order_ids import order_id, owner_of, session_of, session_start
from tests.builders_engine import info
from tests.fills import a_fill
from tests.live_nodes.documents import node_file
from tests.live_nodes.killing import venue_urls
from tests.live_nodes.practice.still_market import BTC
from tests.live_nodes.stage import ACCOUNT, NAME, Stage, stage
from tests.waiting import eventually, slack

SESSION = session_of(time.time_ns())
_COUNT = itertools.count(1)
_TAGS = itertools.count(1)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Stage]:
    with stage() as found:
        yield found


@pytest.fixture
def at(exchange: Stage) -> Iterator[Stage]:
    # A node of its own each: the venue remembers what others of the name did.
    Own.tag = f"f{next(_TAGS)}"
    yield exchange
    exchange.end_faults()
    eventually(lambda: not exchange.market.halted())
    time.sleep(5 * exchange.market.step_seconds)
    exchange.clear()


class Own:
    tag = ""
    """The tag of this test's node."""


def written(folder: Path, stage: Stage, **changes: Any) -> Path:
    """Write a node's document on the exchange."""
    known: dict[str, Any] = {
        "name": "stopped",
        "tag": Own.tag,
        "state": str(folder / "state"),
        "venue_urls": venue_urls(stage.where),
        "gates": {"request_timeout": 0.4},
        "universe": {"instruments": [NAME]},
        "strategies": {"rev": {"use": "strategies.xs_reversal:XSReversal"}},
    }
    return node_file(folder, **(known | changes))


def node_at(folder: Path, stage: Stage, **changes: Any) -> Node:
    return node_to_stop(written(folder, stage, **changes), (), print)


def switched(node: Node, seconds: float = 10.0) -> tuple[FlattenOutcome, list[str]]:
    """Flatten and return how it ended and what was said."""
    said: list[str] = []
    asked = ask_to_flatten(node, "a test", said.append)
    return flatten_node(node, asked, seconds, said.append), said


def mine() -> str:
    """Return a new order's name as this test's node gives it."""
    return order_id(Own.tag, "rev", SESSION, next(_COUNT))


def test_a_dead_nodes_orders_and_positions_go_and_its_next_start_is_halted(
    at: Stage, tmp_path: Path
) -> None:
    at.order("Buy", "0.012", name=mine())
    at.order("Buy", "0.010", "49000", name=mine())
    at.order("Sell", "0.012", "51000", name=mine(), reduce_only=True)
    node = node_at(tmp_path, at)

    outcome, said = switched(node)

    assert outcome.flat
    assert (outcome.by, outcome.verified, outcome.left) == ("venue", "venue", ())
    assert at.position() == 0
    assert at.open_orders() == {}
    assert "stopped is not running: closing at the venue directly" in said
    assert "at the venue: 2 orders and 1 position to go" in said
    [request] = pending(state_folder(node))
    assert (request.command, request.reason) == ("flatten", "a test")
    assert "risk release NODE operator" in outcome.halt


def test_what_is_flat_already_is_left_alone_and_the_outcome_is_plain_for_machines(
    at: Stage, tmp_path: Path
) -> None:
    before = len(at.orders())
    outcome, _ = switched(node_at(tmp_path, at))
    assert len(at.orders()) == before
    plain = json.loads(json.dumps(outcome.as_plain()))
    assert (plain["flat"], plain["left"]) == (True, [])
    assert set(plain) == {"flat", "by", "verified", "seconds", "left", "halt"}


@pytest.mark.parametrize(
    ("external", "bitcoin", "ether", "orders"),
    [("leave", "0.020", "0.50", 1), ("universe", "0", "0.50", 0), ("all", "0", "0", 0)],
)
def test_what_is_not_the_desks_own_goes_as_the_document_says(
    at: Stage, tmp_path: Path, external: str, bitcoin: str, ether: str, orders: int
) -> None:
    # Own: long 0.012 bitcoin. By hand: 0.020 more of it and half an ether, and an order.
    at.order("Buy", "0.012", name=mine())
    at.order("Buy", "0.020")
    at.order("Buy", "0.010", "48000")
    at.order("Buy", "0.010", "48500", name=mine())
    at.order("Buy", "0.50", symbol="ETHUSDT")
    outcome, _ = switched(node_at(tmp_path, at, risk={"external": external}))
    assert outcome.flat
    assert at.position() == D(bitcoin)
    assert at.position("ETHUSDT") == D(ether)
    assert len(at.open_orders()) == orders


def test_our_part_is_closed_by_an_order_of_ours_and_the_rest_by_another(
    at: Stage, tmp_path: Path
) -> None:
    node = node_at(tmp_path, at)
    known = {"execution_id": "known-1", "client_order_id": mine(), "kind": "Trade"}
    with Journal.open(state_folder(node), node="stopped") as journal:
        journal.begin_run(environment="practice", document="abc")
        journal.fill(a_fill("0.012", 50_000, instrument=NAME, strategy="rev", **known))
    at.order("Buy", "0.012")
    at.order("Buy", "0.005")
    before = set(at.orders())

    assert switched(node)[0].flat

    past = at.call(lambda: list(at.exchange.order_history(ACCOUNT)))
    closes = {o.order_link_id: o.filled for o in past if o.order_link_id not in before}
    [(own, ours)] = [(n, q) for n, q in closes.items() if owner_of(n) == (Own.tag, "rev")]
    [(_, rest)] = [(n, q) for n, q in closes.items() if n != own]
    assert (ours, rest) == (D("0.012"), D("0.005"))


def test_an_execution_that_the_journal_missed_counts_as_ours(at: Stage, tmp_path: Path) -> None:
    # The node was killed between the fill and the line about it.
    node = node_at(tmp_path, at, risk={"external": "leave"})
    Journal.open(state_folder(node), node="stopped").close()
    at.order("Buy", "0.007", name=mine())
    at.order("Buy", "0.020")
    assert switched(node)[0].flat
    assert at.position() == D("0.020")


def test_what_another_node_with_the_tag_did_is_left_where_what_is_others_is(
    at: Stage, tmp_path: Path
) -> None:
    node = node_at(tmp_path, at, risk={"external": "leave"})
    session = session_of(time.time_ns() + 1_000_000_000)
    others = [order_id(Own.tag, "rev", session, number) for number in (1, 2)]
    with Journal.open(state_folder(node), node="stopped") as journal:
        kept = session_start(others[0])
        journal.save_state("node", "sessions of others", str(kept).encode())
    at.order("Buy", "0.020", name=others[0])
    at.order("Sell", "0.010", "52000", name=others[1])
    at.order("Buy", "0.007", name=mine())
    assert switched(node)[0].flat
    assert at.position() == D("0.020")
    assert list(at.open_orders()) == [others[1]]


@pytest.mark.parametrize(
    ("scenario", "changes", "words"),
    [
        ("server_errors", {}, ""),
        ("request_lost", {}, ""),
        ("clock_ahead", {"by": D(60)}, "clock is +60.0 s off: using the venue's clock"),
    ],
)
def test_it_goes_on_through_faults(
    at: Stage, tmp_path: Path, scenario: str, changes: dict[str, Any], words: str
) -> None:
    at.order("Sell", "0.030")
    at.order("Buy", "0.010", "48000", name=mine())
    at.play(scenario, **changes)
    outcome, said = switched(node_at(tmp_path, at), 20)
    assert outcome.flat
    assert at.position() == 0
    assert at.open_orders() == {}
    assert words in "\n".join(said)


def test_a_close_that_was_lost_is_not_sent_twice_where_part_of_the_position_stays(
    at: Stage, tmp_path: Path
) -> None:
    at.order("Buy", "0.012", name=mine())
    at.order("Buy", "0.020")
    at.call(lambda: at.faults.add("lost", LostAck(op="order.create", times=1)))
    outcome, _ = switched(node_at(tmp_path, at, risk={"external": "leave"}), 20)
    assert at.struck("lost") == 1
    assert outcome.flat
    assert at.position() == D("0.020")


def held_in_a_halted_market(at: Stage) -> None:
    at.order("Buy", "0.010")
    at.play("symbol_halted", at=D(0))
    eventually(lambda: at.call(lambda: at.exchange.market(BTC).halted))


@pytest.mark.parametrize(("pause", "most"), [(10.0, 1), (1.0, 3)])
def test_what_can_not_be_closed_in_time_is_named(
    at: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: float, most: int
) -> None:
    assert flatten_at_venue.AGAIN_S == 10.0
    monkeypatch.setattr(flatten_at_venue, "AGAIN_S", pause)
    held_in_a_halted_market(at)
    outcome, said = switched(node_at(tmp_path, at, risk={"deadline": 1}), 2)
    assert not outcome.flat
    assert outcome.left == (f"position: 0.010 {NAME}",)
    assert outcome.verified == ""
    why = [line for line in said if "Trading is currently not allowed" in line]
    assert (1 if most == 1 else 2) <= len(why) <= most
    assert all(line.endswith("; trying again") for line in why)
    assert any(line.startswith("NOT flat after 1 s") for line in said)
    assert outcome.summary_text.startswith("NOT flat after 2")


def test_a_position_of_half_a_lot_goes_after_the_venue_made_its_lots_larger(
    at: Stage, tmp_path: Path
) -> None:
    at.order("Buy", "0.015", name=mine())
    (bitcoin,) = (symbol for symbol in at.market.listed if symbol.key == BTC)
    larger = replace(bitcoin, lot=D("0.01"), min_qty=D("0.01"))
    now = at.server.venue.clock_ms
    at.call(lambda: at.exchange.put_symbol(larger, now()))
    try:
        outcome, said = switched(node_at(tmp_path, at))
        assert outcome.flat, said
        assert at.position() == 0
    finally:
        at.call(lambda: at.exchange.put_symbol(bitcoin, now()))


def test_ctrl_c_reports_what_is_left(at: Stage, tmp_path: Path) -> None:
    held_in_a_halted_market(at)
    node = node_at(tmp_path, at)

    def stop(line: str) -> None:
        if "to go" in line:
            signal.raise_signal(signal.SIGINT)

    outcome = flatten_node(node, ask_to_flatten(node, "a test", print), 10, stop)
    assert not outcome.flat
    assert f"position: 0.010 {NAME}" in outcome.left[0]
    assert "waits in the mailbox" in outcome.halt


def test_a_command_that_is_ended_reports_what_is_left(at: Stage, tmp_path: Path) -> None:
    held_in_a_halted_market(at)
    command = [sys.executable, "-m", "perpdesk", "risk", "flatten", str(written(tmp_path, at))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = "".join(takewhile(lambda line: "to go" not in line, process.stderr))
        process.terminate()
        said += process.stderr.read()
    assert process.returncode == 1, said
    assert f"position: 0.010 {NAME}" in said


def test_wrong_keys_are_one_clear_error(
    at: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG_KEY", "practice-nobody")
    monkeypatch.setenv("WRONG_SECRET", "worth nothing")
    keys = {"api_key_env": "WRONG_KEY", "api_secret_env": "WRONG_SECRET"}
    node = node_at(tmp_path, at, environment="testnet", account={"name": "anna", "keys": keys})
    with pytest.raises(GateRefused) as refused:
        switched(node)
    assert "refuses the keys of WRONG_KEY and WRONG_SECRET" in str(refused.value)
    assert "worth nothing" not in str(refused.value)


def test_without_keys_the_halt_waits_all_the_same(
    at: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BYBIT_TESTNET_API_KEY", "BYBIT_TESTNET_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    node = node_at(tmp_path, at, environment="testnet")
    with pytest.raises(GateRefused, match=r"BYBIT_TESTNET_API_KEY(.|\n)*waits in the mailbox"):
        switched(node)
    assert len(pending(state_folder(node))) == 1


def test_a_node_that_does_not_answer_is_bypassed(at: Stage, tmp_path: Path) -> None:
    at.order("Buy", "0.010")
    node = node_at(tmp_path, at)
    # A process that holds the journal and reads no mail.
    with Journal.open(state_folder(node), node="stopped"):
        outcome, said = switched(node, 15)
    assert outcome.flat
    assert at.position() == 0
    assert any(
        "does not answer: closing at the venue directly; end it (kill -9 " in line for line in said
    )


def test_a_wrong_parameter_in_the_document_prevents_no_flatten(at: Stage, tmp_path: Path) -> None:
    strategy = {"use": "strategies.xs_reversal:XSReversal", "params": {"lokback": 1}}
    file = written(tmp_path, at, strategies={"rev": strategy})
    said: list[str] = []
    assert node_to_stop(file, (), said.append).name == "stopped"
    assert said == []
    file = written(tmp_path, at, environment="mainent")
    with pytest.raises(DocumentErrors, match="mainnet"):
        node_to_stop(file, (), said.append)


def test_a_document_that_is_refused_by_now_closes_by_what_its_last_run_used(
    at: Stage, tmp_path: Path
) -> None:
    file, folder = written(tmp_path, at), state_folder(node_at(tmp_path, at))
    folder.mkdir(parents=True)
    percent = "expected: {fees: {linear: {maker: 0.02, taker: 0.055}}}\n"
    (folder / RUNS).write_text(file.read_text() + percent)
    file.write_text(file.read_text() + percent + "description: [never closed\n")
    at.order("Buy", "0.012", name=mine())
    at.order("Buy", "0.010", "49000", name=mine())
    outcome, _ = switched(node_to_stop(file, (), print))
    assert (outcome.flat, outcome.by, at.position()) == (True, "venue", 0)


def test_on_paper_there_is_nothing_to_close_but_the_halt_waits(at: Stage, tmp_path: Path) -> None:
    node = node_at(tmp_path, at, environment="paper", venue_urls=None)
    outcome, _ = switched(node)
    assert (outcome.flat, outcome.by, outcome.verified) == (True, "nobody", "")
    assert len(pending(state_folder(node))) == 1


@pytest.mark.slow
def test_fifty_positions_and_orders_go_at_the_pace_that_the_venue_takes(tmp_path: Path) -> None:
    Own.tag = f"f{next(_TAGS)}"
    with stage(coins=50) as venue:
        for number in range(50):
            coin = f"C{number:02}USDT"
            venue.order("Buy", "1.00", symbol=coin)
            venue.order("Buy", "1.00", "9.00", symbol=coin)
        universe = {"instruments": ["C*USDT-LINEAR.BYBIT"]}
        node = node_at(tmp_path, venue, universe=universe)
        outcome, said = switched(node, 60)
        assert outcome.flat
        assert venue.open_orders() == {}
        print(f"50 positions and 50 orders: {outcome.summary_text.splitlines()[0]}")
        # Our own pace keeps below the venue's: 50 cancels beside 50 closes, 7 a second each.
        assert not any("Too many" in line for line in said)
        assert outcome.seconds < slack(20)


@pytest.mark.parametrize(("price", "named"), [("1315", True), ("139", False)])
def test_part_of_a_lot_of_coins_is_named_where_it_is_worth_a_dollar(
    price: str, named: bool
) -> None:
    """0.00719 at 1,315 is 9.45 USDT, and at 139 just less than one."""
    name, coins = "ETHUSDT-SPOT.BYBIT", D("0.00719")

    async def given(found: Any) -> Any:
        return found

    rest: Any = SimpleNamespace(
        coins=lambda: given({"ETH": D("0.01136")}),
        instruments=lambda product: given({name: info(name, lot="0.01", min_qty="0.01")}),
        price=lambda name: given(D(price)),
    )
    own, said = OwnPositions("t", ("SPOT",), {name: {"rev": coins}}, {name: coins}), []
    pace, reach = SimpleNamespace(per_second=1.0, burst=1), SimpleNamespace()
    flat = VenueFlatten(rest, reach, own, str, pace, "", said.append)  # type: ignore[arg-type]
    assert asyncio.run(flat._own_coins()) == {}
    assert said == ([f"{name}: 0.00719 is too little to sell; it stays"] if named else [])
