"""WebSocket links: login, ping, topics; see https://bybit-exchange.github.io/docs/v5/ws/connect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from config.documents.scenario import Channel
from live_nodes.practice.exchange.model import BybitRefusal
from live_nodes.practice.wire.access import Keyring
from live_nodes.practice.wire.connections import WireConnection, stream_reply
from live_nodes.practice.wire.private_links import TOPICS, PrivateStreams, TradeLink, logged_in
from live_nodes.practice.wire.public_streams import PublicStreams
from live_nodes.practice.wire.spelling import Json
from live_nodes.practice.wire.venue import RequestDispatcher

MOST_SPOT_ARGS = 10
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sockets:
    """All WebSocket links of the exchange."""

    def __init__(self, dispatcher: RequestDispatcher, keyring: Keyring) -> None:
        self._venue = venue = dispatcher.venue
        self._keyring = keyring
        self.public = PublicStreams(venue)
        self.private = PrivateStreams(venue)
        self._trade = TradeLink(dispatcher, keyring)
        venue.listeners += [self.public.publish, self.private.publish]
        self._open: dict[Channel, set[WireConnection]] = {
            "public": set(),
            "private": self.private.connections,
            "trade": set(),
        }
        venue.faults.on_kill = self.cut

    def routes(self) -> list[web.RouteDef]:
        """Return the paths of the links."""
        return [
            web.get("/v5/public/linear", self._link("public", self._on_public)),
            web.get("/v5/public/spot", self._link("public", self._on_public)),
            web.get("/v5/private", self._link("private", self._on_private)),
            web.get("/v5/trade", self._link("trade", self._trade.on_message)),
        ]

    def connected(self) -> dict[Channel, int]:
        """Count the open connections of each kind."""
        return {channel: len(found) for channel, found in self._open.items()}

    def cut(self, channel: Channel) -> None:
        """Abort every connection of a kind."""
        for connection in list(self._open[channel]):
            connection.abort()

    def cut_all(self) -> None:
        """Abort every connection."""
        for channel in self._open:
            self.cut(channel)

    def _link(self, channel: Channel, act: Callable[[WireConnection, Json], None]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, channel, act)

        return handle

    async def _serve(
        self, request: web.Request, channel: Channel, act: Callable[[WireConnection, Json], None]
    ) -> web.StreamResponse:
        faults = self._venue.faults
        if faults.link(channel) == "killed":
            return web.Response(status=503)
        product = request.path.rsplit("/", 1)[-1]
        connection = WireConnection(product, lambda: faults.link(channel) == "frozen")
        await connection.open(request)
        self._open[channel].add(connection)
        if faults.link(channel) == "killed":
            connection.abort()
        writer = asyncio.create_task(connection.write())
        try:
            while (text := await connection.receive()) is not None:
                try:
                    message = msgspec.json.decode(text, type=dict[str, Any])
                except msgspec.DecodeError:
                    connection.say(stream_reply(connection, {}, "", False, "error:invalid JSON"))
                    continue
                act(connection, message)
        finally:
            self._open[channel].discard(connection)
            if channel == "public":
                self.public.leave(connection, product)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return connection.socket

    def _on_public(self, connection: WireConnection, message: Json) -> None:
        category = connection.product
        op = message.get("op")
        if op == "ping":
            connection.say(stream_reply(connection, message, "ping", True, "pong"))
            return
        snapshots: list[Json | None] = []
        refused = ""
        try:
            names = _names(message)
            if op == "subscribe":
                if category == "spot" and len(names) > MOST_SPOT_ARGS:
                    raise BybitRefusal(10001, "args size >10")
                for name in names:
                    _not_twice(connection, name)
                    self.public.check(category, name)
                snapshots = [self.public.subscribe(connection, category, name) for name in names]
            elif op == "unsubscribe":
                for name in names:
                    self.public.unsubscribe(connection, category, name)
            else:
                raise BybitRefusal(10001, f"error:unknown op:{op}")
        except BybitRefusal as refusal:
            refused = refusal.message
        connection.say(stream_reply(connection, message, op, not refused, refused))
        for snapshot in snapshots:
            if snapshot is not None:
                connection.say(snapshot)

    def _on_private(self, connection: WireConnection, message: Json) -> None:
        op = message.get("op")
        if op == "ping":
            pong = {"op": "pong", "args": [str(self._venue.client_ms())]}
            connection.say({"req_id": message.get("req_id", ""), **pong, "conn_id": connection.id})
            return
        refused = ""
        try:
            if op == "auth":
                connection.account = logged_in(self._venue, self._keyring, "private", message)
            elif op not in ("subscribe", "unsubscribe"):
                raise BybitRefusal(10001, f"error:unknown op:{op}")
            elif connection.account is None:
                raise BybitRefusal(10007, "Request not authorized")
            else:
                self._subscribe_private(connection, op, _names(message))
        except BybitRefusal as refusal:
            refused = refusal.message
        connection.say(stream_reply(connection, message, op, not refused, refused))

    def _subscribe_private(self, connection: WireConnection, op: str, names: list[str]) -> None:
        if op == "unsubscribe":
            connection.topics.difference_update(names)
            return
        for name in names:
            _not_twice(connection, name)
            if name not in TOPICS:
                raise BybitRefusal(10001, f"error:handler not found,topic:{name}")
        connection.topics.update(names)


def _names(message: Json) -> list[str]:
    names = message.get("args")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise BybitRefusal(10001, "error:args must be a list of topics")
    return names


def _not_twice(connection: WireConnection, name: str) -> None:
    if name in connection.topics:
        raise BybitRefusal(10001, f"error:already subscribed,topic:{name}")
