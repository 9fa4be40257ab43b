"""The practice exchange on the wire: one port of 127.0.0.1 for REST and all WebSocket links."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from aiohttp import web

from config.errors import InputError
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.faults.fault_hooks import FaultHooks
from live_nodes.practice.market.feed import Market
from live_nodes.practice.wire.desk import Desk
from live_nodes.practice.wire.limits import Limits
from live_nodes.practice.wire.rest import HANDLERS, Rest
from live_nodes.practice.wire.signing import Keyring
from live_nodes.practice.wire.sockets import Sockets
from live_nodes.practice.wire.venue import Keeper, Venue

HOST = "127.0.0.1"
LOCAL = (HOST, "localhost")
LAG_S = 0.05


class Server:
    """A practice exchange that listens and steps; `serve` makes one.

    Attributes
    ----------
    venue : Venue
        The exchange in operation.
    rest : Rest
        With the count of requests received.
    sockets : Sockets
        With the count of connections.
    port : int
        Where it listens.
    """

    def __init__(self, venue: Venue, rest: Rest, sockets: Sockets, runner: web.AppRunner) -> None:
        self.venue = venue
        self.rest = rest
        self.sockets = sockets
        self._runner = runner
        self.port: int = runner.addresses[0][1]
        self._told = False
        self._stepping = asyncio.create_task(self._step(), name="practice exchange steps")

    @property
    def http(self) -> str:
        """Base address of REST, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def sockets_url(self) -> str:
        """Base address of the links: ``/public/linear``, ``/private`` or ``/trade`` follow."""
        return f"ws://{HOST}:{self.port}/v5"

    async def failed(self) -> None:
        """Wait until stepping ends; raise what ended it. A stopped server returns."""
        await asyncio.wait([self._stepping])
        if not self._stepping.cancelled():
            self._told = True
            await self._stepping

    async def stop(self) -> None:
        """Cut the connections, stop stepping and listening.

        Raises
        ------
        Exception
            What ended the stepping, when no one waited for it with `failed`.
        """
        self._stepping.cancel()
        await asyncio.wait([self._stepping])
        self.sockets.cut_all()
        await self._runner.cleanup()
        if not self._stepping.cancelled() and not self._told:
            await self._stepping

    async def _step(self) -> None:
        due = time.monotonic()
        while True:
            self.venue.step()
            # Small lags are made up for; after a long one the next step covers its time.
            now = time.monotonic()
            due = max(due + self.venue.market.step_seconds, now - LAG_S)
            await asyncio.sleep(max(0.0, due - now))


async def serve(
    exchange: Exchange,
    market: Market,
    keys: Mapping[str, tuple[str, str]],
    faults: FaultHooks,
    store: Keeper,
    port: int = 0,
    limits: Limits | None = None,
    host: str = HOST,
) -> Server:
    """Listen and begin to step.

    Parameters
    ----------
    exchange : Exchange
        With its rows restored.
    market : Market
        Where prices come from.
    keys : mapping of str to (str, str)
        Account name to its key and secret.
    faults : FaultHooks
        What goes wrong on purpose.
    store : Keeper
        Where rows are kept before anyone is told of them.
    port : int
        0 takes a free one.
    limits : Limits, optional
        Bybit's own by default.
    host : str
        Only this machine's own address is allowed.

    Raises
    ------
    InputError
        For another host.
    OSError
        When the port is taken.
    """
    if host not in LOCAL:
        raise InputError(f"the practice exchange listens on {HOST} only, not on {host}")
    venue = Venue(exchange, market, store, faults, keys)
    limits = limits or Limits()
    keyring = Keyring(keys)
    desk = Desk(venue, limits, HANDLERS)
    sockets = Sockets(venue, desk, keyring)
    rest = Rest(venue, desk, keyring, limits)
    # The market's first step quotes books, so that no one sees empty ones.
    venue.step()
    app = web.Application(client_max_size=1 << 20)
    app.router.add_routes([*sockets.routes(), *rest.routes()])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=False, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, HOST, port)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return Server(venue, rest, sockets, runner)
