"""Load a document: parents, overrides, variables, models and components."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from config.components import ROOMS, AddressError, misplaced, resolve, resolve_or_none
from config.documents import KINDS
from config.envelope import SECRET_PATHS, check_envelope, shown
from config.errors import DocumentErrors, Problem, did_you_mean
from config.params import check_each, check_params, complete_params
from config.reading import (
    VARIABLE,
    Origin,
    Path,
    Tree,
    descend,
    dotted,
    key_problem,
    merge,
    plain,
    problem,
    read_file,
    read_sound,
    read_text,
    value_of,
)
from config.resolved import Resolved
from config.shipped import PREFIX, file_of, suggest_shipped


def load(path: str | FilePath, overrides: Iterable[str] = (), *, imports: bool = True) -> Resolved:
    """Read, merge and check a document; each of ``overrides`` is ``path.to.key=value``.

    Raises DocumentErrors with all problems. Checks that need data are in `config.validate`.
    """
    resolved, problems = examine(path, overrides, imports=imports)
    if problems or resolved is None:
        raise DocumentErrors(problems)
    return resolved


def examine(
    path: str | FilePath, overrides: Iterable[str] = (), *, imports: bool = True
) -> tuple[Resolved | None, list[Problem]]:
    """Read, merge and check a document; return it and its problems instead of raising.

    The document is None when its envelope is wrong; parameters may still be wrong. Unless it
    ``imports`` components, their addresses and parameters are not checked, and none of a trader's
    modules, which may raise, exit or take long, is imported.
    """
    problems: list[Problem] = []
    file = file_of(path)
    tree, whole = assemble(file, problems)
    if tree is None:
        return None, problems
    kind = _kind(tree, str(file), problems)
    if kind is None or not whole:
        return None, problems
    resolved, problems = _checked(
        str(file), kind, tree, overrides, problems, None if imports else ()
    )
    if resolved is not None and not imports:
        resolved = replace(resolved, imports=False)
    return resolved, problems


def salvage(
    path: str | FilePath, overrides: Iterable[str], needed: Iterable[str]
) -> tuple[dict[str, Any], Any]:
    """Return the values of a node's document that may be refused, and it without what is refused.

    The document is None where too little is left. Raises DocumentErrors if a value that is `needed`
    (dotted paths) is refused, or an override.
    """
    problems: list[Problem] = []
    tree, _ = assemble(file_of(path), problems, read_sound)
    if tree is None:
        raise DocumentErrors(problems)
    for setting in overrides:
        tree = override(tree, setting, problems)
    tree = substitute(tree, "node", problems)
    values, needs = plain(tree), [*needed]
    while True:
        document, found = check_envelope(KINDS["node"], tree)
        left = tree
        for wrong in (*problems, *found):
            steps = parse_path(wrong.path.partition("[")[0]) or ()
            # Where a key is missing, what would hold it goes.
            goes = steps[: descend(tree, steps)[1]]
            places = [f"{wrong.path}.", f"{dotted(goes)}."]
            if len(steps) == 1:
                places.append(f"{wrong.suggestion}.")
            if wrong.file == SET or _overlap(places, needs):
                raise DocumentErrors([*problems, *found])
            left = _without(left, goes) if wrong in found else left
        if document is not None or left == tree:
            return values, document
        tree = left


def _overlap(places: Iterable[str], needs: Sequence[str]) -> bool:
    return any(
        place.startswith(f"{need}.") or need.startswith(place) for need in needs for place in places
    )


def _without(tree: Tree, place: Path) -> Tree:
    if not place or not isinstance(tree.value, dict) or place[0] not in tree.value:
        return tree
    key, value = str(place[0]), dict(tree.value)
    inner = value.pop(key)
    return replace(tree, value=value | ({key: _without(inner, place[1:])} if place[1:] else {}))


def varied(base: Resolved, overrides: Iterable[str]) -> tuple[Resolved | None, list[Problem]]:
    """Check a document with other values, without reading its files again; as `examine`.

    Components that no override is of are sound as they were, and not checked again.
    """
    settings = list(overrides)
    places = [parse_path(setting.partition("=")[0].strip()) or () for setting in settings]
    inside = all(len(place) > 2 for place in places)
    only = {place[:2] for place in places} if inside else None
    return _checked(base.file, base.kind, base.tree, settings, [], only)


def check_setting(base: Resolved, setting: str) -> list[Problem]:
    """Return what is wrong with one ``path=value`` by itself: its type and its range.

    Not how it goes with other values, which may change with it. Paths begin below the value.
    """
    problems: list[Problem] = []
    tree = override(base.tree, setting, problems)
    path: Path = parse_path(setting.partition("=")[0].strip()) or ()
    if not problems:
        problems = _each_checked(base, tree, path)
    at = dotted(path)
    return [
        replace(wrong, path=wrong.path.removeprefix(at))
        for wrong in problems
        if wrong.path == at or wrong.path.startswith((f"{at}.", f"{at}["))
    ]


def _each_checked(base: Resolved, tree: Tree, path: Path) -> list[Problem]:
    for depth in reversed(range(len(path))):
        component = plain(descend(tree, path[:depth])[0])
        if path[depth] == "params" and "use" in component:
            config = resolve(component["use"], base.document.allow).Config  # the innermost
            return [
                problem(tree, (*path[: depth + 1], *wrong.path), wrong.message, wrong.suggestion)
                for wrong in check_each(config, component["params"])
            ]
    return check_envelope(KINDS[base.kind], tree)[1]


def with_params(base: Resolved, changes: Mapping[str, Any]) -> tuple[Any, dict[str, Any]] | None:
    """Return the document, and all its values, with other parameters of its components; fast.

    The same as those of `varied`. None where that must look: what is changed is no plain value
    directly below a component's ``params``, or the component refuses it.
    """
    document, complete = base.document, base.complete
    params: dict[tuple[str, str], dict[str, Any]] = {}
    for name, value in changes.items():
        path = parse_path(name)
        if path is None or len(path) != 4 or path[0] not in ROOMS or path[2] != "params":
            return None
        component = getattr(document, path[0], {}).get(path[1])
        if component is None or isinstance(value, dict | list):
            return None
        params.setdefault(path[:2], dict(component.params))[path[3]] = value
    for (room, key), given in params.items():
        found = resolve(getattr(document, room)[key].use, document.allow)
        if getattr(found.Config, "components", ()) or check_params(found.Config, given):
            return None
        component = getattr(document, room)[key].model_copy(update={"params": given})
        changed = getattr(document, room) | {key: component}
        document = document.model_copy(update={room: changed})
        written = complete[room][key] | {"params": complete_params(found, given)}
        complete = complete | {room: complete[room] | {key: written}}
    return document, complete


def _checked(
    file: str,
    kind: str,
    tree: Tree,
    overrides: Iterable[str],
    problems: list[Problem],
    only: Container[Path] | None = None,
) -> tuple[Resolved | None, list[Problem]]:
    for setting in overrides:
        tree = override(tree, setting, problems)
    tree = substitute(tree, kind, problems)
    document, found = check_envelope(KINDS[kind], tree)
    # A value already complained about may not be what its author meant; one message is enough.
    known = {(wrong.file, wrong.line, wrong.path) for wrong in problems}
    found.extend(check_components(tree, only))
    problems.extend(p for p in found if (p.file, p.line, p.path) not in known)
    resolved = Resolved(file, document, tree) if document is not None else None
    return resolved, problems


def _kind(tree: Tree, file: str, problems: list[Problem]) -> str | None:
    # The file itself must have the kind, because a parent's may be another.
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
            problems.append(replace(tree.origin, file=file).problem("", message))
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


def check_components(tree: Tree, only: Container[Path] | None = None) -> list[Problem]:
    """Return problems of the components' addresses and parameters, not of their envelopes.

    `only` are the places of those to check, such as ``("strategies", "reversal")``; None is all.
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
            if only is not None and at not in only:
                continue
            problems.extend(_check_component(tree, at, component, room, allow))
    return problems


