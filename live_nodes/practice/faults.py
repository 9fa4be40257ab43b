"""Faults: seeded, limited errors that the exchange makes on purpose.

A new fault is a class in `config.documents.scenario` and its handling in `Faults`; a new event of
the venue is one too, and an entry in `wire.venue.PracticeVenue.play`.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from config.documents import scenario
from config.documents.scenario import (
    Channel,
    CountedFault,
    Fault,
    LinkFault,
    TimedFault,
    VenueEvent,
)
from live_nodes.practice.exchange.model import BybitRefusal, Key

Json = dict[str, Any]
LinkState = Literal["open", "frozen", "killed"]
CHANNELS: tuple[Channel, ...] = ("public", "private", "trade")
MESSAGE_FAULTS = (
    scenario.Drop,
    scenario.Delay,
    scenario.Duplicate,
    scenario.Reorder,
    scenario.LatePush,
    scenario.SequenceGap,
    scenario.LostFill,
)
LOG_LENGTH = 1_000


class Faults:
    """The faults by name, and the hooks where the server applies them.

    `seed` seeds every draw: the same messages in the same order get the same faults. `clock_ms` is
    true time (UTC milliseconds), `monotonic` is in seconds. `log` has the latest effects,
    ``{seconds, name, what}``, oldest first.

    Call ``on_http`` and ``on_login`` after the signature check. Call ``on_push`` once per message
    (per account for private topics), with ``u`` and ``seq`` already given, so that a dropped
    message is a gap. A ``frozen`` link does not read, write or pong but stays open; a ``killed``
    one refuses handshakes (503) and aborts open connections. Use ``now_ms`` wherever a client can
    see the time.
    """

    def __init__(
        self,
        faults: Mapping[str, Fault] | None = None,
        seed: int = 0,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seed = seed
        self._clock_ms = clock_ms
        self._monotonic = monotonic
        self._began = monotonic()
        self._armed: dict[str, ArmedFault] = {}
        self.on_kill: Callable[[Channel], object] = lambda channel: None
        """Told of each kind of link at the moment when it is killed."""
        self.operations: Counter[str] = Counter()
        self.log: deque[Json] = deque(maxlen=LOG_LENGTH)
        for name, fault in (faults or {}).items():
            self.add(name, fault)

    def add(self, name: str, fault: Fault) -> None:
        """Add a fault, or replace the one of the same name; its time starts now."""
        draw = random.Random(f"{self._seed}|{name}")
        self._armed[name] = ArmedFault(name, fault, self._monotonic(), draw)

    def remove(self, name: str) -> None:
        """End and remove a fault. Raises KeyError when there is none of that name."""
        del self._armed[name]

    def clear(self) -> None:
        """End and remove all faults."""
        self._armed.clear()

    def report(self) -> dict[str, Json]:
        """Return every fault by name, with its counts."""
        return {name: armed.report() for name, armed in self._armed.items()}

    def unmet(self) -> list[str]:
        """Return the names of the faults that have had no effect."""
        return [name for name, armed in self._armed.items() if not armed.hits]

    def play(self, act: Callable[[VenueEvent], bool]) -> None:
        """Let `act` carry out the venue's events that are due; what it can't yet stays due."""
        now = self._monotonic()
        for armed, event in list(self._of(VenueEvent)):
            if armed.due(now) and act(event):
                self._begin(armed)
                armed.over = True

    def halted(self) -> frozenset[Key]:
        """Return the symbols that are halted now."""
        return frozenset(
            (fault.category, fault.symbol) for _, fault in self._lasting(scenario.HaltFault)
        )

    def on_http(self, method: str, path: str, account: str | None) -> FaultEffect | None:
        """Return the fault's effect on this request; None for nothing."""
        for _, down in self._lasting(scenario.MaintenanceFault):
            if down.ret_code is None:
                return FaultEffect(status=503)
            return FaultEffect(ret_code=down.ret_code, message="System maintenance")
        found: FaultEffect | None = None
        for armed, fault in self._of(scenario.Http):
            matches = fault.method in (None, method) and fnmatchcase(path, fault.path)
            what = f"{method} {path}"
            if matches and self._strikes(armed, account, what, taken=found is not None):
                found = FaultEffect(
                    fault.carried_out,
                    float(fault.wait),
                    not fault.answer,
                    fault.status,
                    fault.ret_code,
                    fault.message,
                )
        if method == "POST":
            op = path.removeprefix("/v5/").replace("/", ".")
            return self._on_request(op, account, taken=found is not None) or found
        return found

    def on_push(
        self, channel: Channel, topic: str, payload: Json, account: str | None = None
    ) -> list[tuple[float, Json]]:
        """Return the messages to send instead, each with its delay in seconds; normally itself."""
        self._count_for_links(channel, topic)
        out = [(0.0, payload)]
        for armed, fault in list(self._of(*MESSAGE_FAULTS)):
            if out and _concerns(fault, channel, topic):
                out = self._changed(armed, fault, topic, out, account)
        return out

    def on_op(self, op: str, account: str | None) -> FaultEffect | None:
        """Return the fault's effect on an operation such as ``order.create``."""
        self.operations[op] += 1
        self._count_for_links("trade", op)
        found: FaultEffect | None = None
        for armed, fault in self._of(scenario.RefusedOp):
            matches = fnmatchcase(op, fault.op)
            if matches and self._strikes(armed, account, op, taken=found is not None):
                found = FaultEffect(execute=False, ret_code=fault.ret_code, message=fault.message)
        return self._on_request(op, account, taken=found is not None) or found

    def on_login(self, channel: Channel, account: str) -> BybitRefusal | None:
        """Return the refusal of a login with a correct signature; None to accept it."""
        for armed, fault in self._of(scenario.RefusedLogin):
            if fault.channel in (None, channel) and self._strikes(armed, account, "login"):
                return BybitRefusal(fault.ret_code, fault.message)
        return None

    def link(self, channel: Channel) -> LinkState:
        """Return the state of all links of a kind."""
        if any(True for _ in self._lasting(scenario.MaintenanceFault)):
            return "killed"
        if any(
            fault.channel == channel and fault.seconds for _, fault in self._lasting(scenario.Kill)
        ):
            return "killed"
        frozen = any(fault.channel == channel for _, fault in self._lasting(scenario.Freeze))
        return "frozen" if frozen else "open"

    def poll(self) -> None:
        """Start and end the faults that are due by time."""
        now = self._monotonic()
        for armed in list(self._armed.values()):
            fault = armed.fault
            by_time = not isinstance(fault, CountedFault | VenueEvent) and fault.after == 0
            if by_time and armed.began is None and armed.due(now):
                self._begin(armed)

    def now_ms(self) -> int:
        """Return the exchange's clock with its skew, UTC milliseconds."""
        skew = sum(float(fault.by) for _, fault in self._lasting(scenario.ClockSkew))
        return self._clock_ms() + round(skew * 1_000)

    def _of[F: TimedFault | VenueEvent](self, *kinds: type[F]) -> Iterator[tuple[ArmedFault, F]]:
        for armed in list(self._armed.values()):
            if isinstance(armed.fault, kinds):
                yield armed, armed.fault

    def _lasting[F: TimedFault](self, kind: type[F]) -> Iterator[tuple[ArmedFault, F]]:
        now = self._monotonic()
        return ((armed, fault) for armed, fault in self._of(kind) if armed.lasting(now))

    def _note(self, name: str, what: str) -> None:
        seconds = round(self._monotonic() - self._began, 3)
        self.log.append({"seconds": seconds, "name": name, "what": what})

    def _strikes(
        self, armed: ArmedFault, account: str | None, what: str, *, taken: bool = False
    ) -> bool:
        struck = armed.strikes(self._monotonic(), account, taken=taken)
        if struck:
            self._note(armed.name, what)
        return struck

    def _on_request(self, op: str, account: str | None, *, taken: bool) -> FaultEffect | None:
        found: FaultEffect | None = None
        for armed, fault in self._of(scenario.RequestFault):
            if isinstance(fault, scenario.RefusedOp) or not fnmatchcase(op, fault.op):
                continue
            if self._strikes(armed, account, op, taken=taken or found is not None):
                found = FaultEffect(execute=isinstance(fault, scenario.LostAck), silent=True)
                if isinstance(fault, scenario.LateAck):
                    found = FaultEffect(execute=True, delay_s=float(fault.by))
        return found

    def _changed(
        self,
        armed: ArmedFault,
        fault: TimedFault,
        topic: str,
        out: list[tuple[float, Json]],
        account: str | None,
    ) -> list[tuple[float, Json]]:
        payload = out[0][1]
        if isinstance(fault, scenario.LostFill):
            return [] if self._loses_fill(armed, fault, topic, payload, account) else out
        if isinstance(fault, scenario.Reorder):
            held = armed.held.pop((topic, account), None)
            if held is not None:
                return [*out, (0.0, held)]
        if isinstance(fault, scenario.SequenceGap) and payload.get("type") != "delta":
            return out
        if not self._strikes(armed, account, topic):
            return out
        if isinstance(fault, scenario.Reorder):
            armed.held[topic, account] = payload
            return []
        if isinstance(fault, scenario.Delay | scenario.LatePush):
            return [(delay + float(fault.by), message) for delay, message in out]
        return [*out, *out] if isinstance(fault, scenario.Duplicate) else []

    def _loses_fill(
        self,
        armed: ArmedFault,
        fault: scenario.LostFill,
        topic: str,
        payload: Json,
        account: str | None,
    ) -> bool:
        filled = {
            str(row.get("orderId", ""))
            for row in payload.get("data", [])
            if topic.startswith("execution") or str(row.get("cumExecQty") or "0").strip("0.")
        } - {""}
        if not filled or (fault.account is not None and account != fault.account):
            return False
        # Later messages about an order whose first fill was lost are lost too, or it would show.
        if filled & armed.orders and not armed.ended(self._monotonic()):
            return True
        if self._strikes(armed, account, f"{topic} {' '.join(sorted(filled))}"):
            armed.orders |= filled
            return True
        return False

    def _count_for_links(self, channel: Channel, topic: str) -> None:
        now = self._monotonic()
        for armed, fault in self._of(scenario.LinkFault):
            concerned = fault.channel == channel and fnmatchcase(topic, fault.topic)
            if concerned and fault.after and armed.counts_to_begin(now):
                self._begin(armed)

    def _begin(self, armed: ArmedFault) -> None:
        armed.begin(self._monotonic())
        fault = armed.fault
        channels: tuple[Channel, ...] = ()
        if isinstance(fault, scenario.Kill):
            channels = (fault.channel,)
            armed.over = fault.seconds is None
        elif isinstance(fault, scenario.MaintenanceFault):
            channels = CHANNELS
        self._note(armed.name, type(fault).__name__)
        for channel in channels:
            self.on_kill(channel)


