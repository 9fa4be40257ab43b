"""Write alerts to ``alerts.jsonl``, and send them to the document's addresses.

Addresses are apprise's (https://github.com/caronc/apprise/wiki), in environment variables. They
hold tokens: nothing here shows them, and apprise's own log, which does, is silenced. Each address
has its own thread, so a slow one delays nothing; `alert_pacing` says what it sends when. Alerts
that can't leave yet share the next message; of too many, the critical, the first and the newest
are kept.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from config.documents import Node
from config.documents.alerts import AlertChannelTerms
from config.errors import GateRefused
from live_nodes.local.alert_pacing import RANK, Alert, AlertPacing, Level, kept_places
from live_nodes.local.files import replace_file
from live_nodes.local.keys import ENV_FILE, Secret, secret_of

LINES = 10
"""Number of alerts in full in one message."""
LONGEST = 400
"""Maximum characters of an alert in a message."""
_LAST_TRIES = 0.25
"""Seconds between two tries at the end."""
_LOOK = 60.0
"""Seconds after which a channel looks at the clock again, which may have been set."""
LATE_S = 300.0
"""Seconds after which other channels are told that one does not deliver."""
_KEPT = msgspec.json.Decoder(dict[str, list[Alert]])


Send = Callable[[str, str, Level], bool]
"""``send(title, body, level)``: whether it arrived; it may be slow, and raise."""


@dataclass(frozen=True)
class Pace:
    """Sending limits of a channel; seconds.

    The first alert waits `gather` for others. Messages are `pause` apart; after a failure
    `backoff`, doubled up to `backoff_most`. At most `waiting` alerts wait.
    """

    gather: float = 0.2
    pause: float = 5.0
    backoff: float = 1.0
    backoff_most: float = 60.0
    waiting: int = 500


PLAIN = AlertChannelTerms(addresses="NONE")
"""Sends all alerts at once."""


class AlertChannel:
    """Sends alerts to one address, known only to `send`; `name` is shown instead."""

    def __init__(
        self,
        node: str,
        name: str,
        send: Send,
        pace: Pace | None = None,
        terms: AlertChannelTerms = PLAIN,
        kept: Sequence[Alert] = (),
    ) -> None:
        self.name = name
        self._node, self._send, self._pace = node, send, pace or Pace()
        self._pacing = AlertPacing(terms, kept)
        self._changed = threading.Condition()
        self._sending: list[Alert] = []
        self._counted: Counter[str] = Counter()
        self._problem = ""
        self._reported = ""
        self._trying: float | None = None
        self._until: float | None = None
        self._next_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"alerts {name}", daemon=True)
        self._thread.start()

    def put(self, alert: Alert) -> None:
        """Queue an alert without waiting."""
        with self._changed:
            self._pacing.put(alert)
            self._pacing.waiting = self._shortened(self._pacing.waiting)
            self._changed.notify_all()

    def counted(self) -> Counter[str]:
        """Return how many alerts were sent and dropped, messages sent, and tries that failed."""
        with self._changed:
            return Counter(self._counted)

    @property
    def undelivered_s(self) -> float:
        """Seconds since when a message tries to leave, 0 while none does."""
        with self._changed:
            return 0.0 if self._trying is None else time.monotonic() - self._trying

    def news(self) -> str | None:
        """Return each failure and recovery once; None when nothing changed."""
        with self._changed:
            if self._problem == self._reported:
                return None
            self._reported = self._problem
            return f"{self.name}: {self._problem or 'alerts arrive again'}"

    def unsent(self) -> list[Alert]:
        """Return what waits, and what tries to leave."""
        with self._changed:
            return [*self._sending, *self._pacing.waiting]

    def kept(self) -> list[Alert]:
        """Return what waits for the end of quiet hours, after `ended`."""
        with self._changed:
            return self._pacing.kept(time.time_ns())

    def end(self, seconds: float) -> None:
        """Send now all that may leave, and try for so long."""
        with self._changed:
            self._until = time.monotonic() + seconds
            self._changed.notify_all()

    def ended(self) -> bool:
        """Wait for the time given to `end` at most; return whether all that may leave arrived."""
        assert self._until is not None
        self._thread.join(max(0.0, self._until - time.monotonic()))
        with self._changed:
            return not self._thread.is_alive() and not self._sending

    def _run(self) -> None:
        while self._wait_for_some():
            batch, tries = self._take(), 0
            if not batch:
                continue
            with self._changed:
                self._trying = time.monotonic()
            while not self._tried(batch):
                tries += 1
                pause = self._pace.backoff * 2 ** min(tries - 1, 16)
                if not self._pause_after_failure(min(pause, self._pace.backoff_most)):
                    return
                batch = self._sending = self._shortened(batch + self._take())
            with self._changed:
                self._sending = []
                self._counted["sent"] += len(batch)
                self._counted["messages"] += 1
                self._pacing.sent(batch, time.time_ns())
                self._trying = None
                self._next_at = time.monotonic() + self._pace.pause

    def _wait_for_some(self) -> bool:
        with self._changed:
            while (due := self._due()) is None or due > time.time_ns():
                if self._until is not None:
                    return False
                self._changed.wait(None if due is None else min(due / 1e9 - time.time(), _LOOK))
            wait = max(self._pace.gather, self._next_at - time.monotonic())
            # At the end, send at once.
            self._changed.wait_for(lambda: self._until is not None, wait)
            return True

    def _due(self) -> int | None:
        return self._pacing.due(time.time_ns(), ends=self._until is not None)

    def _take(self) -> list[Alert]:
        with self._changed:
            taken = self._pacing.take(time.time_ns(), ends=self._until is not None)
            self._sending = [*self._sending, *taken]
            return taken

    def _shortened(self, alerts: list[Alert]) -> list[Alert]:
        if len(alerts) <= self._pace.waiting:
            return alerts
        with self._changed:
            self._counted["dropped"] += len(alerts) - self._pace.waiting
        return [alerts[n] for n in kept_places(alerts, self._pace.waiting)]

    def _pause_after_failure(self, seconds: float) -> bool:
        with self._changed:
            # The close ends the wait; then little time is left.
            self._changed.wait_for(lambda: self._until is not None, seconds)
            if self._until is None:
                return True
            left = self._until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, _LAST_TRIES))
        return True

    def _tried(self, batch: Sequence[Alert]) -> bool:
        title, body, level = message(self._node, batch)
        problem = "the service refuses it or can't be reached; it is sent again"
        try:
            arrived = self._send(title, body, level)
        except Exception as error:  # noqa: BLE001 - whatever a service's client raises: said below
            # The error's text may hold the address.
            arrived, problem = False, f"failed: {type(error).__name__}"
        with self._changed:
            self._problem = "" if arrived else problem
            self._counted["failures"] += not arrived
        return arrived


def message(node: str, batch: Sequence[Alert]) -> tuple[str, str, Level]:
    """Return title, body and level of one message for several alerts."""
    first: dict[str, Alert] = {}
    times = Counter(alert.text for alert in batch)
    for alert in batch:
        first.setdefault(alert.text, alert)
    alerts, level = list(first.values()), max((a.level for a in batch), key=RANK.__getitem__)
    lines = [
        f"{datetime.fromtimestamp(alert.ts / 1e9, UTC):%m-%d %H:%M:%S} UTC {_cut(alert.text)}"
        + (f" (x {times[alert.text]})" if times[alert.text] > 1 else "")
        for alert in alerts
    ]
    if len(batch) == 1:
        return f"{node}: {batch[0].kind}", lines[0], level
    if len(lines) > LINES:
        places = kept_places(alerts, LINES)
        gap = next(n for n, place in enumerate([*places, -1]) if place != n)
        lines = [lines[place] for place in places]
        lines.insert(gap, f"… and {len(alerts) - LINES} more, see alerts.jsonl …")
    return f"{node}: {len(batch)} alerts", "\n".join(lines), level


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


FILE, KEPT_FILE = "alerts.jsonl", "alerts_kept.json"
FILE_BYTES = 16 * 1024 * 1024
"""Size at which a start renames the file."""
FLUSH_S = 5.0
"""Time for the last alerts at a node's stop."""


