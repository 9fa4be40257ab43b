"""A node that gets a stop signal, or loses its exchange in the midst of a rebalance."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.enums import OrderSide

from actors.records.journal_files import NAME, holder
from actors.records.journal_reading import read
from config.errors import DeskError
from live_nodes.local.practice_process import running_exchange
from live_nodes.node.report import raise_left
from perpdesk import INTERRUPTED
from tests.live_nodes.killing import (
    MAKER,
    TAKER,
    Ended,
    Ground,
    KilledNode,
    Killing,
    faults_of,
    targets_of,
)
from tests.live_nodes.stage import NAME as BITCOIN
from tests.live_nodes.stage import desk_node, stage
from tests.waiting import eventually, slack

FAR: dict[str, Any] = MAKER | {
    "place": "behind",
    "ticks": 900,
    "reprice_every": "1m",
    "deadline": "3m",
    "max_leg_imbalance": 1,
}
"""Orders that rest where nobody comes."""
TAKE = ("--set", 'strategies.steady.params.execution={"tactic": "taker"}')


def stopped_while_resting(node: KilledNode, *signals: signal.Signals) -> tuple[Ended, float]:
    """Send signals to a node all of whose orders rest; return how it ended and how soon."""
    pid = node.begin("--run-once", "--json")
    until_all_rest(node)
    began = time.monotonic()
    for number in signals:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        time.sleep(0.05)
    return node.ended(), time.monotonic() - began


def until_all_rest(node: KilledNode) -> None:
    """Wait until the exchange has an order of every leg."""
    eventually(lambda: len(node.at_the_exchange()["open_orders"]) >= 4, node.said, poll=0.05)


def journal_is_whole(folder: Path) -> bool:
    """Whether the journal passes SQLite's check, its last run is closed and its lock is free."""
    connection = sqlite3.connect(folder / NAME)
    found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    with read(folder) as journal:
        run = journal.runs()[0]
    return found == "ok" and run.ended is not None and holder(folder) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_what_rests_and_the_next_start_takes_the_rebalance_up(
    ground: Ground, number: signal.Signals
) -> None:
    node = ground.node(FAR)
    ended, seconds = stopped_while_resting(node, number)
    # Cron must not take it for done.
    assert (ended.code, ended.signal) == (1, None), ended.said
    assert seconds < slack(10)
    report, _ = json.JSONDecoder().raw_decode(ended.said, ended.said.rindex("\n{") + 1)
    assert (report["outcome"], report["reason"], report["left"]) == ("interrupted", number.name, [])
    assert node.at_the_exchange()["open_orders"] == []
    assert node.positions() == {}
    assert journal_is_whole(node.folder)
    with read(node.folder) as journal:
        assert journal.runs()[0].phase == "stopped"
        assert number.name in journal.runs()[0].note
        assert journal.unsettled() == []
    # The next start takes the rebalance up.
    plan = node.plan()
    assert plan is not None
    assert {line.partition(" ")[0] for line in report["missed"]} == set(plan.targets)
    assert "unfinished; the next start continues: " in ended.said
    assert node.run("--run-once", *TAKE).code == 0, node.said()
    assert node.positions() == plan.targets
    assert len(node.decisions()) == 1


def test_a_rebalance_under_way_is_given_up_when_the_stop_closes_positions(ground: Ground) -> None:
    node = ground.node(FAR, on_stop="flatten")
    ended, _ = stopped_while_resting(node, signal.SIGTERM)
    assert "unfinished" not in ended.said
    assert node.plan() is None
    again = node.run("--run-once", *TAKE)
    assert "nothing is due" in again.said
    assert node.positions() == {}


def test_a_second_signal_ends_at_once_and_loses_nothing_of_the_journal(ground: Ground) -> None:
    node = ground.node(FAR)
    ended, seconds = stopped_while_resting(node, signal.SIGTERM, signal.SIGTERM)
    assert (ended.code, ended.signal) == (1, None), ended.said
    assert seconds < slack(10)
    assert journal_is_whole(node.folder)
    # What a quick stop leaves, the next start finds and ends.
    again = node.run("--run-once", *TAKE)
    assert again.code == 0, again.said
    assert node.at_the_exchange()["open_orders"] == []
    assert node.positions() == targets_of(node.decisions()[0])


def test_a_second_signal_says_what_it_leaves_although_a_stop_was_to_close_it() -> None:
    with stage() as st, desk_node(st, on_stop="flatten") as desk:
        desk.filled(OrderSide.BUY)
        for _ in range(2):
            desk.loop.call_soon(signal.raise_signal, signal.SIGTERM)
        desk.until(desk.task.done, "the stop")
        assert st.position() == Decimal("0.010")
        with pytest.raises(DeskError, match=f"after the stop: {BITCOIN} still held"):
            raise_left(desk.task.result())


@pytest.mark.parametrize(
    "tenths",
    [
        pytest.param(tenths, marks=[pytest.mark.slow] * (tenths not in (5, 13, 21)))
        for tenths in range(1, 30, 2)
    ],
)
def test_a_signal_at_any_moment_leaves_a_whole_journal_and_no_order(
    ground: Ground, tenths: int
) -> None:
    """In the start, in the rebalance, in the stop: the first three seconds, every fifth of one."""
    node = ground.node(MAKER)
    pid = node.begin("--run-once")
    time.sleep(tenths / 10)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    ended = node.ended()
    if ended.signal == signal.SIGTERM:
        assert not (node.folder / NAME).exists(), "only before there is anything to be kept"
        return
    if ended.code == INTERRUPTED:
        assert node.at_the_exchange()["open_orders"] == [], "only before the node listens itself"
        return
    interrupted = "interrupted: SIGTERM" in ended.said
    assert ended.code == int(interrupted), ended.said
    assert interrupted != ("ran once" in ended.said)
    assert "Traceback" not in ended.said
    assert journal_is_whole(node.folder)
    assert node.at_the_exchange()["open_orders"] == []
    plan = node.plan()
    assert node.run("--run-once", *TAKE).code == 0, node.said()
    wanted = targets_of(node.decisions()[0]) if plan is None else plan.targets
    assert node.positions() == wanted
    assert len(node.decisions()) == 1


