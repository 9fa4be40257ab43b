"""Links proven, silent and new, against the practice exchange and the adapter's own clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nautilus_trader.core import nautilus_pyo3 as engine

from live_nodes.bybit.links import VenueLink, VenueLinks
from live_nodes.bybit.sockets import SUPPORTED
from tests.live_nodes.practice.still_market import Practice, practice
from tests.waiting import DEADLINE, slack

MAINNET = engine.BybitEnvironment.MAINNET
HALF_OPEN = 3.0
BTC = "BTCUSDT-LINEAR.BYBIT"


class Bench:
    """A running exchange, and links to it."""

    def __init__(self, running: Practice, secret: str, trades: bool) -> None:
        self.running = running
        self.links = VenueLinks("t1", HALF_OPEN, 1.0, trades=trades)
        self.links.probe_instrument = BTC
        self.heard: list[Any] = []
        base = running.server.sockets_url
        account = ("practice-anna", secret)
        makers = {
            "public linear": (
                f"{base}/public/linear",
                lambda url: engine.BybitWebSocketClient.new_public(
                    engine.BybitProductType.LINEAR, MAINNET, url, 1
                ),
            ),
            "private": (
                f"{base}/private",
                lambda url: engine.BybitWebSocketClient.new_private(MAINNET, *account, url, 1),
            ),
            "trade": (
                f"{base}/trade",
                lambda url: engine.BybitWebSocketClient.new_trade(MAINNET, *account, url, 1),
            ),
        }
        self.of: dict[str, VenueLink] = {}
        for name, (url, make) in makers.items():
            self.of[name] = self.links.add(
                VenueLink(name, lambda url=url, make=make: make(url), url, "t1-probe-")  # type: ignore[misc]
            )

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for link in self.of.values():
            link.set_account_id(engine.AccountId("BYBIT-UNIFIED"))
            await link.connect(loop_=loop, callback=self.heard.append)
        for topic in ("orders", "executions", "positions", "wallet"):
            await getattr(self.of["private"], f"subscribe_{topic}")()

    async def until(self, wanted: Callable[[], bool]) -> float:
        """Tick until something holds; return how long it took."""
        began = time.monotonic()
        while not wanted():
            assert time.monotonic() - began < DEADLINE, self.links.states()
            await self.links.tick()
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    def all_ready(self) -> bool:
        return all(state.ready for state in self.links.states().values())


@asynccontextmanager
async def bench(secret: str = "practice-secret-anna", trades: bool = True) -> AsyncIterator[Bench]:
    async with asyncio.timeout(4 * DEADLINE), practice() as running:
        made = Bench(running, secret, trades)
        await made.connect()
        try:
            yield made
        finally:
            made.links.close()
            for link in made.of.values():
                await link.close()


def run(test: Callable[[Bench], Awaitable[None]], **how: Any) -> None:
    async def body() -> None:
        async with bench(**how) as made:
            await test(made)

    asyncio.run(body())


def operations(made: Bench) -> list[Any]:
    return [message for message in made.heard if isinstance(message, engine.OrderCancelRejected)]


def test_links_are_proven_by_what_only_who_is_logged_in_gets() -> None:
    async def test(made: Bench) -> None:
        assert not made.links.ready("trade")
        await made.until(made.all_ready)
        # The proof's own answer is nobody else's business.
        assert operations(made) == []
        assert made.links.failure() == ""
        assert made.links.ready("a link that this environment has not")

    run(test)


def test_a_wrong_secret_proves_nothing_and_says_so() -> None:
    async def test(made: Bench) -> None:
        await made.until(lambda: bool(made.links.failure()))
        await made.links.tick()
        assert not made.links.ready("private")
        assert not made.links.ready("trade")
        assert made.links.ready("public linear")

    run(test, secret="wrong")


def test_a_dry_run_sends_nothing_on_the_trade_link_not_even_its_proof() -> None:
    async def test(made: Bench) -> None:
        sent: list[str] = []
        made.running.faults.on_op = lambda op, account: sent.append(op)  # type: ignore[method-assign]
        await made.until(made.all_ready)
        assert sent == []

    run(test, trades=False)


@pytest.mark.skipif(not SUPPORTED, reason="TCP_INFO is Linux's")
def test_a_half_open_link_is_noticed_in_seconds_and_connected_anew() -> None:
    """Without it the adapter takes 35 to 40 s, whatever its heartbeat (measured)."""

    async def test(made: Bench) -> None:
        await made.until(made.all_ready)
        made.running.faults.links["trade"] = "frozen"
        took = await made.until(lambda: not made.links.ready("trade"))
        assert took <= slack(HALF_OPEN + 0.5)
        states = made.links.states()
        assert states["trade"].half_opens == 1
        # The others spoke on, and stay what they are.
        assert states["private"].half_opens == states["public linear"].half_opens == 0
        assert states["public linear"].ready
        made.running.faults.links["trade"] = "open"
        await made.until(made.all_ready)
        assert made.links.states()["trade"].reconnects >= 1

    run(test)


def test_a_killed_link_is_not_ready_until_it_is_logged_in_again() -> None:
    async def test(made: Bench) -> None:
        await made.until(made.all_ready)
        made.running.faults.kill("private")
        await made.until(lambda: not made.links.ready("private"))
        made.running.faults.links["private"] = "open"
        await made.until(made.all_ready)

    run(test)


def test_a_public_link_is_renewed_with_all_its_subscriptions() -> None:
    async def test(made: Bench) -> None:
        link = made.of["public linear"]
        rest = engine.BybitHttpClient(base_url=made.running.server.http)
        for instrument in await rest.request_instruments(engine.BybitProductType.LINEAR):
            link.cache_instrument(instrument)
        name = engine.InstrumentId.from_str(BTC)
        await link.subscribe_orderbook(name, 50)
        await link.subscribe_ticker(name)
        await link.subscribe_trades(name)
        await link.unsubscribe_trades(name)
        await made.until(lambda: len(made.heard) > 0)
        # The market stands still: the whole book comes once, maybe while the link is renewed.
        made.heard.clear()
        await made.links.renew("public linear")
        await made.until(lambda: len(made.heard) > 0)
        await made.until(lambda: link.subscription_count() == 2)
        assert made.links.states()["public linear"].connected

    run(test)
