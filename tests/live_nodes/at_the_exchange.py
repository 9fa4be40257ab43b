"""A journal and our REST client at a practice exchange that stands still."""

from __future__ import annotations

import asyncio
import functools
import inspect
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

from actors.records.journal import Journal
from actors.records.order_facts import OrderFacts
from config.documents.watch import Policies
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.keys import KeyPair, Secret, practice_keys
from live_nodes.practice.exchange.model import Key, Side
from live_nodes.reconcile.recovery import Recovery
from tests.live_nodes.practice.still_market import Practice, practice
from tests.waiting import DEADLINE

TAG = "n1"
BTC = "BTCUSDT-LINEAR.BYBIT"
SPOT = "BTCUSDT-SPOT.BYBIT"


class Scene:
    """The exchange, a client of it and a node's journal."""

    def __init__(self, exchange: Practice, rest: VenueRest, journal: Journal) -> None:
        self.exchange, self.rest, self.journal = exchange, rest, journal

    def intend(self, name: str, side: str = "BUY", quantity: str = "0.010", **facts: Any) -> None:
        """Write an intent down without sending anything."""
        self.journal.intended(
            OrderFacts(
                operation="submit",
                client_order_id=name,
                strategy="rev",
                instrument=BTC,
                side=side,
                quantity=D(quantity),
                ts=time.time_ns(),
                **facts,
            )
        )

    async def send(self, name: str, side: str = "Buy", quantity: str = "0.010", **more: Any) -> str:
        """Send an order to the exchange past any journal; a market order without a price."""
        fields: dict[str, Any] = {"side": side, "qty": quantity, "orderType": "Market"} | more
        if name:
            fields["orderLinkId"] = name
        if "price" in fields:
            fields |= {"orderType": "Limit", "timeInForce": "GTC"}
        return await self.rest.create(BTC, fields)

    def print_at(self, side: Side, price: str, quantity: str) -> None:
        """Let somebody trade bitcoin perpetuals at a price."""
        venue = self.exchange.server.venue
        key: Key = ("linear", "BTCUSDT")
        venue.exchange.trade(key, side, D(price), D(quantity), venue.clock_ms())
        venue.settle([key])

    async def open(self) -> set[str]:
        """Return the link ids of open orders; manual ones have an empty one."""
        return {order.order_link_id for order in await self.rest.open_orders("LINEAR")}

    def recovery(self, **settings: Any) -> Recovery:
        """Return a recovery that waits a third of a second between two misses."""
        policies = Policies(**settings.pop("policies", {}))
        products = settings.pop("products", ("LINEAR", "SPOT"))
        return Recovery(self.journal, self.rest, TAG, products, policies, patience=0.3, **settings)

    def restart(self) -> None:
        """Open the journal anew, as the next run of a node that was killed."""
        folder = self.journal.folder
        self.journal.close()
        self.journal = opened(folder)


def opened(folder: Path) -> Journal:
    journal = Journal.open(folder, node="test")
    journal.begin_run(environment="practice", document="abc")
    return journal


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    keys = KeyPair(*map(Secret, practice_keys("anna")))
    with tempfile.TemporaryDirectory() as folder:
        async with practice() as exchange, VenueRest(exchange.server.http, keys) as rest:
            made = Scene(exchange, rest, opened(Path(folder)))
            try:
                yield made
            finally:
                made.journal.close()


def at_the_exchange(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a scene of its own."""

    async def body(given: dict[str, Any]) -> None:
        async with asyncio.timeout(DEADLINE), scene() as made:
            await test(made, **given)

    @functools.wraps(test)
    def run(**given: Any) -> None:
        asyncio.run(body(given))

    # Pytest must see the parameters, and not the scene.
    parameters = list(inspect.signature(test).parameters.values())[1:]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    del run.__wrapped__  # type: ignore[attr-defined]
    return run
