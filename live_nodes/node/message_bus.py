"""Send Nautilus's message bus to Redis as streams. Engine-specific.

The engine publishes order events, positions and account states after its own components have them,
over a thread of its own; Redis is a copy for others to read, never what the node relies on. The
engine gives its connection up for good when it fails once; here it connects anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from nautilus_trader.config import DatabaseConfig, MessageBusConfig
from nautilus_trader.core import nautilus_pyo3 as engine
from nautilus_trader.model.data import (
    Bar,
    InstrumentStatus,
    OrderBookDelta,
    OrderBookDeltas,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.instruments import CryptoPerpetual, CurrencyPair

from config.documents import Node
from config.errors import GateRefused
from live_nodes.local.keys import ENV_FILE, Secret, secret_of

PORT = 6379
AGAIN_S = 30.0
"""Pause between two tries to connect anew."""
KEPT_MINUTES = 24 * 60
"""Age at which messages leave their stream."""
MARKET_DATA = (Bar, InstrumentStatus, OrderBookDelta, OrderBookDeltas, QuoteTick, TradeTick)
INSTRUMENTS = (CryptoPerpetual, CurrencyPair)
_BACKING = "RedisMessageBusBacking"
_Backing = getattr(engine, _BACKING)


def message_bus_of(node: Node, variables: Mapping[str, str]) -> Secret | None:
    """Return the address of the node's Redis, if any.

    Raises GateRefused if the variable is missing or holds no such address.
    """
    name = node.message_bus
    if name is None:
        return None
    text = secret_of(name, variables)[0].reveal()
    try:
        parts = urlsplit(text)
        is_sound = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
        is_sound &= parts.path in ("", "/", "/0") and not parts.query
    except ValueError:
        is_sound = False
    if not is_sound:
        raise GateRefused(
            f"{node.name}: message_bus: {name} must be an address such as "
            f"redis://user:password@host:{PORT} (it is not shown here, as it may hold a password); "
            f"put it into {ENV_FILE} or the environment, or leave out `message_bus:`"
        )
    return Secret(text)


def bus_config(address: Secret | None) -> MessageBusConfig:
    """Return the engine's settings: all but market data, a day of each stream."""
    if address is None:
        return MessageBusConfig()
    parts = urlsplit(address.reveal())
    return MessageBusConfig(
        database=DatabaseConfig(
            host=parts.hostname,
            port=parts.port or PORT,
            # The engine makes an address of them again, so they stay as they are written there.
            username=parts.username or None,
            password=parts.password or None,
            ssl=parts.scheme == "rediss",
            connection_timeout=2,
            response_timeout=2,
            number_of_retries=1,
            max_delay=1,
        ),
        types_filter=[*MARKET_DATA, *INSTRUMENTS],
        autotrim_mins=KEPT_MINUTES,
    )


class RedisStreams:
    """The engine's connection to Redis, made anew in the background after it failed."""

    def __init__(self, say: Callable[[str], None], **settings: Any) -> None:
        self._say, self._settings = say, settings
        self._backing = _Backing(**settings)
        self._again = time.monotonic() + AGAIN_S
        self._lost = self._ended = False

    def is_closed(self) -> bool:
        """Whether a message would be lost now; the bus asks before it makes one."""
        if self._ended:
            return True
        is_closed = bool(self._backing.is_closed())
        now = time.monotonic()
        if is_closed and not self._lost:
            self._lost = True
            self._say(f"Redis can't be reached, messages are dropped; tries every {AGAIN_S:g} s")
        if is_closed and now >= self._again:
            # Some 0.2 ms: it connects in a thread of its own.
            self._backing, self._again = _Backing(**self._settings), now + AGAIN_S
            return False
        if self._lost and not is_closed and now >= self._again - AGAIN_S / 2:
            self._lost = False
            self._say("Redis gets messages again")
        return is_closed

    def publish(self, topic: str, payload: bytes) -> None:
        """Queue a message for Redis."""
        self._backing.publish(topic, payload)

    def close(self) -> None:
        """End the connection."""
        self._ended = True
        self._backing.close()


@contextmanager
def redis_streams(say: Callable[[str], None]) -> Iterator[None]:
    """Let the engine's kernel take `RedisStreams` while it is built; it has no other way in."""
    setattr(engine, _BACKING, partial(RedisStreams, say))
    try:
        yield
    finally:
        setattr(engine, _BACKING, _Backing)
