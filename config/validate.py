"""Find all problems of a document, with the checks of this and upper packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from config.documents import KINDS, Setup
from config.errors import DocumentErrors, Problem, in_order
from config.load import examine
from config.resolved import Resolved
from config.universe import guard_problems, ownership_problems, spot_problems

Check = Callable[[Resolved], Iterable[Problem]]
InstrumentSource = Callable[[Resolved], Sequence[str] | None]

_checks: dict[str, list[Check]] = {}
_sources: list[InstrumentSource] = []


def register_check(kind: str, check: Check) -> None:
    """Add a check of documents of one kind of `KINDS`; adding it again changes nothing.

    The check's document has a sound envelope, but maybe wrong ``params``. `Resolved.problem` places
    a problem.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind of document {kind!r}")
    checks = _checks.setdefault(kind, [])
    if check not in checks:
        checks.append(check)


def register_instruments(source: InstrumentSource) -> None:
    """Add a source of all instrument ids of a document (None without any).

    With it the check for two strategies on one instrument is exact; without, it compares patterns.
    """
    if source not in _sources:
        _sources.append(source)


def validate(path: str | Path, overrides: Iterable[str] = ()) -> list[Problem]:
    """Return all problems of a document, sorted by place."""
    return _examine(path, overrides)[1]


def checked(path: str | Path, overrides: Iterable[str] = ()) -> Resolved:
    """Return a document that has passed every check; raise DocumentErrors with all problems."""
    resolved, problems = _examine(path, overrides)
    if problems or resolved is None:
        raise DocumentErrors(problems)
    return resolved


def _examine(path: str | Path, overrides: Iterable[str]) -> tuple[Resolved | None, list[Problem]]:
    resolved, problems = examine(path, overrides)
    if resolved is not None:
        if isinstance(resolved.document, Setup):
            ids = _instruments(resolved)
            problems.extend(ownership_problems(resolved, ids))
            problems.extend(spot_problems(resolved, ids))
            problems.extend(guard_problems(resolved, ids))
        for check in _checks.get(resolved.kind, ()):
            problems.extend(check(resolved))
    return resolved, in_order(problems)


def _instruments(resolved: Resolved) -> Sequence[str] | None:
    known = (source(resolved) for source in _sources)
    return next((ids for ids in known if ids is not None), None)
