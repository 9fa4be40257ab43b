"""Errors made for the person who typed the input: what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class DeskError(Exception):
    """The work failed for a reason that a user can read; the command line prints it bare."""

    exit_code = 1
    """Of the process: 1 the work failed, 2 the input is wrong, 3 a safety gate refused."""


class InputError(DeskError):
    """The input is wrong; the message says what would be right."""

    exit_code = 2


class GateRefused(DeskError):
    """A safety gate refused to go on; the message says which, and what would open it."""

    exit_code = 3


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a document, and its place.

    The file is the one that gave the value, as the user would write it (``--set`` for an override);
    line and column are one-based, 0 where there is none. The dotted path is empty for the document
    as a whole, the suggestion where no right word is near.
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
    """A document has problems: all of them, in the order of their places."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(in_order(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems by place, each once."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.col))


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return the known word nearest to `word`, or an empty string."""
    words = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(str(word).lower(), words, n=1, cutoff=0.6)
    return words[near[0]] if near else ""
