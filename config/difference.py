"""What each value of a document is, where it came from, and how two documents differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.errors import InputError, did_you_mean
from config.resolved import Resolved
from config.tree import Origin, Path, dotted, leaves
from config.writing import as_written


@dataclass(frozen=True)
class Explained:
    """One final value and its origin; `path` is dotted, `value` as a document would write it."""

    path: str
    value: Any
    origin: Origin


def explain(resolved: Resolved, path: str = "") -> list[Explained]:
    """Return the final values at and below a path, defaults included.

    Parameters
    ----------
    resolved : Resolved
        The document.
    path : str
        Dotted, such as ``venue.fees``; empty for all.

    Raises
    ------
    InputError
        When the document has nothing there.
    """
    found = [
        Explained(dotted(steps), as_written(value), resolved.origin(steps))
        for steps, value in leaves(resolved.complete)
    ]
    chosen = [
        line
        for line in found
        if not path or line.path == path or line.path.startswith((f"{path}.", f"{path}["))
    ]
    if not chosen:
        near = did_you_mean(path, _all_paths(resolved.complete))
        hint = f" (did you mean {near}?)" if near else ""
        raise InputError(f"{resolved.file}: there is nothing at {path}{hint}")
    return chosen


@dataclass(frozen=True)
class Difference:
    """A value that differs: `missing` marks the side that has none."""

    path: str
    left: Any
    right: Any


class Missing:
    """Stands for the value of a path that one of the documents doesn't have."""

    def __repr__(self) -> str:
        return "(none)"


MISSING = Missing()


def difference(left: Resolved, right: Resolved) -> list[Difference]:
    """Return the values in which two documents differ, defaults included.

    How a value was spelled, and which file gave it, is no difference.
    """
    one = dict(leaves(left.complete))
    other = dict(leaves(right.complete))
    rows = []
    for path in dict.fromkeys((*one, *other)):
        a, b = one.get(path, MISSING), other.get(path, MISSING)
        if a != b and not (_is_holder(a, path, other) or _is_holder(b, path, one)):
            rows.append(Difference(dotted(path), as_written(a), as_written(b)))
    return rows


def _is_holder(value: Any, path: Path, other: dict[Path, Any]) -> bool:
    """Return whether an empty mapping stands where the other document has values below."""
    return value == {} and any(key[: len(path)] == path and key != path for key in other)


def _all_paths(complete: dict[str, Any]) -> set[str]:
    return {
        dotted(path[:length]) for path, _ in leaves(complete) for length in range(1, len(path) + 1)
    }
