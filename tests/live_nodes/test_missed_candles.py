"""A candle that the feed loses does not change what a running node decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.records.journal_reading import read
from live_nodes.node.launch import launch
from live_nodes.node.report import RunOptions
from tests.live_nodes.practice.background import background
from tests.live_nodes.test_launch import KEYS, at, node


@pytest.mark.slow
def test_a_decision_has_the_candles_that_the_feed_has_lost(tmp_path: Path) -> None:
    said: list[str] = []
    with background() as exchange:

        def mute(practice: Any) -> None:
            before = practice.faults.on_push

            def on_push(channel: str, topic: str, payload: Any) -> Any:
                return [] if topic.startswith("kline.1.BTC") else before(channel, topic, payload)

            practice.faults.on_push = on_push

        exchange.call(mute)
        document = node()
        params = dict(document.strategies["steady"].params)
        steady = {
            "use": "tests.live_nodes.steady:Steady",
            "params": params | {"every": "1m", "at": "00:00"},
        }
        launch(
            node(strategies={"steady": steady}),
            at(exchange),
            KEYS,
            tmp_path,
            "hash",
            # Past the next close, and what it takes to notice.
            RunOptions(seconds=80),
            said.append,
        )
    assert any(line.startswith("asked for, as the feed missed BTCUSDT") for line in said), said
    with read(tmp_path) as journal:
        decisions = journal.decisions(5)
    assert decisions
    for decision in decisions:
        assert decision.kind == "rebalance", decision
        prices = {target.instrument: target.price for target in decision.targets}
        assert prices["BTCUSDT-LINEAR.BYBIT"] is not None, decision