def _check_component(
    tree: Tree, at: Path, component: dict[str, Any], room: str, allow: Sequence[str]
) -> list[Problem]:
    use, params = component["use"], component.get("params", {})
    problems: list[Problem] = []
    try:
        found: Any = resolve(use, allow)
        text = misplaced(found, use, room)
    except AddressError as error:
        problems = [problem(tree, (*at, "use"), error.message, error.suggestion)]
        found = resolve_or_none(error.moved_to or error.suggestion, allow)
        text = misplaced(None, use, room, allow)
    if text:
        problems.insert(0, problem(tree, (*at, "use"), text))
        found = None
    if found is not None and isinstance(params, dict):
        # Those inside come first: it imports their packages, where these are allowed.
        for field in getattr(found.Config, "components", ()):
            inside = params.get(field)
            for key, inner in inside.items() if isinstance(inside, dict) else ():
                if isinstance(inner, dict) and isinstance(inner.get("use"), str):
                    place: Path = (*at, "params", field, key)
                    problems += _check_component(tree, place, inner, room, allow)
        known = {wrong.path for wrong in problems}
        problems += [
            (key_problem if wrong.at_key else problem)(tree, path, wrong.message, wrong.suggestion)
            for wrong in check_params(found.Config, params)
            if dotted(path := (*at, "params", *wrong.path)) not in known
        ]
    return problems


