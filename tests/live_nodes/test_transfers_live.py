"""Deposits, withdrawals, spot by hand and interest in the account of a node of perpetuals."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from actors.desk.guard import SEEN
from actors.guards.core.snapshot import Snapshot
from config.documents.scenario import Drop, LatePush
from live_nodes.bybit.facts import LogEntry
from live_nodes.bybit.rest import VenueRest
from live_nodes.reports.live_result import live_result
from live_nodes.reports.venue_log import reconcile
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.documents import guard
from tests.live_nodes.stage import ACCOUNT, Desk, Stage, desk_node, keys, stage

GUARDS = {
    "daily": guard("daily_loss:DailyLoss", limit_pct=0.02, release="manual"),
    "deepest": guard("max_drawdown:MaxDrawdown", limit_pct=0.02),
}


def transfer(st: Stage, amount: str, kind: str = "TRANSFER_IN") -> None:
    def move() -> None:
        venue = st.server.venue
        venue.exchange.transfer(ACCOUNT, kind, "USDT", D(amount), venue.clock_ms())
        venue.settle()

    st.call(move)


def earned(desk: Desk) -> list[D]:
    """Return a list with the lowest and the highest equity less what was paid in, so far."""
    found = [D("Infinity"), D("-Infinity")]

    def note(seen: Any) -> None:
        if isinstance(seen, Snapshot):
            without = seen.equity - seen.flows
            found[:] = [min(found[0], without), max(found[1], without)]

    desk.live.built.kernel.msgbus.subscribe(SEEN, note)
    return found


def flows(desk: Desk) -> D:
    found: D = desk.live.risk._fills.flows.total
    return found


@pytest.mark.parametrize(
    "fault",
    [None, LatePush(topic="wallet", by=3.0, seconds=60.0), Drop(channel="private", seconds=60.0)],
    ids=["pushes", "late wallets", "no pushes"],
)
def test_what_is_paid_in_and_out_is_no_profit_and_no_loss(tmp_path: Path, fault: Any) -> None:
    """50,000 of 100,000 leave, 20,000 come back, 5,000.01 go into coins by hand; 3 of interest.

    Its own 0.1 BTC cost 2.75 of fee and 0.02 by the spread, and later as much when sold.
    """
    kept: dict[str, Any] = {"folder": tmp_path, "actors": GUARDS}
    with stage() as st:
        with desk_node(st, **kept) as desk:
            desk.filled(BUY, "0.100")
            seen = earned(desk)
            if fault is not None:
                st.call(lambda: st.faults.add("private", fault))
            transfer(st, "-50000", "TRANSFER_OUT")
            desk.until(lambda: flows(desk) == -50_000, "the withdrawal")
            transfer(st, "20000")
            st.order("Buy", "0.1", category="spot", market_unit="baseCoin")
            desk.until(lambda: flows(desk) == D("-35000.01"), "the coins")
            transfer(st, "-3", "INTEREST")
            wanted = D("64994.24")
            worth = desk.live.risk._account.worth
            desk.until(lambda: abs(worth() - wanted) < D("0.1"), "all of it")
            desk.wait(1.0)
            st.end_faults()
            assert [round(float(edge), 1) for edge in seen] == [99_994.2, 99_997.2]
            assert desk.halted() == set()
        transfer(st, "-30000", "TRANSFER_OUT")
        st.settle_funding("0.001")
        with desk_node(st, **kept) as desk:
            seen = earned(desk)
            assert flows(desk) == D("-65000.01")
            desk.wait(1.0)
            desk.filled(SELL, "0.100")
            desk.wait(1.0)
            # 5 of funding, and 2.76 of the sale.
            assert [round(float(edge), 1) for edge in seen] == [99_986.5, 99_989.2]
            assert desk.halted() == set()
        there = st.call(lambda: st.exchange.wallet(ACCOUNT).coin("USDT").balance)
        found = live_result(tmp_path, 0, 2**62)

        async def log() -> list[LogEntry]:
            async with VenueRest(st.where.http, keys()) as rest:
                return await rest.transactions(found.first_ts, found.last_ts)

        assert reconcile(found, asyncio.run(log())).agrees
    assert (found.closes, found.charges, found.withdrawals) == (True, D(-3), D("85000.01"))
    assert round(found.books.ending_equity, 2) == round(there, 2)
    assert found.summary["max_drawdown"] < 0.001
