"""State that a strategy saves for a restart after a crash, as named bytes.

A live node saves to its journal. A backtest is never restarted and has no store. `MemoryState`
replaces the journal in tests.
"""

from __future__ import annotations

from typing import Protocol


class StateStore(Protocol):
    """One strategy's named states."""

    def load(self, name: str) -> bytes | None:
        """Return the value last saved under the name, None without one."""

    def save(self, name: str, value: bytes) -> None:
        """Save the value, replacing the one before; return only once it would survive a crash."""


class MemoryState:
    """State store in memory, for tests."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.saves = 0

    def load(self, name: str) -> bytes | None:
        """Return the value last saved under the name."""
        return self.values.get(name)

    def save(self, name: str, value: bytes) -> None:
        """Save the value."""
        self.values[name] = value
        self.saves += 1
