"""An exchange that is killed anywhere comes back with exactly what it had published."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from config.errors import DeskError, GateRefused
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.records import Printed, Row
from live_nodes.practice.exchange.store import StateFile
from tests.live_nodes.practice.pure import BTC, SYMBOLS, T0
from tests.live_nodes.practice.test_conservation import ACCOUNTS, fresh, lasting, moves, play


def rows_after(exchange: Exchange, move: dict[str, Any], now: int) -> list[Row]:
    """Make a move and return the rows to keep."""
    play(exchange, move, now)
    return [event for event in exchange.drain() if not isinstance(event, Printed)]


def revived(path: Path) -> Any:
    """Return what an exchange has that starts from a state file."""
    store, exchange = StateFile(path), Exchange(SYMBOLS, ACCOUNTS)
    exchange.restore(store.rows())
    store.close()
    return lasting(exchange)


@settings(max_examples=20)
@given(moves=moves)
def test_a_kill_between_any_two_statements_leaves_all_of_a_call_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, moves: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    path = folder / "exchange.db"
    store = StateFile(path)
    copies: list[tuple[int, Path]] = []

    def copy(statement: str) -> None:
        # What a kill at this moment leaves is what the files hold now.
        target = folder / f"copy{len(copies)}"
        target.mkdir()
        for file in folder.glob("exchange.db*"):
            if file.suffix != ".lock":
                shutil.copy(file, target / file.name)
        copies.append((len(states) - 1, target / "exchange.db"))

    living = fresh()
    states = [lasting(living)]
    for n, move in enumerate(moves[:25]):
        rows = rows_after(living, move, T0 + n)
        store._database.set_trace_callback(copy)
        store.save(rows)
        store._database.set_trace_callback(None)
        states.append(lasting(living))
    store.close()
    copies.append((len(states) - 1, path))
    for done, file in copies[:: max(1, len(copies) // 12)] + copies[-1:]:
        assert revived(file) in states[done : done + 2]


ORDER = {"do": "order", "account": "anna", "key": BTC, "side": "Buy", "qty": D(3)}
MOVES: list[dict[str, Any]] = [ORDER, ORDER | {"price": D(99)}, ORDER | {"account": "bert"}]


def test_a_process_that_dies_in_a_transaction_leaves_the_calls_before(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from tests.live_nodes.practice.test_store import MOVES, T0, StateFile, fresh, rows_after

        store, living = StateFile(Path(sys.argv[1])), fresh()
        for n, move in enumerate(MOVES):
            rows = rows_after(living, move, T0 + n)
            if n == 2:
                count = [0]
                def die(statement):
                    count[0] += 1
                    if count[0] == 3:
                        os.kill(os.getpid(), 9)
                store._database.set_trace_callback(die)
            store.save(rows)
        """
    )
    died = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert died.returncode == -9
    expected = fresh()
    for n, move in enumerate(MOVES[:2]):
        play(expected, move, T0 + n)
    assert revived(path) == lasting(expected)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateFile]:
    opened = StateFile(tmp_path / "exchange.db")
    yield opened
    opened.close()


def test_facts_are_kept_and_replaced(store: StateFile) -> None:
    assert store.fact("anchor") is None
    store.keep_fact("anchor", {"wall_ms": 1})
    store.keep_fact("anchor", {"wall_ms": 2})
    assert store.fact("anchor") == {"wall_ms": 2}


def test_a_second_process_is_refused_with_the_id_of_the_first(store: StateFile) -> None:
    with pytest.raises(GateRefused, match=r"in use by an exchange that runs \(process \d+\)"):
        StateFile(store.path)


def test_a_file_that_is_no_state_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(DeskError, match="not a sound state file"):
        StateFile(path)
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(DeskError, match="layout 99"):
        StateFile(path)


def test_a_row_of_another_version_is_refused(store: StateFile) -> None:
    store._database.execute("INSERT INTO rows VALUES ('orders', 'x', '{}')")
    with pytest.raises(DeskError, match="another version"):
        store.rows()
