"""What a strategy must still know after a crash, as named bytes.

The store of a live node is its journal; a backtest, which nobody restarts, has none, so keeping
state costs it nothing. `MemoryState` stands in for the journal in tests.
"""

from __future__ import annotations

from typing import Protocol


class StateStore(Protocol):
    """One strategy's named states."""

    def load(self, name: str) -> bytes | None:
        """Return what was last saved under the name, None when nothing ever was."""

    def save(self, name: str, value: bytes) -> None:
        """Keep the value in place of the one before; returns only once it would survive a crash."""


class MemoryState:
    """A store that lives as long as the object."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.saves = 0

    def load(self, name: str) -> bytes | None:
        """Return what was last saved under the name."""
        return self.values.get(name)

    def save(self, name: str, value: bytes) -> None:
        """Keep the value."""
        self.values[name] = value
        self.saves += 1
