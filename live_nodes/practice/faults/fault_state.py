"""One fault under way: what it has seen, what it did, and whether it acts now."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from config.documents.scenario import Counted, Link, Timed

Json = dict[str, Any]


@dataclass
class Armed:
    """A fault since it was added.

    Parameters
    ----------
    name : str
        As the scenario or the admin calls it.
    fault : Timed
        What it is.
    added : float
        When, in seconds of a clock that never goes back.
    draw : random.Random
        Its own draws, so that one fault's do not depend on another's.

    Attributes
    ----------
    seen : int
        Messages of its kind, from the moment on that it may act.
    hits : int
        Messages that it acted on; for links, clocks and halts 1 once it began.
    """

    name: str
    fault: Timed
    added: float
    draw: random.Random
    seen: int = 0
    hits: int = 0
    began: float | None = None
    over: bool = False
    held: dict[tuple[str, str | None], Json] = field(default_factory=dict)
    orders: set[str] = field(default_factory=set)

    def due(self, now: float) -> bool:
        """Tell whether its time has come and its end has not."""
        if self.over or now < self.added + float(self.fault.at):
            return False
        if self.ended(now):
            self.over = True
        return not self.over

    def ended(self, now: float) -> bool:
        """Tell whether its seconds are over."""
        seconds = self.fault.seconds
        return seconds is not None and self.began is not None and now >= self.began + float(seconds)

    def strikes(self, now: float, account: str | None, *, taken: bool = False) -> bool:
        """Count a message of its kind and tell whether it acts on it.

        One that another fault has `taken` already is counted only.
        """
        fault = self.fault
        assert isinstance(fault, Counted)
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
        """Count a message that a fault of a link waits for; tell whether it begins with it."""
        assert isinstance(self.fault, Link)
        if self.began is not None or not self.due(now):
            return False
        self.seen += 1
        return self.seen > self.fault.after

    def lasting(self, now: float) -> bool:
        """Tell whether a fault without messages of its own is in force."""
        if self.over or self.began is None:
            return False
        if self.ended(now):
            self.over = True
        return not self.over

    def told(self) -> Json:
        """Return what the admin is shown."""
        return {
            "fault": self.fault.model_dump(mode="json", exclude_none=True),
            "seen": self.seen,
            "hits": self.hits,
            "over": self.over,
        }
