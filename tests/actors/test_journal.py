"""The journal: what was written survives a kill, and a damaged file never passes for whole."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from actors.records.journal import Journal, JournalError
from actors.records.journal_files import BACKUPS, NAME, OLD, back_up, damage, holder
from actors.records.journal_reading import JournalReader, connect, read
from actors.records.journal_schema import MIGRATIONS, NEVER_ARRIVED, UNKNOWN, VERSION
from actors.records.order_facts import OrderFacts
from actors.records.rows import EquityRow, FillRow, PositionRow
from config.errors import DeskError, GateRefused, InputError
from strategies.messages import Action, Decision, Target, Verdict
from strategies.refusals import Refusal, refusal_of
from tests.conftest import fill_disk

ORDER = OrderFacts(
    operation="submit",
    client_order_id="n-rev-abc-1",
    strategy="rev",
    instrument="BTCUSDT-LINEAR.BYBIT",
    side="BUY",
    quantity=D("0.010"),
    ts=1000,
    price=D("50000.1"),
    order_type="LIMIT",
    time_in_force="GTC",
    reason="rebalance",
)
FILL = FillRow(
    instrument="BTCUSDT-LINEAR.BYBIT",
    execution_id="e-1",
    ts=2000,
    client_order_id="n-rev-abc-1",
    venue_order_id="v-1",
    strategy="rev",
    side="BUY",
    quantity=D("0.004"),
    price=D("50000.1"),
    fee=D("0.11"),
    fee_coin="USDT",
    liquidity="TAKER",
    kind="Trade",
    source="push",
)


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=5000)


@pytest.fixture
def journal(tmp_path: Path, clock: SimpleNamespace) -> Iterator[Journal]:
    opened = Journal.open(tmp_path, node="test", clock_ns=lambda: clock.now)
    opened.begin_run(environment="practice", document="abc", dry_run=False)
    yield opened
    opened.close()


# Orders ---------------------------------------------------------------------------------------


def test_an_intent_is_an_unsettled_order_until_its_outcome_is_final(journal: Journal) -> None:
    journal.intended(ORDER)
    (order,) = journal.unsettled()
    assert (order.status, order.quantity, order.price) == ("INTENDED", D("0.010"), D("50000.1"))
    journal.outcome(ORDER.client_order_id, "ACCEPTED", venue_order_id="v-1")
    journal.outcome(ORDER.client_order_id, "PARTIALLY_FILLED", filled=D("0.004"))
    (order,) = journal.unsettled()
    assert (order.venue_order_id, order.filled) == ("v-1", D("0.004"))
    journal.outcome(ORDER.client_order_id, "CANCELED")
    assert journal.unsettled() == []
    settled = journal.order(ORDER.client_order_id)
    assert settled is not None
    assert (settled.status, settled.filled, settled.reason) == (
        "CANCELED", D("0.004"), "rebalance",
    )  # fmt: skip


SETTLED = {"FILLED", "CANCELED", "EXPIRED", "REJECTED", "DENIED", NEVER_ARRIVED}
OPEN = {"SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED", "PENDING_CANCEL", UNKNOWN}


@pytest.mark.parametrize("status", sorted(SETTLED | OPEN))
def test_which_outcomes_settle_an_order(journal: Journal, status: str) -> None:
    journal.intended(ORDER)
    journal.outcome(ORDER.client_order_id, status)
    assert (journal.unsettled() == []) is (status in SETTLED)


def test_a_refused_order_is_settled_at_once_and_says_why(journal: Journal) -> None:
    journal.refused(ORDER, Refusal(code="dry_run", text="dry run"))
    assert journal.unsettled() == []
    (intent,) = journal.intents(ORDER.client_order_id)
    assert refusal_of(intent["refused"]) == Refusal(code="dry_run", text="dry run")


def test_a_changed_and_a_cancelled_order_stay_one_order_with_three_intents(journal):
    journal.intended(ORDER)
    journal.intended(structs.replace(ORDER, operation="modify", price=D("49000")))
    journal.intended(structs.replace(ORDER, operation="cancel", is_exit=True))
    assert len(journal.unsettled()) == 1
    assert [i["operation"] for i in journal.intents(ORDER.client_order_id)] == [
        "submit", "modify", "cancel",
    ]  # fmt: skip


def test_an_execution_is_kept_once_whoever_brings_it(journal: Journal) -> None:
    assert journal.fill(FILL)
    assert not journal.fill(replace(FILL, source="recovery"))
    assert journal.fill(replace(FILL, execution_id="e-2", ts=3000))
    assert [f.execution_id for f in journal.fills_since(2500)] == ["e-2"]
    assert [f.source for f in journal.fills_since(0)] == ["push", "push"]
    assert journal.last_fill_ts() == 3000


def test_a_fill_names_its_decision_and_the_price_that_stood_whoever_brings_it(journal):
    decision = Decision(strategy="rev", ts=9, data_ts=8, kind="rebalance", equity="1")
    journal.decision(decision)
    journal.intended(structs.replace(ORDER, decision_id=decision.id, reference_price=D("49990.1")))
    journal.intended(structs.replace(ORDER, operation="modify", price=D("49999")))
    journal.fill(replace(FILL, source="sweep"))
    journal.fill(replace(FILL, execution_id="e-2", client_order_id="", strategy="", ts=3000))
    ours, foreign = journal.fills_since(0)
    assert (ours.decision_id, ours.reference_price) == ("rev@9", D("49990.1"))
    assert ours.slippage == D("0.004") * D("10.0")
    assert (foreign.decision_id, foreign.reference_price, foreign.slippage) == ("", None, None)


def test_own_executions_explain_the_position_once_each(journal: Journal) -> None:
    name = FILL.instrument
    journal.explain({name: D("1"), "X": D("-2")})
    journal.fill(FILL)
    journal.fill(replace(FILL, source="sweep"))
    journal.fill(replace(FILL, execution_id="e-2", side="SELL", quantity=D("0.5")))
    journal.fill(replace(FILL, execution_id="e-3", kind="Funding"))
    journal.fill(replace(FILL, execution_id="e-4", strategy=""))
    assert journal.explained() == {name: D("0.504"), "X": D("-2")}


def test_coins_that_others_took_are_not_own_until_the_trader_goes_on(journal: Journal) -> None:
    journal.explain({"A": D("33.29"), "AB": D("1")})
    journal.take("A", D("10"))
    journal.take("A", D("0.29"))
    assert (journal.explained()["A"], journal.own()) == (D("33.29"), {"A": D("23"), "AB": D("1")})
    journal.accept({"A": D("23")})
    assert journal.explained() == journal.own() == {"A": D("23"), "AB": D("1")}


# The rest of it -------------------------------------------------------------------------------


def test_everything_comes_back_as_it_was_written(journal: Journal, clock: SimpleNamespace) -> None:
    position = PositionRow(FILL.instrument, "rev", 7000, D("-0.5"), D("101.25"), D("3"))
    journal.positions([position, replace(position, owner="", quantity=D("1"))])
    journal.positions([replace(position, quantity=D(0))])
    assert [(p.owner, p.quantity) for p in journal.holdings()] == [("", D("1")), ("rev", D(0))]
    equity = EquityRow(ts=1, equity=D("10000.01"), balance=D("9999"), gross=D("500"), net=D("-1"))
    journal.equity(equity)
    assert journal.last_equity() == equity
    common = {"strategy": "rev", "ts": 9, "data_ts": 8, "kind": "rebalance", "equity": "1"}
    decision = Decision(**common, targets=(Target(instrument="X"),))
    journal.decision(decision)
    assert journal.decisions(1) == [decision]
    journal.count("sweeps")
    journal.count("sweeps", 2)
    assert journal.counters() == {"sweeps": 3}
    journal.gate("clock", True, "3 ms")
    (gate,) = journal.gates(journal.run)
    assert (gate["name"], gate["passed"], gate["detail"]) == ("clock", 1, "3 ms")
    journal.note("stop", "by hand")
    assert journal.notes(1)[0]["text"] == "by hand"
    (run,) = journal.runs()
    assert (run.pid, run.environment, run.ended, run.phase) == (
        os.getpid(), "practice", None, "starting",
    )  # fmt: skip
    clock.now = 6000
    journal.end_run("failed", "wrong key")
    (run,) = journal.runs()
    assert (run.ended, run.phase, run.note) == (6000, "failed", "wrong key")


def test_a_link_remembers_since_when_it_is_as_it_is(journal, clock):
    journal.link("trade", "open")
    clock.now = 6000
    journal.link("trade", "open")
    (link,) = journal.links()
    assert (link.since, link.changed) == (5000, 6000)
    journal.link("trade", "down", "no pong")
    (link,) = journal.links()
    assert (link.state, link.since, link.detail) == ("down", 6000, "no pong")


def test_a_verdict_stands_until_it_is_taken_back(journal: Journal, clock: SimpleNamespace) -> None:
    halt = Verdict(action=Action.HALT_ENTRIES, guard="node", reason="trade link is down")
    journal.verdict(halt)
    clock.now = 6000
    journal.verdict(halt)
    assert journal.standing() == [(5000, halt)]
    journal.verdict(Verdict(action=Action.NONE, guard="node"))
    assert journal.standing() == []
    assert len(journal.verdicts()) == 3


def test_state_belongs_to_its_owner(journal: Journal) -> None:
    mine, other = journal.state("rev"), journal.state("mom")
    assert mine.load("plan") is None
    mine.save("plan", b"\x00one")
    mine.save("plan", b"two")
    assert (mine.load("plan"), other.load("plan")) == (b"two", None)


def test_what_is_written_together_is_there_whole_or_not_at_all(journal: Journal) -> None:
    def half() -> None:
        with journal.together():
            journal.count("a")
            with journal.together():
                journal.count("b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert journal.counters() == {}
    with journal.together():
        journal.count("a")
    assert journal.counters() == {"a": 1}


# Other processes ------------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from actors.records.journal import Journal
journal = Journal.open(Path(sys.argv[1]), node="test")
journal.begin_run(environment="practice", document="abc")
n = 0
while True:
    n += 1
    journal.save_state("rev", "n", str(n).encode())
    print(n, flush=True)
"""