def test_an_exchange_that_is_killed_under_a_node_comes_back_to_the_same_books(
    ground: Ground,
) -> None:
    """Killed with orders resting; up again seconds later at the same address with all of them."""
    node = ground.node(FAR | {"deadline": "12s", "reprice_every": "5s"})
    node.begin("--run-once")
    until_all_rest(node)
    address = ground.endpoint.http
    old = ground.kill_exchange()
    eventually(lambda: running_exchange(ground.exchange) is None)
    time.sleep(1.0)
    assert ground.endpoint.pid != old
    assert ground.endpoint.http == address
    ended = node.ended()
    assert ended.code == 0, ended.said
    assert faults_of(node, Killing(ended, None, ended)) == []


def test_orders_that_are_lost_on_their_way_are_sent_again_once_they_can_not_arrive(
    ground: Ground,
) -> None:
    """Two of four market orders never reach the exchange; nobody answers for them."""
    node = ground.node(TAKER, watch={"sweep_every": 1, "sweep_settle": 1})
    lost = {"model": "lost_request", "op": "order.create", "after": 2, "times": 2}
    ground.tell("/faults", lost=lost)
    ended = node.run("--run-once")
    assert ended.code == 0, ended.said
    assert len(node.at_the_exchange()["past_orders"]) == 4
    with read(node.folder) as journal:
        sent = journal.orders_since(0)
    assert sorted(order.status for order in sent) == ["FILLED"] * 4 + ["REJECTED"] * 2
    assert faults_of(node, Killing(ended, None, ended)) == []


def test_orders_that_a_busy_exchange_turns_away_are_sent_again(ground: Ground) -> None:
    node = ground.node(TAKER)
    busy = {"model": "ret_code", "op": "order.create", "ret_code": 10006, "times": 3}
    ground.tell("/faults", busy=busy | {"message": "Too many visits!"})
    ended = node.run("--run-once")
    assert ended.code == 0, ended.said
    assert faults_of(node, Killing(ended, None, ended)) == []


def test_a_machine_that_dies_with_its_exchange_comes_back_with_it(ground: Ground) -> None:
    node = ground.node(TAKER)
    killed = node.run("--run-once", fatal=("trade: sent submit_order", 2))
    plan = node.plan()
    ground.kill_exchange()
    assert ground.endpoint.http
    again = node.run("--run-once")
    assert faults_of(node, Killing(killed, plan, again)) == []


def test_a_dry_run_sends_no_order_request_and_forgets_what_it_did(ground: Ground) -> None:
    node = ground.node(TAKER)
    before = ground.state()
    ended = node.run("--run-once", "--dry-run", "--json")
    after = ground.state()
    assert ended.code == 0, ended.said
    assert after["operations"] == before["operations"]
    asked = {path for path in after["requests"] if "/v5/order/" in path and "POST" in path}
    assert {p: after["requests"][p] for p in asked} == {p: before["requests"].get(p) for p in asked}
    assert node.at_the_exchange()["past_orders"] == []
    assert "would submit BUY" in ended.said
    assert '"intended"' in ended.said
    with read(node.folder) as journal:
        refused = [row["refused"] or "" for row in journal.intents()]
        assert [words.startswith("[dry_run]") for words in refused] == [True] * 4
        assert {order.status for order in journal.orders_since(0)} == {"DENIED"}
    assert node.progress().done is None
    # The rebalance is still due.
    assert node.run("--run-once").code == 0
    assert node.positions() == targets_of(node.decisions()[0])


def test_a_damaged_journal_gives_way_to_its_backup_and_nothing_is_done_twice(
    ground: Ground,
) -> None:
    node = ground.node(TAKER)
    assert node.run("--run-once").code == 0
    held = node.positions()
    damage(node.folder / NAME)
    ended = node.run("--run-once")
    assert ended.code == 0, ended.said
    assert "was damaged" in ended.said
    assert "restored from journal.backup-1.db" in ended.said
    assert "nothing is due" in ended.said
    assert node.positions() == held
    assert list(node.folder.glob("journal.corrupt-*.db"))


def test_a_journal_that_is_lost_whole_is_made_up_for_by_the_exchange(ground: Ground) -> None:
    """Killed in its first rebalance, before any backup; the file is damaged on top of it."""
    node = ground.node(TAKER)
    killed = node.run("--run-once", fatal=("trade: sent submit_order", 2))
    assert killed.signal == signal.SIGKILL
    for file in node.folder.glob("journal.backup-*"):
        file.unlink()
    damage(node.folder / NAME)
    ended = node.run("--run-once")
    assert ended.code == 0, ended.said
    assert "it starts empty" in " ".join(ended.said.split())
    assert node.at_the_exchange()["open_orders"] == []
    assert node.positions() == targets_of(node.decisions()[0])
    value = sum(Decimal(row["value"]) for row in node.at_the_exchange()["positions"])
    assert 9_000 < value < 11_000, "a tenth of the account's 100,000"


def damage(file: Path) -> None:
    """Overwrite the file's middle, as a failing disk does."""
    Path(f"{file}-wal").unlink(missing_ok=True)
    size = file.stat().st_size
    with file.open("r+b") as opened:
        for place in range(100, size, 1000):
            opened.seek(place)
            opened.write(b"\xff" * 200)
