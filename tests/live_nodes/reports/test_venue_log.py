"""The journal against the venue's transaction log, entry by entry."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from live_nodes.bybit.facts import LogEntry
from live_nodes.reports.live_result import LiveResult, live_result
from live_nodes.reports.venue_log import reconcile
from tests.live_nodes.reports.journals import BTC, DAY, HOUR, Days, two_days

NONE = D(0)


def entry(name: str, hour: float, **more: Any) -> LogEntry:
    known: dict[str, Any] = {"kind": "TRADE", "coin": "USDT", "trade_id": name, "instrument": BTC}
    money = dict.fromkeys(("cash_flow", "funding", "fee", "change", "balance"), NONE)
    return LogEntry(id=f"log-{name}", ts_ns=round(DAY + hour * HOUR), **known | money | more)


@pytest.fixture
def found(tmp_path: Path) -> LiveResult:
    two_days(tmp_path)
    return live_result(tmp_path, DAY, DAY + 48 * HOUR)


LOG = [
    entry("e1", 12, fee=D("0.1")),
    entry("e2", 24, kind="SETTLEMENT", funding=D("-0.3")),
    replace(entry("", 30, kind="TRANSFER_IN", change=D(2000), instrument=""), id="e3", trade_id=""),
    entry("e4", 36, fee=D("0.12")),
]


def test_what_is_equal_agrees(found: LiveResult) -> None:
    # Before the node's first equity, and coins that it does not count.
    others = [entry("old", 9, fee=D(5)), entry("btc", 20, coin="BTC", kind="TRANSFER_IN")]
    log = reconcile(found, [*LOG, *others])
    assert [(row.what, row.ours, row.theirs) for row in log.amounts] == [
        ("Fees", D("0.22"), D("0.22")),
        ("Funding", D("-0.3"), D("-0.3")),
        ("Transfers", D(2000), D(2000)),
    ]
    assert log.agrees


def test_a_fee_that_differs_and_what_only_one_side_has_are_named(found: LiveResult) -> None:
    dearer = replace(LOG[0], fee=D("0.15"))
    log = reconcile(found, [dearer, *LOG[2:], entry("hidden", 13, fee=D(1))])
    assert not log.agrees
    assert [(row.what, row.theirs, row.agrees) for row in log.amounts] == [
        ("Fees", D("1.27"), False), ("Funding", NONE, False), ("Transfers", D(2000), True),
    ]  # fmt: skip
    assert (log.only_ours, log.only_theirs) == (("e2",), ("hidden",))


def test_coins_bought_by_hand_beside_a_node_of_perpetuals_are_a_transfer(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.snapshot(DAY, "1000", {})
    days.paid(DAY + HOUR, "50", "TRADE", "USDT")
    days.snapshot(DAY + 2 * HOUR, "950", {})
    days.journal.close()
    cash = replace(entry("t", 1, change=D(-50), instrument="BTCUSDT-SPOT.BYBIT"), id="e1")
    coins = replace(cash, id="e1-btc", coin="BTC", change=D(1), fee=D("0.001"))
    log = reconcile(live_result(tmp_path, DAY, DAY + 24 * HOUR), [cash, coins])
    assert (log.agrees, log.amounts[2].ours) == (True, D(-50))