def writing(folder: Path) -> Any:
    """Start a process that writes to a journal and prints the number of each write."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    writer = writing(tmp_path)
    for _ in range(200):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    said = [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    with Journal.open(tmp_path, node="test") as journal:
        assert journal.restored is None
        kept = int(journal.load_state("rev", "n") or b"0")
        assert kept >= max(said, default=200)
        assert journal.runs()[0].ended is None


def test_a_second_node_is_refused_with_the_firsts_pid(tmp_path: Path) -> None:
    writer = writing(tmp_path)
    try:
        writer.stdout.readline()
        with pytest.raises(GateRefused, match=f"process {writer.pid} holds"):
            Journal.open(tmp_path, node="test")
        assert holder(tmp_path) == writer.pid
        with read(tmp_path) as reading:
            assert reading.runs()[0].pid == writer.pid
            assert int(reading.load_state("rev", "n") or b"0") > 0
    finally:
        writer.kill()
        writer.communicate()
    assert holder(tmp_path) is None


def test_a_node_that_never_ran_has_no_journal(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="never been started"), read(tmp_path):
        pass
    # As in the moment between the file and its tables.
    connect(tmp_path / NAME).execute("PRAGMA journal_mode=WAL").connection.close()
    with pytest.raises(InputError, match="first start makes it"), read(tmp_path):
        pass


def test_a_journal_that_can_not_be_written_raises(journal: Journal) -> None:
    journal._connection.execute("PRAGMA query_only=ON")
    with pytest.raises(JournalError, match="can't be written"):
        journal.intended(ORDER)
    journal._connection.execute("PRAGMA query_only=OFF")


# A full disk --------------------------------------------------------------------------------------

EXIT = structs.replace(ORDER, client_order_id="n-rev-abc-2", side="SELL", is_exit=True)


@pytest.fixture
def full(small: Path) -> Iterator[Journal]:
    """A journal that keeps rows, and whose disk is full."""
    journal = Journal.open(small / "state", node="test")
    journal.begin_run(environment="practice", document="abc")
    journal.intended(ORDER)
    journal.note("n", "before")
    journal.keep_rows()
    fill_disk(small)
    yield journal
    journal.close()


def notes(journal: JournalReader) -> list[str]:
    return [row[0] for row in journal.connection.execute("SELECT text FROM notes ORDER BY id")]


def in_file(journal: Journal) -> list[str]:
    with read(journal.folder) as there:
        return notes(there)


def until_full(journal: Journal) -> list[str]:
    """Write notes until the disk takes no more; return them all."""
    texts = ["before"]
    while journal.full is None:
        assert len(texts) < 1000, "the disk took all of it"
        texts.append(f"{len(texts)} {'x' * 4096}")
        journal.note("n", texts[-1])
    return texts


def test_rows_that_a_full_disk_refuses_wait_in_order_until_there_is_room(full: Journal) -> None:
    texts = until_full(full)
    assert in_file(full) == texts[:-1], "all but what the disk refused"
    with full.together():
        for number in range(300):
            texts.append(f"a megabyte more: {number} {'y' * 4096}")
            full.note("n", texts[-1])
    before = full.kept
    for number in range(300):
        full.save_state("rev", "plan", f"{number}".encode())
    full.intended(EXIT)
    assert full.fill(replace(FILL, client_order_id=EXIT.client_order_id, side="SELL"))
    # Who asks it gets what waits as well; a file without room has what it had.
    assert [order.client_order_id for order in full.unsettled()] == ["n-rev-abc-1", "n-rev-abc-2"]
    assert full.explained_in(ORDER.instrument) == D("-0.004")
    full.write_kept()
    assert "full" in str(full.full)
    assert full.kept < before + 10, "of a state only the newest"
    assert len(in_file(full)) == len(texts) - 301
    (full.folder.parent / "rest").unlink()
    full.write_kept()
    assert (full.full, full.kept) == (None, 0)
    assert in_file(full) == notes(full) == texts
    with read(full.folder) as there:
        assert [f.execution_id for f in there.fills_since(0)] == ["e-1"]
        assert there.explained_in(ORDER.instrument) == D("-0.004")
        assert there.load_state("rev", "plan") == b"299"
    # From here on each call is on the disk when it returns, as ever.
    full.note("n", "after")
    assert in_file(full)[-1] == "after"


def test_an_entry_whose_row_a_full_disk_refuses_has_none_and_may_not_leave(full: Journal) -> None:
    entries = []
    for number in range(10_000):
        entry = structs.replace(
            ORDER, client_order_id=f"n-rev-new-{number}", reason=f"{number} {'z' * 4096}"
        )
        try:
            full.intended(entry)
        except JournalError:
            break
        entries.append(entry.client_order_id)
    # What left before is in the file, row by row, and what was refused is nowhere.
    assert full.full is not None
    known = {ORDER.client_order_id, *entries}
    with read(full.folder) as there:
        assert {order.client_order_id for order in there.unsettled()} == known
    assert {order.client_order_id for order in full.unsettled()} == known
    for _ in range(2):
        with pytest.raises(JournalError, match="can't be written"):
            full.intended(structs.replace(ORDER, client_order_id="n-rev-late-1"))
        with pytest.raises(JournalError, match="can't be written"):
            full.intended(structs.replace(ORDER, operation="modify", quantity=D("9")))
    full.intended(EXIT)
    full.intended(structs.replace(ORDER, operation="cancel", is_exit=True))
    known.add(EXIT.client_order_id)
    (full.folder.parent / "rest").unlink()
    full.write_kept()
    with read(full.folder) as there:
        assert {order.client_order_id for order in there.unsettled()} == known
        assert [i["operation"] for i in there.intents(ORDER.client_order_id)] == [
            "submit", "cancel",
        ]  # fmt: skip


def test_what_is_to_be_written_together_is_kept_together_or_not_at_all(full: Journal) -> None:
    """The disk refuses the first block at its end; the second has an error of its own."""
    with full.together():
        for number in range(1000):
            full.note("n", f"{number} {'x' * 4096}")
    assert full.full is not None
    assert in_file(full) == ["before"]

    def fail() -> None:
        with full.together():
            full.note("n", "never")
            with full.together():
                full.note("n", "neither")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    full.note("n", "last")
    (full.folder.parent / "rest").unlink()
    full.write_kept()
    assert full.full is not None, "no room for what takes twice that"
    assert [text[:5].strip() for text in notes(full)[-2:]] == ["999 x", "last"]
    with pytest.raises(JournalError, match=r"last 1,001 rows .*can't be written: .* full"):
        full.close()
    assert in_file(full) == ["before"]


def test_a_kill_with_a_full_disk_costs_what_was_not_written_and_no_more(small: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.conftest import fill_disk\n"
        "from actors.records.journal import Journal\n"
        "place = Path(sys.argv[1]); journal = Journal.open(place / 'state', node='test')\n"
        "journal.keep_rows(); journal.note('n', 'before'); fill_disk(place)\n"
        "while journal.full is None: journal.note('n', 'x' * 4096)\n"
        "journal.note('n', 'lost'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(small)], check=False)
    assert done.returncode == -signal.SIGKILL
    (small / "rest").unlink()
    with Journal.open(small / "state", node="test") as journal:
        assert journal.restored is None
        assert notes(journal)[0] == "before"
        assert "lost" not in notes(journal)


def test_a_commit_that_finds_less_room_than_it_seemed_keeps_all_rows(tmp_path: Path) -> None:
    """No file of this process may grow past a bound, while the disk has room for more files."""
    journal = Journal.open(tmp_path, node="test")
    journal.keep_rows()
    bounds = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, bounds[1]))
    try:
        texts = until_full(journal)[1:]
        for _ in range(3):
            journal.write_kept()
            texts.append(f"short {len(texts)}")
            journal.note("n", texts[-1])
            journal.save_state("a", "gone", b"1")
            journal.save_state("a", "newest", texts[-1].encode())
            journal.forget_states("a", "go")
            assert journal.full is not None
            assert notes(journal) == texts
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bounds)
    journal.write_kept()
    assert journal.full is None
    assert in_file(journal) == texts
    assert journal.states("newest") == {"a": texts[-1].encode()}
    assert journal.states("gone") == {}
    journal.close()


def test_a_journal_whose_file_was_taken_away_keeps_rows_until_it_is_back(tmp_path: Path) -> None:
    """SQLite would go on in the removed file, where no start and no other process finds a row."""
    folder, aside = tmp_path / "state", tmp_path / "aside"
    journal = Journal.open(folder, node="test")
    journal.keep_rows()
    journal.note("n", "before")
    journal.write_kept()
    assert journal.full is None
    folder.rename(aside)
    journal.write_kept()
    assert f"{folder / 'journal.db'} is gone" in str(journal.full)
    with pytest.raises(JournalError, match="is gone"):
        journal.intended(ORDER)
    journal.intended(EXIT)
    # Nor is it the file of a node that was started there meanwhile.
    with Journal.open(folder, node="test") as other:
        journal.write_kept()
        assert journal.full is not None
        assert other.unsettled() == []
    shutil.rmtree(folder)
    aside.rename(folder)
    journal.write_kept()
    assert journal.full is None
    with read(folder) as there:
        assert [order.client_order_id for order in there.unsettled()] == [EXIT.client_order_id]
    journal.close()


# Damage ---------------------------------------------------------------------------------------


def broken(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for place in range(4096, size, 4096):
            file.seek(place)
            file.write(b"\xa5" * 64)


def kept(folder: Path, value: bytes, *, backup: bool) -> None:
    with Journal.open(folder, node="test") as journal:
        journal.begin_run(environment="practice", document="abc")
        journal.save_state("rev", "plan", value)
    if not backup:
        for name in BACKUPS:
            (folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize("harm", [broken, lambda p: p.write_bytes(b"no database at all" * 300)])
def test_a_damaged_journal_is_put_aside_and_its_backup_takes_over(tmp_path: Path, harm) -> None:
    kept(tmp_path, b"one", backup=True)
    harm(tmp_path / NAME)
    with Journal.open(tmp_path, node="test") as journal:
        assert journal.restored is not None
        assert journal.restored.source == tmp_path / BACKUPS[0]
        assert journal.restored.moved_to.exists()
        assert "damaged" in journal.notes(1)[0]["text"]
        assert journal.load_state("rev", "plan") == b"one"
        # It can be written, and is whole.
        journal.save_state("rev", "plan", b"two")
    assert damage(tmp_path / NAME) is None


def test_the_older_backup_takes_over_when_the_newer_is_damaged_too(tmp_path: Path) -> None:
    kept(tmp_path, b"one", backup=True)
    kept(tmp_path, b"two", backup=True)
    broken(tmp_path / NAME)
    broken(tmp_path / BACKUPS[0])
    with Journal.open(tmp_path, node="test") as journal:
        assert journal.restored is not None
        assert journal.restored.source == tmp_path / BACKUPS[1]
        assert journal.load_state("rev", "plan") == b"one"


def test_without_a_backup_an_empty_journal_starts_and_says_so(tmp_path: Path) -> None:
    kept(tmp_path, b"one", backup=False)
    broken(tmp_path / NAME)
    with Journal.open(tmp_path, node="test") as journal:
        assert journal.restored is not None
        assert journal.restored.source is None
        assert "starts empty" in str(journal.restored)
        assert journal.load_state("rev", "plan") is None


def test_an_emptied_journal_is_damage_and_a_fresh_one_is_not(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        assert journal.restored is None
    (tmp_path / NAME).write_bytes(b"")
    with Journal.open(tmp_path, node="test") as journal:
        assert journal.restored is not None
        assert journal.restored.damage == "it is empty"


def test_a_journal_that_may_not_be_read_is_no_damaged_one(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(DeskError, match="can't be read"):
        Journal.open(tmp_path, node="test")
    (tmp_path / NAME).rmdir()
    Journal.open(tmp_path, node="test").close()


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    Journal.open(tmp_path, node="test").close()
    connection = sqlite3.connect(tmp_path / NAME)
    connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.close()
    with pytest.raises(DeskError, match="newer perpdesk"):
        Journal.open(tmp_path, node="test")
    with pytest.raises(DeskError, match="newer perpdesk"), read(tmp_path):
        pass


# Older versions --------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A node's folder as version 1 left it (its own dump): an order half filled, then a stop."""
    connection = sqlite3.connect(tmp_path / NAME)
    connection.executescript((Path(__file__).parent / "journal_version_1.sql").read_text())
    connection.close()
    return tmp_path


