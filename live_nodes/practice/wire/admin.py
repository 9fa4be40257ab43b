"""The admin port: faults, market controls and the exchange's state, in JSON. Only practice has one.

======================  ====================================================================
``GET /health``         ``{pid}``
``GET /state``          accounts, requests and operations received, links, faults
``GET /faults``         what each fault has met
``POST /faults``        ``{name: fault, …}`` as in a scenario's ``faults``
``DELETE /faults``      all of them; ``/faults/NAME`` one
``POST /move``          ``{category, symbol, price}`` or ``{…, by}`` (a fraction): prices jump
``POST /moves``         ``{moves: [{…}, …]}``: several at one moment
``POST /book``          ``{category, symbol, spread | gap | crossed, seconds}``, in bps
``DELETE /book``        end all book changes
``POST /funding``       ``{symbol, seconds, rate?}``: an additional settlement
``DELETE /funding``     cancel the future ones
``POST /announce``      ``{title, begins_in?, seconds, services?, products?}``: maintenance
``DELETE /announce``    end all announced maintenance
``POST /fill``          ``{account, order_id | order_link_id, qty?}``: a print at its price
``POST /external_order``  ``{account, category, symbol, side, qty, price?}``: by hand
``POST /transfer``      ``{account, amount, coin?, kind?}``: paid in, or out if negative
``POST /halt``          ``{category, symbol, seconds}``
``POST /key``           ``{account, read_only?, permissions?, ips?, expires?}``: an API key's terms
======================  ====================================================================

Liquidation, deleveraging, delisting and a changed tick are faults, too: they happen at once, as in
``{"adl": {"model": "adl", "account": "main", "symbol": "BTCUSDT", "part": "0.5"}}``.

A wrong request gets status 400 and ``{"error": …}``. The fault ``{model: drop, channel: public,
topic: "*.BTCUSDT", seconds}`` stops a symbol's messages; ``{model: delay, …, by}`` delays them.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from config.documents.base import DocumentName, Part, Whole
from config.documents.scenario import Fault, HaltFault
from live_nodes.practice.exchange.model import MINUTE_MS, BybitRefusal, Key, Side
from live_nodes.practice.exchange.records import OrderRow
from live_nodes.practice.exchange.requests import OrderRequest
from live_nodes.practice.faults import CHANNELS
from live_nodes.practice.market.market_controls import (
    FUTURES,
    SPOT,
    TRADING,
    BookControl,
    ControlKind,
)
from live_nodes.practice.wire.access import KeyTerms
from live_nodes.practice.wire.server import HOST, Server

MOST_PRINTS = 1_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Positive = Annotated[Decimal, Field(gt=Decimal(0))]
Seconds = Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(86_400))]
Bps = Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(5_000))]


class OfSymbol(Part):
    """A request about one symbol."""

    category: Literal["linear", "spot"] = "linear"
    symbol: str

    @property
    def key(self) -> Key:
        """Category and name."""
        return (self.category, self.symbol)


class FillRequest(Part):
    """Which resting order to fill; a null `qty` fills the whole rest."""

    account: str
    order_id: str = ""
    order_link_id: str = ""
    qty: Positive | None = None


class ManualOrder(OfSymbol):
    """An order that the account's owner places by hand, without an order link id."""

    account: str
    side: Literal["Buy", "Sell"]
    qty: Positive
    price: Positive | None = None


class TransferRequest(Part):
    """Money into an account's wallet, or out of it; `kind` is a type of the transaction log."""

    account: str
    amount: Decimal
    coin: Annotated[str, Field(pattern="^[A-Z0-9]{2,12}$")] = "USDT"
    kind: Annotated[str, Field(pattern="^[A-Z_]*$")] = ""


class HaltRequest(OfSymbol):
    """How many seconds a symbol takes no orders."""

    seconds: Seconds


