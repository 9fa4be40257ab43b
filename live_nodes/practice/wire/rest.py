"""REST: signature, rate limit, fault, and Bybit's envelope around each answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from live_nodes.practice.exchange.model import Refusal
from live_nodes.practice.faults.fault_hooks import HttpFault
from live_nodes.practice.wire import account_requests, market_requests, order_requests
from live_nodes.practice.wire.desk import NOT_FOUND, Answer, Desk, Handler
from live_nodes.practice.wire.limits import Limits
from live_nodes.practice.wire.signing import Keyring
from live_nodes.practice.wire.venue import Venue

Json = dict[str, Any]
HANDLERS: Mapping[str, Handler] = {
    **market_requests.HANDLERS,
    **account_requests.HANDLERS,
    **order_requests.HANDLERS,
}
_METHODS = dict.fromkeys(order_requests.HANDLERS, "POST")


class Rest:
    """All REST paths.

    Parameters
    ----------
    venue, desk, keyring, limits
        The exchange in operation, where requests are carried out, the accounts' keys, and how
        often an address may ask.

    Attributes
    ----------
    received : Counter
        Requests by ``"METHOD path"``, refused ones too.
    """

    def __init__(self, venue: Venue, desk: Desk, keyring: Keyring, limits: Limits) -> None:
        self._venue = venue
        self._desk = desk
        self._keyring = keyring
        self._limits = limits
        self.received: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """Return one route for every path: what is unknown is answered in Bybit's words."""
        return [web.route("*", "/{path:.*}", self._handle)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if not self._limits.take_address(request.remote or "", self._venue.clock_ms()):
            return web.Response(status=403, text="access too frequent")
        path = request.path
        query = request.raw_path.partition("?")[2]
        raw = await request.read()
        self.received[f"{request.method} {path}"] += 1
        account, refused = "", None
        public = path in market_requests.HANDLERS
        try:
            if path not in HANDLERS or request.method != _METHODS.get(path, "GET"):
                raise Refusal(*NOT_FOUND)
            body = _body(raw)
            if not public:
                payload = body if request.method == "POST" else query
                account = self._keyring.request(request.headers, payload, self._venue.told_ms())
            params = _params(request, body)
        except Refusal as refusal:
            refused, params = Answer(refusal.code, refusal.message), {}
        fault = self._venue.faults.on_http(request.method, path, account or None)
        if refused is not None:
            answer = refused
        elif fault is None or fault.execute or _only_waits(fault):
            # A fault that only waits lets the request be carried out, after the wait.
            if fault is not None and not fault.execute:
                await asyncio.sleep(fault.delay_s)
                fault = None
            answer = self._desk.answer(path, account, params)
            if answer.events:
                self._venue.publish(answer.events)
        else:
            answer = Answer()
        if fault is not None:
            return await self._wrong(request, fault, answer)
        return self._respond(answer)

    async def _wrong(
        self, request: web.Request, fault: HttpFault, answer: Answer
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
            return self._respond(Answer(fault.ret_code, fault.message, allowance=answer.allowance))
        return self._respond(answer)

    def _respond(self, answer: Answer) -> web.Response:
        now_ms = self._venue.told_ms()
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
            status=404 if answer.code == NOT_FOUND[0] else 200,
            body=msgspec.json.encode(envelope),
            content_type="application/json",
            headers=headers,
        )


def _only_waits(fault: HttpFault) -> bool:
    return not fault.silent and fault.status is None and fault.ret_code is None


def _body(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Refusal(10001, "Request parameter error: the body is not UTF-8.") from None


def _params(request: web.Request, body: str) -> Mapping[str, Any]:
    if request.method != "POST":
        return request.query
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Refusal(10001, "Request parameter error: the body is not a JSON object.") from None
