"""REST and WebSocket server of the practice exchange, on one port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import BybitRefusal
from live_nodes.practice.exchange.store import StateFile
from live_nodes.practice.faults import FaultEffect, Faults
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.wire import account_requests, market_requests, order_requests
from live_nodes.practice.wire.access import Keyring, RateLimits
from live_nodes.practice.wire.sockets import Sockets
from live_nodes.practice.wire.venue import (
    NOT_FOUND,
    Handler,
    PracticeResponse,
    PracticeVenue,
    RequestDispatcher,
)

HOST = "127.0.0.1"
LAG_S = 0.05
HANDLERS: Mapping[str, Handler] = {
    **market_requests.HANDLERS,
    **account_requests.HANDLERS,
    **order_requests.HANDLERS,
}
STATUSES = {NOT_FOUND[0]: 404, 10003: 401}
"""HTTP status of a code, where it is not 200 (https://bybit-exchange.github.io/docs/v5/error)."""
_METHODS = dict.fromkeys(order_requests.HANDLERS, "POST")


class Server:
    """A practice exchange that listens on `port` and steps; `serve` makes one."""

    def __init__(
        self, venue: PracticeVenue, rest: Rest, sockets: Sockets, runner: web.AppRunner
    ) -> None:
        self.venue = venue
        self.rest = rest
        self.sockets = sockets
        self._runner = runner
        self.port: int = runner.addresses[0][1]
        self._raised = False
        self._stepping = asyncio.create_task(self._step(), name="practice exchange steps")

    @property
    def http(self) -> str:
        """Base address of REST, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def sockets_url(self) -> str:
        """Base address of the links; ``/public/linear``, ``/private`` or ``/trade`` follow."""
        return f"ws://{HOST}:{self.port}/v5"

    async def failed(self) -> None:
        """Wait until stepping ends and raise its error. A stopped server returns."""
        await asyncio.wait([self._stepping])
        if not self._stepping.cancelled():
            self._raised = True
            await self._stepping

    async def stop(self) -> None:
        """Cut the connections and stop; raise a stepping error unless `failed` did."""
        self._stepping.cancel()
        await asyncio.wait([self._stepping])
        self.sockets.cut_all()
        await self._runner.cleanup()
        if not self._stepping.cancelled() and not self._raised:
            await self._stepping

    async def _step(self) -> None:
        due = time.monotonic()
        while True:
            self.venue.step()
            # Catch up on small delays; after a long one, the next step covers its time.
            now = time.monotonic()
            due = max(due + self.venue.market.step_seconds, now - LAG_S)
            await asyncio.sleep(max(0.0, due - now))


async def serve(
    exchange: Exchange,
    market: PathMarket,
    keys: Mapping[str, tuple[str, str]],
    faults: Faults,
    store: StateFile,
    port: int = 0,
    limits: RateLimits | None = None,
) -> Server:
    """Listen on 127.0.0.1 (0: a free port) and step. OSError: a taken port."""
    venue = PracticeVenue(exchange, market, store, faults, keys)
    keyring = Keyring(keys)
    dispatcher = RequestDispatcher(venue, limits or RateLimits(), HANDLERS, order_requests.HANDLERS)
    sockets = Sockets(dispatcher, keyring)
    rest = Rest(dispatcher, keyring)
    # The market's first step quotes books, so that no client sees empty ones.
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


@dataclass(frozen=True)
class Rest:
    """All REST paths; `received` counts requests by ``"METHOD path"``, refused ones too."""

    dispatcher: RequestDispatcher
    keyring: Keyring
    received: Counter[str] = field(default_factory=Counter)

    def routes(self) -> list[web.RouteDef]:
        """Return one route for every path: an unknown path gets Bybit's answer."""
        return [web.route("*", "/{path:.*}", self._handle)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if not self.dispatcher.limits.take_address(
            request.remote or "", self.dispatcher.venue.clock_ms()
        ):
            return web.Response(status=403, text="access too frequent")
        path = request.path
        query = request.raw_path.partition("?")[2]
        raw = await request.read()
        self.received[f"{request.method} {path}"] += 1
        account, refused = "", None
        public = path in market_requests.HANDLERS
        try:
            if path not in HANDLERS or request.method != _METHODS.get(path, "GET"):
                raise BybitRefusal(*NOT_FOUND)
            body = _body(raw)
            if not public:
                payload = body if request.method == "POST" else query
                account = self.keyring.request(
                    request.headers, payload, self.dispatcher.venue.client_ms()
                )
            params = _params(request, body)
        except BybitRefusal as refusal:
            refused, params = PracticeResponse(refusal.code, refusal.message), {}
        fault = self.dispatcher.venue.faults.on_http(request.method, path, account or None)
        if refused is not None:
            answer = refused
        elif fault is None or fault.execute or _only_waits(fault):
            # A fault that only waits lets the request be carried out, after the wait.
            if fault is not None and not fault.execute:
                await asyncio.sleep(fault.delay_s)
                fault = None
            answer = self.dispatcher.answer(path, account, params)
            if answer.events:
                self.dispatcher.venue.publish(answer.events)
        else:
            answer = PracticeResponse()
        if fault is not None:
            return await self._wrong(request, fault, answer)
        return self._respond(answer)

    async def _wrong(
        self, request: web.Request, fault: FaultEffect, answer: PracticeResponse
    ) -> web.StreamResponse:
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.silent:
            transport = request.transport
            if transport is not None:
                transport.abort()
            return web.Response()
        if fault.status is not None:
            return web.Response(status=fault.status)
        if fault.ret_code is not None:
            return self._respond(
                PracticeResponse(fault.ret_code, fault.message, allowance=answer.allowance)
            )
        return self._respond(answer)

    def _respond(self, answer: PracticeResponse) -> web.Response:
        now_ms = self.dispatcher.venue.client_ms()
        envelope = {
            "retCode": answer.code,
            "retMsg": answer.message,
            "result": answer.result,
            "retExtInfo": answer.ext,
            "time": now_ms,
        }
        headers = {"Timenow": str(now_ms)}
        if answer.allowance is not None:
            headers |= answer.allowance.headers()
        return web.Response(
            status=STATUSES.get(answer.code, 200),
            body=msgspec.json.encode(envelope),
            content_type="application/json",
            headers=headers,
        )


def _only_waits(fault: FaultEffect) -> bool:
    return not fault.silent and fault.status is None and fault.ret_code is None


def _body(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BybitRefusal(10001, "Request parameter error: the body is not UTF-8.") from None


def _params(request: web.Request, body: str) -> Mapping[str, Any]:
    if request.method != "POST":
        return request.query
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise BybitRefusal(
            10001, "Request parameter error: the body is not a JSON object."
        ) from None
