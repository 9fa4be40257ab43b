"""Alerts on guards and closings: which to send, their urgency and text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from live_nodes.local.alerts import AlertSink, Level
from strategies.messages import Action, Verdict
from strategies.verdicts import VerdictBoard

LEVELS: dict[str, Level] = {"not_flat": "critical", "resting": "critical", "off": "info"}
"""Levels of the closer's news; all others are warnings."""


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
            self._alert(f"{word} on {verdict.scope} by {verdict.guard}: {verdict.reason}", level)
        elif before >= Action.HALT_ENTRIES:
            why = f": {verdict.reason}" if verdict.reason not in ("", "over") else ""
            self._alert(
                f"{before.name.lower()} on {verdict.scope} by {verdict.guard} is over{why}", "info"
            )

    def report(self, kind: str, text: str) -> None:
        """Alert on the progress of a flatten (`actors.closing.closer.OnNews`)."""
        self._out(text, LEVELS.get(kind, "warning"), "flatten")

    def silences(self, silent: Iterable[str]) -> None:
        """Alert when a required guard falls silent, and when it is back."""
        now = set(silent)
        for key in sorted(now - self._silent):
            self._alert(f"guard {key} is silent: no entries until it measures again", "critical")
        for key in sorted(self._silent - now):
            self._alert(f"guard {key} measures again", "info")
        self._silent = now

    def _alert(self, text: str, level: Level) -> None:
        self._out(text, level, "guard")

    def _out(self, text: str, level: Level, source: str) -> None:
        # The journal comes last: if it can't be written, the alert must still leave.
        self._sink(text, level, source)
        self._say(text)
        self._note(source, text)


def _concerns_a_person(verdict: Verdict) -> bool:
    return not verdict.transient and not verdict.guard.startswith("node.")
