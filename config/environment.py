"""``${NAME}`` and ``${NAME:-default}`` in node documents."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace

from config.errors import Problem
from config.reading import value_of
from config.tree import Path, Tree, problem

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
SECRET_PATHS = (("account", "keys"),)
"""Below these only names of variables may stand: a value put in there could be printed."""


def substitute(
    root: Tree, kind: str, problems: list[Problem], environment: Mapping[str, str] | None = None
) -> Tree:
    """Return the tree with variables replaced by their values.

    Parameters
    ----------
    root : Tree
        The merged document.
    kind : str
        Its kind: only a node may name variables, since a backtest must not depend on the machine.
    problems : list of Problem
        Takes variables that are not set, and variables where none may be.
    environment : mapping of str to str, optional
        Names to values; the process's own by default.
    """
    values = os.environ if environment is None else environment

    def visit(tree: Tree, path: Path) -> Tree:
        if isinstance(tree.value, dict):
            mapping = {key: visit(inner, (*path, key)) for key, inner in tree.value.items()}
            return replace(tree, value=mapping)
        if isinstance(tree.value, list):
            items = [visit(inner, (*path, index)) for index, inner in enumerate(tree.value)]
            return replace(tree, value=items)
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
            found = values.get(name)
            if not found and default is not None:
                return str(default)
            if found is None:
                missing.append(name)
                return ""
            return found

        text = _VARIABLE.sub(value, str(tree.value))
        if "${" in _VARIABLE.sub("", str(tree.value)):
            problems.append(problem(root, path, "must be of the form ${NAME} or ${NAME:-default}"))
        problems.extend(
            problem(root, path, f"the environment variable {name} is not set") for name in missing
        )
        return replace(tree, value=value_of(text) if tree.plain else text)

    return visit(root, ())