def seen(reading: JournalReader) -> list[object]:
    """Return what an older journal knows, as it must be read before and after the migration."""
    return [
        reading.runs(),
        reading.unsettled(),
        reading.fills_since(0),
        reading.holdings(),
        reading.last_equity(),
        reading.decisions(),
        reading.standing(),
        reading.explained(),
        reading.counters(),
        reading.links(),
        [intent["reason"] for intent in reading.intents()],
        reading.states("plan"),
    ]


def test_an_older_journal_is_read_as_it_is_and_migrated_when_the_node_starts(old: Path) -> None:
    before = (old / NAME).read_bytes()
    with read(old) as reading:
        as_it_was = seen(reading)
        assert reading.fills_since(0) == [replace(FILL, source="push", decision_id="")]
        (order,) = reading.unsettled()
        assert (order.filled, order.decision_id, order.reference_price) == (D("0.004"), "", None)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reading._connection.execute("DELETE FROM runs")
    assert (old / NAME).read_bytes() == before
    with Journal.open(old, node="test") as journal:
        assert seen(journal) == as_it_was
        assert journal._connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
        assert "from journal version 1" in journal.notes()[0]["text"]
        # Its decisions are named as those to come, and it can be written.
        rows = journal._connection.execute("SELECT decision_id FROM decisions")
        assert [row[0] for row in rows] == [journal.decisions()[0].id] == ["rev@900"]
        second = structs.replace(
            ORDER, client_order_id="n-rev-abc-2", decision_id="rev@950", reference_price=D("50001")
        )
        journal.intended(second)
        journal.fill(replace(FILL, execution_id="e-2", client_order_id=second.client_order_id))
        assert journal.fills_since(0)[1].decision_id == "rev@950"
    kept = sqlite3.connect(old / OLD.format(1))
    assert kept.execute("PRAGMA user_version").fetchone()[0] == 1
    assert kept.execute("SELECT fee_currency FROM fills").fetchall() == [("USDT",)]
    kept.close()
    with Journal.open(old, node="test") as journal:
        assert [note["kind"] for note in journal.notes()] == ["migrated"]


