"""The desk's results from the journal's executions, over restarts and kills, to the cent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal as D
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.desk.books import StrategyBooks
from actors.records.journal import Journal, JournalError
from actors.records.rows import FillRow
from live_nodes.node.risk import one_commit
from live_nodes.node.risk_books import OWNER, UNSEEN, FillBooking, book_fills
from tests.actors.tiny_guards import Loss, Table
from tests.fills import a_fill

BTC, ETH = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"
OWNERS = {BTC: "hand", ETH: "other"}


def row(number: int, side: str, quantity: str, price: str, **more: Any) -> FillRow:
    """Return an execution of ``hand`` in bitcoin unless `more` says otherwise, with a fee of 1."""
    known: dict[str, Any] = {
        "instrument": BTC,
        "execution_id": f"e{number:04}",
        "ts": number,
        "client_order_id": f"n1-hand-s-{number}",
        "strategy": "hand",
        "fee": "1",
        "fee_coin": "USDT",
        "kind": "Trade",
    }
    return a_fill(D(quantity) * (1 if side == "BUY" else -1), price, **(known | more))


def funding(number: int, paid: str, **more: Any) -> FillRow:
    """Return a payment as the venue reports it: under no order, what is paid as a fee."""
    none: dict[str, Any] = {"client_order_id": "", "strategy": "", "kind": "Funding"}
    return row(number, "BUY", "1", "100", fee=D(paid), **(none | more))


def results(rows: list[FillRow], price: str = "100") -> dict[str, D]:
    books = StrategyBooks()
    book_fills(rows, books, OWNERS)
    return books.booked.results(lambda _: D(price))[0]


class Listener:
    """A desk that notes each fill and each funding payment."""

    def __init__(self, books: StrategyBooks) -> None:
        self.books = books
        self.heard: list[str] = []

    def filled(self, fill: FillRow) -> None:
        self.books.fill(fill)
        self.heard.append(fill.client_order_id)

    def funded(self, strategy: str, instrument: str, amount: D) -> None:
        self.books.funding(strategy, instrument, amount)
        self.heard.append(f"{strategy} {amount}")


def begun(journal: Journal, fills: FillBooking) -> Listener:
    """Return a desk after the guards' first look."""
    desk = Listener(fills.books(OWNERS))
    with journal.together():
        fills.begin(desk)
    return desk


def journal_in(folder: Path) -> Journal:
    journal = Journal.open(folder, node="test")
    journal.begin_run(environment="practice", document="abc")
    return journal


MANUAL: dict[str, Any] = {"strategy": "", "client_order_id": ""}
TWO: dict[str, Any] = {"strategy": "two", "client_order_id": "n1-two-s-1"}


BOUGHT = row(1, "BUY", "2", "100")
SHARED = [row(1, "BUY", "3", "100", fee="0"), row(2, "BUY", "1", "100", fee="0", **TWO)]


@pytest.mark.parametrize(
    ("rows", "price", "expected"),
    [
        # 10 earned, 10 open, 2 in fees.
        ([BOUGHT, row(2, "SELL", "1", "110")], "110", {"hand": D(18)}),
        # Funding is the holder's; what is paid lowers the result.
        ([BOUGHT, funding(2, "0.5"), funding(3, "-0.2")], "100", {"hand": D("-1.3")}),
        # Of a position that is closed by now: of the strategy that trades the instrument.
        ([BOUGHT, row(2, "SELL", "2", "100"), funding(3, "0.5")], "100", {"hand": D("-2.5")}),
        ([funding(1, "0.5", instrument="XUSDT-LINEAR.BYBIT")], "100", {}),
        # Of two holders: shared by what they hold.
        ([*SHARED, funding(3, "0.8")], "100", {"hand": D("-0.6"), "two": D("-0.2")}),
        # A trade by hand is not the desk's, a liquidation is: 100 lost, and two fees.
        ([BOUGHT, row(2, "SELL", "2", "50", **MANUAL)], "100", {"hand": D(-1)}),
        ([BOUGHT, row(2, "SELL", "2", "50", **MANUAL, kind="BustTrade")], "100", {"hand": D(-102)}),
    ],
)
def test_results_are_net_of_fees_and_funding_and_value_open_positions(
    rows: list[FillRow], price: str, expected: dict[str, D]
) -> None:
    assert results(rows, price) == expected


def test_a_spot_fee_in_the_coin_itself_is_valued_at_the_fills_price() -> None:
    spot = "BTCUSDT-SPOT.BYBIT"
    paid = row(1, "BUY", "2", "100", instrument=spot, fee=D("0.002"), fee_coin="BTC")
    books = StrategyBooks()
    book_fills([paid], books, {spot: "hand"})
    assert books.booked.results(lambda _: D(100))[0] == {"hand": D("-0.2")}


# Over restarts -----------------------------------------------------------------------------------


def test_a_new_fill_is_booked_once_and_its_repetition_is_not(tmp_path: Path) -> None:
    with journal_in(tmp_path) as journal:
        fills = FillBooking(journal)
        desk = begun(journal, fills)
        assert journal.fill(row(1, "BUY", "2", "100"))
        assert not journal.fill(row(1, "BUY", "2", "100", source="sweep"))
        journal.fill(funding(2, "0.5"))
        assert desk.heard == ["n1-hand-s-1", "hand -0.5"]
        fills.close()
        journal.fill(row(3, "SELL", "1", "100"))
        assert len(desk.heard) == 2


