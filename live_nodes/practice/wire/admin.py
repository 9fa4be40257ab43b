"""The admin port: faults, drills and a look inside, in JSON. Only practice has one.

======================  ====================================================================
``GET /health``         ``{pid}``
``GET /state``          accounts, requests and operations received, links, faults
``POST /faults``        ``{name: fault, …}`` as in a scenario's ``faults``
``DELETE /faults``      all of them; ``/faults/NAME`` one
``POST /move``          ``{category, symbol, price}`` or ``{…, by}`` (a fraction): prices jump
``POST /moves``         ``{moves: [{…}, …]}``: several at one moment
``POST /book``          ``{category, symbol, spread | gap | crossed, seconds}``, in bps
``DELETE /book``        books are as ever
``POST /funding``       ``{symbol, seconds, rate?}``: a settlement besides the schedule
``DELETE /funding``     those that have not come are called off
``POST /announce``      ``{title, begins_in?, seconds, services?, products?}``: maintenance
``DELETE /announce``    what is announced ends
``POST /fill``          ``{account, order_id | order_link_id, qty?}``: a print at its price
``POST /external_order``  ``{account, category, symbol, side, qty, price?}``: as by hand
``POST /halt``          ``{category, symbol, seconds}``
======================  ====================================================================

A symbol falls silent by the fault ``{model: drop, channel: public, topic: "*.BTCUSDT", seconds}``
and its messages come late by ``{model: delay, …, by}``.

What is wrong with a request is answered with status 400 and ``{"error": …}``.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError

from config.documents.base import DocumentName, Part
from config.documents.scenario import Fault, Halt
from live_nodes.practice.exchange.model import Order, OrderRequest, Refusal, Side
from live_nodes.practice.faults.faults import CHANNELS, Faults
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.store import Store
from live_nodes.practice.wire.admin_market import Handler, MarketAdmin, OfSymbol, Positive, as_json
from live_nodes.practice.wire.server import HOST, Server

FAULTS: TypeAdapter[dict[str, Fault]] = TypeAdapter(dict[DocumentName, Fault])
MOST_PRINTS = 1_000


class FillRequest(Part):
    """Which resting order is filled; `qty` null is all that is left of it."""

    account: str
    order_id: str = ""
    order_link_id: str = ""
    qty: Positive | None = None


class ManualOrder(OfSymbol):
    """An order that the account's owner gives by hand: without an order link id."""

    account: str
    side: Literal["Buy", "Sell"]
    qty: Positive
    price: Positive | None = None


class HaltRequest(OfSymbol):
    """How long a symbol takes no orders."""

    seconds: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(86_400))]


