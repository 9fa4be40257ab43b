"""The exchange as a process: opens its state, listens, and stops by a signal or when unused."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from config.documents import ExchangeDocument, Scenario
from config.errors import InputError
from config.load import load
from live_nodes.local.keys import practice_keys
from live_nodes.local.practice_process import Endpoint, endpoint_file, write_endpoint
from live_nodes.practice.exchange.store import StateFile
from live_nodes.practice.faults.faults import Faults
from live_nodes.practice.opening import open_exchange
from live_nodes.practice.wire.access import RateLimits
from live_nodes.practice.wire.admin import AdminPort
from live_nodes.practice.wire.server import Server, serve

LONGEST_LOOK_S = 5.0


async def run_exchange(
    document: ExchangeDocument, state: Path, ready: Callable[[Endpoint], None]
) -> str:
    """Run until SIGTERM, SIGINT, or no client for the document's `idle_exit`; return why it stopped.

    The endpoint file stands beside the state file while it runs; `ready` gets the endpoint. Raises
    InputError when a port is taken or the state file belongs to something else; GateRefused when
    another process has the state file.
    """
    faults = scenario_of(document)
    store = StateFile(state)
    try:
        opened = open_exchange(document, store, faults, time.time_ns() // 1_000_000)
        keys = {name: practice_keys(name) for name in document.accounts}
        port, admin_port = _wanted(document, store)
        limits = RateLimits(factor=document.rate_limit_factor)
        server = await _serving(
            lambda port: serve(opened.exchange, opened.market, keys, faults, store, port, limits),
            "port",
            document.port,
            port,
        )
        try:
            admin = AdminPort(server, opened.market, faults, store)
            try:
                admin_port = await _serving(
                    admin.listen, "admin_port", document.admin_port, admin_port
                )
                store.keep_fact("ports", [server.port, admin_port])
                endpoint = Endpoint.of(os.getpid(), server.port, admin_port)
                write_endpoint(state, endpoint)
                ready(endpoint)
                return await _until_stopped(document, server)
            finally:
                endpoint_file(state).unlink(missing_ok=True)
                await admin.stop()
        finally:
            await server.stop()
    finally:
        store.close()


def scenario_of(document: ExchangeDocument) -> Faults:
    """Return the faults that the document names. Raises InputError when it names no scenario."""
    if document.faults is None:
        return Faults()
    scenario = load(document.faults).document
    if not isinstance(scenario, Scenario):
        raise InputError(f"faults: {document.faults} must be of kind scenario")
    return Faults(scenario.faults, scenario.seed)


def _wanted(document: ExchangeDocument, store: StateFile) -> tuple[int, int]:
    """Return the ports to try: the document's, else those of the last time.

    A node that runs has the old addresses, so a restarted exchange is where it was.
    """
    last = store.fact("ports") or [0, 0]
    return document.port or last[0], document.admin_port or last[1]


async def _serving[T](
    listen: Callable[[int], Awaitable[T]], name: str, named: int, wanted: int
) -> T:
    try:
        return await listen(wanted)
    except OSError as error:
        if named:
            raise InputError(
                f"{name}: {named} is taken on 127.0.0.1 ({error.strerror}); 0 takes a free one"
            ) from None
        return await listen(0)


async def _until_stopped(document: ExchangeDocument, server: Server) -> str:
    loop = asyncio.get_running_loop()
    stops: asyncio.Queue[str] = asyncio.Queue()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stops.put_nowait, f"{number.name} came")
    waits = [
        asyncio.create_task(stops.get()),
        asyncio.create_task(_failed(server)),
        asyncio.create_task(_idle(document, server)),
    ]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in waits if task in done).result()
    finally:
        for task in waits:
            task.cancel()
        for number in signals:
            loop.remove_signal_handler(number)


async def _failed(server: Server) -> str:
    await server.failed()
    return "stepping ended"


async def _idle(document: ExchangeDocument, server: Server) -> str:
    """Return when there was no client for long enough; wait for ever when that is no reason."""
    if document.idle_exit is None:
        await asyncio.Event().wait()
    limit = float(document.idle_exit or 0) * 3_600
    look = min(limit / 10, LONGEST_LOOK_S)
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < limit:
        await asyncio.sleep(look)
        requests = server.rest.received.total()
        if requests != seen or any(server.sockets.connected().values()):
            seen, since = requests, time.monotonic()
    return f"no client for {document.idle_exit} h"