class KeyRequest(Part):
    """Other terms of an account's API key until the exchange stops; the rest is as usual."""

    account: str
    read_only: bool = False
    permissions: Mapping[str, tuple[str, ...]] = KeyTerms().permissions
    ips: tuple[str, ...] = KeyTerms.ips
    expires: AwareDatetime = KeyTerms.expires


class MoveRequest(OfSymbol):
    """A price jump: to `price`, or `by` a fraction of the present price."""

    price: Positive | None = None
    by: Annotated[Decimal, Field(gt=Decimal(-1), le=Decimal(10))] | None = None


class MovesRequest(Part):
    """Price jumps at one moment."""

    moves: Annotated[tuple[MoveRequest, ...], Field(min_length=1, max_length=100)]


class BookRequest(OfSymbol):
    """A book change for some seconds: give one of the three, in hundredths of a percent."""

    spread: Bps | None = None
    gap: Bps | None = None
    crossed: Bps | None = None
    seconds: Seconds


class FundingRequest(OfSymbol):
    """An additional funding settlement, at the first whole minute after `seconds`."""

    seconds: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(86_400))] = Decimal(0)
    rate: Annotated[Decimal, Field(ge=Decimal("-0.05"), le=Decimal("0.05"))] | None = None


class AnnounceRequest(Part):
    """A maintenance to announce; `services` and `products` in Bybit's numbers."""

    title: Annotated[str, Field(min_length=1, max_length=200)] = "System maintenance"
    begins_in: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(604_800))] = Decimal(0)
    seconds: Seconds
    services: tuple[Annotated[Whole, Field(ge=1, le=5)], ...] = (TRADING,)
    products: tuple[Annotated[Whole, Field(ge=1, le=4)], ...] = (FUTURES, SPOT)


