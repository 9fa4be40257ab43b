"""Orders that Nautilus's adapter would keep forever, or send as another order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

from nautilus_trader.model.enums import TimeInForce, TrailingOffsetType, TriggerType

from tests.live_nodes.by_hand import BTC_ID, SELL
from tests.live_nodes.stage import desk_node, stage


def test_an_order_that_cannot_be_sent_as_it_is_meant_is_denied_in_words(tmp_path: Path) -> None:
    with stage() as st, desk_node(st, folder=tmp_path) as desk:
        strategy = desk.strategy
        instrument = strategy.cache.instrument(BTC_ID)
        price = instrument.make_price(D(51_000))
        trail = {"trailing_offset": D(100), "trailing_offset_type": TrailingOffsetType.PRICE}
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        cases: list[tuple[str, dict[str, Any], str]] = [
            ("trailing_stop_market", trail, "TRAILING_STOP_MARKET orders can't be sent"),
            ("market_to_limit", {}, "MARKET_TO_LIMIT orders can't be sent"),
            (
                "limit",
                {"price": price, "time_in_force": TimeInForce.GTD, "expire_time": tomorrow},
                "GTD orders can't be sent",
            ),
            (
                "market_if_touched",
                {"trigger_price": price, "trigger_type": TriggerType.MARK_PRICE},
                "use LAST_PRICE",
            ),
            ("limit", {"price": price, "display_qty": instrument.make_qty(D("0.001"))}, "iceberg"),
        ]
        for kind, more, words in cases:
            name = desk.do(lambda kind=kind, more=more: strategy._send(kind, SELL, "0.010", **more))
            desk.until(lambda name=name: strategy.status(name) == "DENIED", words)
            assert words in strategy.reasons(name)[0]
        assert st.orders() == []
        for _, _, words in cases:
            desk.until(lambda words=words: any(words in line for line in desk.said), words)
