"""A node whose alerts and pings go to servers that never answer trades as if they did."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from live_nodes.local.alerts import FILE, AlertUrl
from live_nodes.local.keys import Secret
from live_nodes.node.alert_watch import watching_alerts
from live_nodes.node.launch import launch
from live_nodes.node.report import RunOptions
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.local.test_alerts import QUICK, ear
from tests.live_nodes.stage import desk_document, desk_node, keys, stage
from tests.waiting import slack


@contextmanager
def never_answers() -> Iterator[int]:
    """Listen at a port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening.getsockname()[1]


def test_servers_that_never_answer_delay_no_order_and_no_turn_of_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live_nodes.node.alert_watch.EVERY_S", 0.02)
    rules = {"no_trade_for": "1h", "cost_over_model": 0.2, "drift_from_target": 0.05}
    alerts = {"rules": rules, "alive": {"ping": "DESK_PING", "every": "1s"}}
    with stage() as st, never_answers() as port:
        url = Secret(f"json://127.0.0.1:{port}/TOKEN")
        ping = Secret(f"http://127.0.0.1:{port}/")
        with desk_node(st, folder=tmp_path, told=(url, url), alerts=alerts) as desk:
            context = desk.live._context
            delays: list[float] = []

            async def measure() -> None:
                while True:
                    began = time.monotonic()
                    await asyncio.sleep(0.005)
                    delays.append(time.monotonic() - began - 0.005)

            with watching_alerts(context, ping):
                measuring = desk.loop.create_task(measure())
                for number in range(10):
                    for _ in range(20):
                        context.alerts(f"alert of round {number}", "critical")
                    desk.filled(BUY if number % 2 else SELL)
                measuring.cancel()
            assert len(desk.fills()) == 10
            assert max(delays) < slack(0.1)
            began = time.monotonic()
        # It has its second for the alerts that wait, and does not wait for the servers.
        assert time.monotonic() - began < slack(3)
    assert len((tmp_path / FILE).read_text().splitlines()) >= 200


def test_a_node_that_does_not_trade_alerts_and_says_that_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live_nodes.node.alert_watch.EVERY_S", 0.1)
    alerts = {"rules": {"no_trade_for": "2s"}, "alive": {"message": "1s"}}
    node = desk_document(tmp_path, alerts=alerts)
    with stage() as st, ear() as there:
        monkeypatch.setattr("live_nodes.local.alerts.Pace", lambda: QUICK)
        said: list[str] = []
        urls = [AlertUrl(there.address)]
        options = RunOptions(seconds=4)
        launch(node, st.where, keys(), tmp_path, "abc", options, said.append, urls)
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert [line["about"] for line in lines if line["kind"] == "rule"] == ["no trade desk"]
    assert "no trade for 2 s: none since the start" in there.text
    assert "runs flat, equity 100000.00 USDT; nothing halts it" in there.text
