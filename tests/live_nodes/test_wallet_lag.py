"""A wallet that comes later than its execution is no loss, and no gain."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.accounting.factory import AccountFactory

from config.documents.scenario import Delay
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.practice.still_market import BTC
from tests.live_nodes.stage import desk_node, stage
from tests.live_nodes.test_risk_live import RISK, verdicts

GUARDS: dict[str, Any] = {
    "max": {"use": "actors.guards.max_drawdown:MaxDrawdown", "params": {"limit_currency": 40.0}},
    "gain": {
        "use": "actors.guards.session_profit:SessionProfit",
        "params": {"limit_currency": 260.0},
    },
}


@pytest.mark.parametrize(("price", "about"), [("51000", 100_095), ("49700", 99_965)])
def test_what_is_realised_is_counted_once_however_late_the_wallet_comes(
    tmp_path: Path, price: str, about: int
) -> None:
    """0.1 BTC that gained 100 or lost 30 are closed in two parts while the wallet lags."""
    with (
        stage() as st,
        desk_node(st, folder=tmp_path, risk=RISK | {"every": 0.05}, actors=GUARDS) as desk,
    ):
        account = desk.live.risk._account
        desk.filled(BUY, "0.100")
        st.call(lambda: st.market.move(BTC, D(price), st.server.venue.clock_ms()))
        expected = D(about)
        desk.until(lambda: abs((account.worth() or D(0)) - expected) < 5, "the price")
        late = Delay(channel="private", topic="wallet", by=D(1), seconds=D(600))
        st.call(lambda: (st.faults.add("late", late), st.faults.poll()))
        seen: list[D] = []

        def watched() -> bool:
            seen.append(account.worth() or D(0))
            return st.position() == 0 and len(seen) > 250

        for _ in range(2):
            desk.filled(SELL, "0.050", reduce_only=True)
        desk.until(watched, "the wallet")
        assert [worth for worth in seen if abs(worth - expected) > 5] == []
        # Once the wallet has come, it is what the venue says.
        desk.until(lambda: account.worth() == st.call(lambda: st.exchange.wallet("anna").equity))
        assert verdicts(desk) == []


def test_tests_in_the_process_of_a_backtest_take_no_fee_off_a_live_balance(tmp_path: Path) -> None:
    """The engine remembers for the whole process that it worked balances out."""
    AccountFactory.register_calculated_account("BYBIT")
    with stage() as st, desk_node(st, folder=tmp_path, risk=RISK) as desk:
        account = desk.live.risk._account
        for side in (BUY, SELL):
            desk.filled(side, "0.100")
        # Twice about 2.75 of fees, and 0.02 of spread: once.
        truth = st.call(lambda: st.exchange.wallet("anna").equity)
        assert truth == D("99994.48")
        desk.until(lambda: account.worth() == truth, "the wallet")
        desk.wait(0.3)
        assert account.worth() == truth
