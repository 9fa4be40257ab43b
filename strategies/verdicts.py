"""Board of standing verdicts, shared on a message bus. Pure.

The order gate, the closer, the strategies, the guards' desk, the alerts and the heartbeat read it.
It receives a verdict before any other subscriber, so that none acts on an older one.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from strategies.messages import NOTHING_STANDS, Action, Verdict, strictest

TOPIC = "verdicts.*"
"""Topic on which guards publish their verdicts."""
FIRST = 10
"""Priority of subscribers that carry verdicts out: before those that record them and may fail.
The board itself is before all of them."""
_ENDPOINT = "VerdictBoard"


class VerdictBoard:
    """Newest verdict of each guard on each scope; it stands until the guard withdraws it.

    It does not expire: a guard that stopped checking can't know that its limit is no longer
    reached.
    """

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], Verdict] = {}
        self._before: dict[tuple[str, str], Verdict | None] = {}

    def observe(self, verdict: Verdict) -> None:
        """Replace the guard's earlier verdict on the scope; NONE withdraws it."""
        name = (verdict.guard, verdict.scope)
        self._before[name] = self._standing.get(name)
        if verdict.action == Action.NONE:
            self._standing.pop(name, None)
        else:
            self._standing[name] = verdict

    def standing(self) -> list[Verdict]:
        """Return all standing verdicts, oldest first."""
        return list(self._standing.values())

    def before(self, verdict: Verdict) -> Verdict | None:
        """Return the verdict that this guard's newest one on this scope replaced, or None."""
        return self._before.get((verdict.guard, verdict.scope))

    def of(self, guard: str) -> dict[str, Verdict]:
        """Return one guard's standing verdicts by scope."""
        return {scope: v for (key, scope), v in self._standing.items() if key == guard}

    def on(self, scopes: Container[str]) -> list[Verdict]:
        """Return the standing verdicts on any of the scopes."""
        return [verdict for verdict in self._standing.values() if verdict.scope in scopes]

    def strictest(self, scopes: Container[str]) -> Verdict:
        """Return the strictest standing verdict on the scopes."""
        return strictest(self.on(scopes)) if self._standing else NOTHING_STANDS


def board_of(bus: Any) -> VerdictBoard:
    """Return the board of a message bus; the first call creates it."""
    found: list[VerdictBoard] = []
    if _ENDPOINT in bus.endpoints():
        bus.send(endpoint=_ENDPOINT, msg=found.append)
        return found[0]
    board = VerdictBoard()

    def give(take: Any) -> None:
        take(board)

    bus.register(endpoint=_ENDPOINT, handler=give)
    bus.subscribe(TOPIC, board.observe, priority=FIRST + 1)
    return board


def halted_for_now(verdicts: Iterable[Verdict]) -> bool:
    """Whether a transient verdict halts entries, as when a link is down."""
    return any(v.action >= Action.HALT_ENTRIES and v.transient for v in verdicts)


def passes(verdict: Verdict, by_ns: int) -> bool:
    """Whether a halt of entries ends by itself: transient, the node's own, or due by a time.

    ``by_ns`` is UNIX nanoseconds (UTC).
    """
    if not Action.HALT_ENTRIES <= verdict.action < Action.FLATTEN:
        return False
    due = not verdict.covers_decision and verdict.until is not None and verdict.until <= by_ns
    return verdict.transient or verdict.guard.startswith("node.") or due


def halted_for_good(verdicts: Iterable[Verdict]) -> bool:
    """Whether a verdict halts entries until its guard or a person withdraws it."""
    return any(v.action >= Action.HALT_ENTRIES and not v.transient for v in verdicts)