Reader = Callable[[FilePath, list[Problem]], Tree | None]


def assemble(
    file: FilePath, problems: list[Problem], read: Reader = read_file
) -> tuple[Tree | None, bool]:
    """Return the file merged over its parents, and whether all of them could be read.

    Adds to `problems`. Don't look for unknown keys when a parent is missing: it may have them.
    """
    broken: list[FilePath] = []
    tree = _assemble(file, problems, (), broken, read)
    return tree, not broken


def _assemble(
    file: FilePath,
    problems: list[Problem],
    chain: tuple[FilePath, ...],
    broken: list[FilePath],
    read: Reader,
) -> Tree | None:
    tree = read(file, problems)
    if tree is None:
        broken.append(file)
        return None
    if not isinstance(tree.value, dict):
        problems.append(tree.origin.problem("", "a document must be a mapping of keys"))
        broken.append(file)
        return None
    own = dict(tree.value)
    extends = own.pop("extends", None)
    result = Tree(own, tree.origin)
    if extends is None:
        return result
    merged: Tree | None = None
    for parent in _parents(extends, problems):
        name = str(parent.value)
        target = file_of(name)
        if not name.startswith(PREFIX):
            target = FilePath(os.path.normpath(file.parent / target))
        way, near = (*chain, file.resolve()), ""
        if target.resolve() in way:
            names = [p.name for p in way[way.index(target.resolve()) :]]
            text = f"extends itself: {' -> '.join([*names, target.name])}"
        elif target.is_file():
            text = ""
        elif name.startswith(PREFIX):
            text = f"there is no {name}; `perpdesk list setups` and `list presets` show all"
            near = suggest_shipped(name)
        else:
            text = f"there is no file {target}"
            near = did_you_mean(target.name, (p.name for p in target.parent.glob("*.y*ml")))
        if text:
            problems.append(parent.place.problem("extends", text, near))
            broken.append(target)
            continue
        inherited = _assemble(target, problems, way, broken, read)
        if inherited is not None:
            merged = inherited if merged is None else merge(merged, inherited, problems)
    return result if merged is None else merge(merged, result, problems)


def _parents(extends: Tree, problems: list[Problem]) -> Sequence[Tree]:
    parents = extends.value if isinstance(extends.value, list) else [extends]
    good = [parent for parent in parents if isinstance(parent.value, str) and parent.value]
    for parent in parents:
        if parent not in good:
            message = "must be the path of a YAML file, or a list"
            problems.append(parent.place.problem("extends", message))
    return good


