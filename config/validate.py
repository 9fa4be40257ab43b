"""Find all problems of a document, with the checks of this and upper packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from config.catalogs import url_of
from config.documents import KINDS, Backtest, ExchangeDocument, Node, Setup
from config.documents.alerts import DESK
from config.documents.base import Part
from config.errors import DocumentErrors, InputError, Problem, did_you_mean, in_order
from config.guard_warnings import guard_warnings
from config.load import examine
from config.reading import key_problem
from config.resolved import Resolved
from config.shipped import PREFIX, file_of, suggest_shipped
from config.universe import guard_problems, ownership_problems, spot_problems, unknown_instruments

Check = Callable[[Resolved], Iterable[Problem]]
InstrumentSource = Callable[[Resolved], Sequence[str] | None]

_checks: dict[str, list[Check]] = {}
_sources: list[InstrumentSource] = []
_remarks: dict[str, Callable[[Resolved], Iterable[str]]] = {}


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


def register_remarks(kind: str, remarks: Callable[[Resolved], Iterable[str]]) -> None:
    """Add a source of sentences that `perpdesk validate` says of documents of one kind."""
    _remarks[kind] = remarks


def register_instruments(source: InstrumentSource) -> None:
    """Add a source of all instrument ids of a document (None without any).

    With it the check for two strategies on one instrument is exact; without, it compares patterns.
    """
    if source not in _sources:
        _sources.append(source)


def validate(path: str | Path, overrides: Iterable[str] = ()) -> list[Problem]:
    """Return all problems of a document, sorted by place."""
    return _examine(path, overrides)[1]


def validate_with_files(
    path: str | Path, overrides: Iterable[str] = ()
) -> tuple[list[Problem], list[str], list[str]]:
    """Return all problems of a document and of those it names, what could not be checked, and
    remarks: warnings about its guards, and those of `register_remarks`.
    """
    resolved, problems = _examine(path, overrides)
    if resolved is None:
        return problems, [], []
    document, unchecked = resolved.document, list[str]()
    if isinstance(document, Setup) and getattr(document, "catalog", None) is None:
        unchecked.append(
            f"whether the universe's instruments exist: the {document.kind} names no catalog"
        )
    if isinstance(document, Node) and document.environment == "mainnet" != document.confirm:
        text = "mainnet is real money: it needs `confirm: mainnet` in the document"
        problems.append(resolved.problem(("environment",), text))
    for key, folder in _named_catalogs(document):
        # The file that every catalog has.
        if not url_of(folder) and not Path(folder, "CURRENT").is_file():
            text = (
                f"there is no catalog in {folder}, so instruments and times are not checked; "
                f"`perpdesk catalog demo --catalog {folder}` makes one, `perpdesk catalog import` "
                "fills one from files"
            )
            problems.append(resolved.problem(key, text))
    for key, named in _named_documents(document):
        if not file_of(named).is_file():
            near = suggest_shipped(named) if named.startswith(PREFIX) else ""
            problems.append(resolved.problem(key, f"there is no file {named}", near))
            continue
        wrong, unknown, _ = validate_with_files(named)
        said = {problem.message for problem in problems}
        problems += [problem for problem in wrong if problem.message not in said]
        unchecked += [f"{named}: {text}" for text in unknown]
    remarks = guard_warnings(document) if isinstance(document, Setup) else []
    if resolved.kind in _remarks:
        remarks += _remarks[resolved.kind](resolved)
    return in_order(problems), unchecked, remarks


def _named_catalogs(document: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(document, Backtest | Node) and document.catalog is not None:
        yield ("catalog",), document.catalog
    elif isinstance(document, ExchangeDocument) and document.market.model == "replay":
        yield ("market", "catalog"), document.market.catalog


def _named_documents(document: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(document, Node) and document.environment == "practice":
        if document.venue_urls is None:
            yield ("practice", "market"), document.practice.market
    elif isinstance(document, ExchangeDocument) and document.faults is not None:
        yield ("faults",), document.faults


def checked(path: str | Path, overrides: Iterable[str] = (), kind: type[Part] = Part) -> Resolved:
    """Return a document of a kind that has passed every check.

    Raises DocumentErrors with all problems, InputError for another kind.
    """
    resolved, problems = _examine(path, overrides)
    if problems or resolved is None:
        raise DocumentErrors(problems)
    if not isinstance(resolved.document, kind):
        wanted = kind.model_fields["kind"].default
        raise InputError(f"{path}: kind is {resolved.kind}, but this needs kind: {wanted}")
    return resolved


def _examine(path: str | Path, overrides: Iterable[str]) -> tuple[Resolved | None, list[Problem]]:
    resolved, problems = examine(path, overrides)
    if resolved is not None:
        if isinstance(resolved.document, Setup):
            known = (source(resolved) for source in _sources)
            ids = next((ids for ids in known if ids is not None), None)
            if ids is None:
                problems.extend(unknown_instruments(resolved, None))
            problems.extend(ownership_problems(resolved, ids))
            problems.extend(spot_problems(resolved, ids))
            problems.extend(guard_problems(resolved, ids))
        if isinstance(resolved.document, Node):
            problems.extend(_unknown_in_alerts(resolved))
        for check in _checks.get(resolved.kind, ()):
            problems.extend(check(resolved))
    return resolved, in_order(problems)


def _unknown_in_alerts(resolved: Resolved) -> Iterator[Problem]:
    node: Node = resolved.document
    known = {*node.strategies, DESK}
    for key in (node.alerts and node.alerts.rules.no_trade_for) or ():
        if key not in known:
            path = ("alerts", "rules", "no_trade_for", key)
            words = "there is no such strategy"
            yield key_problem(resolved.tree, path, words, did_you_mean(key, known))