def test_a_migrated_journal_has_the_columns_of_a_new_one(old: Path, tmp_path: Path) -> None:
    def tables(folder: Path) -> dict[str, set[str]]:
        with Journal.open(folder, node="test") as journal:
            names = [
                row[0] for row in journal._connection.execute("SELECT name FROM sqlite_schema")
            ]
            return {
                name: {row[1] for row in journal._connection.execute(f"PRAGMA table_info({name})")}
                for name in names
            }

    assert tables(old) == tables(tmp_path / "new")


@pytest.mark.parametrize("cut", ["a full disk", "a kill"])
def test_a_migration_that_is_cut_short_leaves_the_older_journal(old, monkeypatch, cut):
    with monkeypatch.context() as patched:
        if cut == "a kill":
            steps = {**MIGRATIONS, 1: f"{MIGRATIONS[1]}SELECT no_such_function();"}
            patched.setattr("actors.records.journal.MIGRATIONS", steps)
        else:
            (old / f"{OLD.format(1)}.writing").mkdir()
        with pytest.raises(JournalError):
            Journal.open(old, node="test")
    with read(old) as reading:
        assert reading.fills_since(0) == [FILL]
    if cut != "a kill":
        (old / f"{OLD.format(1)}.writing").rmdir()
    with Journal.open(old, node="test") as journal:
        assert journal.fills_since(0) == [FILL]


