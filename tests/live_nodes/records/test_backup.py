"""A backup is made beside a running node; a restored one trades nothing twice, keeps its halts."""

import random
import signal
import sqlite3
import threading
import tracemalloc
from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path

import pytest
from msgspec import structs

from actors.records.chain import FILE, verify
from actors.records.journal import Journal
from actors.records.journal_files import NAME
from actors.records.journal_reading import read
from config.documents import Node
from config.errors import DeskError, GateRefused, InputError
from live_nodes.local.actions import actions
from live_nodes.local.folder import written_node
from live_nodes.local.mailbox import MailRequest, answer, ask, pending
from live_nodes.records.backup import back_up_node, restore_node
from live_nodes.records.follower import Follower
from tests.actors.test_journal import ORDER
from tests.live_nodes.documents import node_of
from tests.live_nodes.killing import TAKER, Ground
from tests.waiting import DEADLINE, eventually


@pytest.mark.slow
def test_a_restored_node_trades_nothing_twice_and_keeps_its_halts(ground: Ground) -> None:
    node = ground.node(TAKER)
    document = written_node(node.file)
    assert node.run("--run-once").code == 0, node.said()
    node.begin()
    eventually(lambda: f"runs (pid {node.pid})" in node.said(), node.said)
    asked = ask(node.folder, MailRequest(command="halt", scope="desk", reason="off to sea"))
    done = answer(node.folder, asked, DEADLINE)
    assert done is not None
    assert done.done
    archive, manifest = back_up_node(document, node.folder, node.ground.folder / "archives", 1)
    assert len(manifest.head) == 64
    with pytest.raises(GateRefused, match=f"is running \\(process {node.pid}\\): stop it first"):
        restore_node(document, node.folder, archive)
    traded = node.at_the_exchange()["executions"]
    assert len(traded) >= 4
    node.process.kill()
    assert node.ended().signal == signal.SIGKILL
    node.folder.rename(node.ground.folder / "lost with its disk")
    restore_node(document, node.folder, archive, halted=False)
    again = node.run("--run-once")
    assert (again.code, "nothing is due" in again.said) == (0, True), again.said
    assert node.at_the_exchange()["executions"] == traded
    with read(node.folder) as journal:
        assert [verdict.reason for _, verdict in journal.standing()] == ["off to sea"]
        found = verify(journal.connection, node.folder, manifest.head)
        assert (found.wrong, found.newer) == ([], 0)
    assert actions(node.folder)[-1].action == "restore"


@pytest.mark.slow
def test_a_node_restored_to_before_its_trades_takes_them_from_the_venue(ground: Ground) -> None:
    node = ground.node(TAKER)
    document = written_node(node.file)
    assert node.run("--for", "1s").code == 0, node.said()
    archive, _ = back_up_node(document, node.folder, node.ground.folder / "before", 1)
    assert node.run("--run-once", "--force").code == 0, node.said()
    traded = node.at_the_exchange()["executions"]
    restore_node(document, node.folder, archive)
    again = node.run("--run-once", "--force")
    assert f"{len(traded)} executions were missing in the journal" in again.said
    assert "halt_entries on desk by operator: restored from the backup" in again.said
    # It decided again, and needs not a trade but for prices that moved meanwhile.
    new = [row for row in node.at_the_exchange()["executions"] if row not in traded]
    assert sum(D(row["value"]) for row in new) < sum(D(row["value"]) for row in traded) / 50
    with read(node.folder) as journal:
        assert journal.explained() == node.positions()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return node_of(state=str(tmp_path / "state"))


