"""A mirror has every row of its journal once, whatever died in between."""

import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec import structs

from actors.records.journal import Journal
from actors.records.journal_files import NAME
from actors.records.journal_schema import CHANGING, GROWING
from actors.records.rows import EquityRow, PositionRow
from config.errors import GateRefused
from live_nodes.local.keys import Secret
from live_nodes.records import mirror
from live_nodes.records.follower import Follower
from live_nodes.records.mirror import Mirror, mirror_url
from strategies.messages import Action, Decision, Verdict
from strategies.refusals import Refusal
from tests.actors.test_journal import FILL, ORDER
from tests.live_nodes.documents import node_of
from tests.live_nodes.killing import Ground
from tests.postgres import PASSWORD, Postgres, new_database, running_postgres
from tests.waiting import eventually

MINE = "mine.practice"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def url(server: Postgres) -> str:
    return new_database(server.url)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal with a row, or two, of each table."""
    with Journal.open(tmp_path, node="mine") as opened:
        opened.begin_run(environment="practice", document="abc")
        filled(opened, 0)
        yield opened


def filled(journal: Journal, n: int) -> None:
    """Write rows of each kind, and change the newest states."""
    name, now = f"n-rev-abc-{n}", time.time_ns()
    with journal.together():
        journal.intended(structs.replace(ORDER, client_order_id=name, ts=now))
        journal.outcome(name, "ACCEPTED", venue_order_id="v")
        journal.order_event(name, "OrderAccepted", "said\0so", now)
        journal.fill(replace(FILL, execution_id=f"e-{n}", client_order_id=name))
        journal.refused(
            structs.replace(ORDER, client_order_id=f"{name}-r", ts=now),
            Refusal(code="dry_run", text="dry"),
        )
        journal.outcome(f"n-rev-abc-{n // 2}", "FILLED", filled=D("0.010"))
        position = PositionRow(FILL.instrument, "rev", now, D(n), D("101.250"), D("3"))
        journal.positions([position])
        money = EquityRow(now, D("100.10"), D("9"), D("5"), D("-1"))
        journal.equity(money)
        journal.decision(Decision(strategy="rev", ts=now, data_ts=8, kind="wait", equity="1"))
        halt = Verdict(action=Action.HALT_ENTRIES, guard=f"g{n % 3}", reason="ü")
        journal.verdict(halt)
        journal.verdict(structs.replace(halt, guard=f"g{(n + 1) % 3}", action=Action.NONE))
        journal.gate("clock", True, "3 ms")
        journal.link("trade", "open" if n % 2 else "down")
        journal.count("sweeps")
        journal.note("x", "words")
        journal.save_state("rev", f"plan {n % 3}", b"\x00\xff")
        journal.forget_states("rev", f"plan {(n + 1) % 3}")


def rows_of_journal(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of a journal, as they are."""
    connection = sqlite3.connect(folder / NAME)
    found = {}
    for table in (*GROWING, *CHANGING):
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        ordered = connection.execute(f"SELECT {', '.join(sorted(names))} FROM {table}")
        found[table] = sorted(map(repr, ordered))
    connection.close()
    return found


