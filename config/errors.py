"""Errors for the user: what is wrong, where, and what is right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class DeskError(Exception):
    """The work failed for a reason that a user can read; printed without a traceback."""

    exit_code = 1
    """Exit code of the process: 1 work failed, 2 wrong input, 3 a safety gate refused."""


class InputError(DeskError):
    """The input is wrong; the message has the right form."""

    exit_code = 2


class GateRefused(DeskError):
    """A safety gate refused; the message has the gate and how to pass it."""

    exit_code = 3


class UnreachableError(DeskError):
    """Something elsewhere could not be reached or read; nothing is known of the work itself."""


@dataclass(frozen=True)
class Problem:
    """One problem of a document, and its place.

    The file is the one with the value (``--set`` for an override). Line and column are one-based, 0
    where there is none. The dotted path is empty for the whole document.
    """

    file: str
    line: int
    col: int
    path: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        path = f" {self.path}:" if self.path else ""
        hint = f" (did you mean {self.suggestion}?)" if self.suggestion else ""
        return f"{place}:{path} {self.message}{hint}"


class DocumentErrors(InputError):
    """All problems of a document, in the order of their places."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(in_order(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems sorted by place, without duplicates."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.col))


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raise InputError in place of an OSError: where a file can't be written, or a disk is full."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{place}: cannot be written: {error.strerror or error}") from error


def some_of(names: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def did_you_mean(word: object, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the known word nearest to `word`, or an empty string."""
    words = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(str(word).lower(), words, n=1, cutoff=cutoff)
    return words[near[0]] if near else ""


def hint(word: object, known: Iterable[str]) -> str:
    """Return `` (did you mean …?)`` with the known word nearest to `word`, or an empty string."""
    near = did_you_mean(word, known)
    return f" (did you mean {near}?)" if near else ""
