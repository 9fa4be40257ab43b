"""Overrides from the command line: ``--set venue.leverage=3``."""

from __future__ import annotations

import re
from dataclasses import replace

from config.errors import Problem
from config.reading import read_text
from config.tree import Origin, Tree, merge

SET = "--set"
_STEP = re.compile(r'"([^"]+)"|([^."=\[\]]+)')


def parse_path(text: str) -> tuple[str, ...] | None:
    """Return the steps of a dotted path, None if it is none; a step with dots stands in quotes."""
    steps: list[str] = []
    at = 0
    while True:
        match = _STEP.match(text, at)
        if match is None:
            return None
        steps.append((match[1] or match[2]).strip())
        at = match.end()
        if at == len(text):
            return tuple(steps)
        if text[at] != ".":
            return None
        at += 1


def override(tree: Tree, setting: str, problems: list[Problem]) -> Tree:
    """Return the tree with one setting applied.

    Parameters
    ----------
    tree : Tree
        The document so far.
    setting : str
        ``path=value``; the value is read as YAML.
    problems : list of Problem
        Takes what is wrong with the setting.
    """
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
    """Return the tree with every place replaced: a line inside an override helps nobody."""
    if isinstance(tree.value, dict):
        value: dict[str, Tree] = {key: _at(inner, origin) for key, inner in tree.value.items()}
        return Tree(value, origin, origin)
    if isinstance(tree.value, list):
        return Tree([_at(inner, origin) for inner in tree.value], origin, origin)
    return Tree(tree.value, origin, origin, tree.plain)