class Admin:
    """The admin's requests to one exchange.

    Parameters
    ----------
    server : Server
        The exchange on the wire.
    market : PathMarket
        Its market.
    faults : Faults
        Its faults.
    store : Store
        Its state file.
    """

    def __init__(self, server: Server, market: PathMarket, faults: Faults, store: Store) -> None:
        self._server = server
        self._venue = server.venue
        self._market = market
        self._faults = faults
        self._of_market = MarketAdmin(server.venue, market, store)
        self._runner: web.AppRunner | None = None

    async def listen(self, port: int) -> int:
        """Listen on 127.0.0.1 and return the port.

        Raises
        ------
        OSError
            When the port is taken.
        """
        app = web.Application(middlewares=[_in_words])
        app.router.add_routes(
            [
                web.get("/health", self._health),
                web.get("/state", self._state),
                web.post("/faults", self._add_faults),
                web.delete("/faults", self._clear_faults),
                web.delete("/faults/{name}", self._remove_fault),
                web.post("/fill", self._fill),
                web.post("/external_order", self._external_order),
                web.post("/halt", self._halt),
                *self._of_market.routes(),
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

    async def _health(self, request: web.Request) -> web.Response:
        return as_json({"pid": os.getpid()})

    async def _state(self, request: web.Request) -> web.Response:
        exchange = self._venue.exchange
        accounts = {
            name: {
                "open_orders": exchange.open_orders(name),
                "past_orders": exchange.order_history(name),
                "executions": exchange.executions(name),
                "positions": exchange.positions(name),
                "wallet": exchange.wallet(name),
            }
            for name in exchange.accounts()
        }
        return as_json(
            {
                "now_ms": self._venue.clock_ms(),
                "accounts": accounts,
                "requests": dict(self._server.rest.received),
                "operations": dict(self._faults.operations),
                "connections": self._server.sockets.connected(),
                "links": {name: self._faults.link(name) for name in CHANNELS},
                "faults": self._faults.told(),
                "effects": list(self._faults.log),
            }
        )

    async def _add_faults(self, request: web.Request) -> web.Response:
        for name, fault in FAULTS.validate_json(await request.text()).items():
            self._faults.add(name, fault)
        self._faults.poll()
        return as_json(self._faults.told())

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return as_json({})

    async def _remove_fault(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._faults.told():
            raise Refusal(404, f"there is no fault {name}")
        self._faults.remove(name)
        return as_json(self._faults.told())

    async def _fill(self, request: web.Request) -> web.Response:
        asked = FillRequest.model_validate_json(await request.text())
        exchange = self._venue.exchange
        self._known(asked.account)
        order = exchange.find_order(asked.account, asked.order_id, asked.order_link_id)
        if order is None or order.status not in ("New", "PartiallyFilled"):
            raise Refusal(400, "there is no such resting order")
        side: Side = "Sell" if order.side == "Buy" else "Buy"
        target = min(order.filled + (asked.qty or order.leaves), order.qty)
        now_ms = self._venue.clock_ms()
        # The house's queue first, then what is in front and the order itself, never more than
        # the order may fill.
        exchange.trade(order.key, side, order.price, self._queue_ahead(order), now_ms)
        for _ in range(MOST_PRINTS):
            found = exchange.find_order(order.account, order.order_id)
            if found is None or found.final or found.filled >= target:
                break
            exchange.trade(order.key, side, order.price, target - found.filled, now_ms)
        self._venue.settle([order.key])
        return as_json(exchange.find_order(asked.account, order.order_id))

    async def _external_order(self, request: web.Request) -> web.Response:
        asked = ManualOrder.model_validate_json(await request.text())
        self._known(asked.account)
        order = self._venue.exchange.create(
            asked.account,
            OrderRequest(
                category=asked.category,
                symbol=asked.symbol,
                side=asked.side,
                order_type="Market" if asked.price is None else "Limit",
                qty=asked.qty,
                price=asked.price,
                time_in_force="IOC" if asked.price is None else "GTC",
                market_unit="baseCoin" if asked.category == "spot" and not asked.price else "",
            ),
            self._venue.clock_ms(),
        )
        self._venue.settle([asked.key])
        return as_json(order)

    async def _halt(self, request: web.Request) -> web.Response:
        asked = HaltRequest.model_validate_json(await request.text())
        self._venue.exchange.symbol(asked.key)
        name = f"halt-{asked.category}-{asked.symbol}".lower()
        self._faults.add(
            name, Halt(symbol=asked.symbol, category=asked.category, seconds=asked.seconds)
        )
        self._faults.poll()
        self._market.apply_halts(self._venue.exchange, self._venue.clock_ms())
        self._venue.settle([asked.key])
        return as_json(self._faults.told())

    def _queue_ahead(self, order: Order) -> Decimal:
        """Return the house's quantity in front now: an order's own row may be older."""
        rows = self._venue.exchange.rows()
        mine = (
            row.queue_ahead
            for row in rows
            if isinstance(row, Order) and row.order_id == order.order_id
        )
        return next(mine, Decimal(0))

    def _known(self, account: str) -> None:
        names = self._venue.exchange.accounts()
        if account not in names:
            raise Refusal(400, f"there is no account {account}; there are {', '.join(names)}")


@web.middleware
async def _in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(step) for step in problem['loc']) or 'body'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        return as_json({"error": "; ".join(problems)}, status=400)
    except Refusal as refusal:
        return as_json({"error": refusal.message}, status=400)
