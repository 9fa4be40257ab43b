"""systemd watchdog (sd_notify): ready, alive and progress of a node to its service manager.

The node's event loop sends, with each heartbeat, so that a loop that hangs sends nothing: no other
thread can keep a node alive that trades no more. ``WatchdogSec=`` below 3 s is too short for a
heartbeat a second.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from live_nodes.local.heartbeat import Beat

ADDRESS = "NOTIFY_SOCKET"
START_US = 60_000_000
"""Microseconds that a start may take from each sign of life on."""


def service_manager() -> Callable[[Beat], None]:
    """Return what tells the service manager of heartbeats; nothing where none asked for it."""
    if not os.environ.get(ADDRESS):
        return lambda beat: None
    from sdnotify import SystemdNotifier

    notifier = SystemdNotifier()
    if notifier.socket is not None:
        # A manager that does not read must not stop the loop.
        notifier.socket.setblocking(False)

    def on_beat(beat: Beat) -> None:
        status = (beat.stalled or beat.verdict or beat.phase).replace("\n", " ")
        # The notifier drops a message whole that has other letters.
        lines = ["STATUS=" + status.encode("ascii", "replace").decode()]
        if not beat.stalled:
            lines.append("WATCHDOG=1")
        if beat.phase == "running":
            lines.append("READY=1")
        elif beat.phase == "starting":
            lines.append(f"EXTEND_TIMEOUT_USEC={START_US}")
        notifier.notify("\n".join(lines))

    return on_beat