def rows_of_mirror(url: str, name: str = MINE) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of a mirror as SQLite would have them."""
    found = {}
    with psycopg.connect(url) as server:
        for table in (*GROWING, *CHANGING):
            rows = server.execute(
                "SELECT column_name, data_type FROM information_schema.columns"
                f" WHERE table_schema = 'perpdesk' AND table_name = '{table}'"
            ).fetchall()
            names = sorted((c, kind) for c, kind in rows if c != "journal")
            columns = ", ".join(f"{c}::text" if kind == "json" else c for c, kind in names)
            asked = server.execute(
                f"SELECT {columns} FROM perpdesk.{table} WHERE journal = %s", (name,)
            )
            kinds = [kind for _, kind in names]
            found[table] = sorted(
                repr(tuple(map(as_in_sqlite, row, kinds))) for row in asked.fetchall()
            )
    return found


def as_in_sqlite(value: Any, kind: str) -> Any:
    if isinstance(value, D):
        return f"{value:f}"
    if kind == "json":
        return value.encode()
    return value.replace("\ufffd", "\0") if isinstance(value, str) else value


def mirrored(folder: Path, url: str, said: list[str] | None = None) -> bool:
    """Let a mirror catch up once."""
    return Mirror(folder, MINE, Secret(url), [].append if said is None else said.append).run(
        lambda seconds: True
    )


def test_every_table_and_column_of_a_journal_is_in_its_mirror(journal, tmp_path, url):
    assert mirrored(tmp_path, url)
    assert rows_of_mirror(url) == rows_of_journal(tmp_path)
    for n in range(1, 8):
        filled(journal, n)
    assert mirrored(tmp_path, url)
    assert rows_of_mirror(url) == rows_of_journal(tmp_path)
    assert all(rows_of_mirror(url).values()), "a table without a row shows nothing"


def test_more_rows_than_one_transaction_takes_come_in_several(
    journal: Journal, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MOST", 3)
    for n in range(1, 12):
        filled(journal, n)
    assert mirrored(tmp_path, url)
    assert rows_of_mirror(url) == rows_of_journal(tmp_path)


def test_a_journal_that_went_back_begins_anew_and_what_was_mirrored_stays(journal, tmp_path, url):
    back = sqlite3.connect(":memory:")
    with sqlite3.connect(tmp_path / NAME) as source:
        source.backup(back)
    filled(journal, 1)
    assert mirrored(tmp_path, url)
    before = rows_of_mirror(url)
    journal.close()
    (tmp_path / NAME).unlink()
    with sqlite3.connect(tmp_path / NAME) as target:
        back.backup(target)
    said: list[str] = []
    assert mirrored(tmp_path, url, said)
    assert rows_of_mirror(url) == rows_of_journal(tmp_path)
    assert "the journal went back" in said[0]
    assert rows_of_mirror(url, said[0].split("'")[1]) == before


def test_a_database_without_an_encoding_gets_the_same_rows(tmp_path, journal, server):
    plain = new_database(server.url, "TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'")
    assert mirrored(tmp_path, plain, [])
    assert rows_of_mirror(f"{plain}?client_encoding=UTF8") == rows_of_journal(tmp_path)


def test_a_mirror_that_can_not_be_reached_says_so_once_and_never_the_password(tmp_path, journal):
    said: list[str] = []
    nowhere = Mirror(tmp_path, MINE, Secret("postgresql://a:geheim@127.0.0.1:1/x"), said.append)
    tries = iter((False, False, True))
    assert not nowhere.run(lambda seconds: next(tries))
    assert len(said) == 1
    assert said[0].startswith("the mirror waits: ")
    assert "geheim" not in said[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE perpdesk.alembic_version SET version_num = 'next'", "'next'"),
        ("DROP TABLE perpdesk.counters", "KeyError: 'counters'"),
    ],
)
def test_a_server_with_other_tables_is_said_and_the_mirror_waits(
    journal: Journal, tmp_path: Path, url: str, change: str, why: str
) -> None:
    """A newer perpdesk migrated them, or somebody dropped one."""
    assert mirrored(tmp_path, url)
    with psycopg.connect(url) as server:
        server.execute(change.encode())
    said: list[str] = []
    assert not mirrored(tmp_path, url, said)
    assert "the mirror waits: its tables are not this version's" in said[0]
    assert why in said[0]


def test_a_server_that_does_not_answer_is_said_and_what_came_meanwhile_follows_at_once(
    journal: Journal, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "LATE_S", 4.0)
    assert mirrored(tmp_path, url)
    with psycopg.connect(url, autocommit=True) as server:
        locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        # The server ends the session of the one before when it comes to it.
        eventually(lambda: not server.execute(locks).fetchall(), "the end of the lock")
    over, said = threading.Event(), list[str]()
    following = Mirror(tmp_path, MINE, Secret(url), said.append)
    thread = threading.Thread(target=following.run, args=(over.wait,))
    thread.start()
    try:
        with psycopg.connect(url) as busy:
            busy.execute("LOCK TABLE perpdesk.fills")
            filled(journal, 1)
            eventually(lambda: said, "word of it")
        eventually(lambda: reached(url) == 2, said)
        filled(journal, 2)
        eventually(lambda: rows_of_mirror(url) == rows_of_journal(tmp_path), said)
    finally:
        over.set()
        thread.join()
    late = "the mirror waits: its server has not answered for 4 s"
    assert said == [late, "the mirror goes on"]


def test_a_mirror_of_a_node_that_never_ran_makes_no_journal(tmp_path: Path, url: str) -> None:
    said: list[str] = []
    assert not mirrored(tmp_path, url, said)
    assert said == ["the mirror waits: unable to open database file"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_url_of_a_server_keeps_a_node_from_starting() -> None:
    node = node_of(mirror="RECORDS")
    for text in ("", "geheim", "postgresql://desk:geheim@[x/", "mysql://desk:geheim@host/x"):
        with pytest.raises(GateRefused, match="mine: mirror: RECORDS") as refused:
            mirror_url(node, {"RECORDS": text})
        assert "geheim" not in str(refused.value)
    assert mirror_url(node_of(), {}) is None


def test_a_mirror_that_breaks_is_told_and_started_again(tmp_path, journal, url):
    """Somebody made words of numbers, which nobody has thought of."""
    assert mirrored(tmp_path, url, [])
    with psycopg.connect(url) as server:
        server.execute("ALTER TABLE perpdesk.notes ALTER COLUMN id TYPE text")
        server.execute("UPDATE perpdesk.notes SET id = 'first'")
    told: list[str] = []
    with Follower(tmp_path, told.append, Secret(url), MINE):
        eventually(lambda: any("ended with 1: started again" in line for line in told), told)


@pytest.mark.slow
def test_no_row_is_lost_or_doubled_by_kills_of_either_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live_nodes.records.follower.AGAIN_S", 0.05)
    chance, told = random.Random(3), list[str]()
    with running_postgres() as server:
        url = new_database(server.url)
        with Journal.open(tmp_path, node="mine") as journal:
            journal.begin_run(environment="practice", document="abc")
            with Follower(tmp_path, told.append, Secret(url), MINE) as followed:
                eventually(lambda: reached(url) == 0, told)
                for n in range(60):
                    filled(journal, n)
                    if n % 20 == 10:
                        server.stop(signal.SIGKILL if n < 40 else signal.SIGINT)
                        server.start()
                    elif chance.random() < 0.1:
                        followed.kill()
                    time.sleep(chance.random() * 0.05)
                eventually(lambda: reached(url) == 60, told, poll=0.1)
            assert rows_of_mirror(url) == rows_of_journal(tmp_path)
    assert not any(PASSWORD in line for line in told)


@pytest.mark.slow
def test_what_a_killed_node_wrote_is_in_its_mirror(ground: Ground, url: str) -> None:
    node = ground.node(mirror="RECORDS")
    fatal = ("trade: sent submit_order", 2)
    killed = node.run("--run-once", fatal=fatal, environment={"RECORDS": url})
    assert killed.signal == signal.SIGKILL

    def equal() -> bool:
        name = f"{node.account}.practice"
        return reached(url) >= 0 and rows_of_mirror(url, name) == rows_of_journal(node.folder)

    eventually(equal, "its last rows in the mirror", poll=0.2)


def reached(url: str) -> int:
    """Return how many notes are in a mirror, -1 before it has tables."""
    try:
        with psycopg.connect(url) as server:
            row = server.execute("SELECT count(*) FROM perpdesk.notes").fetchone()
            return row[0]
    except psycopg.Error:
        return -1
