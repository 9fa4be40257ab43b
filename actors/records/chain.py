"""The audit chain: hashes of every row that a journal got, each block bound to the one before.

``chain.jsonl`` has a block a line: the SHA-256 of the block, a blank, the block. A block has the
hash of the one before and the digest of each new row of the tables that only grow, and of each line
of ``actions.jsonl``, what operators did. So a row that is changed, removed or put in later has a
name.

A follower writes it, beside the node and never on the way of an order: a row of the last second is
not in it yet, and after a kill none until the node starts again. Who can write all files can make
them anew; only a head that was noted elsewhere shows that.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.records.journal_schema import GROWING
from config.errors import DeskError, InputError

FILE = "chain.jsonl"
ACTIONS = "actions.jsonl"
"""A line for each thing that an operator did to the node."""
NO_BLOCK = "0" * 64
"""The hash before the first block."""
MOST = 2000
"""Rows of a table in a block."""
_CHANGES_LATER = {"runs": {"ended", "phase", "note"}}
_TABLES = (ACTIONS, *GROWING)


class Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Digests of rows by table and id; `ts` is UNIX nanoseconds (UTC).

    `columns` are those digested from here on, where they changed. `lost` are the newest ids of
    tables whose later rows had gone: a backup took the place of a damaged journal, or the power
    failed.
    """

    number: int
    ts: int
    previous: str
    rows: dict[str, dict[int, str]] = {}
    columns: dict[str, list[str]] = {}
    lost: dict[str, int] = {}


class Chained(NamedTuple):
    """A block as it was read: its hash, the newest ids in the chain before it, and columns.

    `end` is where its line ends in the file.
    """

    head: str
    block: Block
    upto: dict[str, int]
    columns: dict[str, list[str]]
    end: int


def _newest_in(block: Block) -> dict[str, int]:
    return {table: max(rows) for table, rows in block.rows.items()} | block.lost


_BLOCKS = msgspec.json.Decoder(Block)


def blocks(folder: Path) -> Iterator[Chained]:
    """Read a node's chain; raise DeskError at the first block that was changed or is not its next.

    A last line that a power cut tore is left out.
    """
    previous, upto, columns = NO_BLOCK, dict.fromkeys(_TABLES, 0), dict[str, list[str]]()
    end = 0
    try:
        file = (folder / FILE).open("rb")
    except FileNotFoundError:
        return
    with file:
        for number, line in enumerate(file):
            if not line.endswith(b"\n"):
                return
            head, _, text = line[:-1].partition(b" ")
            if hashlib.sha256(text).hexdigest() != head.decode(errors="replace"):
                raise DeskError(
                    f"{folder / FILE}:{number + 1}: this block was changed, so nothing after it "
                    "is proven; put the file aside, and the node's next start begins a new chain"
                )
            block = _BLOCKS.decode(text)
            if (block.number, block.previous) != (number, previous):
                raise DeskError(
                    f"{folder / FILE}:{number + 1}: block {block.number} does not follow the one "
                    "before: blocks were removed or put in"
                )
            columns = columns | block.columns
            previous, end = head.decode(), end + len(line)
            yield Chained(previous, block, upto, columns, end)
            upto = upto | _newest_in(block)


class Chain:
    """The writer of a node's chain; waits until no other process writes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Without a buffer: what a full disk refuses must not come later.
        self._file = (folder / FILE).open("a+b", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.number, self.head = 0, NO_BLOCK
        self._upto, self._columns = dict.fromkeys(_TABLES, 0), dict[str, list[str]]()
        end = 0
        for one in blocks(folder):
            self.head, self._columns, end = one.head, one.columns, one.end
            self.number, self._upto = one.block.number + 1, one.upto | _newest_in(one.block)
        # What a power cut tore is written again.
        self._file.truncate(end)

    def add(self, journal: sqlite3.Connection, now_ns: int) -> int:
        """Write a block of what is new in the journal; return how many rows that were."""
        columns: dict[str, list[str]] = {}
        rows: dict[str, dict[int, str]] = {}
        lost: dict[str, int] = {}
        journal.execute("BEGIN")
        try:
            for table in _TABLES:
                names, upto = columns_of(journal, table), self._upto[table]
                newest = _newest(journal, self._folder, table)
                if newest < upto:
                    lost[table] = newest
                elif newest > upto:
                    rows[table] = digests(journal, self._folder, table, names, upto, limit=MOST)
                    if self._columns.get(table, []) != names:
                        columns[table] = names
        finally:
            journal.execute("COMMIT")
        if not rows and not lost:
            return 0
        block = Block(
            number=self.number,
            ts=now_ns,
            previous=self.head,
            rows=rows,
            columns=columns,
            lost=lost,
        )
        text = msgspec.json.encode(block)
        head = hashlib.sha256(text).hexdigest()
        line, before = f"{head} ".encode() + text + b"\n", self._file.seek(0, os.SEEK_END)
        if self._file.write(line) != len(line):
            self._file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.head, self.number = head, self.number + 1
        self._upto = self._upto | _newest_in(block)
        self._columns = self._columns | columns
        return sum(map(len, rows.values()))

    def close(self) -> None:
        """Let others write."""
        self._file.close()


def columns_of(journal: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns of a table that no later write changes."""
    if table == ACTIONS:
        return []
    found = [row[1] for row in journal.execute(f"PRAGMA table_info({table})")]
    return [name for name in found if name not in _CHANGES_LATER.get(table, ())]


