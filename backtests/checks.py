"""What a backtest asks of its catalog, and whether the catalog has it.

`perpdesk validate` says it with file and line; a run says it before any engine starts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from catalog.store import Catalog
from catalog.versions import current_version
from config.components import AddressError, resolve
from config.documents import Backtest
from config.errors import Problem
from config.intervals import interval_ns
from config.params import check_params, complete_params
from config.resolved import Resolved
from config.universe import select
from config.validate import register_check

DataProblem = tuple[tuple[str, ...], str]
"""Path in the document, and what is wrong there."""


def register() -> None:
    """Add the check to `config.validate`."""
    register_check("backtest", check)


def check(resolved: Resolved) -> list[Problem]:
    """Return what the document's catalog lacks; nothing where the catalog isn't made yet."""
    document = resolved.document
    if current_version(Path(document.catalog)) is None:
        return []
    catalog = Catalog(Path(document.catalog))
    return [resolved.problem(path, words) for path, words in lacking(document, catalog)]


def lacking(document: Backtest, catalog: Catalog) -> Iterator[DataProblem]:
    """Yield what the document asks for and the catalog has not."""
    there = catalog.intervals()
    has = f"{document.catalog} has {', '.join(there) or 'none'}"
    chosen = document.venue.execution_interval
    if chosen != "auto" and chosen not in there:
        yield ("venue", "execution_interval"), f"no {chosen} candles: {has}"
    for key, interval in _signal_intervals(document).items():
        if interval not in there:
            yield ("strategies", key, "params", "interval"), f"no {interval} candles: {has}"
    ids = set(select(sorted(catalog.instruments), document.universe))
    series = [
        (span, interval_ns(interval))
        for interval in there
        for name, span in catalog.coverage("bars", interval).items()
        if name in ids
    ]
    if not ids:
        # Names that match nothing are told one by one by the catalog's own check.
        return
    if not series:
        yield ("universe",), f"no instrument of the universe has candles in {document.catalog}"
        return
    first = min(span.first - length for span, length in series)
    last = max(span.last for span, _ in series)
    if document.window.start_ns < first:
        yield ("window", "start"), f"the data of the universe begin {_moment(first)}"
    if document.window.end_ns > last:
        yield ("window", "end"), f"the data of the universe end {_moment(last)}"


def _signal_intervals(document: Backtest) -> dict[str, str]:
    """Return the candles that enabled strategies ask for in a parameter ``interval``.

    A component that is faulty itself is told elsewhere and left out here.
    """
    found = {}
    for key, component in document.strategies.items():
        if not component.enabled:
            continue
        try:
            cls = resolve(component.use, document.allow)
        except AddressError:
            continue
        if check_params(cls.Config, component.params):
            continue
        interval = complete_params(cls, component.params).get("interval")
        if interval is not None:
            found[key] = str(interval)
    return found


def _moment(ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(ns // 1_000_000_000)) + " UTC"