SET = "--set"
_STEP = r'(?:"([^"]+)"|([^."=\[\]]+))'
_STEPS = re.compile(rf"{_STEP}(?:\.{_STEP})*")


@cache
def parse_path(text: str) -> tuple[str, ...] | None:
    """Return the steps of a dotted path, None if it is not one; quotes protect dots in a step."""
    if not _STEPS.fullmatch(text):
        return None
    return tuple((quoted or bare).strip() for quoted, bare in re.findall(_STEP, text))


def override(tree: Tree, setting: str, problems: list[Problem]) -> Tree:
    """Return the tree with one ``path=value`` applied, its value read as YAML."""
    name, equals, text = setting.partition("=")
    path = parse_path(name.strip())
    if not equals or path is None:
        problems.append(Problem(SET, 0, 0, "", f"{setting!r} is not of the form path.to.key=value"))
        return tree
    if path[0] in ("extends", "kind"):
        problems.append(Problem(SET, 0, 0, path[0], "can't be overridden; write a document"))
        return tree
    found: list[Problem] = []
    value = read_text(text, SET, found) if text.strip() else Tree(None, Origin(SET))
    problems.extend(
        replace(problem, line=0, col=0, path=problem.path or ".".join(path)) for problem in found
    )
    if value is None:
        return tree
    grown = _at(value, Origin(SET))
    for step in reversed(path):
        grown = Tree({step: grown}, Origin(SET), Origin(SET))
    return merge(tree, grown, problems)


def _at(tree: Tree, origin: Origin) -> Tree:
    # A line inside an override helps nobody.
    if isinstance(tree.value, dict):
        value: dict[str, Tree] = {key: _at(inner, origin) for key, inner in tree.value.items()}
        return Tree(value, origin, origin)
    if isinstance(tree.value, list):
        return Tree([_at(inner, origin) for inner in tree.value], origin, origin)
    return Tree(tree.value, origin, origin, tree.plain)


_BARE = re.compile(r"^\$[A-Za-z_]\w*")


def substitute(root: Tree, kind: str, problems: list[Problem]) -> Tree:
    """Return the tree with variables replaced by their values; add unset ones to the problems.

    Only a node may have variables, since a backtest must not depend on the machine.
    """

    def visit(tree: Tree, path: Path) -> Tree:
        if isinstance(tree.value, dict):
            mapping = {key: visit(inner, (*path, key)) for key, inner in tree.value.items()}
            return replace(tree, value=mapping)
        if isinstance(tree.value, list):
            items = [visit(inner, (*path, index)) for index, inner in enumerate(tree.value)]
            return replace(tree, value=items)
        if isinstance(tree.value, str) and kind == "node" and _BARE.match(tree.value):
            problems.append(problem(root, path, "a variable is written with braces, as ${NAME}"))
        if not isinstance(tree.value, str) or "${" not in tree.value:
            return tree
        if kind != "node":
            problems.append(
                problem(root, path, "${NAME} is read in node documents only; write the value")
            )
            return tree
        if any(path[: len(secret)] == secret for secret in SECRET_PATHS):
            problems.append(
                problem(root, path, "takes the name of a variable, without ${ }; never its value")
            )
            return replace(tree, value="NAME_OF_THE_VARIABLE")
        return expand(tree, path)

    def expand(tree: Tree, path: Path) -> Tree:
        missing: list[str] = []

        def value(match: re.Match[str]) -> str:
            name, default = match[1], match[2]
            found = os.environ.get(name)
            if not found and default is not None:
                return str(default)
            if found is None:
                missing.append(name)
                return ""
            return found

        text = VARIABLE.sub(value, str(tree.value))
        if "${" in VARIABLE.sub("", str(tree.value)):
            problems.append(problem(root, path, "must be of the form ${NAME} or ${NAME:-default}"))
        problems.extend(
            problem(root, path, f"the environment variable {name} is not set") for name in missing
        )
        return replace(tree, value=value_of(text) if tree.plain else text)

    return visit(root, ())
