"""A practice exchange on a loop and thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from live_nodes.local.endpoints import Endpoints
from live_nodes.practice.wire.access import RateLimits
from live_nodes.practice.wire.server import Server
from tests.live_nodes.practice.still_market import Practice, practice
from tests.waiting import DEADLINE


class InThread:
    """A running exchange; `call` acts on it in its own thread."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server, self._loop = server, loop
        self.port, links = server.port, server.sockets_url
        self.where = Endpoints(server.http, f"{links}/public", f"{links}/private", f"{links}/trade")

    def call[T](self, act: Callable[[], T]) -> T:
        """Act on the exchange and return what came of it."""

        async def run() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(DEADLINE)


class Background(InThread):
    """A still market's exchange."""

    def __init__(self, running: Practice, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(running.server, loop)
        self.market, self.faults = running.market, running.faults


@contextmanager
def in_thread[T](open_: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Hold something open on a loop and thread of its own until the block ends."""
    ready, done = threading.Event(), threading.Event()
    found: list[T] = []
    failures: list[BaseException] = []

    async def body() -> None:
        async with open_() as opened:
            found.append(opened)
            ready.set()
            while not done.is_set():
                await asyncio.sleep(0.01)

    def run() -> None:
        try:
            asyncio.run(body())
        except BaseException as failure:  # noqa: BLE001 - raised by the main thread
            failures.append(failure)
            ready.set()

    thread = threading.Thread(target=run, name="practice exchange")
    thread.start()
    try:
        assert ready.wait(DEADLINE)
        if failures:
            raise failures[0]
        yield found[0]
    finally:
        done.set()
        thread.join(DEADLINE)
    if failures:
        raise failures[0]


@contextmanager
def background(limits: RateLimits | None = None) -> Iterator[Background]:
    """Run an exchange in a thread until the block ends."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Background]:
        async with practice(limits) as running:
            yield Background(running, asyncio.get_running_loop())

    with in_thread(opened) as found:
        yield found
