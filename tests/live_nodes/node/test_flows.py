"""What others move in the account, from the journal's executions, over restarts."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from actors.records.coins import cash_moved
from actors.records.journal import Journal
from live_nodes.node.flows import CapitalFlows
from live_nodes.node.risk_books import FillBooking
from tests.fills import a_fill

PAIR = "AAAUSDT-SPOT.BYBIT"
LOT = D("0.01")


@pytest.mark.parametrize(
    ("pair", "quantity", "fee", "coin", "moved"),
    [
        ("AAAUSDT", "2", "0.002", "AAA", "-200"),
        ("AAAUSDT", "-2", "0.2", "USDT", "199.8"),
        ("AAABBB", "2", "0.002", "AAA", "0"),
        ("USDTBBB", "50", "0.05", "USDT", "49.95"),
        ("USDTBBB", "-50", "0.1", "BBB", "-50"),
    ],
)
def test_what_a_trade_moves_in_usdt(
    pair: str, quantity: str, fee: str, coin: str, moved: str
) -> None:
    fill = a_fill(D(quantity), D(100), fee, instrument=f"{pair}-SPOT.BYBIT", fee_coin=coin)
    assert cash_moved(fill) == D(moved)


def test_transfers_count_once_and_interest_and_fees_are_losses(tmp_path: Path) -> None:
    """One from before the first start is in the equity that the guards began with."""
    followed: list[D] = []
    with Journal.open(tmp_path, node="n") as journal:
        flows = FillBooking(journal).flows
        flows.begin(10, {}, {}, lambda name: None, lambda name: LOT)
        flows.pending = lambda ts, moved: followed.append(moved)
        for ts, kind, left in (
            (9, "TRANSFER_IN", "-500"),
            (11, "TRANSFER_IN", "-2000"),
            (11, "TRANSFER_IN", "-2000"),
            (12, "TRANSFER_OUT", "300"),
            (13, "INTEREST", "0.5"),
            (14, "Funding", "0.2"),
            (15, "AUTO_INTEREST_REPAYMENT_INS_LOAN", "7"),
            (16, "CUSTODY_NETWORK_FEE", "1"),
        ):
            moved = a_fill(0, 0, left, instrument="USDT", kind=kind, strategy="", ts=ts)
            name = PAIR if kind == "Funding" else "USDT"
            journal.fill(replace(moved, side="", execution_id=str(ts), instrument=name))
        assert flows.total == D(1700)
        assert followed == [D(500), D(2000), D(-300), D("-0.5"), D("-0.2"), D(-7), D(-1)]


def test_flows_of_others_count_once_over_restarts(tmp_path: Path) -> None:
    """1 bought before the first start, 2 after it at 100; then 3 sold, 1 of its own 1.5 among them.

    The USDT count when the execution is known, its own coin when the books lost it, at 110.
    """
    followed: list[D] = []

    def begun(journal: Journal, now: int, held: str) -> CapitalFlows:
        flows = FillBooking(journal).flows
        explained, there = journal.explained(), {PAIR: D(held)}
        flows.begin(now, explained, there, lambda name: D(110), lambda name: LOT, now - 1)
        flows.pending = lambda ts, moved: followed.append(moved)
        return flows

    def trades(journal: Journal, number: int, quantity: str, **more: Any) -> None:
        known: dict[str, Any] = {"strategy": "", "fee_coin": "AAA", "kind": "Trade", "ts": number}
        fill = a_fill(D(quantity), D(100), "0", instrument=PAIR, execution_id=str(number))
        journal.fill(replace(fill, **(known | more)))

    with Journal.open(tmp_path, node="n") as journal:
        flows = begun(journal, 10, "0")
        trades(journal, 8, "1")
        trades(journal, 12, "2")
        trades(journal, 12, "2")
        trades(journal, 13, "1.505", strategy="a")
        trades(journal, 14, "5", instrument="AAAUSDT-LINEAR.BYBIT")
        flows.compare(PAIR, D("1.5"), D(110))
        assert (flows.total, followed) == (D(-200), [D(-200)])
    with Journal.open(tmp_path, node="n") as journal:
        FillBooking(journal)
        # Found while the node was down, before its guards begin; then killed.
        trades(journal, 20, "-3")
    with Journal.open(tmp_path, node="n") as journal:
        flows = begun(journal, 30, "0.5")
        trades(journal, 20, "-3")
        assert flows.total == D(100) - D(110)
        # Their coin comes back, and half a lot of its own is none.
        flows.compare(PAIR, D("1.5"), D(90))
        trades(journal, 31, "0.005", strategy="a")
        flows.compare(PAIR, D("1.51"), D(90))
        assert flows.total == D(100) - D(110) + D(90)
        # One was gone at the start, and came back now.
        (gone, back) = journal.coins_gone(0, time.time_ns())
        assert (gone, back[1:]) == ((29, PAIR, D(1), D(110)), (PAIR, D(-1), D(90)))
