"""Who was last heard of when: a guard that falls silent must not go unnoticed. Pure.

Times are of a clock that never goes back (nanoseconds), or a change of the hour would pass for
silence, or hide it.
"""

from __future__ import annotations

from collections.abc import Iterable


class Heartbeats:
    """The newest sign of life of each name.

    Parameters
    ----------
    names : iterable of str
        Who must be heard of; each counts as silent until its first sign. Others may beat too.
    limit_ns : int
        Longest silence.
    """

    def __init__(self, names: Iterable[str], limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._names = tuple(names)
        self._last: dict[str, int] = {}

    def beat(self, name: str, now: int) -> None:
        """Take a sign of life in."""
        self._last[name] = now

    def since(self, name: str, now: int) -> int | None:
        """Return the nanoseconds since a name's newest sign, None when there never was one."""
        last = self._last.get(name)
        return None if last is None else now - last

    def silent(self, now: int) -> list[str]:
        """Return who has been silent for longer than the limit, in the order given."""
        return [name for name in self._names if self._is_silent(name, now)]

    def _is_silent(self, name: str, now: int) -> bool:
        last = self._last.get(name)
        return last is None or now - last > self.limit_ns
