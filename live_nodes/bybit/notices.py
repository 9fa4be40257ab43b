"""Poll the venue's announced maintenance, and the instruments that it trades."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any

from config.documents.node import Environment
from live_nodes.bybit.facts import products_of
from live_nodes.bybit.rest import VenueError, VenueRest
from live_nodes.local.timefmt import moment_text

STATUS_EVERY_S = 10.0
LISTING_EVERY_S = 60.0
TRADING_SERVICES = frozenset({1, 2, 3})
"""Service types of trading: all, HTTP, WebSocket
(https://bybit-exchange.github.io/docs/v5/enum)."""
PRODUCT_NUMBERS = {"LINEAR": 1, "SPOT": 2}
PRODUCTION, DEMO = 1, 2


class VenueNotices:
    """Polls the venue's maintenance notices; a failed request keeps the last state.

    `on_change` takes ``(maintenance, closed)``: why the venue takes no orders (else empty), and the
    closed instruments of `universe`. `environment` is the announcements' name of it (production or
    demo).
    """

    def __init__(
        self,
        rest: VenueRest,
        universe: Collection[str],
        environment: Environment,
        on_change: Callable[[str, frozenset[str]], None],
    ) -> None:
        self._rest, self._universe, self._environment = rest, frozenset(universe), environment
        self._on_change = on_change
        self._maintenance = ""
        self._closed: frozenset[str] = frozenset()
        self._is_unknown = False

    async def keep_asking(self) -> None:
        """Poll until cancelled."""
        listing_at = time.monotonic() + LISTING_EVERY_S
        while True:
            await self.ask_status()
            if time.monotonic() >= listing_at:
                await self.ask_listing()
                listing_at = time.monotonic() + LISTING_EVERY_S
            await asyncio.sleep(STATUS_EVERY_S)

    async def ask_status(self) -> None:
        """Fetch the announcements once."""
        if self._is_unknown:
            return
        try:
            rows = await self._rest.announced()
        except VenueError as error:
            # A venue without this path never announces anything.
            self._is_unknown = error.code == 404
            return
        products = products_of(self._universe)
        self._maintenance = maintenance(rows, products, self._environment)
        self._on_change(self._maintenance, self._closed)

    async def ask_listing(self) -> None:
        """Fetch the trading instruments once."""
        try:
            listed = [await self._rest.instruments(name) for name in products_of(self._universe)]
        except VenueError:
            return
        trading = {name for infos in listed for name in infos}
        self._closed = frozenset(self._universe - trading)
        self._on_change(self._maintenance, self._closed)


def maintenance(
    rows: Collection[dict[str, Any]], products: Collection[str], environment: Environment
) -> str:
    """Return why the venue takes no orders, else empty; `rows`: ``GET /v5/system/status``."""
    numbers = {PRODUCT_NUMBERS[product] for product in products}
    world = DEMO if environment == "demo" else PRODUCTION
    for row in rows:
        services = {int(number) for number in row.get("serviceTypes") or ()}
        concerned = {int(number) for number in row.get("product") or ()}
        if (
            row.get("state") == "ongoing"
            and int(row.get("env") or PRODUCTION) == world
            and services & TRADING_SERVICES
            and concerned & numbers
        ):
            title = row.get("title") or "without a title"
            end = row.get("end")
            until = moment_text(int(end) * 1_000_000) if end else "further notice"
            return f"maintenance of the venue until {until}: {title}"
    return ""
