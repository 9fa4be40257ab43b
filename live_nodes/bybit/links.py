"""Check the venue's WebSocket links, prove their logins, reconnect lost ones. Engine-specific.

The adapter's WebSocket clients report neither a successful login nor a silent peer. Private link:
the venue acknowledges all four subscriptions only after a login. Trade link: canceling an unknown
order proves login and connection; nothing else does so without an order. Public link: connected is
enough; feeds are watched by instrument.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from nautilus_trader.common.component import Logger
from nautilus_trader.core import nautilus_pyo3 as engine

from live_nodes.bybit.sockets import connections, shut_down

PRIVATE_TOPICS = 4
"""The adapter's subscriptions on the private link: order, execution, position, wallet."""
_FALL_WITHIN = 0.03
PROBE_EVERY = 1.0
"""Seconds between two attempts to prove a link."""
RENEW_AFTER = 10.0
"""Seconds without proof before a new client is made: the adapter repeats neither a refused login
nor a failed first connect (tried)."""
SETTINGS = ("cache_instrument", "set_account_id", "set_mm_level", "set_bars_timestamp_on_close")
LOGIN_CODES = (10003, 10004, 10005, 33004)
"""Codes of a refused login: unknown or expired key, signature, permission (v5 "Error codes")."""


class VenueLink:
    """Wraps one of the adapter's WebSocket clients.

    `name` is ``public linear``, ``public spot``, ``private`` or ``trade``. `make` returns a new,
    unconnected client. Answers to client order ids with `probe_prefix` (our probes) do not reach
    the adapter. `proven` means logged in and answered since the last connect, `failure` is the
    venue's text on a login refused since then. `half_opens` counts reconnects after silence,
    `reconnects` all after the first connect.
    """

    def __init__(self, name: str, make: Callable[[], Any], url: str, probe_prefix: str) -> None:
        self.name, self.url = name, url
        parts = urlsplit(url)
        self.port = parts.port or (443 if parts.scheme == "wss" else 80)
        self.proven = False
        self.half_opens = self.reconnects = 0
        self.probed_at = 0.0
        self.failure = ""
        self.was_connected = self.was_proven = self.has_connected = False
        self.down_since = 0.0
        self.renewing = self.renewed = False
        self._make = make
        self._client = make()
        self._probe_prefix = probe_prefix
        self._settings: dict[tuple[str, str], Any] = {}
        self._subscriptions: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._connection: tuple[Any, Any] | None = None
        self.heard: Any = None
        """Client whose public data are handled; None drops all until a renewal."""

    async def connect(self, loop_: Any, callback: Callable[[Any], None]) -> None:
        """Connect, with our message filter before the adapter's callback."""
        self._connection = (loop_, callback)
        await self._client.connect(loop_=loop_, callback=self._filtered(callback))

    def __getattr__(self, name: str) -> Any:
        """Pass everything else on; settings and subscriptions are kept for a new client."""
        if name in SETTINGS:
            return partial(self._set, name)
        verb, _, what = name.partition("_")
        if verb == "subscribe":
            return partial(self._subscribe, what)
        if verb == "unsubscribe":
            return partial(self._unsubscribe, what)
        return getattr(self._client, name)

    @property
    def connected(self) -> bool:
        """Whether the WebSocket is connected."""
        return bool(self._client.is_active())

    @property
    def ready(self) -> bool:
        """Whether the link is reliable."""
        return self.proven and bool(self._client.is_active())

    @property
    def word(self) -> str:
        """``ready``, ``connected`` or ``down``."""
        connected = self.connected
        return "ready" if connected and self.proven else "connected" if connected else "down"

    async def renew(self) -> None:
        """Close the client and connect a new one with the same subscriptions."""
        if self._connection is None or self.renewing:
            return
        self.renewing = True
        try:
            await self._renew(*self._connection)
            self.renewed = True
        finally:
            self.renewing = False

    async def _renew(self, loop: Any, callback: Callable[[Any], None]) -> None:
        self.proven, self.failure = False, ""
        old, self._client = self._client, self._make()
        await old.close()
        for (name, _), value in self._settings.items():
            getattr(self._client, name)(value)
        await self._client.connect(loop_=loop, callback=self._filtered(callback))
        for key, args in list(self._subscriptions.items()):
            await getattr(self._client, f"subscribe_{key[0]}")(*args)

    def _set(self, name: str, value: Any) -> None:
        self._settings[name, str(getattr(value, "id", ""))] = value
        getattr(self._client, name)(value)

    def _subscribe(self, what: str, *args: Any) -> Awaitable[None]:
        self._subscriptions[(what, *map(str, args))] = args
        result: Awaitable[None] = getattr(self._client, f"subscribe_{what}")(*args)
        return result

    def _unsubscribe(self, what: str, *args: Any) -> Awaitable[None]:
        self._subscriptions.pop((what, *map(str, args)), None)
        result: Awaitable[None] = getattr(self._client, f"unsubscribe_{what}")(*args)
        return result

    def _filtered(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        if self.name.startswith("public"):
            # Every book update comes this way, so it must be fast.
            client = self.heard = self._client

            def taken(message: Any) -> None:
                if self.heard is client:
                    callback(message)

            return taken

        def filtered(message: Any) -> None:
            if isinstance(message, engine.OrderCancelRejected):
                if message.client_order_id.value.startswith(self._probe_prefix):
                    self.proven = True
                    return
            elif isinstance(message, engine.BybitWebSocketError) and (
                message.code in LOGIN_CODES or "op=auth" in message.message
            ):
                self.proven = False
                self.failure = self.failure or f"{message.code}: {message.message}"
            callback(message)

        return filtered


class VenueLinks:
    """All links of a node.

    `half_open` is the seconds of silence that end a link, `heartbeat` the seconds between two
    pings. Without `trades` (dry run) nothing is sent on the trade link, and a connection proves it.
    """

    def __init__(
        self, tag: str, half_open: float, heartbeat: float, *, trades: bool = True
    ) -> None:
        self.probe_prefix = f"{tag}-probe-"
        self._trades = trades
        self.probe_instrument = ""
        self.fetch_wallet: Callable[[], object] = lambda: None
        """Fetches the account's wallet; also called when the private link is proven again."""
        self._half_open, self._heartbeat = half_open, heartbeat
        self._links: dict[str, VenueLink] = {}
        self._beating_since: dict[int, float] = {}
        self._vanished = self._falls = self._unseen = 0
        self._probes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = Logger("Links")

    def add(self, link: VenueLink) -> VenueLink:
        """Add a link of a client that is being built."""
        self._links[link.name] = link
        return link

    def __contains__(self, name: str) -> bool:
        return name in self._links

    def by_name(self) -> dict[str, VenueLink]:
        """Return the links by name."""
        return dict(self._links)

    def ready(self, name: str) -> bool:
        """Whether a link is reliable; always true if the environment has no such link."""
        link = self._links.get(name)
        return link is None or link.ready

    def down(self) -> tuple[str, ...]:
        """Return the names of the links that are not reliable, sorted."""
        return tuple(sorted(name for name, link in self._links.items() if not link.ready))

    def reconnects(self) -> dict[str, int]:
        """Return how often each link connected anew; any thread may ask.

        One that came back between two checks has no name: it is ``unseen``.
        """
        found = {name: link.reconnects for name, link in list(self._links.items())}
        return found | {"unseen": self._unseen}

    def failure(self) -> str:
        """Return the venue's text on the first refused login, else empty."""
        return next((f"{x.name}: {x.failure}" for x in self._links.values() if x.failure), "")

    async def renew(self, name: str) -> None:
        """Reconnect a link with all its subscriptions; after a failure `tick` tries again."""
        try:
            await self._links[name].renew()
        except (RuntimeError, ValueError, OSError) as error:
            self._log.warning(f"{name}: could not be reconnected: {error}")

    async def tick(self) -> list[str]:
        """Check, end and prove links, several times a second; return new half-open links."""
        broken = await self._end_half_open()
        falls = 0
        for link in self._links.values():
            connected = link.connected
            falls += link.renewed or (link.was_connected and not connected)
            if link.was_connected and not connected:
                link.proven = False
                link.half_opens += link.name in broken
            if connected and (link.renewed or not link.was_connected):
                link.reconnects += link.has_connected
                link.renewed = False
            if connected and not link.was_connected:
                # Keep a refusal of the first login that came before this check.
                link.failure = "" if link.has_connected else link.failure
                link.has_connected = True
                link.probed_at = 0.0
            link.was_connected = connected
            if connected and not link.proven:
                self._prove(link)
            self._renew_lasting(link)
        # A connection may stay listed until the check after its link fell.
        self._unseen += max(0, self._vanished - falls - self._falls)
        self._falls = falls
        return broken

    def drop_waiting(self) -> list[str]:
        """Handle no more data of public links until they are renewed; return their names.

        Those that are being renewed begin anew in any case.
        """
        late = [x for x in self._links.values() if x.name.startswith("public") and not x.renewing]
        for link in late:
            link.heard = None
        return [link.name for link in late]

    def close(self) -> None:
        """Stop proving links."""
        for task in self._tasks:
            task.cancel()

    async def disconnect(self) -> None:
        """Close every client within a second: one that connects later would find no event loop."""
        closing = [asyncio.wait_for(link.close(), 1.0) for link in self._links.values()]
        await asyncio.gather(*closing, return_exceptions=True)

    async def _end_half_open(self) -> list[str]:
        if not self._links:
            return []
        found = connections({link.port for link in self._links.values()})
        now = time.monotonic()
        # Idle connections of requests have no heartbeat.
        beating = [c for c in found if c.since_sent < 2 * self._heartbeat + 1]
        present = {connection.inode for connection in found}
        steady = 2 * self._heartbeat + 2
        self._vanished = sum(
            now - since > steady and i not in present for i, since in self._beating_since.items()
        )
        if self._vanished:
            # A link may reconnect between two checks: logins must be proven again.
            for link in self._links.values():
                if not link.name.startswith("public"):
                    link.proven, link.probed_at, link.failure = False, 0.0, ""
        self._beating_since = {c.inode: self._beating_since.get(c.inode, now) for c in beating}
        # The margin covers the time between two checks.
        silent = [c for c in beating if c.since_received > self._half_open * 0.9]
        if not silent:
            return []
        up = [link for link in self._links.values() if link.connected]
        for connection in silent:
            shut_down(connection.inode)
        # The adapter notices the lost connection some milliseconds later, and may reconnect within
        # 200 ms: nothing else shows which link it was.
        until = time.monotonic() + _FALL_WITHIN
        while any(link.connected for link in up) and time.monotonic() < until:
            await asyncio.sleep(0.001)
        return [link.name for link in up if not link.connected]

    def _prove(self, link: VenueLink) -> None:
        if link.name.startswith("public") or (link.name == "trade" and not self._trades):
            link.proven = True
        elif link.name == "private":
            link.proven = link.subscription_count() >= PRIVATE_TOPICS and not link.failure
            if link.proven and link.was_proven:
                self.fetch_wallet()
            link.was_proven |= link.proven
        elif time.monotonic() - link.probed_at >= PROBE_EVERY:
            link.probed_at = time.monotonic()
            self._in_background(self._probe(link))

    def _renew_lasting(self, link: VenueLink) -> None:
        now = time.monotonic()
        if link.proven:
            link.down_since = 0.0
        elif not link.down_since:
            link.down_since = now
        elif now - link.down_since >= RENEW_AFTER:
            link.down_since = now
            self._in_background(self.renew(link.name))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _probe(self, link: VenueLink) -> None:
        self._probes += 1
        name = engine.InstrumentId.from_str(self.probe_instrument)
        try:
            await link.cancel_order(
                engine.bybit_product_type_from_symbol(name.symbol.value),
                engine.TraderId("DESK-PROBE"),
                engine.StrategyId("PROBE-001"),
                name,
                engine.ClientOrderId(f"{self.probe_prefix}{self._probes}"),
            )
        except RuntimeError as error:
            # The adapter waits 5 s for a login that doesn't come.
            if "uthenticat" in str(error):
                link.failure = link.failure or str(error)
