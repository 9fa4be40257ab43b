"""systemd watchdog (sd_notify): ready, alive and progress of a node to its service manager.

The node's event loop sends, with each heartbeat, so that a loop that hangs sends nothing: no other
thread can keep a node alive that trades no more. ``WatchdogSec=`` below 3 s is too short for a
heartbeat a second.
"""

from __future__ import annotations

import os

from live_nodes.local.heartbeat import Beat

ADDRESS = "NOTIFY_SOCKET"
START_US = 60_000_000
"""Microseconds that a start may take from each sign of life on."""


class ServiceManager:
    """Tells the service manager of heartbeats; does nothing where none asked for it."""

    def __init__(self) -> None:
        self._notifier = None
        if os.environ.get(ADDRESS):
            from sdnotify import SystemdNotifier

            notifier = SystemdNotifier()
            if notifier.socket is not None:
                # A manager that does not read must not stop the loop.
                notifier.socket.setblocking(False)
                self._notifier = notifier

    def on_beat(self, beat: Beat) -> None:
        """Send readiness, and a ping of the watchdog unless trading is stalled."""
        if self._notifier is None:
            return
        status = (beat.stalled or beat.verdict or beat.phase).replace("\n", " ")
        # The notifier drops a message whole that has other letters.
        lines = ["STATUS=" + status.encode("ascii", "replace").decode()]
        if not beat.stalled:
            lines.append("WATCHDOG=1")
        if beat.phase == "running":
            lines.append("READY=1")
        elif beat.phase == "starting":
            lines.append(f"EXTEND_TIMEOUT_USEC={START_US}")
        self._notifier.notify("\n".join(lines))
