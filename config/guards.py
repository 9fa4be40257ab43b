"""Guards in a document: keys that are taken, and instruments that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from config.components import AddressError, resolve
from config.documents.setup import Component, Setup
from config.errors import Problem, did_you_mean
from config.globs import intersect, is_literal
from config.params import build_params, check_params
from config.resolved import Resolved
from config.tree import Path, key_problem
from config.universe import select

RESERVED = {
    "operator": "is the kill switch's own name (`perpdesk risk flatten`); call the guard otherwise",
}
"""Keys that no document may give a guard, and why."""


def guard_problems(resolved: Resolved, ids: Sequence[str] | None = None) -> list[Problem]:
    """Return a Problem for each guard whose key is taken or that names what is not traded.

    Parameters
    ----------
    resolved : Resolved
        A setup, backtest or node; parameters may still be wrong, those guards are left out.
    ids : sequence of str, optional
        All instrument ids there are; the answer is then exact. Without, patterns are compared.
    """
    setup: Setup = resolved.document
    problems = [
        key_problem(resolved.tree, ("actors", key), RESERVED[key])
        for key in setup.actors
        if key in RESERVED
    ]
    for key, component in setup.actors.items():
        for path, name in _named(component, setup):
            wrong = _not_traded(name, setup, ids)
            if wrong is not None:
                problems.append(resolved.problem(("actors", key, "params", *path), *wrong))
    return problems


def _named(component: Component, setup: Setup) -> Iterator[tuple[Path, str]]:
    """Yield where a guard names an instrument, and its id or pattern."""
    try:
        found: Any = resolve(component.use, setup.allow)
    except AddressError:
        return
    if not hasattr(found.Config, "instruments_named") or check_params(
        found.Config, component.params
    ):
        return
    yield from found.Config(**build_params(found, component.params)).instruments_named()


def _not_traded(name: str, setup: Setup, ids: Sequence[str] | None) -> tuple[str, str] | None:
    """Return what is wrong with an id or pattern, and the nearest right one; None when nothing."""
    universe = setup.universe
    known = [x for x in universe.instruments if is_literal(x)] if ids is None else ids
    traded = select(known, universe)
    if is_literal(name):
        if select([name], universe) and (ids is None or name in ids):
            return None
        return f"{name} is not in the universe", did_you_mean(name, traded)
    if any(fnmatchcase(one, name) for one in traded):
        return None
    if ids is None and any(intersect([name, pattern]) for pattern in universe.instruments):
        return None
    return f"no instrument of the universe matches {name}", ""
