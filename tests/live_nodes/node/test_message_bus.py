"""Nautilus's message bus in a real Redis, and a node that does not care when Redis is gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from nautilus_trader.core import nautilus_pyo3 as engine
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.system.kernel import pyo3_config_json

from actors.records.journal_reading import read
from config.errors import GateRefused
from live_nodes.local.keys import Secret
from live_nodes.node import message_bus
from live_nodes.node.message_bus import RedisStreams, bus_config, message_bus_of
from tests.live_nodes.documents import node_of
from tests.live_nodes.killing import Ground
from tests.live_nodes.node.test_metrics import free_port
from tests.waiting import eventually

PASSWORD, WRITTEN = "s3cret/@:%#?", "s3cret%2F%40%3A%25%23%3F"


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a Redis that wants a password; yield its address and its process."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server here: `apt-get install redis-server` brings it")
    line = [program, "--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
    with (
        (folder / "redis.log").open("wb") as log,
        subprocess.Popen([*line, "--save", "", "--dir", str(folder)], stdout=log) as server,
    ):
        try:
            eventually(lambda: answers(port), lambda: (folder / "redis.log").read_text())
            yield f"redis://:{WRITTEN}@127.0.0.1:{port}", server
        finally:
            server.send_signal(signal.SIGCONT)
            server.kill()


def client(port: int) -> redis.Redis:
    return redis.Redis(port=port, password=PASSWORD, decode_responses=True)


def answers(port: int) -> bool:
    try:
        return bool(client(port).ping())
    except redis.exceptions.ConnectionError:
        return False


def streams(port: int) -> dict[str, list[dict[str, Any]]]:
    """Return the messages of each stream."""
    there = client(port)
    return {
        name: [json.loads(fields["payload"]) for _, fields in there.xrange(name)]
        for name in there.keys("*:stream:*")
    }


def test_one_line_of_the_document_brings_orders_fills_and_positions_to_redis(
    ground: Ground, tmp_path: Path
) -> None:
    port = free_port()
    with redis_server(tmp_path, port) as (address, _):
        node = ground.node(message_bus="MY_REDIS")
        ended = node.run("--run-once", environment={"MY_REDIS": address})
        assert ended.code == 0, ended.said
        found = streams(port)
    messages = [message for stream in found.values() for message in stream]
    filled = {m["trade_id"] for m in messages if m["type"] == "OrderFilled"}
    with read(node.folder) as journal:
        assert filled == {fill.execution_id for fill in journal.fills_since(0)} != set()
    kinds = {m["type"] for m in messages}
    assert {"OrderSubmitted", "PositionOpened", "AccountState"} <= kinds
    assert not any("data." in name for name in found), "market data would be too much"
    for file in [*node.folder.rglob("*"), node.file_of("out")]:
        text = file.read_bytes() if file.is_file() else b""
        assert PASSWORD.encode() not in text
        assert WRITTEN.encode() not in text


def test_a_node_trades_where_no_redis_answers(ground: Ground) -> None:
    node = ground.node(message_bus="MY_REDIS")
    address = f"redis://:{WRITTEN}@127.0.0.1:{free_port()}"
    ended = node.run("--run-once", environment={"MY_REDIS": address})
    assert ended.code == 0, ended.said
    assert node.positions()
    assert "message bus: Redis can't be reached" in ended.said


def test_redis_gets_messages_again_after_it_was_gone_or_hung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_bus, "AGAIN_S", 0.5)
    port, said = free_port(), []

    def arrives(text: bytes) -> bool:
        if not bus.is_closed():
            bus.publish("test", text)
        return answers(port) and any(
            fields["payload"] == text.decode()
            for name in client(port).keys("*")
            for _, fields in client(port).xrange(name)
        )

    def loses(text: bytes) -> bool:
        if not bus.is_closed():
            bus.publish("test", text)
        return said[-1:] == ["Redis can't be reached, messages are dropped; tries every 0.5 s"]

    with redis_server(tmp_path, port) as (address, server):
        bus = RedisStreams(
            said.append,
            trader_id=engine.TraderId("DESK-N1"),
            instance_id=engine.UUID4.from_str(UUID4().value),
            config_json=pyo3_config_json(bus_config(Secret(address))),
        )
        eventually(lambda: arrives(b"1"), poll=0.05)
        os.kill(server.pid, signal.SIGSTOP)
        eventually(lambda: loses(b"2"), poll=0.05)
        os.kill(server.pid, signal.SIGCONT)
        eventually(lambda: arrives(b"3"), poll=0.05)
    eventually(lambda: loses(b"4"), poll=0.05)
    with redis_server(tmp_path, port):
        eventually(lambda: arrives(b"5"), poll=0.05)
        eventually(lambda: arrives(b"6") and said[-1] == "Redis gets messages again", said)
        bus.close()
        assert bus.is_closed()


@pytest.mark.parametrize(
    "text",
    ["", "localhost:6379", "http://localhost", "redis://:pw@", "redis://x:y@h:no", "redis://h/3"],
)
def test_an_address_that_is_none_is_refused_and_not_shown(text: str) -> None:
    node = node_of(message_bus="MY_REDIS")
    with pytest.raises(GateRefused, match="MY_REDIS must be an address") as refused:
        message_bus_of(node, {"MY_REDIS": text})
    assert not text or text not in str(refused.value)
    assert message_bus_of(node_of(), {}) is None