def digests(
    journal: sqlite3.Connection,
    folder: Path,
    table: str,
    columns: list[str],
    after: int,
    upto: int = 2**62,
    limit: int = -1,
) -> dict[int, str]:
    """Return the digests of a table's rows with ids above `after`, the first ones, by id."""
    if table == ACTIONS:
        lines = _actions(folder)
        ids = range(after, min(upto, len(lines), after + limit if limit >= 0 else upto))
        return {n + 1: _digest(lines[n]) for n in ids}
    # A row put in before the first has an id below all others.
    where = "id <= ?" if after == 0 else f"id > {after} AND id <= ?"
    found = journal.execute(
        f"SELECT id, {', '.join(columns)} FROM {table} WHERE {where} ORDER BY id LIMIT ?",
        (upto, limit),
    )
    return {row[0]: _digest(msgspec.msgpack.encode(tuple(row))) for row in found}


def _digest(row: bytes) -> str:
    return hashlib.blake2b(row, digest_size=16).hexdigest()


def _newest(journal: sqlite3.Connection, folder: Path, table: str) -> int:
    if table == ACTIONS:
        return len(_actions(folder))
    return int(journal.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])


def _actions(folder: Path) -> list[bytes]:
    try:
        return (folder / ACTIONS).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


class Verified(NamedTuple):
    """What a chain says of its journal.

    `wrong` names rows in the order of the chain; `newer` rows are not in it yet. `began` and
    `ended` are the times of the first and last block, `head` is the last block's hash.
    """

    wrong: list[str]
    blocks: int
    rows: int
    newer: int
    head: str
    began: int
    ended: int


def verify(
    journal: sqlite3.Connection,
    folder: Path,
    since: str = "",
    most: int = 20,
    *,
    stopped: bool = False,
) -> Verified:
    """Compare a journal with its chain, from the block after the head `since` on.

    Where the node has `stopped` in order, its chain has all that it wrote: newer rows are not its.

    Raises DeskError where the chain itself was changed. Raises InputError where it has no such
    head, or there is no chain.
    """
    cuts = [(one.block.number, one.block.lost) for one in blocks(folder) if one.block.lost]
    wrong: list[str] = []
    last: Chained | None = None
    counted, began, seen = 0, 0, not since
    for last in blocks(folder):
        head, block, upto, columns, _ = last
        began = began or block.ts
        if not seen:
            seen = head == since
            continue
        for table, newest in block.lost.items():
            wrong.append(
                f"{table}: rows {newest + 1} to {upto[table]} are gone since block {block.number}: "
                "the journal went back, to a backup or by a power cut (see its notes)"
            )
        for table, chained in block.rows.items():
            later = [lost[table] for n, lost in cuts if n > block.number and table in lost]
            until = min([max(chained), *later])
            found = digests(journal, folder, table, columns.get(table, []), upto[table], until)
            counted += len(chained)
            for row in sorted(found.keys() | {one for one in chained if one <= until}):
                if found.get(row) != chained.get(row) and len(wrong) < most:
                    how = "removed" if row not in found else "changed"
                    how = how if row in chained else "inserted"
                    wrong.append(f"{table}: row {row} was {how} (block {block.number})")
    if last is None:
        raise InputError(f"{folder / FILE}: no chain yet: the node's next start begins it")
    if not seen:
        raise InputError(f"{folder / FILE}: has no block {since}: it was made anew, or cut off")
    _, block, upto, *_ = last
    upto = upto | _newest_in(block)
    newer = {table: max(0, _newest(journal, folder, table) - upto[table]) for table in _TABLES}
    wrong += [
        f"{table}: {count} rows came after the node had stopped, or its chain ended before it"
        for table, count in newer.items()
        if stopped and count and table != ACTIONS
    ]
    return Verified(
        wrong, block.number + 1, counted, sum(newer.values()), last.head, began, block.ts
    )


def follow_connection(path: Path) -> sqlite3.Connection:
    """Open a journal to follow it; its end leaves the WAL as it is, whoever else has it open."""
    # It makes none where there is none.
    where = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(where, uri=True, isolation_level=None)
    connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
    connection.execute("PRAGMA query_only=ON")
    return connection
