"""The trade link: orders as WebSocket messages, acknowledged one by one.

Messages of https://bybit-exchange.github.io/docs/v5/websocket/trade/guideline.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from live_nodes.practice.exchange.model import Refusal
from live_nodes.practice.faults.fault_hooks import OpFault
from live_nodes.practice.wire.connections import Connection
from live_nodes.practice.wire.desk import Answer, Desk
from live_nodes.practice.wire.replies import plainly, text_of
from live_nodes.practice.wire.signing import TIMESTAMP, WINDOW, Keyring, check_time
from live_nodes.practice.wire.venue import Venue

Json = dict[str, Any]
REMEMBERED_REQUESTS = 10_000
OPERATIONS = {
    f"order.{action}": f"/v5/order/{action}"
    for action in ("create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch")
}


class TradeLink:
    """Answers what comes over the trade link.

    Parameters
    ----------
    venue, desk, keyring
        The exchange in operation, where requests are carried out, and the accounts' keys.
    """

    def __init__(self, venue: Venue, desk: Desk, keyring: Keyring) -> None:
        self._venue = venue
        self._desk = desk
        self._keyring = keyring
        self._requests: OrderedDict[tuple[str, str], None] = OrderedDict()

    def hear(self, connection: Connection, message: Json) -> None:
        """Answer a message."""
        op = message.get("op")
        if op == "ping":
            pong = {"op": "pong", "data": [str(self._venue.told_ms())]}
            connection.send(text_of(plainly(connection, message, 0, "OK") | pong))
        elif op == "auth":
            code, words = 0, "OK"
            try:
                if connection.account is not None:
                    raise Refusal(20001, "Repeat auth")
                connection.account = self._login(message)
            except Refusal as refusal:
                code, words = refusal.code, refusal.message
            connection.send(text_of(plainly(connection, message, code, words) | {"op": "auth"}))
        else:
            self._operate(connection, str(op), message)

    def _login(self, message: Json) -> str:
        account = self._keyring.login(message.get("args"), self._venue.told_ms())
        refused = self._venue.faults.on_login("trade", account)
        if refused is not None:
            raise refused
        return account

    def _operate(self, connection: Connection, op: str, message: Json) -> None:
        fault: OpFault | None = None
        try:
            account, params = self._checked(connection, op, message)
        except Refusal as refusal:
            answer = Answer(refusal.code, refusal.message)
        else:
            fault = self._venue.faults.on_op(op, account)
            if fault is None or fault.execute:
                answer = self._desk.answer(OPERATIONS[op], account, params)
            else:
                answer = Answer()
        if fault is None or not fault.silent:
            reply = answer
            if fault is not None and fault.ret_code is not None:
                reply = Answer(fault.ret_code, fault.message)
            text = text_of(self._acknowledgement(connection, op, message, reply))
            if fault is not None and fault.delay_s:
                connection.send_later(fault.delay_s, text)
            else:
                connection.send(text)
        if answer.events:
            self._venue.publish(answer.events)

    def _checked(self, connection: Connection, op: str, message: Json) -> tuple[str, Json]:
        if op not in OPERATIONS:
            raise Refusal(10404, "op type is not found")
        account = connection.account
        if account is None:
            raise Refusal(10007, "User authentication failed.")
        request_id = message.get("reqId")
        if request_id:
            self._not_again(connection, str(request_id))
        header = message.get("header")
        if not isinstance(header, dict) or TIMESTAMP not in header:
            raise Refusal(10001, f"Request parameter error: header {TIMESTAMP} is missing.")
        check_time(header[TIMESTAMP], header.get(WINDOW), self._venue.told_ms())
        args = message.get("args")
        if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
            raise Refusal(10001, "Request parameter error: args must hold one object.")
        return account, args[0]

    def _not_again(self, connection: Connection, request_id: str) -> None:
        key = (connection.id, request_id)
        if key in self._requests:
            raise Refusal(20006, "Duplicate reqId")
        self._requests[key] = None
        if len(self._requests) > REMEMBERED_REQUESTS:
            self._requests.popitem(last=False)

    def _acknowledgement(
        self, connection: Connection, op: str, message: Json, answer: Answer
    ) -> Json:
        now = str(self._venue.told_ms())
        header = answer.allowance.headers() if answer.allowance is not None else {}
        return plainly(connection, message, answer.code, answer.message) | {
            "op": op,
            "data": answer.result,
            "retExtInfo": answer.ext,
            "header": header | {"Traceid": connection.id.replace("-", ""), "Timenow": now},
        }
