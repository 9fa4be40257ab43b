"""A wallet that comes later than its execution is no loss, and no gain."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from config.documents.scenario import Delay
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.documents import guard
from tests.live_nodes.stage import desk_node, stage
from tests.live_nodes.test_risk_live import RISK, verdicts

GUARDS: dict[str, Any] = {
    "max": guard("max_drawdown:MaxDrawdown", limit_currency=40.0),
    "gain": guard("session_profit:SessionProfit", limit_currency=260.0),
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
        st.move(price)
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
