"""From a file to a checked document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from config.components import ROOMS, AddressError, resolve
from config.documents import KINDS
from config.envelope import check_envelope, shown
from config.environment import substitute
from config.errors import DocumentErrors, Problem, did_you_mean
from config.extends import assemble
from config.overrides import override
from config.params import check_params
from config.resolved import Resolved
from config.tree import Path, Tree, key_problem, plain, problem

__all__ = ["Resolved", "check_components", "examine", "load"]


def load(path: str | FilePath, overrides: Iterable[str] = ()) -> Resolved:
    """Read, merge and check a document.

    Parameters
    ----------
    path : str or pathlib.Path
        The YAML file.
    overrides : iterable of str
        ``path.to.key=value``, applied last, in order.

    Returns
    -------
    Resolved

    Raises
    ------
    DocumentErrors
        With everything that is wrong: syntax, keys, types, ranges, components and parameters.
        (Checks that need data are `config.validate.validate`'s.)
    """
    resolved, problems = examine(path, overrides)
    if problems or resolved is None:
        raise DocumentErrors(problems)
    return resolved


def examine(
    path: str | FilePath,
    overrides: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
) -> tuple[Resolved | None, list[Problem]]:
    """Read, merge and check a document without raising.

    Returns
    -------
    tuple of (Resolved or None, list of Problem)
        The document, when its envelope is sound (parameters may still be wrong), and what is wrong.
    """
    problems: list[Problem] = []
    file = FilePath(path)
    tree, whole = assemble(file, problems)
    if tree is None:
        return None, problems
    kind = _kind(tree, str(file), problems)
    if kind is None or not whole:
        return None, problems
    for setting in overrides:
        tree = override(tree, setting, problems)
    tree = substitute(tree, kind, problems, environment)
    document, found = check_envelope(KINDS[kind], tree)
    # A value already complained about may not be what its author meant; one message is enough.
    known = {(wrong.file, wrong.line, wrong.path) for wrong in problems}
    found.extend(check_components(tree))
    problems.extend(p for p in found if (p.file, p.line, p.path) not in known)
    resolved = Resolved(str(file), document, tree) if document is not None else None
    return resolved, problems


def _kind(tree: Tree, file: str, problems: list[Problem]) -> str | None:
    """Return the document's kind, which the file itself must say: a parent's may be another."""
    assert isinstance(tree.value, dict)
    found = tree.value.get("kind")
    if found is None or found.origin.file != file:
        own = [key for key, value in tree.value.items() if value.key and value.key.file == file]
        known = {key for model in KINDS.values() for key in model.model_fields}
        near = did_you_mean("kind", (key for key in own if key not in known))
        message = f"kind is missing; it must be one of {', '.join(KINDS)}"
        if near:
            problems.append(key_problem(tree, (near,), "unknown key", "kind"))
        else:
            at = tree.origin
            problems.append(Problem(file, at.line, at.col, "", message))
        return None
    if not isinstance(found.value, str) or found.value not in KINDS:
        problems.append(
            problem(
                tree,
                ("kind",),
                f"must be one of {', '.join(KINDS)}, was {shown(plain(found))}",
                did_you_mean(found.value, KINDS),
            )
        )
        return None
    return str(found.value)


def check_components(tree: Tree) -> list[Problem]:
    """Return what is wrong with the addresses and parameters of the components.

    Parts whose envelope is wrong are left to `check_envelope`.
    """
    data = plain(tree)
    allowed = data.get("allow")
    allow = [name for name in allowed if isinstance(name, str)] if isinstance(allowed, list) else []
    problems = []
    for room in ROOMS:
        components = data.get(room)
        for key, component in components.items() if isinstance(components, dict) else ():
            if not isinstance(component, dict) or not isinstance(component.get("use"), str):
                continue
            at: Path = (room, key)
            problems.extend(_check_component(tree, at, component, room, allow))
    return problems


def _check_component(
    tree: Tree, at: Path, component: dict[str, Any], room: str, allow: Sequence[str]
) -> list[Problem]:
    use, params = component["use"], component.get("params", {})
    other = next(name for name in ROOMS if name != room)
    if use.startswith(f"{other}.") and other not in allow:
        return [problem(tree, (*at, "use"), f"{use} belongs under {other}, not under {room}")]
    try:
        found = resolve(use, allow)
    except AddressError as error:
        return [problem(tree, (*at, "use"), error.message, error.suggestion)]
    if not isinstance(params, dict):
        return []
    return [
        (key_problem if wrong.at_key else problem)(
            tree, (*at, "params", *wrong.path), wrong.message, wrong.suggestion
        )
        for wrong in check_params(found.Config, params)
    ]
