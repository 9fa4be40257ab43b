"""The audit chain names the row that was changed, removed or inserted, and its own block."""

import resource
import sqlite3
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from actors.records.chain import ACTIONS, FILE, Chain, Verified, verify
from actors.records.journal import Journal
from actors.records.journal_files import NAME
from config.errors import DeskError, InputError
from tests.actors.test_journal import FILL, ORDER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A node's folder with three blocks: a run and an order, two fills, an operator's action."""
    with Journal.open(tmp_path, node="test") as journal:
        journal.begin_run(environment="practice", document="abc")
        journal.intended(ORDER)
        assert chained(tmp_path) == 2
        journal.fill(FILL)
        journal.fill(replace(FILL, execution_id="e-2", ts=1))
        assert chained(tmp_path) == 2
        (tmp_path / ACTIONS).write_text('{"action":"flatten"}\n')
        assert chained(tmp_path) == 1
        assert chained(tmp_path) == 0
        # What a row of newest state becomes is no change of a record.
        journal.outcome(ORDER.client_order_id, "FILLED")
        journal.end_run()
    return tmp_path


def chained(folder: Path) -> int:
    chain, journal = Chain(folder), sqlite3.connect(folder / NAME, isolation_level=None)
    try:
        return chain.add(journal, 5)
    finally:
        journal.close()
        chain.close()


def said(folder: Path, since: str = "") -> Verified:
    journal = sqlite3.connect(folder / NAME, isolation_level=None)
    try:
        return verify(journal, folder, since)
    finally:
        journal.close()


def spoiled(folder: Path, statement: str) -> list[str]:
    journal = sqlite3.connect(folder / NAME)
    journal.execute(statement)
    journal.commit()
    journal.close()
    return said(folder).wrong


def test_what_nobody_touched_is_as_it_was_written(folder: Path) -> None:
    found = said(folder)
    assert (found.wrong, found.blocks, found.rows, found.newer) == ([], 3, 5, 0)


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("UPDATE fills SET price = '1' WHERE id = 2", "fills: row 2 was changed (block 1)"),
        ("UPDATE runs SET pid = 1", "runs: row 1 was changed (block 0)"),
        ("DELETE FROM intents", "intents: row 1 was removed (block 0)"),
        (
            "INSERT INTO intents SELECT -5, * FROM (SELECT run, operation, client_order_id,"
            " strategy, instrument, side, quantity, ts, price, trigger_price, order_type,"
            " time_in_force, reduce_only, post_only, is_exit, reason, decision_id,"
            " reference_price, refused FROM intents)",
            "intents: row -5 was inserted (block 0)",
        ),
    ],
)
def test_a_row_that_was_changed_removed_or_inserted_is_named(folder, statement, wrong):
    found = spoiled(folder, statement)
    assert found == [wrong]


def test_an_action_that_was_changed_is_named(folder: Path) -> None:
    (folder / ACTIONS).write_text('{"action":"nothing"}\n')
    assert said(folder).wrong == [f"{ACTIONS}: row 1 was changed (block 2)"]


def test_a_chain_whose_own_block_was_changed_or_removed_proves_nothing(folder: Path) -> None:
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    (folder / FILE).write_bytes(lines[0] + lines[1].replace(b'"ts":5', b'"ts":6') + lines[2])
    with pytest.raises(DeskError, match=rf"{FILE}:2: this block was changed"):
        said(folder)
    (folder / FILE).write_bytes(lines[0] + lines[2])
    with pytest.raises(DeskError, match="block 2 does not follow"):
        said(folder)


def test_a_chain_made_anew_lacks_the_head_that_was_noted(folder: Path) -> None:
    head = said(folder).head
    assert said(folder, head).rows == 0
    (folder / FILE).unlink()
    with pytest.raises(InputError, match="no chain yet"):
        said(folder)
    chained(folder)
    assert said(folder).wrong == []
    with pytest.raises(InputError, match="has no block"):
        said(folder, head)


def test_a_half_written_block_is_written_again(folder: Path) -> None:
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[:-40])
    assert said(folder).newer == 1
    assert chained(folder) == 1
    assert said(folder).wrong == []


def test_a_block_that_a_full_disk_cuts_is_taken_back_and_written_later(folder: Path) -> None:
    (folder / ACTIONS).write_text('{"action":"flatten"}\n{"action":"release"}\n')
    size, known = (folder / FILE).stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal.open(folder, node="test"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, known[1]))
        try:
            with pytest.raises(OSError, match="No space left"):
                chained(folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, known)
    assert (folder / FILE).stat().st_size == size
    assert chained(folder) == 1
    assert said(folder).wrong == []


def test_rows_that_a_journal_lost_are_named_and_the_chain_goes_on(folder: Path) -> None:
    journal = sqlite3.connect(folder / NAME)
    journal.execute("DELETE FROM fills WHERE id = 2")
    journal.commit()
    chained(folder)
    journal.close()
    with Journal.open(folder, node="test") as again:
        again.fill(replace(FILL, execution_id="e-3"))
    assert chained(folder) == 1
    found = said(folder)
    assert found.wrong == [
        "fills: rows 2 to 2 are gone since block 3: the journal went back, to a backup or by a "
        "power cut (see its notes)"
    ]
    # Who has seen why notes the head, and verifies what came after it.
    assert said(folder, found.head).wrong == []


def test_a_long_chain_is_never_held_in_memory(folder: Path) -> None:
    with Journal.open(folder, node="test") as journal:
        with journal.together():
            for _ in range(60_000):
                journal.note("n", "")
        while chained(folder):
            pass
    tracemalloc.start()
    Chain(folder).close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (folder / FILE).stat().st_size / 2
