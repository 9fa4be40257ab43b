"""The private link (pushes of orders, fills, positions and money) and the trade link (orders).

Messages: https://bybit-exchange.github.io/docs/v5/websocket/trade/guideline and
https://bybit-exchange.github.io/docs/v5/websocket/private/order.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec

from config.documents.scenario import Channel
from live_nodes.practice.exchange.model import BybitRefusal, Key
from live_nodes.practice.exchange.records import (
    Event,
    ExecutionRow,
    OrderRow,
    PositionRow,
    WalletRow,
)
from live_nodes.practice.faults import FaultEffect
from live_nodes.practice.wire import account_payloads as write
from live_nodes.practice.wire.access import TIMESTAMP, WINDOW, Keyring, check_time
from live_nodes.practice.wire.connections import WireConnection, trade_reply
from live_nodes.practice.wire.spelling import Json
from live_nodes.practice.wire.venue import PracticeResponse, PracticeVenue, RequestDispatcher

REMEMBERED_REQUESTS = 10_000
OPERATIONS = {
    f"order.{action}": f"/v5/order/{action}"
    for action in ("create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch")
}
PLAIN = ("order", "execution", "execution.fast", "position", "wallet", "greeks", "dcp")
TOPICS = frozenset(PLAIN) | {
    f"{name}.{category}"
    for name in ("order", "execution", "execution.fast", "position")
    for category in ("linear", "spot", "inverse", "option")
}
_PUSHED = (OrderRow, ExecutionRow, PositionRow, WalletRow)


def logged_in(venue: PracticeVenue, keyring: Keyring, link: Channel, message: Json) -> str:
    """Return the account of an auth message. Raises BybitRefusal when the login is refused."""
    account = keyring.login(message.get("args"), venue.client_ms())
    venue.key_terms[account].check(venue.clock_ms())
    refused = venue.faults.on_login(link, account)
    if refused is not None:
        raise refused
    return account


class TradeLink:
    """Answers messages on the trade link."""

    def __init__(self, dispatcher: RequestDispatcher, keyring: Keyring) -> None:
        self._venue = dispatcher.venue
        self._dispatcher = dispatcher
        self._keyring = keyring
        self._requests: OrderedDict[tuple[str, str], None] = OrderedDict()

    def on_message(self, connection: WireConnection, message: Json) -> None:
        """Answer a message."""
        op = message.get("op")
        if op == "ping":
            pong = {"op": "pong", "data": [str(self._venue.client_ms())]}
            connection.say(trade_reply(connection, message, 0, "OK") | pong)
        elif op == "auth":
            code, words = 0, "OK"
            try:
                if connection.account is not None:
                    raise BybitRefusal(20001, "Repeat auth")
                connection.account = logged_in(self._venue, self._keyring, "trade", message)
            except BybitRefusal as refusal:
                code, words = refusal.code, refusal.message
            connection.say(trade_reply(connection, message, code, words) | {"op": "auth"})
        else:
            self._operate(connection, str(op), message)

    def _operate(self, connection: WireConnection, op: str, message: Json) -> None:
        fault: FaultEffect | None = None
        try:
            account, params = self._checked(connection, op, message)
        except BybitRefusal as refusal:
            answer = PracticeResponse(refusal.code, refusal.message)
        else:
            fault = self._venue.faults.on_op(op, account)
            if fault is None or fault.execute:
                answer = self._dispatcher.answer(OPERATIONS[op], account, params)
            else:
                answer = PracticeResponse()
        if fault is None or not fault.silent:
            reply = answer
            if fault is not None and fault.ret_code is not None:
                reply = PracticeResponse(fault.ret_code, fault.message)
            said = self._acknowledgement(connection, op, message, reply)
            connection.say(said, fault.delay_s if fault is not None else 0.0)
        if answer.events:
            self._venue.publish(answer.events)

    def _checked(self, connection: WireConnection, op: str, message: Json) -> tuple[str, Json]:
        if op not in OPERATIONS:
            raise BybitRefusal(10404, "op type is not found")
        account = connection.account
        if account is None:
            raise BybitRefusal(10007, "User authentication failed.")
        request_id = message.get("reqId")
        if request_id:
            self._not_again(connection, str(request_id))
        header = message.get("header")
        if not isinstance(header, dict) or TIMESTAMP not in header:
            raise BybitRefusal(10001, f"Request parameter error: header {TIMESTAMP} is missing.")
        check_time(header[TIMESTAMP], header.get(WINDOW), self._venue.client_ms())
        args = message.get("args")
        if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
            raise BybitRefusal(10001, "Request parameter error: args must hold one object.")
        return account, args[0]

    def _not_again(self, connection: WireConnection, request_id: str) -> None:
        key = (connection.id, request_id)
        if key in self._requests:
            raise BybitRefusal(20006, "Duplicate reqId")
        self._requests[key] = None
        if len(self._requests) > REMEMBERED_REQUESTS:
            self._requests.popitem(last=False)

    def _acknowledgement(
        self, connection: WireConnection, op: str, message: Json, answer: PracticeResponse
    ) -> Json:
        now = str(self._venue.client_ms())
        header = answer.allowance.headers() if answer.allowance is not None else {}
        return trade_reply(connection, message, answer.code, answer.message) | {
            "op": op,
            "data": answer.result,
            "retExtInfo": answer.ext,
            "header": header | {"Traceid": connection.id.replace("-", ""), "Timenow": now},
        }


class PrivateStreams:
    """Private topics of every account, and the open connections."""

    def __init__(self, venue: PracticeVenue) -> None:
        self._venue = venue
        self.connections: set[WireConnection] = set()

    def publish(self, events: list[Event], touched: Iterable[Key], now_ms: int) -> None:
        """Push each account's events in order; consecutive events of a kind share a message."""
        pushed = [event for event in events if isinstance(event, _PUSHED)]
        for (kind, account), group in groupby(pushed, lambda one: (type(one), one.account)):
            mine = [one for one in self.connections if one.account == account]
            if not mine:
                continue
            own = list(group)
            for topic, product, data in _messages(kind, own):
                self._push(mine, account, topic, product, data, now_ms)

    def _push(
        self,
        connections: list[WireConnection],
        account: str,
        topic: str,
        product: str,
        data: list[Json],
        now_ms: int,
    ) -> None:
        names = (topic, f"{topic}.{product}")
        listeners = [one for one in connections if not one.topics.isdisjoint(names)]
        if not listeners:
            return
        message = {"id": uuid.uuid4().hex, "topic": topic, "creationTime": now_ms, "data": data}
        for delay_s, changed in self._venue.faults.on_push("private", topic, message, account):
            for connection in listeners:
                name = topic if topic in connection.topics else names[1]
                text = msgspec.json.encode(changed | {"topic": name}).decode()
                connection.send(text, delay_s)


def _messages(kind: type, events: list[Any]) -> list[tuple[str, str, list[Json]]]:
    if kind is WalletRow:
        # Send only the last of several: they are snapshots of one wallet.
        return [("wallet", "", [write.wallet(events[-1])])]
    if kind is PositionRow:
        return [("position", "linear", [write.position_push(one) for one in events])]
    found: list[tuple[str, str, list[Json]]] = []
    for product, group in groupby(events, lambda one: str(one.category)):
        rows = list(group)
        if kind is OrderRow:
            found.append(("order", product, [write.order_push(row) for row in rows]))
            continue
        found.append(("execution", product, [write.execution_push(row) for row in rows]))
        trades = [row for row in rows if row.exec_type == "Trade"]
        if trades:
            fast = [write.fast_execution_push(row) for row in trades]
            found.append(("execution.fast", product, fast))
    return found
