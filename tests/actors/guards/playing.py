"""Plays inputs to a guard and its latches the way its actor does, restarts included."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from actors.guards.core.guard import Guard
from actors.guards.core.halts import Latches, released, step, verdicts
from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Input, RoundTripEvent, Snapshot
from config.durations import DAY_NS
from strategies.messages import Action, Verdict

DAY = 20_000
"""A UTC day, as the number of days since 1970: 4 October 2024."""


def at(day: float, clock: str = "00:00") -> int:
    """Return the nanoseconds of a clock time on a day after `DAY`."""
    hours, minutes = map(int, clock.split(":"))
    return int((DAY + day) * DAY_NS) + (hours * 60 + minutes) * 60 * 10**9


def snapshot(equity: str | int | Decimal, now: int | None = None, **fields: Any) -> Snapshot:
    """Return a snapshot, at noon of the first day unless told otherwise."""
    return Snapshot(now=at(0, "12:00") if now is None else now, equity=Decimal(equity), **fields)


def nets(**results: str | int) -> dict[str, Decimal]:
    """Return results by name."""
    return {name: Decimal(net) for name, net in results.items()}


def closed(
    net: str | int, ts: int | None = None, strategy: str = "a", name: str = "X"
) -> RoundTripEvent:
    """Return a round trip that ended, at noon of the first day unless told otherwise."""
    when = at(0, "12:00") if ts is None else ts
    return RoundTripEvent(ts=when, strategy=strategy, instrument=name, net=Decimal(net))


class Player:
    """A rule, its state and its latches."""

    def __init__(self, guard: type[Guard[Any, Any]], params: GuardParams) -> None:
        assert params.check() == []
        self.guard, self.params = guard(params), params
        self.state: Any = None
        self.latches: Latches = ()
        self.readings: tuple[Reading, ...] = ()
        self.last: Snapshot | None = None

    def observe(self, *tape: Input) -> Player:
        """Take in what is seen, one after the other."""
        for seen in tape:
            if isinstance(seen, Snapshot):
                self.last = seen
                if self.state is None:
                    self.state = self.guard.start(seen)
            before = self.state
            self.state, readings = self.guard.observe(self.state, seen)
            assert (self.state is before) == (self.state == before), "a write for nothing"
            now = seen.now if isinstance(seen, Snapshot) else seen.ts
            self.latches = step(self.latches, readings, now, self.params)
            assert not (isinstance(seen, Snapshot) and readings is None)
            self.readings = self.readings if readings is None else readings
            assert not any(reading.over and reading.clear for reading in self.readings)
            assert all(bool(reading.reason) == reading.over for reading in self.readings)
        return self

    def restart(self) -> Player:
        """Go on from what the journal has kept."""
        kept = msgspec.json.encode((self.state, self.latches))
        before = self.state, self.latches
        self.state, self.latches = msgspec.json.decode(kept, type=tuple[self.guard.State, Latches])
        assert (self.state, self.latches) == before
        return self

    def accept(self, scope: str = "desk") -> Player:
        """Release a scope with --accept."""
        assert self.last is not None
        self.latches = released(self.latches, scope)
        self.state = self.guard.released(self.state, self.last, scope)
        return self

    def verdict(self, scope: str = "desk") -> Verdict:
        """Return what stands on a scope."""
        none = Verdict(action=Action.NONE, scope=scope)
        return verdicts(self.latches, "guard").get(scope, none)

    def action(self, scope: str = "desk") -> str:
        """Return what stands on a scope, in a word."""
        return self.verdict(scope).action.name.lower()

    def over(self) -> list[str]:
        """Return the scopes and keys of limits that are reached now."""
        return [
            f"{reading.scope} {reading.key}".strip() for reading in self.readings if reading.over
        ]
