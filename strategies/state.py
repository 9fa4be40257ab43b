"""State that a strategy saves for a restart after a crash, as named bytes.

A live node saves to its journal. A backtest is never restarted and has no store. `MemoryState`
replaces the journal in tests.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from config.errors import DeskError


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


def unreadable(strategy: str, name: str, why: object) -> DeskError:
    """Return the error of a saved state that can't be read: to go on could repeat orders."""
    return DeskError(
        f"strategy {strategy}: its saved state {name!r} can't be read ({why}); restore the journal "
        "from a backup, or move it aside to start without a past"
    )


def decoded[T](raw: bytes | None, kind: type[T], strategy: str, name: str) -> T | None:
    """Return a saved state, None without one; raises DeskError when it can't be read."""
    try:
        return msgspec.json.decode(raw, type=kind) if raw else None
    except msgspec.MsgspecError as error:
        raise unreadable(strategy, name, error) from error
