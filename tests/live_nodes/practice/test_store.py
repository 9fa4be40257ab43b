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
from hypothesis import strategies as st

from config.errors import DeskError, GateRefused
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import (
    AccountSpec,
    BybitRefusal,
    CancelRequest,
    OrderRequest,
)
from live_nodes.practice.exchange.records import Event, Printed, Row
from live_nodes.practice.exchange.store import StateFile
from tests.live_nodes.practice.pure import BTC, ETH, SYMBOLS, T0

ACCOUNTS = [AccountSpec("anna"), AccountSpec("bert")]


def exchange() -> Exchange:
    return Exchange(SYMBOLS, ACCOUNTS)


def rows_of(events: list[Event]) -> list[Row]:
    return [event for event in events if not isinstance(event, Printed)]


def act(at: Exchange, step: tuple[str, int, int], now: int) -> None:
    """Do one thing; what is refused changes nothing."""
    kind, account, size = step
    name, key = ACCOUNTS[account].name, (BTC, ETH)[size % 2]
    price = D(95 + size % 11)
    try:
        if kind == "quote":
            at.set_mark(key, price, price, now, price)
            at.quote(key, [(price - 1, D(5))], [(price + 1, D(5))], now)
        elif kind == "fund":
            at.settle_funding(key, D("0.0001"), now)
        elif kind == "cancel":
            for order in at.open_orders(name)[:1]:
                at.cancel(name, CancelRequest(order.category, order.symbol, order.order_id), now)
        else:
            side: Any = "Buy" if kind == "buy" else "Sell"
            limit = size % 3 != 0
            how: Any = ("Limit", price, "GTC") if limit else ("Market", None, "IOC")
            request = OrderRequest(
                "linear", key[1], side, how[0], D(1 + size % 4), *how[1:], order_link_id=f"{now}"
            )
            at.create(name, request, now)
    except BybitRefusal:
        pass


def all_rows(at: Exchange) -> list[Row]:
    """Everything there is, in a fixed order."""
    return sorted(at.rows(), key=lambda row: (row.table, row.row_key))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["quote", "buy", "sell", "cancel", "fund"]),
        st.integers(0, 1),
        st.integers(0, 40),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=20)
@given(steps=STEPS)
def test_a_kill_between_any_two_statements_leaves_all_of_a_call_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    path = folder / "exchange.db"
    store = StateFile(path)
    copies: list[tuple[int, Path]] = []
    kept = 0

    def copy(statement: str) -> None:
        # What a kill at this moment leaves is what the files hold now.
        target = folder / f"copy{len(copies)}"
        target.mkdir()
        for file in folder.glob("exchange.db*"):
            if file.suffix != ".lock":
                shutil.copy(file, target / file.name)
        copies.append((kept, target / "exchange.db"))

    living = exchange()
    states = [all_rows(living)]
    for index, step in enumerate(steps):
        act(living, step, T0 + index)
        rows = rows_of(living.drain())
        store._database.set_trace_callback(copy)
        store.save(rows)
        store._database.set_trace_callback(None)
        kept = index + 1
        states.append(all_rows(living))
    store.close()
    copies.append((kept, path))
    for done, file in copies[:: max(1, len(copies) // 12)] + copies[-1:]:
        reopened = StateFile(file)
        revived = exchange()
        revived.restore(reopened.rows())
        revived.drain()
        reopened.close()
        reply = [_without_queue(row) for row in all_rows(revived)]
        possible = [[_without_queue(row) for row in state] for state in states[done : done + 2]]
        assert reply in possible


def _without_queue(row: Row) -> Any:
    """Leave out what only counts while it runs: places in queues, and marked-to-market figures."""
    if row.table == "orders":
        return (row.row_key, row.status, row.filled, row.price, row.qty)  # type: ignore[union-attr]
    if row.table == "executions":
        return row
    if row.table == "positions":
        return (row.row_key, row.signed, row.entry, row.total_realised)  # type: ignore[union-attr]
    if row.table == "wallets":
        return (row.row_key, [(c.coin, c.balance) for c in row.coins])  # type: ignore[union-attr]
    return (row.row_key, row.house)  # type: ignore[union-attr]


def test_a_process_that_dies_in_a_transaction_leaves_the_calls_before(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    script = textwrap.dedent(
        """
        import os, sys
        from decimal import Decimal as D
        from pathlib import Path
        from live_nodes.practice.exchange.store import StateFile
        from tests.live_nodes.practice.test_store import BTC, act, exchange, rows_of, T0

        store, living = StateFile(Path(sys.argv[1])), exchange()
        for n, step in enumerate([("quote", 0, 4), ("buy", 0, 3), ("sell", 1, 7)]):
            act(living, step, T0 + n)
            rows = rows_of(living.drain())
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
    revived, expected = exchange(), exchange()
    store = StateFile(path)
    revived.restore(store.rows())
    store.close()
    for n, step in enumerate([("quote", 0, 4), ("buy", 0, 3)]):
        act(expected, step, T0 + n)
    assert [_without_queue(r) for r in all_rows(revived)] == [
        _without_queue(r) for r in all_rows(expected)
    ]


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
