"""The admin port's levers on the market: books, funding and what is announced of maintenance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from pydantic import Field

from config.documents.base import Part, Whole
from live_nodes.practice.exchange.model import Key, Refusal
from live_nodes.practice.market.announcements import FUTURES, SPOT, TRADING
from live_nodes.practice.market.market_controls import Kind, Lever
from live_nodes.practice.market.path_market import MINUTE_MS, PathMarket
from live_nodes.practice.opening import keep_called, keep_moves
from live_nodes.practice.store import Store
from live_nodes.practice.wire.venue import Venue

Positive = Annotated[Decimal, Field(gt=Decimal(0))]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Seconds = Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(86_400))]


class OfSymbol(Part):
    """A request about one symbol."""

    category: Literal["linear", "spot"] = "linear"
    symbol: str

    @property
    def key(self) -> Key:
        """Category and name."""
        return (self.category, self.symbol)


class MoveRequest(OfSymbol):
    """Where a price jumps to: `price`, or `by` a fraction of where it is."""

    price: Positive | None = None
    by: Annotated[Decimal, Field(gt=Decimal(-1), le=Decimal(10))] | None = None


class MovesRequest(Part):
    """Prices that jump at one moment."""

    moves: Annotated[tuple[MoveRequest, ...], Field(min_length=1, max_length=100)]


class BookRequest(OfSymbol):
    """What becomes of a book, for some seconds: give one of the three, in hundredths of a percent.

    Parameters
    ----------
    spread : Decimal
        From best bid to best ask.
    gap : Decimal
        From a touch of the least quantity to all that stands behind it.
    crossed : Decimal
        By which the best bid is told above the best ask.
    """

    spread: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(5_000))] | None = None
    gap: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(5_000))] | None = None
    crossed: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(5_000))] | None = None
    seconds: Seconds


class FundingRequest(OfSymbol):
    """When funding is settled besides the schedule: the first whole minute after `seconds`."""

    seconds: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(86_400))] = Decimal(0)
    rate: Annotated[Decimal, Field(ge=Decimal("-0.05"), le=Decimal("0.05"))] | None = None


class AnnounceRequest(Part):
    """A maintenance to announce; `services` and `products` in Bybit's numbers."""

    title: Annotated[str, Field(min_length=1, max_length=200)] = "System maintenance"
    begins_in: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(604_800))] = Decimal(0)
    seconds: Seconds
    services: tuple[Annotated[Whole, Field(ge=1, le=5)], ...] = (TRADING,)
    products: tuple[Annotated[Whole, Field(ge=1, le=4)], ...] = (FUTURES, SPOT)


class MarketAdmin:
    """What the admin may do to the market of one exchange.

    Parameters
    ----------
    venue : Venue
        The exchange in operation.
    market : PathMarket
        Its market.
    store : Store
        Its state file.
    """

    def __init__(self, venue: Venue, market: PathMarket, store: Store) -> None:
        self._venue, self._market, self._store = venue, market, store
        market.levers = venue.levers

    def routes(self) -> list[web.RouteDef]:
        """Return its routes."""
        return [
            web.post("/move", self._move),
            web.post("/moves", self._moves),
            web.post("/book", self._book),
            web.delete("/book", self._let_go),
            web.post("/funding", self._funding),
            web.delete("/funding", self._call_off),
            web.post("/announce", self._announce),
            web.delete("/announce", self._end_announced),
        ]

    async def _move(self, request: web.Request) -> web.Response:
        asked = MoveRequest.model_validate_json(await request.text())
        [last] = self._carried_out((asked,))
        return as_json({"last": last})

    async def _moves(self, request: web.Request) -> web.Response:
        asked = MovesRequest.model_validate_json(await request.text())
        return as_json({"last": self._carried_out(asked.moves)})

    def _carried_out(self, moves: Sequence[MoveRequest]) -> list[Decimal]:
        """Let prices jump, all in one step; return where they are."""
        for asked in moves:
            self._venue.exchange.symbol(asked.key)
            if (asked.price is None) == (asked.by is None):
                raise Refusal(400, "give one of price and by")
        now_ms = self._venue.clock_ms()
        for asked in moves:
            price = asked.price
            if asked.by is not None:
                price = self._market.prices(asked.key, now_ms).last * (1 + asked.by)
            assert price is not None
            self._market.move(asked.key, price, now_ms)
        keep_moves(self._store, self._market)
        self._venue.step()
        return [self._market.prices(asked.key, now_ms).last for asked in moves]

    async def _book(self, request: web.Request) -> web.Response:
        asked = BookRequest.model_validate_json(await request.text())
        self._venue.exchange.symbol(asked.key)
        wanted: dict[Kind, Decimal | None] = {
            "spread": asked.spread,
            "gap": asked.gap,
            "crossed": asked.crossed,
        }
        given = {kind: bps for kind, bps in wanted.items() if bps is not None}
        if len(given) != 1:
            raise Refusal(400, "give one of spread, gap and crossed")
        [(kind, bps)] = given.items()
        now_ms = self._venue.clock_ms()
        until_ms = now_ms + round(asked.seconds * 1_000)
        self._venue.levers.pull(asked.key, Lever(kind, bps, until_ms))
        self._venue.exchange.quote(asked.key, *self._market.book(asked.key, now_ms), now_ms)
        self._venue.settle([asked.key])
        bids, asks = self._venue.book(asked.key, 1)
        return as_json({"bid": bids[0][0], "ask": asks[0][0], "until_ms": until_ms})

    async def _let_go(self, request: web.Request) -> web.Response:
        self._venue.levers.let_go()
        return as_json({})

    async def _call_off(self, request: web.Request) -> web.Response:
        self._market.call_off(self._venue.clock_ms())
        keep_called(self._store, self._market)
        return as_json({})

    async def _funding(self, request: web.Request) -> web.Response:
        asked = FundingRequest.model_validate_json(await request.text())
        symbol = self._venue.exchange.symbol(asked.key)
        if not symbol.funding_minutes:
            raise Refusal(400, f"{symbol.name} has no funding")
        # The exchange settles on whole minutes, each of them once.
        after_ms = self._venue.clock_ms() + round(asked.seconds * 1_000)
        time_ms = (after_ms // MINUTE_MS + 1) * MINUTE_MS
        called = self._market.call_funding(asked.key, asked.rate, time_ms)
        keep_called(self._store, self._market)
        self._venue.settle([asked.key])
        return as_json({"time_ms": called.time_ms, "rate": called.rate})

    async def _announce(self, request: web.Request) -> web.Response:
        asked = AnnounceRequest.model_validate_json(await request.text())
        begin_ms = self._venue.clock_ms() + round(asked.begins_in * 1_000)
        end_ms = begin_ms + round(asked.seconds * 1_000)
        made = self._venue.announcements.announce(
            asked.title, begin_ms, end_ms, asked.services, asked.products
        )
        return as_json(made.row(self._venue.clock_ms()))

    async def _end_announced(self, request: web.Request) -> web.Response:
        self._venue.announcements.end_all(self._venue.clock_ms())
        return as_json(self._venue.announcements.rows(self._venue.clock_ms()))


def as_json(value: Any, status: int = 200) -> web.Response:
    """Return an answer of the admin port."""
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type="application/json")
