"""Ping a dead man's switch while a node trades: who misses the pings raises the alarm."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from config.documents import Node
from config.errors import GateRefused
from live_nodes.local.heartbeat import STALE_S, Beat, last_beat
from live_nodes.local.keys import ENV_FILE, Secret, secret_of
from live_nodes.local.timefmt import age_text

_TIMEOUT_S = 10.0


def ping_url_of(node: Node, variables: Mapping[str, str]) -> Secret | None:
    """Return the address of the node's dead man's switch, if any.

    Raises GateRefused if its variable is missing or holds no http(s) address.
    """
    name = None if node.alerts is None else node.alerts.alive.ping
    if name is None:
        return None
    url = secret_of(name, variables)[0].reveal().strip()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise GateRefused(
            f"{node.name}: alerts.alive.ping: {name} must hold an http(s) address (it is not shown "
            f"here, as it may hold a token): put it into {ENV_FILE} or the environment"
        )
    return Secret(url)


def not_alive(beat: Beat | None, now_ns: int, within_s: float = STALE_S) -> str:
    """Return why a node does not count as alive, empty if it does; UNIX nanoseconds (UTC)."""
    if beat is None:
        return "it has never written a heartbeat"
    if now_ns - beat.ts > within_s * 1e9:
        return f"its last heartbeat is {age_text(now_ns - beat.ts)} old ({beat.phase})"
    return beat.stalled if beat.phase == "running" else f"it is {beat.phase}"


def keep_pinging(url: Secret, folder: Path, every_s: float, ended: threading.Event) -> None:
    """Fetch the address each so many seconds while the heartbeat is fresh, until `ended`.

    A ping that fails is a ping that is missed: its absence is the message.
    """
    while not ended.is_set():
        with suppress(OSError):
            if not not_alive(last_beat(folder), time.time_ns()):
                pinged(url)
        ended.wait(every_s)


def pinged(url: Secret) -> bool:
    """Fetch the address once; return whether it answered."""
    # Imported here, as other commands read this file.
    import http.client
    import urllib.request

    try:
        with urllib.request.urlopen(url.reveal(), timeout=_TIMEOUT_S):
            return True
    except (OSError, ValueError, http.client.HTTPException):
        # Not shown: the text may hold the address.
        return False
