"""One fault under way, and what the server asks of faults."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from config.documents.scenario import CountedFault, LinkFault, TimedFault

Json = dict[str, Any]
LinkState = Literal["open", "frozen", "killed"]


@dataclass
class ArmedFault:
    """A fault since it was added, at `added` seconds of a clock that never goes back.

    `draw` is its own, so that one fault's draws do not depend on another's. `seen` counts messages
    of its kind since it may act, `hits` those that it acted on (links, clocks and halts: 1 once it
    began).
    """

    name: str
    fault: TimedFault
    added: float
    draw: random.Random
    seen: int = 0
    hits: int = 0
    began: float | None = None
    over: bool = False
    held: dict[tuple[str, str | None], Json] = field(default_factory=dict)
    orders: set[str] = field(default_factory=set)

    def due(self, now: float) -> bool:
        """Return whether its time has come and its end has not."""
        if self.over or now < self.added + float(self.fault.at):
            return False
        if self.ended(now):
            self.over = True
        return not self.over

    def ended(self, now: float) -> bool:
        """Return whether its seconds are over."""
        seconds = self.fault.seconds
        return seconds is not None and self.began is not None and now >= self.began + float(seconds)

    def strikes(self, now: float, account: str | None, *, taken: bool = False) -> bool:
        """Count a message of its kind; return whether it acts on it.

        One that another fault has `taken` already is counted only.
        """
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
        """Note an effect; the seconds run from the first."""
        self.began = now if self.began is None else self.began
        self.hits += 1

    def counts_to_begin(self, now: float) -> bool:
        """Count a message that a fault of a link waits for; return whether it begins with it."""
        assert isinstance(self.fault, LinkFault)
        if self.began is not None or not self.due(now):
            return False
        self.seen += 1
        return self.seen > self.fault.after

    def lasting(self, now: float) -> bool:
        """Return whether a fault without messages of its own is in force."""
        if self.over or self.began is None:
            return False
        if self.ended(now):
            self.over = True
        return not self.over

    def report(self) -> Json:
        """Return what the admin is shown."""
        return {
            "fault": self.fault.model_dump(mode="json", exclude_none=True),
            "seen": self.seen,
            "hits": self.hits,
            "over": self.over,
        }


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
