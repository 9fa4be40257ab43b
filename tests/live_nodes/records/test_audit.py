"""The audit trail: what operators and nodes do is kept, chained beside the node, and shown."""

import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from msgspec import structs

from actors.records.chain import FILE, verify
from actors.records.journal import Journal
from actors.records.journal_files import NAME
from config.documents import Node
from live_nodes.local.actions import actions, keep_action
from live_nodes.local.folder import node_document, state_folder
from live_nodes.local.mailbox import MailRequest, ask, withdraw
from live_nodes.local.releases import Move, Releases
from live_nodes.records import follower
from live_nodes.records.commands import audit_show, audit_verify
from live_nodes.records.follower import Follower
from strategies.messages import Action, Decision, Target, Verdict
from tests.actors.test_journal import FILL, ORDER
from tests.live_nodes.documents import node_file, node_values
from tests.live_nodes.killing import TAKER, Ground
from tests.waiting import eventually

MS = 1_000_000


def newer(folder: Path) -> int | None:
    """Return how many rows are not in the chain yet; None without a chain."""
    if not (folder / FILE).exists() or not (folder / FILE).stat().st_size:
        return None
    journal = sqlite3.connect(folder / NAME)
    try:
        found = verify(journal, folder)
    finally:
        journal.close()
    assert found.wrong == []
    return found.newer


def test_a_follower_that_is_killed_is_started_again_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(follower, "AGAIN_S", 0.1)
    told: list[str] = []
    with Journal.open(tmp_path, node="test") as journal:
        journal.begin_run(environment="practice", document="abc")
        with Follower(tmp_path, told.append) as followed:
            eventually(lambda: newer(tmp_path) == 0, "the run in the chain")
            followed.kill()
            journal.intended(ORDER)
            eventually(lambda: newer(tmp_path) == 0, "the order in the chain")
            assert told == ["the audit chain's process ended with -9: started again"]
            journal.note("last", "words")
        assert newer(tmp_path) == 0


def test_the_rows_of_a_node_that_was_killed_are_chained_after_its_death(ground: Ground) -> None:
    node = ground.node(TAKER)
    assert node.run("--run-once", fatal=("trade: sent submit_order", 2)).signal == signal.SIGKILL
    eventually(lambda: newer(node.folder) == 0, "its last rows in the chain")


def test_what_operators_do_is_kept_whether_the_node_runs_or_not(tmp_path: Path) -> None:
    request = ask(tmp_path, MailRequest(command="flatten", reason="I am off"))
    assert withdraw(tmp_path, request, "back")
    ask(tmp_path, MailRequest(command="release", guard="daily", accept=True, reason="seen"))
    Releases(tmp_path).folder.mkdir()
    Releases(tmp_path).move(Move(number=2, ts=1, by="ann", why="worse fills", kind="rollback"))
    assert [(one.action, one.reason, one.outcome) for one in actions(tmp_path)] == [
        ("flatten", "I am off", "asked"),
        (f"withdraw {request}", "back", "the node had not read it"),
        ("release daily although the limit is reached", "seen", "asked"),
        ("rollback", "worse fills", "release 2"),
    ]
    assert [one.by for one in actions(tmp_path)][-1] == "ann"


@pytest.fixture
def traded(tmp_path: Path) -> Path:
    """The document of a node that decided at ms 20, sent at 21 and got half at 22."""
    file = node_file(tmp_path, state=str(tmp_path / "state"))
    folder = state_folder(Node.model_validate(node_values(state=str(tmp_path / "state"))))
    now = [5 * MS]
    with Journal.open(folder, node="mine", clock_ns=lambda: now[0]) as journal:
        journal.begin_run(environment="practice", document="abc")
        shrink = Verdict(action=Action.SHRINK, multiplier=0.5, guard="tiers", reason="5 % down")
        journal.verdict(shrink)
        journal.verdict(Verdict(action=Action.HALT_ENTRIES, scope="strategy:other", guard="loss"))
        target = Target(instrument=FILL.instrument, score=1.5, order="0.01", target="0.01")
        decision = Decision(
            strategy="rev", ts=20 * MS, data_ts=8, kind="rebalance", equity="100", multiplier=0.5,
            targets=(target,),
        )  # fmt: skip
        journal.decision(decision)
        journal.intended(structs.replace(ORDER, ts=21 * MS, decision_id=decision.id))
        journal.order_event(ORDER.client_order_id, "OrderFilled", "", 22 * MS)
        journal.fill(replace(FILL, ts=22 * MS))
        now[0] = 21 * MS
        journal.verdict(structs.replace(shrink, action=Action.NONE, reason="recovered"))
        now[0] = 30 * MS
        journal.verdict(shrink)
        with Follower(folder, print):
            pass
    return file


def test_the_trail_shows_decision_order_fill_and_the_verdicts_meanwhile(traded, capsys):
    for name in (ORDER.client_order_id, f"rev@{20 * MS}"):
        audit_show(traded, name)
        lines = capsys.readouterr().out.splitlines()
        at = "1970-01-01 00:00:00"
        assert lines == [
            f"{at}.005 UTC  verdict   tiers: shrink to 0.5 on desk: 5 % down",
            f"{at}.020 UTC  decision  rev@20000000: rebalance, equity 100, size 0.5; "
            "BTCUSDT-LINEAR.BYBIT 0 -> 0.01, order 0.01, score 1.5",
            f"{at}.021 UTC  verdict   tiers: none on desk: recovered",
            f"{at}.021 UTC  request   n-rev-abc-1: submit BUY 0.010 BTCUSDT-LINEAR.BYBIT LIMIT at "
            "50000.1 (rebalance)",
            f"{at}.022 UTC  event     n-rev-abc-1: OrderFilled",
            f"{at}.022 UTC  fill      n-rev-abc-1: BUY 0.004 BTCUSDT-LINEAR.BYBIT at 50000.1, "
            "taker, fee 0.11 USDT, execution e-1 by push",
        ]


def test_verify_exits_1_where_rows_came_after_the_node_had_stopped(traded: Path, capsys) -> None:
    """The next start would take them for its own; what an operator does meanwhile is in order."""
    folder = state_folder(node_document(traded))
    with Journal.open(folder, node="mine") as journal:
        journal.begin_run(environment="practice", document="abc")
        journal.end_run()
        audit_verify(traded)
        with Follower(folder, print):
            pass
    keep_action(folder, "release", "by hand")
    audit_verify(traded)
    assert "1 newer rows" in capsys.readouterr().out
    journal = sqlite3.connect(folder / NAME)
    journal.execute("INSERT INTO notes (run, ts, kind, text) VALUES (1, 1, 'x', 'put in')")
    journal.commit()
    journal.close()
    with pytest.raises(typer.Exit) as ended:
        audit_verify(traded)
    assert ended.value.exit_code == 1
    assert "notes: 1 rows came after the node had stopped" in capsys.readouterr().out


def test_verify_exits_1_and_names_the_row_that_was_changed(traded: Path, capsys) -> None:
    audit_verify(traded)
    assert "as they were written; 0 newer rows" in capsys.readouterr().out
    journal = sqlite3.connect(traded.parent / "state/mine/practice" / NAME)
    journal.execute("UPDATE fills SET fee = '0'")
    journal.commit()
    journal.close()
    with pytest.raises(typer.Exit) as ended:
        audit_verify(traded)
    assert ended.value.exit_code == 1
    assert "fills: row 1 was changed (block 0)" in capsys.readouterr().out
