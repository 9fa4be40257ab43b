"""Links of the adapter's own clients at the practice exchange: proven logins, whole renewals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from nautilus_trader.core import nautilus_pyo3 as engine

from live_nodes.bybit.links import VenueLink, VenueLinks
from live_nodes.bybit.sockets import SUPPORTED
from tests.live_nodes.practice.still_market import KEYS, practice
from tests.waiting import DEADLINE

BTC = "BTCUSDT-LINEAR.BYBIT"
LINEAR = engine.BybitProductType.LINEAR


async def links_are_proven_and_renewed() -> None:
    client, mainnet = engine.BybitWebSocketClient, engine.BybitEnvironment.MAINNET
    links = VenueLinks("t1", 3.0, 1.0)
    links.probe_instrument = BTC
    received: list[Any] = []
    async with asyncio.timeout(4 * DEADLINE), practice() as running:
        base = running.server.sockets_url
        account = (mainnet, *KEYS["anna"])
        makers: dict[str, tuple[str, Callable[[str, int], Any]]] = {
            "public linear": ("public/linear", partial(client.new_public, LINEAR, mainnet)),
            "private": ("private", partial(client.new_private, *account)),
            "trade": ("trade", partial(client.new_trade, *account)),
        }
        of = {
            name: links.add(VenueLink(name, partial(make, url, 1), url, "t1-probe-"))
            for name, (path, make) in makers.items()
            for url in [f"{base}/{path}"]
        }

        async def until(wanted: Callable[[], object]) -> None:
            while not wanted():
                await links.tick()
                await asyncio.sleep(0.05)

        try:
            for link in of.values():
                link.set_account_id(engine.AccountId("BYBIT-UNIFIED"))
                await link.connect(loop_=asyncio.get_running_loop(), callback=received.append)
            for topic in ("orders", "executions", "positions", "wallet"):
                await getattr(of["private"], f"subscribe_{topic}")()
            assert not links.ready("trade")
            await until(lambda: all(state.ready for state in links.by_name().values()))
            # The answer to the proof does not reach the adapter.
            assert not any(isinstance(m, engine.OrderCancelRejected) for m in received)
            assert links.failure() == ""
            assert links.reconnects() == dict.fromkeys([*of, "unseen"], 0)
            assert links.ready("a link that this environment does not have")

            public = of["public linear"]
            rest = engine.BybitHttpClient(base_url=running.server.http)
            for instrument in await rest.request_instruments(LINEAR):
                public.cache_instrument(instrument)
            name = engine.InstrumentId.from_str(BTC)
            await public.subscribe_orderbook(name, 50)
            await public.subscribe_ticker(name)
            await public.subscribe_trades(name)
            await public.unsubscribe_trades(name)
            await until(lambda: received)
            # The market stands still: the whole book comes once, maybe during the renewal.
            received.clear()
            await links.renew("public linear")
            await until(lambda: received)
            await until(lambda: public.subscription_count() == 2)
            assert links.by_name()["public linear"].connected
            await links.tick()
            assert links.reconnects() == {"public linear": 1, "private": 0, "trade": 0, "unseen": 0}
            if SUPPORTED:
                # Steady connections, one of which is back before the next check.
                steady = time.monotonic() + 5
                await until(lambda: time.monotonic() > steady)
                running.server.sockets.cut("private")
                await asyncio.sleep(1.0)
                assert of["private"].connected
                await links.tick()
                await until(lambda: of["private"].ready)
                found = links.reconnects()
                assert found == {"public linear": 1, "private": 0, "trade": 0, "unseen": 1}
            running.server.sockets.cut("trade")
            # Of its own name, or unseen where this machine is slow.
            await until(lambda: sum(links.reconnects().values()) == 2 + SUPPORTED)
            await until(lambda: links.down() == ())
        finally:
            links.close()
            for link in of.values():
                await link.close()


def test_logins_are_proven_and_a_renewed_link_has_its_subscriptions() -> None:
    asyncio.run(links_are_proven_and_renewed())


class Client:
    """A client that connects when it is told to."""

    def __init__(self) -> None:
        self.up = asyncio.Event()

    async def connect(self, loop_: Any, callback: Callable[[Any], None]) -> None:
        self.callback = callback
        await self.up.wait()

    async def close(self) -> None:
        """Nothing is open."""


async def waiting_data_are_dropped() -> None:
    links, clients, received = VenueLinks("t1", 3.0, 1.0), [Client() for _ in range(2)], list[Any]()
    first, second = clients
    link = links.add(VenueLink("public linear", partial(clients.pop, 0), "ws://host:1", "p"))
    first.up.set()
    await link.connect(None, received.append)
    first.callback("a")
    assert links.drop_waiting() == ["public linear"]
    first.callback("b")
    renewal = asyncio.create_task(links.renew("public linear"))
    await asyncio.sleep(0.01)
    # Nobody would renew a link once more that connects anew already.
    assert links.drop_waiting() == []
    second.up.set()
    await renewal
    first.callback("c")
    second.callback("d")
    assert received == ["a", "d"]


def test_what_waits_is_dropped_until_the_link_has_connected_anew() -> None:
    asyncio.run(waiting_data_are_dropped())