def test_a_backup_beside_a_writer_is_whole(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="test") as journal:
        stop = threading.Event()
        copies = []

        def copying() -> None:
            while not stop.is_set():
                copies.append(damage(back_up(tmp_path)))

        copier = threading.Thread(target=copying)
        copier.start()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            with journal.together():
                journal.count("a")
                journal.count("b")
        stop.set()
        copier.join()
        assert len(copies) > 2
        assert set(copies) == {None}
        backup = sqlite3.connect(tmp_path / BACKUPS[0])
        counts = dict(backup.execute("SELECT name, value FROM counters"))
        backup.close()
        assert counts["a"] == counts["b"] > 0


def test_a_wal_that_is_folded_in_is_written_over(tmp_path: Path) -> None:
    wal, sizes = tmp_path / f"{NAME}-wal", []
    with Journal.open(tmp_path, node="test") as journal:
        for _ in range(3):
            for _ in range(50):
                journal.note("link", "x" * 4096)
            sizes.append(wal.stat().st_size)
            journal.fold()
            assert journal._folding is not None
            journal._folding.join()
        assert sizes[0] == sizes[1] == sizes[2] > 50 * 4096


def test_a_backup_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, node="test")

    def backed_up() -> dict[str, str]:
        journal.back_up()
        assert journal._backup is not None
        journal._backup.join()
        journal.fold()
        assert journal._folding is not None
        journal._folding.join()
        return dict(journal.failed)

    (tmp_path / f"{BACKUPS[0]}.writing").mkdir()
    assert list(backed_up()) == ["back_up"], "a fold that succeeds does not hide it"
    (tmp_path / f"{BACKUPS[0]}.writing").rmdir()
    assert backed_up() == {}
    journal.close()
    journal.close()


def test_a_backup_takes_no_space_that_the_journal_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal.open(tmp_path, node="test"):
        back_up(tmp_path)
        size, usage = (tmp_path / NAME).stat().st_size, shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size - 1))
        with pytest.raises(OSError, match="No space left"):
            back_up(tmp_path)
        assert not list(tmp_path.glob("*.writing"))
        monkeypatch.undo()


def test_a_journal_that_can_not_be_read_goes_on_empty_in_memory(tmp_path):
    journal = Journal.open(tmp_path, node="test")
    journal._connection.close()
    with pytest.raises(JournalError, match="can't be written"):
        journal.phase("stopping")
    journal.go_on_in_memory()
    journal.phase("stopping")
    assert journal.unsettled() == []
    journal.close()


def test_a_journal_that_can_not_be_opened_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with (
        pytest.raises(DeskError, match=r"journal\.db: can't be read: unable to open"),
        read(tmp_path),
    ):
        pass
