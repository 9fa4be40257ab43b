"""A scenario: faults of the practice exchange, as data.

Every fault has an end: it acts on so many messages, or for so many seconds, or (without either)
once.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from config.documents.base import DocumentName, Flag, Part, Whole

Channel = Literal["public", "private", "trade"]
Pattern = Annotated[str, Field(min_length=1, max_length=100)]
Seconds = Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(86_400))]
Duration = Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(86_400))]
SymbolName = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,24}$")]
RetCode = Annotated[Whole, Field(ge=1, le=9_999_999)]


class TimedFault(Part):
    """When a fault begins and how long it lasts."""

    at: Seconds = Decimal(0)
    """Seconds after the scenario began (or after the admin added the fault)."""
    after: Annotated[Whole, Field(ge=0, le=1_000_000)] = 0
    """Messages of its kind that come first and that it lets pass."""
    seconds: Duration | None = None
    """How long it lasts, from its first effect; null without a limit in time."""


class CountedFault(TimedFault):
    """A fault of single messages."""

    times: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """Messages it acts on; null is once, or without a limit where ``seconds`` is given."""
    probability: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(1))] = Decimal(1)
    """Chance that it acts on a message of its kind; drawn from the scenario's seed."""
    account: DocumentName | None = None
    """Only messages of this account; null of all."""


class MessageFault(CountedFault):
    """A fault of WebSocket messages that the exchange sends."""

    channel: Literal["public", "private"] | None = None
    """Link they leave by; null for both."""
    topic: Pattern = "*"
    """Topic, or pattern with ``*`` and ``?``: ``orderbook.50.BTCUSDT``, ``execution``."""


class Drop(MessageFault):
    """The message is never sent."""

    model: Literal["drop"] = "drop"


class Delay(MessageFault):
    """The message is sent later, others may overtake it."""

    model: Literal["delay"] = "delay"
    by: Duration
    """Seconds."""


class Duplicate(MessageFault):
    """The message is sent twice."""

    model: Literal["duplicate"] = "duplicate"


class Reorder(MessageFault):
    """The message waits for the next one of its topic and account, and is sent after it."""

    model: Literal["reorder"] = "reorder"


class LatePush(CountedFault):
    """Private pushes come late."""

    model: Literal["late_push"] = "late_push"
    topic: Pattern = "*"
    """``order``, ``execution``, ``position``, ``wallet`` or a pattern."""
    by: Duration
    """Seconds."""


class SequenceGap(CountedFault):
    """A delta of a book is left out; ``u`` goes on as if it had been sent."""

    model: Literal["sequence_gap"] = "sequence_gap"
    topic: Pattern = "orderbook.*"
    """Topic or pattern of book topics."""


class LostFill(CountedFault):
    """No order or execution push reports a fill; ``times`` counts orders."""

    model: Literal["lost_fill"] = "lost_fill"


class RequestFault(CountedFault):
    """A fault of single requests, by REST or over the trade link."""

    op: Pattern = "order.*"
    """``order.create``, ``order.amend``, ``order.cancel`` or a pattern."""


class LostAck(RequestFault):
    """A request is carried out, but its answer never comes (trade link or REST)."""

    model: Literal["lost_ack"] = "lost_ack"


class LostRequest(RequestFault):
    """A request gets lost on its way: neither carried out nor answered (trade link or REST)."""

    model: Literal["lost_request"] = "lost_request"


class LateAck(RequestFault):
    """A request is carried out at once and answered late (trade link or REST)."""

    model: Literal["late_ack"] = "late_ack"
    by: Duration
    """Seconds."""


class RefusedOp(RequestFault):
    """An operation of the trade link is refused with a code."""

    model: Literal["ret_code"] = "ret_code"
    ret_code: RetCode
    """Bybit's code, such as 10006."""
    message: str = "injected fault"
    """Bybit's text."""


class RefusedLogin(CountedFault):
    """A login on a link is refused with a code, though the key is right."""

    model: Literal["login"] = "login"
    channel: Literal["private", "trade"] | None = None
    """Null for both."""
    ret_code: RetCode = 10_003
    """Bybit's code."""
    message: str = "API key is invalid."
    """Bybit's text."""