def _concerns(fault: TimedFault, channel: Channel, topic: str) -> bool:
    if isinstance(fault, scenario.MessageFault):
        return fault.channel in (None, channel) and fnmatchcase(topic, fault.topic)
    if isinstance(fault, scenario.SequenceGap):
        return topic.startswith("orderbook.") and fnmatchcase(topic, fault.topic)
    if isinstance(fault, scenario.LostFill):
        return channel == "private" and topic.startswith(("execution", "order"))
    assert isinstance(fault, scenario.LatePush)
    return channel == "private" and fnmatchcase(topic, fault.topic)


@dataclass
class ArmedFault:
    """A fault since it was added, at `added` seconds of the monotonic clock.

    `draw` is its own, so that faults do not change each other's draws. `seen` counts messages of
    its kind, `hits` its effects (links, clocks and halts: 1 from the start).
    """

    name: str
    fault: TimedFault | VenueEvent
    added: float
    draw: random.Random
    seen: int = 0
    hits: int = 0
    began: float | None = None
    over: bool = False
    held: dict[tuple[str, str | None], Json] = field(default_factory=dict)
    orders: set[str] = field(default_factory=set)

    def due(self, now: float) -> bool:
        """Return whether it has started and not ended."""
        if self.over or now < self.added + float(self.fault.at):
            return False
        self.over = self.ended(now)
        return not self.over

    def ended(self, now: float) -> bool:
        """Return whether its duration is over."""
        seconds = self.fault.seconds
        return seconds is not None and self.began is not None and now >= self.began + float(seconds)

    def strikes(self, now: float, account: str | None, *, taken: bool = False) -> bool:
        """Count a message of its kind; return whether it acts on it (not if it is `taken`)."""
        fault = self.fault
        assert isinstance(fault, CountedFault)
        if not self.due(now) or (fault.account is not None and account != fault.account):
            return False
        self.seen += 1
        if self.seen <= fault.after or taken:
            return False
        if fault.probability < 1 and self.draw.random() >= fault.probability:
            return False
        self.begin(now)
        times = fault.times or (None if fault.seconds is not None else 1)
        self.over = times is not None and self.hits >= times
        return True

    def begin(self, now: float) -> None:
        """Record an effect; the duration starts with the first."""
        self.began = now if self.began is None else self.began
        self.hits += 1

    def counts_to_begin(self, now: float) -> bool:
        """Count a message that a link fault waits for; return whether the fault begins now."""
        assert isinstance(self.fault, LinkFault)
        if self.began is not None or not self.due(now):
            return False
        self.seen += 1
        return self.seen > self.fault.after

    def lasting(self, now: float) -> bool:
        """Return whether a fault without messages of its own is in force."""
        if self.over or self.began is None:
            return False
        self.over = self.ended(now)
        return not self.over

    def report(self) -> Json:
        """Return its state for the admin port."""
        return {
            "fault": self.fault.model_dump(mode="json", exclude_none=True),
            "seen": self.seen,
            "hits": self.hits,
            "over": self.over,
        }


@dataclass(frozen=True)
class FaultEffect:
    """The effect of a fault on a request (REST or trade link).

    In this order: when `execute`, carry the request out and send its pushes; wait `delay_s`; when
    `silent`, send no answer (REST: cut the connection); else answer `status` with an empty body
    (REST only), or `ret_code` and `message` in Bybit's envelope, or the normal answer.
    """

    execute: bool = False
    delay_s: float = 0.0
    silent: bool = False
    status: int | None = None
    ret_code: int | None = None
    message: str = ""
