"""How far the price went against and for each position of a node, for MAE and MFE of its trades.

Prices are the mids at each evaluation of the guards (`risk.every`). Of a position that was not
followed from its first fill on, as over a restart, nothing is kept: what was missed is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from actors.guards.core.snapshot import FillEvent, Input, RoundTripEvent, Snapshot
from actors.records.prices import Touch
from strategies.state import StateStore

OWNER = "excursions"
LATE_NS = 5_000_000_000
"""A fill that the desk learns of later than this has been missed."""


@dataclass(slots=True)
class _Range:
    opened: int
    low: float | None = None
    high: float | None = None


class Excursions:
    """Keeps the lowest and the highest mid of each position that closes."""

    def __init__(self, touch: Callable[[str], Touch], store: StateStore) -> None:
        self._touch, self._store = touch, store
        self._held: dict[tuple[str, str], _Range] = {}
        self._next: dict[tuple[str, str], _Range] = {}

    def see(self, seen: Input) -> None:
        """Take in what the risk desk has seen."""
        match seen:
            case FillEvent(opened=True):
                # A fill through zero opens a position before it is told that the other closed.
                key, new = (seen.strategy, seen.instrument), _Range(seen.ts)
                (self._next if key in self._held else self._held)[key] = new
            case RoundTripEvent():
                self._close(seen)
            case Snapshot():
                for key, kept in list(self._held.items()):
                    self._widen(key, kept, seen.now)

    def _widen(self, key: tuple[str, str], kept: _Range, now: int) -> None:
        if kept.low is None and now - kept.opened > LATE_NS:
            del self._held[key]
            return
        bid, ask, *_ = self._touch(key[1])
        if bid is not None and ask is not None:
            mid = float(bid + ask) / 2
            kept.low = mid if kept.low is None else min(kept.low, mid)
            kept.high = mid if kept.high is None else max(kept.high, mid)

    def _close(self, trip: RoundTripEvent) -> None:
        key = trip.strategy, trip.instrument
        kept = self._held.pop(key, None)
        if key in self._next:
            self._held[key] = self._next.pop(key)
        if kept is not None and kept.low is not None:
            value = msgspec.json.encode((kept.low, kept.high))
            self._store.save(name_of(*key, trip.ts), value)


def name_of(strategy: str, instrument: str, closed: int) -> str:
    """Return the name under which a position's lowest and highest mid are saved."""
    return f"{strategy} {instrument} {closed}"
