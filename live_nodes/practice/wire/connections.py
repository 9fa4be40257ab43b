"""WebSocket connections: each has its own queue, so a slow reader does not delay the others.

A frozen link stays open but neither reads, writes nor answers pings, like a stopped process.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from typing import cast

import msgspec
from aiohttp import ClientConnectionResetError, WSMsgType, web

from live_nodes.practice.wire.spelling import Json

BACKLOG = 200_000
MAX_FRAME = 1 << 20
THAW_POLL_S = 0.02


class WireConnection:
    """One WebSocket of a client; `topics` are its subscriptions, `account` is set by the login."""

    def __init__(self, product: str, frozen: Callable[[], bool]) -> None:
        self.product = product
        self.id = str(uuid.uuid4())
        self.topics: set[str] = set()
        self.account: str | None = None
        self.socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=MAX_FRAME, timeout=1.0
        )
        self._frozen = frozen
        self._outbox: deque[str] = deque()
        self._waiting = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None

    async def open(self, request: web.Request) -> None:
        """Answer the handshake; while the link is frozen, the client waits for it."""
        await self._thawed()
        await self.socket.prepare(request)
        # Do not check the class: uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.WriteTransport | None, request.transport)

    def send(self, text: str, delay_s: float = 0.0) -> None:
        """Queue a message, with a delay; cut off a client with 200,000 queued messages."""
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self.send, text)
            return
        if len(self._outbox) >= BACKLOG:
            self.abort()
            return
        self._outbox.append(text)
        self._waiting.set()

    def say(self, message: Json, delay_s: float = 0.0) -> None:
        """Queue a message as JSON."""
        self.send(msgspec.json.encode(message).decode(), delay_s)

    async def receive(self) -> str | None:
        """Return the next text; None when the client has gone. Answers protocol pings."""
        while True:
            message = await self.socket.receive()
            await self._thawed()
            if message.type is WSMsgType.TEXT:
                text: str = message.data
                return text
            if message.type is WSMsgType.PING:
                try:
                    await self.socket.pong(message.data)
                except (ClientConnectionResetError, ConnectionResetError):
                    self.abort()
            elif message.type is not WSMsgType.PONG:
                return None

    async def write(self) -> None:
        """Send queued messages until the client has gone."""
        try:
            while True:
                await self._waiting.wait()
                self._waiting.clear()
                while self._outbox:
                    if self._frozen():
                        await self._thawed()
                    await self.socket.send_str(self._outbox.popleft())
        except (ClientConnectionResetError, ConnectionResetError):
            self.abort()

    def abort(self) -> None:
        """Cut the connection without a closing handshake."""
        self._outbox.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    async def _thawed(self) -> None:
        while self._frozen():
            await asyncio.sleep(THAW_POLL_S)


def stream_reply(
    connection: WireConnection, message: Json, op: object, success: bool, words: str
) -> Json:
    """Return a reply in the format of the public and private links."""
    return {
        "success": success,
        "ret_msg": words,
        "conn_id": connection.id,
        "req_id": message.get("req_id", ""),
        "op": op,
    }


def trade_reply(connection: WireConnection, message: Json, code: int, words: str) -> Json:
    """Return a reply in the format of the trade link; `reqId` only when it was given."""
    given = {"reqId": message["reqId"]} if "reqId" in message else {}
    return given | {"retCode": code, "retMsg": words, "connId": connection.id}
