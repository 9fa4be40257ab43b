"""Identity of a trial: a hash of its values, data, strategies and engine; a hash of all code."""

from __future__ import annotations

import hashlib
import inspect
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from backtests.run import engine_version
from backtests.studies.search_space import settings
from backtests.studies.trial_ledger import candidate_of
from catalog.storage.store import Catalog
from config.catalogs import place_of
from config.components import resolve
from config.errors import DocumentErrors
from config.load import varied, with_params
from config.reading import digest
from config.resolved import Resolved
from config.shipped import ROOT


class Variant(NamedTuple):
    """A candidate's document, and all its values as `Resolved.complete` has them."""

    document: Any
    complete: dict[str, Any]


def variant(base: Resolved, candidate: Mapping[str, Any]) -> Variant:
    """Return the base document with a candidate's values.

    Raises DocumentErrors where a component refuses them.
    """
    found = with_params(base, candidate)
    if found is None:
        resolved, problems = varied(base, settings(candidate))
        if resolved is None or problems:
            raise DocumentErrors(problems)
        found = resolved.document, resolved.complete
    return Variant(*found)


def identity(found: Resolved | Variant) -> str:
    """Return the hash under which the ledger knows a backtest: values, data, code, engine."""
    document = found.document
    sources = _sources(document)
    data = _data_hash(place_of(document.catalog))
    return candidate_of(found.complete, " ".join([data, engine_version(), *sources]))


@cache
def _data_hash(catalog: str) -> str:
    return Catalog(catalog).data_hash()


@cache
def code() -> str:
    """Return the hash of all code that a backtest may run, but a strategy's own and the engine's.

    It is not part of the identity: what mended code runs again is no new candidate.
    """
    found = hashlib.sha256()
    for room in ("actors", "backtests", "catalog", "config", "strategies"):
        for file in sorted((ROOT / room).rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()


def provenance(resolved: Resolved) -> dict[str, str]:
    """Return hashes of the data and of all code that a backtest runs on, the engine's version."""
    document = resolved.document
    sources = _sources(document)
    return {
        "data": _data_hash(place_of(document.catalog)),
        "code": digest({"perpdesk": code(), "strategies": sources}),
        "engine": engine_version(),
    }


def made_of(base: Resolved) -> dict[str, str]:
    """Return all that a trial's outcome depends on but for its values, by name."""
    found = {name: version(name) for name in ("numpy", "numba", "pyarrow", "scipy")}
    return provenance(base) | found | {"Python": platform.python_version()}


def _sources(document: Any) -> list[str]:
    classes: list[Any] = [resolve(s.use, document.allow) for s in document.strategies.values()]
    return [_source(cls) for cls in classes]


@cache
def _source(cls: Any) -> str:
    """Return the hash of a strategy's own code and that of its bases; not of the engine's."""
    found = hashlib.sha256()
    for base in cls.__mro__:
        file = None if base.__module__.startswith(("builtins", "nautilus")) else _file(base)
        if file is not None:
            found.update(file.read_bytes())
    return found.hexdigest()


def _file(cls: type) -> Path | None:
    try:
        return Path(inspect.getfile(cls))
    except (TypeError, OSError):
        return None
