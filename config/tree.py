"""A document as it was written: every value with the place that gave it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from config.errors import Problem

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]

TAGS = ("model",)
"""Keys that say which shape a mapping has: where a child changes one, nothing of the parent's
mapping is kept, since its other keys belong to the other shape."""


@dataclass(frozen=True)
class Origin:
    """Where a value was written.

    Parameters
    ----------
    file : str
        As the user would write it; ``--set`` for an override, ``default`` for a default.
    line, col : int
        One-based; 0 where there is none.
    """

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}" if self.line else self.file


@dataclass(frozen=True)
class Tree:
    """A value and its place.

    Parameters
    ----------
    value : scalar, dict of str to Tree, or list of Tree
        What was written.
    origin : Origin
        Where the value starts.
    key : Origin or None
        Where its key stands, for a value in a mapping.
    plain : bool
        Whether a scalar was written without quotes.
    """

    value: Scalar | dict[str, Tree] | list[Tree]
    origin: Origin
    key: Origin | None = None
    plain: bool = False

    @property
    def place(self) -> Origin:
        """Where an error should point: the value, or the key above a value of many lines."""
        if self.key is not None and self.key.line != self.origin.line:
            return self.key
        return self.origin


def merge(parent: Tree, child: Tree, problems: list[Problem], path: Path = ()) -> Tree:
    """Return the parent with the child's values over it: mappings merge, all else is replaced.

    A value of the parent where the child has keys is a mistake that replacing would hide, so it is
    added to `problems`.
    """
    if not isinstance(child.value, dict):
        return child
    if not isinstance(parent.value, dict):
        if parent.value is not None:
            at = parent.place
            message = f"expected a mapping of keys, since {child.place} gives keys here"
            problems.append(Problem(at.file, at.line, at.col, dotted(path), message))
        return child
    for tag in TAGS:
        old, new = parent.value.get(tag), child.value.get(tag)
        if old is not None and new is not None and old.value != new.value:
            return child
    merged = dict(parent.value)
    for key, value in child.value.items():
        merged[key] = merge(merged[key], value, problems, (*path, key)) if key in merged else value
    return replace(child, value=merged)


def plain(tree: Tree) -> Any:
    """Return the value alone, as dicts, lists and scalars."""
    if isinstance(tree.value, dict):
        return {key: plain(value) for key, value in tree.value.items()}
    if isinstance(tree.value, list):
        return [plain(value) for value in tree.value]
    return tree.value


def descend(tree: Tree, path: Path) -> tuple[Tree, int]:
    """Return the deepest part of the tree on the path, and how many steps led to it."""
    for steps, step in enumerate(path):
        value = tree.value
        if isinstance(value, dict) and step in value:
            tree = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            tree = value[step]
        else:
            return tree, steps
    return tree, len(path)


def problem(tree: Tree, path: Path, message: str, suggestion: str = "") -> Problem:
    """Return the Problem of the value at the path, placed where it or what holds it is written."""
    place = descend(tree, path)[0].place
    return Problem(place.file, place.line, place.col, dotted(path), message, suggestion)


def key_problem(tree: Tree, path: Path, message: str, suggestion: str = "") -> Problem:
    """Return the Problem of the key at the end of the path, placed where the key is written."""
    found = descend(tree, path)[0]
    place = found.key or found.origin
    return Problem(place.file, place.line, place.col, dotted(path), message, suggestion)


def dotted(path: Path) -> str:
    """Return the path in words: ``strategies.reversal.params.exclude[0]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = f'"{step}"' if "." in step else step
            text += f".{name}" if text else name
    return text


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each scalar, list and empty mapping with its path, in the order written."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value