def test_fills_of_the_recovery_are_booked_once_at_the_first_look(tmp_path: Path) -> None:
    with journal_in(tmp_path) as journal:
        journal.fill(row(1, "BUY", "2", "100"))
    with journal_in(tmp_path) as journal:
        fills = FillBooking(journal)
        # What recovery found, in one commit.
        with journal.together():
            journal.fill(row(2, "SELL", "1", "110"))
            journal.fill(funding(3, "0.5"))
        desk = Listener(fills.books(OWNERS))
        assert desk.books.open["hand", BTC].quantity == D(2)
        with journal.together():
            fills.begin(desk)
        assert desk.heard == ["n1-hand-s-2", "hand -0.5"]
        assert desk.books.open["hand", BTC].quantity == D(1)
        assert journal.state_names(OWNER, "") == []


def test_fills_that_a_killed_run_did_not_book_are_booked_by_the_next(tmp_path: Path) -> None:
    with journal_in(tmp_path) as journal:
        FillBooking(journal)
        journal.fill(row(1, "BUY", "2", "100"))
        assert journal.state_names(OWNER, UNSEEN) == [f"{UNSEEN}{BTC}|e0001"]
        # Killed here, before the guards looked.
    with journal_in(tmp_path) as journal:
        fills = FillBooking(journal)
        journal.fill(row(2, "SELL", "1", "110"))
        desk = Listener(fills.books(OWNERS))
        assert desk.books.open == {}

        def killed() -> None:
            with journal.together():
                fills.begin(desk)
                raise RuntimeError("killed before the commit")

        with pytest.raises(RuntimeError, match="killed"):
            killed()
    with journal_in(tmp_path) as journal:
        fills = FillBooking(journal)
        desk = begun(journal, fills)
        assert desk.heard == ["n1-hand-s-1", "n1-hand-s-2"]
    with journal_in(tmp_path) as journal:
        desk = Listener(FillBooking(journal).books(OWNERS))
        assert desk.books.open["hand", BTC].quantity == D(1)


def test_a_dry_run_books_new_fills_and_leaves_them_new(tmp_path: Path) -> None:
    with journal_in(tmp_path) as journal:
        FillBooking(journal)
        journal.fill(row(1, "BUY", "2", "100"))
    for _ in range(2):
        with journal_in(tmp_path) as journal:
            fills = FillBooking(journal, dry_run=True)
            assert begun(journal, fills).heard == ["n1-hand-s-1"]


def test_fees_in_another_coin_are_named_once(tmp_path: Path) -> None:
    with journal_in(tmp_path) as journal:
        FillBooking(journal)
        for number, coin in enumerate(("USDT", "MNT", "MNT", "")):
            journal.fill(row(number, "BUY", "2", "100", fee=D("0.1"), fee_coin=coin))
        (note,) = [note for note in journal.notes() if note["kind"] == "fees"]
    assert note["text"].startswith("fees are paid in MNT")


def test_paper_begins_anew(tmp_path: Path) -> None:
    with journal_in(tmp_path) as journal:
        journal.fill(row(1, "BUY", "2", "100"))
        fills = FillBooking(journal, fresh=True)
        desk = begun(journal, fills)
        assert desk.books.open == {}
        journal.fill(row(2, "BUY", "1", "100"))
        assert desk.books.open["hand", BTC].quantity == D(1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BUY", "SELL"]),
            st.integers(1, 50),
            st.integers(80, 120),
            st.integers(-5, 5),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.integers(80, 120),
)
def test_results_are_cash_plus_what_is_open_whatever_the_order_of_trades(
    trades: list[tuple[str, int, int, int, bool]], price: int
) -> None:
    rows, cash, held = [], D(0), D(0)
    for number, (side, quantity, at, fee, pays) in enumerate(trades):
        if pays:
            rows.append(funding(number, str(fee)))
            cash -= fee
            continue
        rows.append(row(number, side, str(quantity), str(at), fee=D(fee)))
        signed = quantity if side == "BUY" else -quantity
        cash -= signed * at + fee
        held += signed
    found = results(rows, str(price)).get("hand", D(0))
    assert found == cash + held * price


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with journal_in(tmp_path) as made:
        yield made


def test_what_guards_keep_of_a_look_is_one_commit_before_their_verdicts(journal: Journal) -> None:
    happened: list[str] = []
    guards = [Loss(key, store=journal.state(key)) for key in ("one", "two")]
    table = Table(*guards, one_commit=partial(one_commit, journal))
    table.bus.subscribe("verdicts.*", lambda verdict: happened.append(verdict.action.name))
    journal._connection.set_trace_callback(lambda sql: happened.append(sql.split()[0]))
    table.looks("1000", "800")
    look = ["BEGIN", *["INSERT"] * 4, "COMMIT"]
    assert happened == [*look, *look, "HALT_ENTRIES", "HALT_ENTRIES"]


@pytest.mark.parametrize("broken", ["BEGIN IMMEDIATE", "COMMIT"])
def test_guards_measure_though_the_journal_can_not_be_written(journal: Journal, broken: str):
    write = journal._write

    def fails(statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        if statement == broken:
            raise JournalError(OSError("the disk is full"))
        return write(statement, values)

    table = Table(Loss(store=journal.state("one")), one_commit=partial(one_commit, journal))
    with patch.object(journal, "_write", fails):
        table.looks("1000", "800")
    assert [verdict.action.name for verdict in table.said] == ["HALT_ENTRIES"]
    assert not journal._connection.in_transaction
