"""Pace the alerts of a channel: severity, quiet hours, digest, limit an hour, escalation. Pure.

Times are UNIX nanoseconds (UTC). Clocks may jump: what waits is measured anew at each look.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from config.documents.alerts import AlertChannelTerms, Escalation, QuietHours
from config.durations import DAY_NS, HOUR_NS, duration_ns, offset_ns

Level = Literal["info", "warning", "critical"]
RANK: dict[str, int] = {"info": 0, "warning": 1, "critical": 2, "escalated": 3, "nothing": 3}
_KNOWN = 1000
"""Number of texts whose repetitions are counted."""


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a person must know, without secrets; `ts` is UNIX nanoseconds (UTC).

    `about` names a condition that begins or changes, such as ``daily desk``; `over` says that it
    ended. Both are empty for what happened once.
    """

    ts: int
    level: Level
    kind: str
    text: str
    about: str = ""
    over: bool = False


class AlertPacing:
    """Says what a channel sends, and when. The caller gives the time."""

    def __init__(self, terms: AlertChannelTerms, kept: Iterable[Alert] = ()) -> None:
        self._terms, self._least = terms, RANK[terms.severity]
        self._digest = 0 if terms.digest is None else duration_ns(terms.digest)
        self._sent: deque[int] = deque(maxlen=terms.per_hour or 0)
        self._escalating = Escalating(terms.escalation) if terms.escalation else None
        self._open: set[str] = set()
        self.waiting: list[Alert] = []
        for alert in kept:
            self._admit(alert)

    def put(self, alert: Alert) -> None:
        """Take an alert of the node, if it is for this channel."""
        if RANK[alert.level] >= self._least or (alert.over and alert.about in self._open):
            self._admit(alert)
        if self._escalating is not None:
            for escalated in self._escalating.seen(alert):
                self._admit(escalated)
        if alert.over:
            self._open.discard(alert.about)

    def due(self, now: int, *, ends: bool = False) -> int | None:
        """Return when something may leave next, at least now; None when nothing waits.

        At the end of the node only quiet hours hold back.
        """
        self._look(now)
        times = [self._leaves(alert, now, ends) for alert in self.waiting]
        stands = None if self._escalating is None else self._escalating.due()
        return min(times if stands is None else [*times, max(stands, now)], default=None)

    def take(self, now: int, *, ends: bool = False) -> list[Alert]:
        """Return what leaves now, and forget it."""
        self._look(now)
        taken = [alert for alert in self.waiting if self._leaves(alert, now, ends) <= now]
        self.waiting = [alert for alert in self.waiting if self._leaves(alert, now, ends) > now]
        return taken

    def kept(self, now: int) -> list[Alert]:
        """Return what would not even leave at the end of the node."""
        return [alert for alert in self.waiting if self._leaves(alert, now, ends=True) > now]

    def sent(self, batch: Sequence[Alert], now: int) -> None:
        """Count a message that arrived."""
        if any(alert.level != "critical" for alert in batch):
            self._sent.append(now)

    def _admit(self, alert: Alert) -> None:
        self.waiting.append(alert)
        if alert.about and not alert.over:
            self._open.add(alert.about)

    def _look(self, now: int) -> None:
        for alert in () if self._escalating is None else self._escalating.take(now):
            self._admit(alert)

    def _leaves(self, alert: Alert, now: int, ends: bool) -> int:
        at, terms = now, self._terms
        if alert.level != "critical" and not ends:
            if self._digest:
                at = max(at, -(-min(alert.ts, now) // self._digest) * self._digest)
            if terms.per_hour is not None and len(self._sent) == terms.per_hour:
                at = max(at, min(self._sent[0], now) + HOUR_NS)
        quiet = terms.quiet
        if quiet is None or RANK[alert.level] >= RANK[quiet.passes]:
            return at
        return quiet_until(quiet, at)


class Escalating:
    """Finds what repeats or stands too long."""

    def __init__(self, terms: Escalation) -> None:
        self._terms, self._least = terms, RANK[terms.severity]
        self._stands = None if terms.stands is None else duration_ns(terms.stands)
        self._within = duration_ns(terms.within)
        self._standing: dict[str, tuple[int, Alert]] = {}
        self._recent: dict[str, deque[int]] = {}

    def seen(self, alert: Alert) -> list[Alert]:
        """Take an alert; return it escalated where it has now repeated too often."""
        key = alert.about or f"{alert.kind}: {alert.text}"
        if alert.over:
            self._standing.pop(key, None)
            return []
        if RANK[alert.level] < self._least:
            return []
        if alert.about and self._stands is not None:
            # A condition that changes goes on standing; one that escalated has nothing to add.
            since, _ = self._standing.get(key, (alert.ts, alert))
            self._standing[key] = since, alert
        return self._repeated(key, alert)

    def due(self) -> int | None:
        """Return when the next condition will have stood too long."""
        if self._stands is None:
            return None
        begun = [since for since, _ in self._standing.values() if since >= 0]
        return min(begun) + self._stands if begun else None

    def take(self, now: int) -> list[Alert]:
        """Return the conditions that have stood too long, each once."""
        found = []
        for key, (since, alert) in self._standing.items():
            if self._stands is not None and 0 <= since <= now - self._stands:
                found.append(_escalated(alert, f"stands for {self._terms.stands}", now))
                self._standing[key] = -1, alert
        return found

    def _repeated(self, key: str, alert: Alert) -> list[Alert]:
        if self._terms.repeats is None:
            return []
        times = self._recent.pop(key, deque())
        times.append(alert.ts)
        while times[0] < alert.ts - self._within:
            times.popleft()
        if len(times) >= self._terms.repeats:
            words = f"{len(times)} times within {self._terms.within}"
            return [_escalated(alert, words, alert.ts)]
        # The last place is the newest: the first is forgotten.
        self._recent[key] = times
        if len(self._recent) > _KNOWN:
            del self._recent[next(iter(self._recent))]
        return []


def _escalated(alert: Alert, why: str, now: int) -> Alert:
    return replace(alert, ts=now, level="critical", text=f"escalated, {why}: {alert.text}")


def kept_places(alerts: Sequence[Alert], most: int) -> list[int]:
    """Return which of too many alerts are kept: the critical ones, the first and the newest."""
    last = len(alerts) - 1
    ranked = sorted(
        range(len(alerts)), key=lambda n: (alerts[n].level != "critical", min(n, last - n))
    )
    return sorted(ranked[:most])


def quiet_until(quiet: QuietHours, at: int) -> int:
    """Return the end of the quiet hours that a time is in, else the time itself."""
    start = offset_ns(quiet.start)
    length, into = (offset_ns(quiet.end) - start) % DAY_NS, (at - start) % DAY_NS
    return at + length - into if into < length else at
