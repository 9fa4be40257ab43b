"""The board of standing verdicts: one for everybody on a message bus who follows the guards. Pure.

The order gate, the closer, the strategies, the guards' desk, the alerts and the heartbeat all read
it. It observes a verdict before any other subscriber does, so that nobody acts on an older one.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from strategies.messages import Action, Verdict, strictest

TOPIC = "verdicts.*"
"""Topic on which guards publish their verdicts."""
FIRST = 10
"""Priority of those who carry verdicts out: before those who record or follow them, and may
fail. The board itself comes before them all."""
_ENDPOINT = "VerdictBoard"


class VerdictBoard:
    """Each guard's newest verdict on each scope; it stands until the guard withdraws it.

    No time ends it. A guard that looks no more can't say that its limit is not reached any longer.
    """

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], Verdict] = {}
        self._before: dict[tuple[str, str], Verdict | None] = {}

    def observe(self, verdict: Verdict) -> None:
        """Put a verdict in place of its guard's earlier one on the scope; NONE withdraws that."""
        name = (verdict.guard, verdict.scope)
        self._before[name] = self._standing.get(name)
        if verdict.action == Action.NONE:
            self._standing.pop(name, None)
        else:
            self._standing[name] = verdict

    def standing(self) -> list[Verdict]:
        """Return every verdict that stands, the one that began first before the others."""
        return list(self._standing.values())

    def before(self, verdict: Verdict) -> Verdict | None:
        """Return what the newest verdict of this guard on this scope replaced, None for nothing."""
        return self._before.get((verdict.guard, verdict.scope))

    def of(self, guard: str) -> dict[str, Verdict]:
        """Return what stands of one guard, by scope."""
        return {scope: v for (key, scope), v in self._standing.items() if key == guard}

    def on(self, scopes: Container[str]) -> list[Verdict]:
        """Return those that stand on one of the scopes."""
        return [verdict for verdict in self._standing.values() if verdict.scope in scopes]

    def strictest(self, scopes: Container[str]) -> Verdict:
        """Return the strictest that stands on one of the scopes."""
        return strictest(self.on(scopes))


def board_of(bus: Any) -> VerdictBoard:
    """Return the board of a message bus; the first call makes it."""
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
    """Whether one of these halts entries for now, as when a link is down: it ends by itself."""
    return any(v.action >= Action.HALT_ENTRIES and v.transient for v in verdicts)


def halted_for_good(verdicts: Iterable[Verdict]) -> bool:
    """Whether one of these halts entries until its guard or a person ends it."""
    return any(v.action >= Action.HALT_ENTRIES and not v.transient for v in verdicts)
