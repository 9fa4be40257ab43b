"""The guards' verdicts as a strategy has heard them. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable

from strategies.messages import PASSING, Action, Verdict, strictest

FIRST = 10
"""Priority with which those hear verdicts who carry them out: before those who take them down or
follow them, and may fail."""
STANDING = "RiskDesk.standing"
"""Endpoint of the message bus, where there are guards: a callable sent there is called with every
verdict that stands."""


class Verdicts:
    """Each guard's newest word on each scope: it stands until the guard takes it back.

    No time ends it. A guard that looks no more can't say that its limit is not reached any longer.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], Verdict] = {}

    def hear(self, verdict: Verdict) -> None:
        """Take in a guard's word in place of its earlier one on the scope; NONE takes it back."""
        name = (verdict.guard, verdict.scope)
        if verdict.action == Action.NONE:
            self._said.pop(name, None)
        else:
            self._said[name] = verdict

    def standing(self) -> list[Verdict]:
        """Return every word that stands."""
        return list(self._said.values())

    def on(self, scopes: Container[str]) -> list[Verdict]:
        """Return those that stand on one of the scopes."""
        return [verdict for verdict in self._said.values() if verdict.scope in scopes]

    def strictest(self, scopes: Container[str]) -> Verdict:
        """Return the strictest that stands on one of the scopes."""
        return strictest(self.on(scopes))


def halted_for_now(verdicts: Iterable[Verdict]) -> bool:
    """Whether one of these halts entries and passes by itself, as when a link is down."""
    return any(v.action >= Action.HALT_ENTRIES and _passing(v) for v in verdicts)


def halted_for_good(verdicts: Iterable[Verdict]) -> bool:
    """Whether one of these halts entries, and does not pass by itself."""
    return any(v.action >= Action.HALT_ENTRIES and not _passing(v) for v in verdicts)


def _passing(verdict: Verdict) -> bool:
    return verdict.passing or verdict.guard in PASSING
