"""Live trading as a result: the books of each day close to the cent, and days add up."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import numpy as np
import pytest

from backtests.results.figures import without_flows
from config.durations import SECOND_NS
from config.errors import InputError
from live_nodes.dashboard.books import NodeBooks
from live_nodes.reports.live_result import LiveResult, live_result
from live_nodes.reports.page import LiveFacts
from live_nodes.reports.venue_log import Reconciliation
from tests.live_nodes.reports.journals import BTC, DAY, ETH, HOUR, Days, two_days

NEXT = DAY + 24 * HOUR


def closes(found: LiveResult) -> D:
    """Check the equation, and return the net profit."""
    books = found.books
    net = books.gross_pnl - books.fees + books.funding
    moved = found.deposits - found.withdrawals
    assert books.ending_equity == books.starting_equity + net + moved + found.charges
    assert (found.unexplained, found.closes) == (D(0), True)
    assert sum(share.net for share in found.by_strategy) == pytest.approx(float(net))
    return net


def test_the_books_of_each_day_close_and_a_deposit_is_no_profit(tmp_path: Path) -> None:
    two_days(tmp_path)
    one, two = live_result(tmp_path, DAY, NEXT), live_result(tmp_path, NEXT, NEXT + 24 * HOUR)
    # Bought at 100, worth 110 at midnight; 0.1 of fee.
    assert (closes(one), one.books.slippage, one.summary["trades"]) == (D("9.9"), D("0.5"), 0)
    # From 110 to 120, less 0.12 of fee and 0.3 of funding, whatever was paid in.
    assert (closes(two), two.deposits, two.withdrawals) == (D("9.58"), D(2000), D(0))
    assert (two.books.funding, two.books.fees) == (D("-0.3"), D("0.12"))
    assert [(share.name, share.trades) for share in two.by_symbol] == [(BTC, 1)]
    assert two.summary["net_profit"] == 9.58
    assert two.summary["return_pct"] == pytest.approx(100 * 9.58 / 12_009.9)
    assert two.summary["max_drawdown"] == 0
    assert "2,000.00 USDT were paid in and 0.00 taken out" in " ".join(two.warnings)
    both = live_result(tmp_path, DAY, NEXT + 24 * HOUR)
    assert closes(both) == closes(one) + closes(two)
    (trip,) = both.books.tables["positions"].to_pylist()
    assert (trip["gross"], trip["fees"], trip["funding"], trip["net"]) == (
        "20", "0.22000000", "-0.3", "19.48000000",
    )  # fmt: skip


def test_a_withdrawal_of_half_is_no_drawdown(tmp_path: Path) -> None:
    days = Days(tmp_path)
    for hour, cash in enumerate(("10000", "11000", "6000", "5400")):
        if cash == "6000":
            days.paid(DAY + hour * HOUR - 1, "5000", "TRANSFER_OUT", "USDT")
        days.snapshot(DAY + hour * HOUR, cash, {})
    days.journal.close()
    found = live_result(tmp_path, DAY, NEXT)
    assert found.withdrawals == D(5000)
    # 10 % up, then 10 % down; nothing here explains them, and that is said first.
    assert found.summary["max_drawdown"] == pytest.approx(0.1)
    assert found.summary["return_pct"] == pytest.approx(-1)
    assert (found.unexplained, found.closes) == (D(400), False)
    assert found.warnings[0].startswith("THE BOOKS DO NOT CLOSE: the account has +400.00 USDT")


@pytest.mark.parametrize("has_it", [False, True])
def test_a_deposit_right_before_a_snapshot_is_no_drawdown(tmp_path: Path, has_it: bool) -> None:
    """The books learn of it a moment later, and a snapshot may lie between."""
    days = Days(tmp_path)
    days.snapshot(DAY + HOUR, "1000", {})
    days.paid(DAY + 2 * HOUR - SECOND_NS, "-9000", "TRANSFER_IN", "USDT")
    days.snapshot(DAY + 2 * HOUR, "10010" if has_it else "1010", {})
    days.snapshot(DAY + 2 * HOUR + 10 * SECOND_NS, "10010", {})
    days.journal.close()
    found = live_result(tmp_path, DAY, NEXT)
    assert found.summary["max_drawdown"] == 0
    assert found.summary["return_pct"] == pytest.approx(0.1 if has_it else 1)


def test_a_deposit_while_the_node_is_down_over_midnight_is_no_drawdown(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.snapshot(DAY + 23 * HOUR, "1000", {})
    days.paid(NEXT - HOUR // 2, "-9000", "TRANSFER_IN", "USDT")
    days.snapshot(NEXT + HOUR, "10010", {})
    days.journal.close()
    found = live_result(tmp_path, NEXT, NEXT + 24 * HOUR)
    assert (found.deposits, found.summary["max_drawdown"]) == (D(9000), 0)
    assert found.books.tables["equity"]["drawdown"].to_pylist() == [0, 0]
    assert found.summary["return_pct"] == pytest.approx(0.1)


def test_what_was_paid_in_before_a_curve_begins_is_in_it() -> None:
    curve = np.array([100.0, 110.0])
    found = without_flows(np.array([10, 20]), curve, 100.0, [(5, D(40))])
    assert found == pytest.approx(curve)


def test_what_came_and_went_between_two_snapshots_is_no_drawdown(tmp_path: Path) -> None:
    """45,000 out and 50,000 in within a second, and not a cent earned or lost."""
    days = Days(tmp_path)
    for second, cash in ((0, "50000"), (10, "55000"), (12, "55000"), (14, "55000")):
        days.snapshot(DAY + second * SECOND_NS, cash, {})
    days.paid(DAY + 9 * SECOND_NS, "45000", "TRANSFER_OUT", "USDT")
    days.paid(DAY + 9 * SECOND_NS + 1, "-50000", "TRANSFER_IN", "USDT")
    days.journal.close()
    found = live_result(tmp_path, DAY, NEXT)
    assert (found.summary["max_drawdown"], found.summary["return_pct"]) == (0, 0)


@pytest.mark.parametrize("late", [-SECOND_NS, SECOND_NS])
def test_an_execution_under_way_at_midnight_counts_where_the_equity_has_it(
    tmp_path: Path, late: int
) -> None:
    """It fills a second before or after a snapshot that lacks it, or has it."""
    days, last = Days(tmp_path), NEXT - 5 * SECOND_NS
    days.snapshot(DAY + HOUR, "1000", {})
    days.fill(last + late, "1", "100", "0.1")
    has_it = {BTC: ("1", "100", "110")} if late > 0 else {}
    days.snapshot(last, "999.9" if has_it else "1000", has_it)
    days.snapshot(NEXT + HOUR, "999.9", {BTC: ("1", "100", "105")})
    days.journal.close()
    first, second = (live_result(tmp_path, at, at + 24 * HOUR) for at in (DAY, NEXT))
    assert [closes(first), closes(second)] == ([D("9.9"), D(-5)] if has_it else [D(0), D("4.9")])


def test_what_a_hand_traded_and_interest_are_named(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.snapshot(DAY, "1000", {})
    days.fill(DAY + HOUR, "2", "50", "0.1", instrument=ETH, strategy="")
    days.fill(DAY + 2 * HOUR, "-2", "45", "0.1", instrument=ETH, strategy="")
    days.fill(DAY + 2 * HOUR, "1", "60", "0.001", instrument="AUSDT-SPOT.BYBIT", strategy="")
    days.paid(DAY + 3 * HOUR, "0.5", "INTEREST", "USDT")
    days.snapshot(DAY + 4 * HOUR, "929.299", {})
    days.journal.close()
    found = live_result(tmp_path, DAY, NEXT)
    assert closes(found) == D("-10.2")
    assert [(share.name, share.net) for share in found.by_strategy] == [("by hand", -10.2)]
    assert (found.charges, found.withdrawals) == (D("-0.5"), D("60.001"))


def test_own_coins_that_a_hand_sold_are_taken_out_and_earn_nothing_more(tmp_path: Path) -> None:
    """3 bought at 100, 2 of them sold by hand at 110; the last is worth 120, then 130."""
    pair, days = "AUSDT-SPOT.BYBIT", Days(tmp_path)
    days.snapshot(DAY, "1000", {})
    days.fill(DAY + HOUR, "3", "100", "0", instrument=pair)
    days.snapshot(DAY + 2 * HOUR, "1000", {pair: ("3", "100", "110")})
    days.fill(DAY + 3 * HOUR, "-2", "110", "0.2", instrument=pair, strategy="")
    days.snapshot(DAY + 4 * HOUR, "1019.8", {pair: ("1", "100", "110")})
    days.snapshot(DAY + 20 * HOUR, "1019.8", {pair: ("1", "100", "120")})
    days.snapshot(NEXT + HOUR, "1019.8", {pair: ("1", "100", "130")})
    days.journal.close()
    one, two = (live_result(tmp_path, at, at + 24 * HOUR) for at in (DAY, NEXT))
    assert (closes(one), [flow.amount for flow in one.flows]) == (D(40), [D("219.8"), D(-220)])
    assert (closes(two), two.flows) == (D(10), ())


def test_own_coins_count_as_taken_out_when_the_books_gave_each_of_them_up(tmp_path: Path) -> None:
    """4 bought at 100. 2 sold by hand at 100, seen after 12 s; 1 moved away at 110; then 120."""
    pair, days, s = "AUSDT-SPOT.BYBIT", Days(tmp_path), SECOND_NS
    days.snapshot(DAY, "1000", {})
    days.fill(DAY + HOUR, "4", "100", "0", instrument=pair)
    days.snapshot(DAY + 2 * HOUR, "1000", {pair: ("4", "100", "100")})
    days.fill(DAY + 3 * HOUR, "-2", "100", "0", instrument=pair, strategy="")
    # The wallet has what they brought, and the books have them still.
    days.snapshot(DAY + 3 * HOUR + 10 * s, "1200", {pair: ("4", "100", "100")})
    days.gone(DAY + 3 * HOUR + 12 * s, pair, "2", "100")
    days.snapshot(DAY + 3 * HOUR + 20 * s, "1000", {pair: ("2", "100", "100")})
    days.snapshot(DAY + 5 * HOUR, "1000", {pair: ("2", "100", "110")})
    days.gone(DAY + 5 * HOUR + 5 * s, pair, "1", "110")
    days.snapshot(DAY + 5 * HOUR + 10 * s, "900", {pair: ("1", "100", "110")})
    days.snapshot(DAY + 20 * HOUR, "900", {pair: ("1", "100", "120")})
    days.journal.close()
    found = live_result(tmp_path, DAY, NEXT)
    assert closes(found) == D(30)
    assert [flow.amount for flow in found.flows] == [D(200), D(-200), D(-110)]
    assert found.summary["max_drawdown"] == 0
    assert found.summary["return_pct"] == pytest.approx(100 * (1.02 * 920 / 910 - 1))
    books = NodeBooks(tmp_path)
    with books.refreshed():
        assert books.equity[1].max() == pytest.approx(1000 * 1.02 * 920 / 910)


def test_what_a_hand_opened_and_a_strategy_closed_needs_no_mark_price(tmp_path: Path) -> None:
    """Bought by hand at 100, sold by the strategy at 90: the account holds none of it since."""
    days = Days(tmp_path)
    days.snapshot(DAY, "1000", {})
    days.fill(DAY + HOUR, "1", "100", "0", strategy="")
    days.fill(DAY + 2 * HOUR, "-1", "90", "0")
    days.snapshot(DAY + 3 * HOUR, "990", {})
    days.snapshot(NEXT + HOUR, "990", {})
    days.journal.close()
    one, two = (live_result(tmp_path, at, at + 24 * HOUR) for at in (DAY, NEXT))
    assert (closes(one), closes(two)) == (D(-10), D(0))


def test_a_report_until_now_has_the_newest_equity_of_a_node_that_goes_on(tmp_path: Path) -> None:
    """Marks are kept of the newest alone: the report of a moment before would not close."""
    days = Days(tmp_path)
    days.snapshot(DAY, "1000", {})
    days.fill(DAY + HOUR, "1", "100", "0")
    days.fill(DAY + HOUR, "1", "50", "0", instrument=ETH)
    for hour, mark in ((2, "110"), (3, "120")):
        days.snapshot(DAY + hour * HOUR, "1000", {BTC: ("1", "100", mark), ETH: ("1", "50", "50")})
    days.journal.close()
    assert closes(live_result(tmp_path, DAY, None)) == D(20)
    assert not live_result(tmp_path, DAY, DAY + 2 * HOUR).closes
    # From in between both count from their entries, and it says nothing else.
    words = " ".join(live_result(tmp_path, DAY + 2 * HOUR, None).warnings)
    assert "what was open there counts from its entry" in words
    assert "what they gained before" not in words


def test_restarts_within_a_minute_are_times_without_the_node(tmp_path: Path) -> None:
    """Killed after 10 s and back at 18 s; stopped at 35 s, and back at 58 s: 31 of 70 s."""
    days, s = Days(tmp_path), 10**9
    for second, event in ((0, ""), (10, ""), (18, "start"), (30, ""), (35, "stop"), (58, "start")):
        days.clock.now = DAY + second * s
        if event == "start":
            days.journal.begin_run(environment="practice", document="abc")
        elif event:
            days.journal.end_run("stopped")
        else:
            days.snapshot(days.clock.now, "10000", {})
    days.snapshot(DAY + 70 * s, "10000", {})
    days.journal.close()
    result = live_result(tmp_path, 0, 2**62)
    found, up = LiveFacts(result, result.end_ns, 10.0 * s, Reconciliation(), None).absent
    assert [(a - DAY, b - DAY) for a, b in found] == [(10 * s, 18 * s), (35 * s, 58 * s)]
    assert up == pytest.approx(39 / 70)


def test_a_time_without_the_node_is_refused(tmp_path: Path) -> None:
    two_days(tmp_path)
    with pytest.raises(InputError, match="the node did not run then"):
        live_result(tmp_path, DAY - 24 * HOUR, DAY)
    with pytest.raises(InputError, match="did not run"):
        live_result(tmp_path, NEXT + 24 * HOUR, NEXT + 48 * HOUR)