@pytest.fixture
def folder(tmp_path: Path, node: Node) -> Path:
    """A stopped node's state with one order, a release, its own exchange and a recording."""
    folder = tmp_path / "state" / "mine" / "practice"
    with Journal.open(folder, node="mine") as journal:
        journal.begin_run(environment="practice", document="abc")
        journal.intended(ORDER)
    for name in ("releases/0001/node.yaml", "exchange/exchange.db", "recordings/1/tape.jsonl"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(name)
    (folder / "releases/0001/node.yaml").chmod(0o444)
    return folder


def orders(folder: Path) -> int:
    with read(folder) as journal:
        return len(journal.orders_changed_since(0))


def test_what_a_restore_replaces_is_kept_and_the_venue_stays(folder, node, tmp_path):
    archive, manifest = back_up_node(node, folder, tmp_path / "out", 1)
    assert sorted(manifest.files) == ["journal.db", "releases/0001/node.yaml"]
    with Journal.open(folder, node="mine") as journal:
        journal.intended(structs.replace(ORDER, client_order_id="later"))
    (folder / "exchange/exchange.db").write_text("went on")
    restore_node(node, folder, archive)
    assert orders(folder) == 1
    assert (folder / "exchange/exchange.db").read_text() == "went on"
    assert (folder / "releases/0001/node.yaml").stat().st_mode & 0o777 == 0o444
    (waiting,) = pending(folder)
    assert (waiting.command, waiting.scope) == ("halt", "desk")
    (kept,) = folder.parent.glob("practice.before-*")
    assert orders(kept) == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == ["practice", kept.name]


def flipped(data: bytes) -> bytes:
    place = random.Random(1).randrange(200, len(data) - 8)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("harm", [flipped, lambda data: data[:-9], lambda data: b"no archive"])
def test_a_damaged_archive_changes_nothing(
    folder: Path, node: Node, tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    archive, _ = back_up_node(node, folder, tmp_path / "out", 1)
    archive.write_bytes(harm(archive.read_bytes()))
    with pytest.raises(InputError, match="is damaged, nothing was restored"):
        restore_node(node, folder, archive)
    assert [path.name for path in folder.parent.iterdir()] == ["practice"]
    assert orders(folder) == 1


def test_a_state_behind_a_link_is_restored_where_it_is(folder, node, tmp_path):
    archive, _ = back_up_node(node, folder, tmp_path / "out", 1)
    folder.rename(tmp_path / "disk")
    folder.symlink_to(tmp_path / "disk")
    restore_node(node, folder, archive)
    assert folder.is_symlink()
    assert (tmp_path / "disk/exchange/exchange.db").exists()
    assert len(list(tmp_path.glob("disk.before-*"))) == 1


def test_an_empty_journal_is_backed_up_as_little_as_a_damaged_one(folder, node, tmp_path):
    """Restored, it would trade as if for the first time."""
    (folder / NAME).write_bytes(b"")
    with pytest.raises(DeskError, match="is damaged, so no backup is made of it: it is empty"):
        back_up_node(node, folder, tmp_path / "out", 1)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_archive_of_another_node_is_refused(folder: Path, node: Node, tmp_path: Path) -> None:
    archive, _ = back_up_node(node, folder, tmp_path / "out", 1)
    other = node_of(state=str(tmp_path / "state"), name="other")
    with pytest.raises(InputError, match="is of mine on practice, not of other on practice"):
        restore_node(other, tmp_path / "state/other/practice", archive)


def test_large_files_are_never_held_in_memory(folder: Path, node: Node, tmp_path: Path) -> None:
    (folder / FILE).write_bytes((64 * b"a" + b" {}\n") * 450_000)
    tracemalloc.start()
    _, manifest = back_up_node(node, folder, tmp_path / "out", 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (manifest.files[FILE].size, manifest.head) == (450_000 * 68, 64 * "a")
    assert peak < 15_000_000


def test_only_the_newest_archives_are_kept(folder: Path, node: Node, tmp_path: Path) -> None:
    made = [back_up_node(node, folder, tmp_path / "out", 2)[0] for _ in range(3)]
    assert sorted((tmp_path / "out").iterdir()) == made[1:]
    with pytest.raises(DeskError, match="the backup can't be made"):
        back_up_node(node, folder, made[1], 2)


def test_the_chain_of_a_backup_is_never_ahead_of_its_journal(folder, node, tmp_path):
    stop, archives = threading.Event(), []

    def backing_up() -> None:
        archives.extend(back_up_node(node, folder, tmp_path / "out", 9)[0] for _ in range(5))
        stop.set()

    with Journal.open(folder, node="mine") as journal, Follower(folder, print):
        chain = folder / FILE
        eventually(lambda: chain.exists() and chain.stat().st_size, "the chain's first block")
        thread = threading.Thread(target=backing_up)
        thread.start()
        while not stop.is_set():
            journal.note("busy", "x")
        thread.join()
    for archive in archives:
        restore_node(node, folder, archive)
        opened = sqlite3.connect(folder / NAME)
        assert verify(opened, folder).wrong == []
        opened.close()
