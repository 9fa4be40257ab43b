"""Journals by hand: what a node would have written on two days."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from actors.records.journal import Journal
from actors.records.journal_schema import GONE
from actors.records.rows import EquityRow, FillRow, PositionRow, marks_of_day
from config.durations import DAY_NS, SECOND_NS

BTC, ETH = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"
HOUR = 3600 * SECOND_NS
DAY = 20_000 * DAY_NS
"""Midnight of 4 October 2024."""


class Days:
    """Writes a node's journal; equity is what wallet and positions make, unless said otherwise."""

    def __init__(self, folder: Path, environment: str = "practice") -> None:
        self.clock = SimpleNamespace(now=DAY)
        self.journal = Journal.open(folder, node="n", clock_ns=lambda: self.clock.now)
        self.journal.begin_run(environment=environment, document="abc")
        self.number = 0

    def fill(self, ts: int, quantity: str, price: str, fee: str, **more: Any) -> None:
        self.number += 1
        known: dict[str, Any] = {"instrument": BTC, "strategy": "rev", "kind": "Trade"}
        row = FillRow(
            **known | {"execution_id": f"e{self.number}", "fee_coin": "USDT"} | more,
            ts=ts,
            side="SELL" if quantity.startswith("-") else "BUY",
            quantity=abs(D(quantity)),
            price=D(price),
            fee=D(fee),
            liquidity="TAKER",
        )
        self.journal.fill(row)

    def paid(self, ts: int, fee: str, kind: str = "Funding", instrument: str = BTC) -> None:
        none = {"strategy": "", "side": "", "liquidity": "", "fee_coin": "USDT"}
        self.number += 1
        self.journal.fill(
            FillRow(
                **none, instrument=instrument, execution_id=f"e{self.number}", ts=ts,
                quantity=D(0), price=D(0), fee=D(fee), kind=kind,
            )
        )  # fmt: skip

    def gone(self, ts: int, pair: str, coins: str, price: str) -> None:
        """Write that the books lost own coins to others."""
        self.clock.now, self.number = ts, self.number + 1
        move = msgspec.json.encode((0, pair, coins, price))
        self.journal.save_state("risk", f"{GONE}{self.number}", move)

    def snapshot(self, ts: int, cash: str, held: dict[str, tuple[str, str, str]]) -> None:
        """Write positions (quantity, entry, mark by instrument), marks and equity."""
        self.clock.now = ts
        marks = {name: D(mark) for name, (_, _, mark) in held.items()}
        value = sum((D(q) * D(mark) for q, _, mark in held.values()), D(0))
        cost = sum((D(q) * D(entry) for q, entry, _ in held.values()), D(0))
        self.journal.positions(
            [PositionRow(n, "rev", ts, D(q), D(entry), D(0)) for n, (q, entry, _) in held.items()]
        )
        self.journal.save_state("", marks_of_day(ts), msgspec.json.encode(marks))
        equity = D(cash) + value - cost
        self.journal.equity(EquityRow(ts, equity, D(cash), abs(value), value))


def two_days(folder: Path) -> None:
    """One coin bought at 100 with 110 at midnight, funding, a deposit of 2,000, sold at 120."""
    days = Days(folder)
    days.snapshot(DAY + 10 * HOUR, "10000", {})
    days.fill(DAY + 12 * HOUR, "1", "100", "0.1", reference_price=D("99.5"))
    days.snapshot(DAY + 24 * HOUR - 10 * SECOND_NS, "9999.9", {BTC: ("1", "100", "110")})
    days.paid(DAY + 24 * HOUR, "0.3")
    days.paid(DAY + 30 * HOUR, "-2000", "TRANSFER_IN", "USDT")
    days.fill(DAY + 36 * HOUR, "-1", "120", "0.12")
    days.snapshot(DAY + 36 * HOUR + 5 * SECOND_NS, "12019.48", {BTC: ("0", "0", "0")})
    days.journal.close()
