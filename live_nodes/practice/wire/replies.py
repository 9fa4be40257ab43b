"""Replies of the WebSocket links: the trade link has other words than the others."""

from __future__ import annotations

from typing import Any

import msgspec

from live_nodes.practice.wire.connections import Connection

Json = dict[str, Any]


def told(connection: Connection, message: Json, op: object, success: bool, words: str) -> Json:
    """Return a reply in the words of the public and private links."""
    return {
        "success": success,
        "ret_msg": words,
        "conn_id": connection.id,
        "req_id": message.get("req_id", ""),
        "op": op,
    }


def plainly(connection: Connection, message: Json, code: int, words: str) -> Json:
    """Return a reply in the words of the trade link; `reqId` only when it was given."""
    given = {"reqId": message["reqId"]} if "reqId" in message else {}
    return given | {"retCode": code, "retMsg": words, "connId": connection.id}


def text_of(message: Json) -> str:
    """Write a message."""
    return msgspec.json.encode(message).decode()