class AlertSink(Protocol):
    """Sends an alert without waiting; `about` and `over` are those of `Alert`."""

    def __call__(
        self, text: str, level: Level, kind: str, *, about: str = "", over: bool = False
    ) -> None:
        """Send an alert."""


@dataclass(frozen=True)
class AlertUrl:
    """An address, and the terms of its channel."""

    address: Secret
    channel: str = "channel"
    terms: AlertChannelTerms = PLAIN


def alert_urls_of(node: Node, variables: Mapping[str, str]) -> tuple[AlertUrl, ...]:
    """Return the addresses of the node's alerts, if any.

    Raises GateRefused if a variable is missing or holds no address: no trading without working
    alerts.
    """
    channels = {} if node.alerts is None else node.alerts.channels
    return tuple(
        AlertUrl(address, name, terms)
        for name, terms in channels.items()
        for address in _addresses(node.name, terms.addresses, variables)
    )


def _addresses(node: str, name: str, variables: Mapping[str, str]) -> list[Secret]:
    texts = secret_of(name, variables)[0].reveal().split()
    if not texts:
        raise GateRefused(
            f"{node}: alerts: {name} is not set: put the addresses into {ENV_FILE} or the "
            "environment, separated by spaces, or leave out what names it"
        )
    for number, text in enumerate(texts, start=1):
        if _service(text) is None:
            raise GateRefused(
                f"{node}: alerts: address {number} of {len(texts)} in {name} is none that "
                "apprise knows (it is not shown here, as it may hold a token); see "
                "https://github.com/caronc/apprise/wiki"
            )
    return [Secret(text) for text in texts]


