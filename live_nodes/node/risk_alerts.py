"""Alerts on guards and closings: which to send, their urgency and text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from live_nodes.local.alert_pacing import Level
from live_nodes.local.alerts import AlertSink
from strategies.messages import Action, Verdict
from strategies.verdicts import VerdictBoard

LEVELS: dict[str, Level] = {"not_flat": "critical", "resting": "critical", "off": "info"}
"""Levels of the closer's news; all others are warnings."""
NOT_FLAT = "not flat"
"""Condition of a flatten that takes too long."""


class RiskAlerts:
    """Turns verdicts, closer news and silent guards into alerts, notes and printed lines."""

    def __init__(
        self,
        board: VerdictBoard,
        alert: AlertSink,
        note: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self._board, self._sink, self._note, self._say = board, alert, note, say
        self._silent: set[str] = set()

    def on_verdict(self, verdict: Verdict) -> None:
        """Alert when a lasting halt begins, changes or ends; the journal has brief ones."""
        if not _concerns_a_person(verdict):
            return
        replaced = self._board.before(verdict)
        before = replaced.action if replaced and _concerns_a_person(replaced) else Action.NONE
        if verdict.action >= Action.HALT_ENTRIES:
            if verdict.action == before:
                return
            level: Level = "critical" if verdict.action == Action.FLATTEN else "warning"
            word = verdict.action.name.lower()
            text = f"{word} on {verdict.scope} by {verdict.guard}: {verdict.reason}"
            self._out(text, level, "guard", about=_about(verdict))
        elif before >= Action.HALT_ENTRIES:
            why = f": {verdict.reason}" if verdict.reason not in ("", "over") else ""
            text = f"{before.name.lower()} on {verdict.scope} by {verdict.guard} is over{why}"
            self._out(text, "info", "guard", about=_about(verdict), over=True)

    def report(self, kind: str, text: str) -> None:
        """Alert on the progress of a flatten (`actors.closing.closer.OnNews`)."""
        is_over = kind in ("flat", "off")
        about = NOT_FLAT if is_over or kind == "not_flat" else ""
        self._out(text, LEVELS.get(kind, "warning"), "flatten", about=about, over=is_over)

    def silences(self, silent: Iterable[str]) -> None:
        """Alert when a required guard falls silent, and when it is back."""
        now = set(silent)
        for key in sorted(now - self._silent):
            text = f"guard {key} is silent: no entries until it measures again"
            self._out(text, "critical", "guard", about=f"silent {key}")
        for key in sorted(self._silent - now):
            text = f"guard {key} measures again"
            self._out(text, "info", "guard", about=f"silent {key}", over=True)
        self._silent = now

    def _out(
        self, text: str, level: Level, source: str, *, about: str = "", over: bool = False
    ) -> None:
        # The journal comes last: if it can't be written, the alert must still leave.
        self._sink(text, level, source, about=about, over=over)
        self._say(text)
        self._note(source, text)


def _concerns_a_person(verdict: Verdict) -> bool:
    return not verdict.transient and not verdict.guard.startswith("node.")


def _about(verdict: Verdict) -> str:
    return f"{verdict.guard} on {verdict.scope}"