class Http(CountedFault):
    """A REST request goes wrong: a status, a code, or no answer."""

    model: Literal["http"] = "http"
    path: Pattern = "/v5/*"
    """Path or pattern."""
    method: Literal["GET", "POST"] | None = None
    """Null for both."""
    status: Annotated[Whole, Field(ge=400, le=599)] | None = None
    """HTTP status, such as 500 or 429."""
    ret_code: RetCode | None = None
    """Bybit's code in a proper envelope, such as 10006."""
    message: str = "injected fault"
    """Bybit's text beside the code."""
    wait: Seconds = Decimal(0)
    """Seconds before the answer."""
    answer: Flag = True
    """False cuts the connection after the wait instead of answering."""
    carried_out: Flag = False
    """Whether the request has its effect all the same."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        given = [self.status is not None, self.ret_code is not None, not self.answer]
        if sum(given) > 1:
            raise ValueError("give one of status, ret_code and answer: false")
        if not any(given) and not self.wait:
            raise ValueError("give a status, a ret_code, answer: false, or a wait")
        return self


class LinkFault(TimedFault):
    """A fault of all connections of a kind."""

    channel: Channel
    topic: Pattern = "*"
    """What ``after`` counts: topics of pushes, or operations on the trade link."""


class Kill(LinkFault):
    """All connections of a kind of link are cut."""

    model: Literal["kill"] = "kill"


class Freeze(LinkFault):
    """All connections of a kind of link stand still and stay open, as if its machine slept."""

    model: Literal["freeze"] = "freeze"
    seconds: Duration
    """How long."""


class ClockSkew(TimedFault):
    """The exchange's clock is wrong."""

    model: Literal["clock_skew"] = "clock_skew"
    by: Annotated[Decimal, Field(ge=Decimal(-86_400), le=Decimal(86_400))]
    """Seconds; above zero it is ahead."""
    seconds: Duration
    """How long."""


class MaintenanceFault(TimedFault):
    """REST answers 503 or a code, links are closed."""

    model: Literal["maintenance"] = "maintenance"
    ret_code: RetCode | None = 10_016
    """Bybit's code in a proper envelope; null answers HTTP 503."""
    seconds: Duration
    """How long."""


class HaltFault(TimedFault):
    """A symbol takes no new orders."""

    model: Literal["halt"] = "halt"
    symbol: SymbolName
    """Such as ``BTCUSDT``."""
    category: Literal["linear", "spot"] = "linear"
    seconds: Duration
    """How long."""


class VenueEvent(Part):
    """Something that the exchange does once: as soon as it can from ``at`` on."""

    after: ClassVar[int] = 0
    seconds: ClassVar[Decimal | None] = None
    at: Seconds = Decimal(0)
    """Seconds after the scenario began (or after the admin added it)."""


class ForcedClose(VenueEvent):
    """A position is closed by the exchange, at the mark price."""

    account: DocumentName | None = None
    """Whose position; null every account's."""
    symbol: SymbolName | None = None
    """Such as ``BTCUSDT``; null every perpetual that is held."""
    part: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(1))] = Decimal(1)
    """Fraction of the position, in whole lots."""


class Liquidation(ForcedClose):
    """All orders are cancelled and positions are taken over (execType ``BustTrade``)."""

    model: Literal["liquidation"] = "liquidation"


class Deleveraging(ForcedClose):
    """A position is closed against a bankrupt one, its orders are cancelled (``AdlTrade``)."""

    model: Literal["adl"] = "adl"


class Delisting(VenueEvent):
    """A market is announced to close: then orders are cancelled and positions settled at mark."""

    model: Literal["delisting"] = "delisting"
    symbol: SymbolName
    """Such as ``BTCUSDT``."""
    notice: Duration = Decimal(60)
    """Seconds between the announcement (``deliveryTime``) and the end."""


class TickChange(VenueEvent):
    """A market's tick changes; orders that rest stay where they are."""

    model: Literal["tick"] = "tick"
    symbol: SymbolName
    """Such as ``BTCUSDT``."""
    category: Literal["linear", "spot"] = "linear"
    tick: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(1_000))]
    """New smallest step of the price."""


Fault = Annotated[
    Drop
    | Delay
    | Duplicate
    | Reorder
    | LatePush
    | SequenceGap
    | LostFill
    | LostAck
    | LostRequest
    | LateAck
    | RefusedOp
    | RefusedLogin
    | Http
    | Kill
    | Freeze
    | ClockSkew
    | MaintenanceFault
    | HaltFault
    | Liquidation
    | Deleveraging
    | Delisting
    | TickChange,
    Field(discriminator="model"),
]


class Scenario(Part):
    """Faults of the practice exchange."""

    kind: Literal["scenario"] = "scenario"
    name: DocumentName
    """Short name."""
    description: str = ""
    """What it shows."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Of every draw."""
    faults: Annotated[dict[DocumentName, Fault], Field(min_length=1)]
    """Faults by name."""