class Alerts:
    """Sends alerts about faults that need a person; ``alerts.jsonl`` is in `folder`."""

    def __init__(
        self, node: str, folder: Path, urls: Sequence[AlertUrl] = (), pace: Pace | None = None
    ) -> None:
        self._path, self._kept_path = folder / FILE, folder / KEPT_FILE
        if self._path.is_file() and self._path.stat().st_size > FILE_BYTES:
            self._path.replace(self._path.with_suffix(".old.jsonl"))
        # A dry run sends nothing, and leaves the next start what it is to send.
        kept = self._take_kept() if urls else {}
        number: Counter[str] = Counter()
        self._channels = []
        for url in urls:
            number[url.channel] += 1
            kind, send = _sender(url.address)
            name = f"{url.channel} {number[url.channel]} ({kind})"
            self._channels.append(
                AlertChannel(node, name, send, pace, url.terms, kept.get(name, ()))
            )
        self._kept: dict[str, list[Alert]] | None = None
        self._counted: Counter[str] = Counter()
        self._late: set[str] = set()
        self._unwritten = 0

    def __call__(
        self,
        text: str,
        level: Level = "warning",
        kind: str = "guard",
        *,
        about: str = "",
        over: bool = False,
    ) -> None:
        """Write an alert and send it everywhere without waiting (`AlertSink`)."""
        alert = Alert(ts=time.time_ns(), level=level, kind=kind, text=text, about=about, over=over)
        self._write(alert)
        for channel in self._channels:
            channel.put(alert)

    def counts(self) -> dict[str, int]:
        """Return the increase of each counter since the last call."""
        now = Counter(unwritten=self._unwritten)
        for channel in self._channels:
            now += channel.counted()
        grown, self._counted = now - self._counted, now
        return {f"alerts_{name}": value for name, value in grown.items()}

    def news(self) -> list[str]:
        """Return failures and recoveries of channels since the last call."""
        return [said for channel in self._channels if (said := channel.news()) is not None]

    def watch(self) -> None:
        """Alert when a channel has delivered nothing for long, and when it does again.

        It keeps what is not sent, for the start after a kill.
        """
        self._keep({channel.name: channel.unsent() for channel in self._channels})
        for channel in self._channels:
            name, is_late = channel.name, channel.undelivered_s >= LATE_S
            if is_late == (name in self._late):
                continue
            self._late ^= {name}
            why = f"have not arrived for {LATE_S / 60:g} min" if is_late else "arrive again"
            level: Level = "warning" if is_late else "info"
            self(f"alerts to {name} {why}", level, "alerts", about=name, over=not is_late)

    def close(self, seconds: float = FLUSH_S) -> bool:
        """Send all that may leave within `seconds`; return whether it arrived.

        What waits for the end of quiet hours is sent by the next start.
        """
        for channel in self._channels:
            channel.end(seconds)
        arrived = [channel.ended() for channel in self._channels]
        kept = {channel.name: channel.kept() for channel in self._channels}
        if not self._keep(kept):
            self._unwritten += sum(map(len, kept.values()))
        return all(arrived)

    def _keep(self, kept: dict[str, list[Alert]]) -> bool:
        """Write what the next start is to send, where it has changed; return whether it is there.

        A dry run has no channels, and leaves what is there.
        """
        if kept == self._kept or not self._channels:
            return True
        try:
            if any(kept.values()):
                replace_file(self._kept_path, msgspec.json.encode(kept))
            else:
                self._kept_path.unlink(missing_ok=True)
        except OSError:
            return False
        self._kept = kept
        return True

    def _take_kept(self) -> dict[str, list[Alert]]:
        try:
            # It stays until it is written anew: this start may be killed, too.
            kept = _KEPT.decode(self._kept_path.read_bytes())
        except (OSError, msgspec.DecodeError):
            # None, or one of another version: alerts.jsonl has them all.
            return {}
        return kept

    def _write(self, alert: Alert) -> None:
        line = msgspec.json.encode(alert) + b"\n"
        try:
            # One write, so that lines never mix or break.
            place = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(place, line)
            finally:
                os.close(place)
        except OSError:
            # With a full disk the message must still leave; the journal counts it.
            self._unwritten += 1


def send_now(title: str, body: str, level: Level, urls: Sequence[AlertUrl]) -> list[str]:
    """Send to each address, whatever its hours; return the channels to which it did not get."""
    failed = []
    for url in urls:
        kind, send = _sender(url.address)
        try:
            arrived = send(title, body, level)
        except Exception as error:  # noqa: BLE001 - its text may hold the address
            arrived, kind = False, f"{kind}: {type(error).__name__}"
        if not arrived:
            failed.append(f"{url.channel} ({kind})")
    return failed


def _sender(address: Secret) -> tuple[str, Send]:
    from apprise import NotifyType

    service = _service(address.reveal())
    assert service is not None, "checked by _addresses"
    kinds = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}

    def send(title: str, body: str, level: Level) -> bool:
        return bool(service.notify(body=body, title=title, notify_type=kinds[level]))

    return str(service.service_name or type(service).__name__), send


def _service(address: str) -> Any:
    from apprise import Apprise

    # Both log addresses with their tokens.
    logging.getLogger("apprise").disabled = True
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return Apprise.instantiate(address)
