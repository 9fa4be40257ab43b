"""Alerts: a line in ``alerts.jsonl``, and a message to every address that the document names.

Addresses are apprise's (https://github.com/caronc/apprise/wiki), found by the name of an
environment variable. They hold tokens: nothing here ever shows one, and apprise's own log, which
does, is silenced.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from config.documents import Node
from config.errors import GateRefused
from live_nodes.local.alert_channel import Alert, Channel, Counted, Level, Pace, Send
from live_nodes.local.keys import ENV_FILE, Secret

FILE = "alerts.jsonl"
FILE_BYTES = 16 * 1024 * 1024
"""Length at which a start puts the file aside."""
FLUSH_S = 5.0
"""How long a node that stops waits for its last alerts to leave."""


class Tell(Protocol):
    """Takes what a person must hear."""

    def __call__(self, text: str, level: Level = "warning", kind: str = "guard") -> None:
        """Tell it; returns at once."""


def addresses_of(node: Node, variables: Mapping[str, str]) -> tuple[Secret, ...]:
    """Return the addresses that the node's alerts go to, empty when the document names none.

    Raises
    ------
    GateRefused
        When the variable is not there, or holds something that is no address: a desk whose alerts
        nobody hears must not trade.
    """
    name = node.alerts
    if name is None:
        return ()
    texts = variables.get(name, "").split()
    if not texts:
        raise GateRefused(
            f"{node.name}: alerts: {name} is not set: put the addresses into {ENV_FILE} or the "
            "environment, separated by spaces, or leave out `alerts:`"
        )
    for number, text in enumerate(texts, start=1):
        if _service(text) is None:
            raise GateRefused(
                f"{node.name}: alerts: address {number} of {len(texts)} in {name} is none that "
                "apprise knows (it is not shown here, as it may hold a token); see "
                "https://github.com/caronc/apprise/wiki"
            )
    return tuple(Secret(text) for text in texts)


class Alerts:
    """Tells a person what a node can't put right by itself.

    Parameters
    ----------
    node : str
        The node's name.
    folder : pathlib.Path
        Its state folder, takes ``alerts.jsonl``.
    addresses : sequence of Secret
        Of apprise.
    pace : Pace, optional
        How often each of them hears.
    """

    def __init__(
        self,
        node: str,
        folder: Path,
        addresses: Sequence[Secret] = (),
        pace: Pace | None = None,
    ) -> None:
        self._path = folder / FILE
        self._put_aside()
        self._channels = [
            Channel(node, f"channel {number} of {len(addresses)} ({kind})", send, pace)
            for number, (kind, send) in enumerate(map(_sender, addresses), start=1)
        ]
        self._counted = Counted()
        self._unwritten = 0
        self._unwritten_told = 0

    def __call__(self, text: str, level: Level = "warning", kind: str = "guard") -> None:
        """Tell a person (`Tell`)."""
        alert = Alert(ts=time.time_ns(), level=level, kind=kind, text=text)
        self._write(alert)
        for channel in self._channels:
            channel.put(alert)

    def counts(self) -> dict[str, int]:
        """Return by how much each counter grew since it was asked last."""
        now = Counted()
        for channel in self._channels:
            for name, value in vars(channel.counted()).items():
                setattr(now, name, getattr(now, name) + value)
        grown = {
            f"alerts_{name}": value - getattr(self._counted, name)
            for name, value in vars(now).items()
        }
        self._counted = now
        grown["alerts_unwritten"] = self._unwritten - self._unwritten_told
        self._unwritten_told = self._unwritten
        return {name: value for name, value in grown.items() if value}

    def news(self) -> list[str]:
        """Return which channels failed, or are well again, since it was asked last."""
        return [said for channel in self._channels if (said := channel.news()) is not None]

    def close(self, seconds: float = FLUSH_S) -> bool:
        """Send what waits, for a bounded time; return whether all of it arrived."""
        deadline = time.monotonic() + seconds
        arrived = [
            channel.close(max(0.0, deadline - time.monotonic())) for channel in self._channels
        ]
        return all(arrived)

    def _write(self, alert: Alert) -> None:
        line = msgspec.json.encode(alert) + b"\n"
        try:
            # One write: two lines never mix, and a killed process leaves no half one.
            place = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(place, line)
            finally:
                os.close(place)
        except OSError:
            # A full disk must not keep the message from leaving; the journal hears of it.
            self._unwritten += 1

    def _put_aside(self) -> None:
        if self._path.is_file() and self._path.stat().st_size > FILE_BYTES:
            self._path.replace(self._path.with_suffix(".old.jsonl"))


def _sender(address: Secret) -> tuple[str, Send]:
    """Return what an address is called in public, and what brings a message there."""
    from apprise import NotifyType

    service = _service(address.reveal())
    assert service is not None, "checked by addresses_of"
    kinds = {
        "info": NotifyType.INFO,
        "warning": NotifyType.WARNING,
        "critical": NotifyType.FAILURE,
    }

    def send(title: str, body: str, level: Level) -> bool:
        return bool(service.notify(body=body, title=title, notify_type=kinds[level]))

    return str(service.service_name or type(service).__name__), send


def _service(address: str) -> Any:
    """Return apprise's client of an address, None when it knows none."""
    from apprise import Apprise

    # Both put addresses, tokens included, into what they log.
    logging.getLogger("apprise").disabled = True
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return Apprise.instantiate(address)
