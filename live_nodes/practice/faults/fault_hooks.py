"""Faults: what the exchange does wrong on purpose, from data, seeded, bounded and counted.

A scenario (`config.documents.scenario`) names faults; the admin port adds and removes them while
the
exchange runs. The server asks the hooks here at the places where something can go wrong and does
what they say; it knows no fault by name.

The server's part
-----------------
- REST: ``on_http`` once for each request, after its signature was read and before it is carried
  out.
- WebSocket pushes: ``on_push`` once for each message (before it fans out to the connections, once
  per account for private topics), with ``u`` and ``seq`` already given: a message that it drops
  is a gap. It sends what comes back: nothing, the message, the message twice, others later.
- Trade link: ``on_op`` once for each operation frame, before it is carried out.
- Logins: ``on_login`` once for each login on a link whose signature is right.
- Links: ``link(channel)`` whenever a connection opens, reads or writes: ``frozen`` means stand
  still (no reads, writes or pongs) and stay open; ``killed`` means refuse the handshake (503) and
  abort what is open. ``when_killed(callback)`` calls back with the channel at the moment of a kill,
  so that connections are cut without traffic.
- ``poll()`` once a step: starts what is due by time.
- ``now_ms()`` is the server's clock wherever a client can see it (time, signatures, ``ts``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from config.documents.scenario import Channel
from live_nodes.practice.exchange.model import Refusal

LinkState = Literal["open", "frozen", "killed"]
Json = dict[str, Any]


@dataclass(frozen=True)
class HttpFault:
    """What to do with a REST request instead of answering it properly.

    In this order: when `execute` carry the request out; wait `delay_s`; then when `silent` cut the
    connection without an answer, else answer `status` with an empty body when it is given, else
    `ret_code` and `message` in Bybit's envelope when that is given, else the proper answer.
    """

    execute: bool = False
    delay_s: float = 0.0
    silent: bool = False
    status: int | None = None
    ret_code: int | None = None
    message: str = ""


@dataclass(frozen=True)
class OpFault:
    """What to do with an operation on the trade link.

    When `execute` carry it out (its pushes leave as ever); wait `delay_s`; then send no ack when
    `silent`, else refuse with `ret_code` and `message` when given, else ack properly.
    """

    execute: bool = True
    delay_s: float = 0.0
    silent: bool = False
    ret_code: int | None = None
    message: str = ""


class FaultHooks(Protocol):
    """What the server calls."""

    def on_http(self, method: str, path: str, account: str | None) -> HttpFault | None:
        """Return what goes wrong with this request; None for nothing."""

    def on_push(
        self, channel: Channel, topic: str, payload: Json, account: str | None = None
    ) -> list[tuple[float, Json]]:
        """Return what to send instead, each with its delay in seconds; normally itself."""

    def on_op(self, op: str, account: str | None) -> OpFault | None:
        """Return what goes wrong with this operation, such as ``order.create``."""

    def on_login(self, channel: Channel, account: str) -> Refusal | None:
        """Return the refusal of this login, whose signature is right; None for none."""

    def link(self, channel: Channel) -> LinkState:
        """Return the state of all links of a kind."""

    def when_killed(self, callback: Callable[[Channel], None]) -> None:
        """Call back at the moment a kind of link is killed."""

    def poll(self) -> None:
        """Start and end what is due by time."""

    def now_ms(self) -> int:
        """Return the exchange's clock, UTC milliseconds, with its skew."""
