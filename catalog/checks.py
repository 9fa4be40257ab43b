"""Checks of `perpdesk validate` that need a catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from config.catalogs import url_of
from config.errors import Problem
from config.resolved import Resolved
from config.universe import unknown_instruments
from config.validate import register_check, register_instruments

KINDS = ("backtest", "node")


def register() -> None:
    """Add the catalog's checks to `config.validate`."""
    for kind in KINDS:
        register_check(kind, unknown)
    register_instruments(known_instruments)


def known_instruments(resolved: Resolved) -> Sequence[str] | None:
    """Return all ids of the document's catalog; None without a catalog."""
    from catalog.storage.index import CatalogIndex
    from catalog.storage.versions import current_version

    path = getattr(resolved.document, "catalog", None)
    if path is None or (not url_of(path) and current_version(Path(path)) is None):
        return None
    return tuple(CatalogIndex(path).instruments)


def unknown(resolved: Resolved) -> list[Problem]:
    """Find ids and patterns that match nothing in the document's catalog."""
    known = known_instruments(resolved)
    return [] if known is None else unknown_instruments(resolved, known)