class AdminPort:
    """The admin port of one exchange."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._venue = venue = server.venue
        self._market, self._faults, self._store = venue.market, venue.faults, venue.store
        self._runner: web.AppRunner | None = None
        self._market.controls = venue.controls

    def _routes(self) -> tuple[tuple[str, str, Any, Callable[..., Any]], ...]:
        faults = dict[DocumentName, Fault]
        return (
            ("GET", "/health", None, lambda: {"pid": os.getpid()}),
            ("GET", "/state", None, self._state),
            ("GET", "/faults", None, self._faults.report),
            ("POST", "/faults", faults, self._add_faults),
            ("DELETE", "/faults", None, self._faults.clear),
            ("DELETE", "/faults/{name}", None, self._remove_fault),
            ("POST", "/fill", FillRequest, self._fill),
            ("POST", "/external_order", ManualOrder, self._external_order),
            ("POST", "/transfer", TransferRequest, self._transfer),
            ("POST", "/halt", HaltRequest, self._halt),
            ("POST", "/key", KeyRequest, self._change_key),
            ("POST", "/move", MoveRequest, lambda wanted: {"last": self._move((wanted,))[0]}),
            ("POST", "/moves", MovesRequest, lambda wanted: {"last": self._move(wanted.moves)}),
            ("POST", "/book", BookRequest, self._book),
            ("DELETE", "/book", None, self._venue.controls.clear),
            ("POST", "/funding", FundingRequest, self._add_settlement),
            ("DELETE", "/funding", None, self._cancel_settlements),
            ("POST", "/announce", AnnounceRequest, self._announce),
            ("DELETE", "/announce", None, self._end_announcements),
        )

    async def listen(self, port: int) -> int:
        """Listen on 127.0.0.1 and return the port. Raises OSError when the port is taken."""
        app = web.Application(middlewares=[_errors_as_json])
        app.router.add_routes(
            [
                web.route(method, path, _handler(body, act))
                for method, path, body, act in self._routes()
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _state(self) -> Any:
        exchange = self._venue.exchange
        return {
            "now_ms": self._venue.clock_ms(),
            "accounts": {
                name: {
                    "open_orders": exchange.open_orders(name),
                    "past_orders": exchange.order_history(name),
                    "executions": exchange.executions(name),
                    "positions": exchange.positions(name),
                    "wallet": exchange.wallet(name),
                }
                for name in exchange.accounts()
            },
            "requests": dict(self._server.rest.received),
            "operations": dict(self._faults.operations),
            "connections": self._server.sockets.connected(),
            "links": {name: self._faults.link(name) for name in CHANNELS},
            "faults": self._faults.report(),
            "effects": list(self._faults.log),
        }

    def _add_faults(self, faults: dict[str, Fault]) -> Any:
        for name, fault in faults.items():
            self._faults.add(name, fault)
        self._venue.step()
        return self._faults.report()

    def _remove_fault(self, name: str) -> Any:
        if name not in self._faults.report():
            raise BybitRefusal(404, f"there is no fault {name}")
        self._faults.remove(name)
        return self._faults.report()

    def _halt(self, wanted: HaltRequest) -> Any:
        self._venue.exchange.symbol(wanted.key)
        name = f"halt-{wanted.category}-{wanted.symbol}".lower()
        halt = HaltFault(symbol=wanted.symbol, category=wanted.category, seconds=wanted.seconds)
        self._faults.add(name, halt)
        self._faults.poll()
        self._market.apply_halts(self._venue.exchange, self._venue.clock_ms())
        self._venue.settle([wanted.key])
        return self._faults.report()

    def _fill(self, wanted: FillRequest) -> Any:
        exchange = self._venue.exchange
        self._check_account(wanted.account)
        order = exchange.find_order(wanted.account, wanted.order_id, wanted.order_link_id)
        if order is None or order.status not in ("New", "PartiallyFilled"):
            raise BybitRefusal(400, "there is no such resting order")
        side: Side = "Sell" if order.side == "Buy" else "Buy"
        target = min(order.filled + (wanted.qty or order.leaves), order.qty)
        now_ms = self._venue.clock_ms()
        # The house's queue fills first, then the orders in front and the order, up to `target`.
        exchange.trade(order.key, side, order.price, self._queue_ahead(order), now_ms)
        for _ in range(MOST_PRINTS):
            found = exchange.find_order(order.account, order.order_id)
            if found is None or found.final or found.filled >= target:
                break
            exchange.trade(order.key, side, order.price, target - found.filled, now_ms)
        self._venue.settle([order.key])
        return exchange.find_order(wanted.account, order.order_id)

    def _external_order(self, wanted: ManualOrder) -> Any:
        self._check_account(wanted.account)
        order = self._venue.exchange.create(
            wanted.account,
            OrderRequest(
                category=wanted.category, symbol=wanted.symbol, side=wanted.side,
                order_type="Market" if wanted.price is None else "Limit", qty=wanted.qty,
                price=wanted.price, time_in_force="IOC" if wanted.price is None else "GTC",
                market_unit="baseCoin" if wanted.category == "spot" and not wanted.price else "",
            ),
            self._venue.clock_ms(),
        )  # fmt: skip
        self._venue.settle([wanted.key])
        return order

    def _change_key(self, wanted: KeyRequest) -> None:
        self._check_account(wanted.account)
        terms = wanted.model_dump(exclude={"account"})
        self._venue.key_terms[wanted.account] = KeyTerms(**terms)

    def _transfer(self, wanted: TransferRequest) -> Any:
        self._check_account(wanted.account)
        kind = wanted.kind or ("TRANSFER_IN" if wanted.amount > 0 else "TRANSFER_OUT")
        made = self._venue.exchange.transfer(
            wanted.account, kind, wanted.coin, wanted.amount, self._venue.clock_ms()
        )
        self._venue.settle()
        return made

    def _queue_ahead(self, order: OrderRow) -> Decimal:
        """Return the house's quantity in front now: the order's own row may be older."""
        rows = (row for row in self._venue.exchange.rows() if isinstance(row, OrderRow))
        found = (row.queue_ahead for row in rows if row.order_id == order.order_id)
        return next(found, Decimal(0))

    def _check_account(self, account: str) -> None:
        names = self._venue.exchange.accounts()
        if account not in names:
            raise BybitRefusal(400, f"there is no account {account}; there are {', '.join(names)}")

    def _move(self, moves: tuple[MoveRequest, ...]) -> list[Decimal]:
        for wanted in moves:
            self._venue.exchange.symbol(wanted.key)
            if (wanted.price is None) == (wanted.by is None):
                raise BybitRefusal(400, "give one of price and by")
        now_ms = self._venue.clock_ms()
        for wanted in moves:
            price = wanted.price
            if wanted.by is not None:
                price = self._market.prices(wanted.key, now_ms).last * (1 + wanted.by)
            assert price is not None
            self._market.move(wanted.key, price, now_ms)
        self._store.keep_fact("moves", self._market.saved_moves())
        self._venue.step()
        return [self._market.prices(wanted.key, now_ms).last for wanted in moves]

    def _book(self, wanted: BookRequest) -> Any:
        self._venue.exchange.symbol(wanted.key)
        kinds: tuple[ControlKind, ...] = ("spread", "gap", "crossed")
        given = {kind: bps for kind in kinds if (bps := getattr(wanted, kind)) is not None}
        if len(given) != 1:
            raise BybitRefusal(400, "give one of spread, gap and crossed")
        [(kind, bps)] = given.items()
        now_ms = self._venue.clock_ms()
        until_ms = now_ms + round(wanted.seconds * 1_000)
        self._venue.controls.set(wanted.key, BookControl(kind, bps, until_ms))
        self._venue.exchange.quote(wanted.key, *self._market.book(wanted.key, now_ms), now_ms)
        self._venue.settle([wanted.key])
        bids, asks = self._venue.book(wanted.key, 1)
        return {"bid": bids[0][0], "ask": asks[0][0], "until_ms": until_ms}

    def _add_settlement(self, wanted: FundingRequest) -> Any:
        symbol = self._venue.exchange.symbol(wanted.key)
        if not symbol.funding_minutes:
            raise BybitRefusal(400, f"{symbol.name} has no funding")
        # The exchange settles on whole minutes, each only once.
        after_ms = self._venue.clock_ms() + round(wanted.seconds * 1_000)
        time_ms = (after_ms // MINUTE_MS + 1) * MINUTE_MS
        added = self._market.add_settlement(wanted.key, wanted.rate, time_ms)
        self._store.keep_fact("called", self._market.saved_settlements())
        self._venue.settle([wanted.key])
        return {"time_ms": added.time_ms, "rate": added.rate}

    def _cancel_settlements(self) -> None:
        self._market.cancel_settlements(self._venue.clock_ms())
        self._store.keep_fact("called", self._market.saved_settlements())

    def _announce(self, wanted: AnnounceRequest) -> Any:
        begin_ms = self._venue.clock_ms() + round(wanted.begins_in * 1_000)
        end_ms = begin_ms + round(wanted.seconds * 1_000)
        made = self._venue.announcements.announce(
            wanted.title, begin_ms, end_ms, wanted.services, wanted.products
        )
        return made.row(self._venue.clock_ms())

    def _end_announcements(self) -> Any:
        self._venue.announcements.end_all(self._venue.clock_ms())
        return self._venue.announcements.rows(self._venue.clock_ms())


def _handler(body: Any, act: Callable[..., Any]) -> Handler:
    adapter = None if body is None else TypeAdapter(body)

    async def handle(request: web.Request) -> web.StreamResponse:
        if adapter is None:
            return _as_json(act(**request.match_info))
        return _as_json(act(adapter.validate_json(await request.text())))

    return handle


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(step) for step in problem['loc']) or 'body'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        return _as_json({"error": "; ".join(problems)}, status=400)
    except BybitRefusal as refusal:
        return _as_json({"error": refusal.message}, status=400)


def _as_json(value: Any, status: int = 200) -> web.Response:
    body = msgspec.json.encode({} if value is None else value)
    return web.Response(body=body, status=status, content_type="application/json")
