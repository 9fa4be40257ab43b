"""A file merged over everything it extends, each parent read relative to the file that names it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path as FilePath

from config.errors import Problem, did_you_mean
from config.reading import read_file
from config.tree import Tree, merge


def assemble(file: FilePath, problems: list[Problem]) -> tuple[Tree | None, bool]:
    """Return the file merged over everything it extends, and whether all of that could be read.

    What is wrong is added to `problems`. With a parent missing, it is no use to look for keys that
    may stand there.
    """
    broken: list[FilePath] = []
    tree = _assemble(file, problems, (), broken)
    return tree, not broken


def _assemble(
    file: FilePath, problems: list[Problem], chain: tuple[FilePath, ...], broken: list[FilePath]
) -> Tree | None:
    tree = read_file(file, problems)
    if tree is None:
        broken.append(file)
        return None
    if not isinstance(tree.value, dict):
        at = tree.origin
        problems.append(
            Problem(at.file, at.line, at.col, "", "a document must be a mapping of keys")
        )
        broken.append(file)
        return None
    own = dict(tree.value)
    extends = own.pop("extends", None)
    result = Tree(own, tree.origin)
    if extends is None:
        return result
    merged: Tree | None = None
    for parent in _parents(extends, problems):
        target = FilePath(os.path.normpath(file.parent / str(parent.value)))
        at = parent.place
        if target.resolve() in (*chain, file.resolve()):
            way = [*chain, file.resolve()]
            names = [p.name for p in way[way.index(target.resolve()) :]]
            cycle = " -> ".join([*names, target.name])
            problems.append(
                Problem(at.file, at.line, at.col, "extends", f"extends itself: {cycle}")
            )
            broken.append(target)
            continue
        if not target.is_file():
            near = did_you_mean(
                target.name,
                (p.name for p in target.parent.glob("*.y*ml")) if target.parent.is_dir() else (),
            )
            problems.append(
                Problem(at.file, at.line, at.col, "extends", f"there is no file {target}", near)
            )
            broken.append(target)
            continue
        inherited = _assemble(target, problems, (*chain, file.resolve()), broken)
        if inherited is not None:
            merged = inherited if merged is None else merge(merged, inherited, problems)
    return result if merged is None else merge(merged, result, problems)


def _parents(extends: Tree, problems: list[Problem]) -> Sequence[Tree]:
    parents = extends.value if isinstance(extends.value, list) else [extends]
    good = [parent for parent in parents if isinstance(parent.value, str) and parent.value]
    for parent in parents:
        if parent not in good:
            at = parent.place
            problems.append(
                Problem(
                    at.file,
                    at.line,
                    at.col,
                    "extends",
                    "must be the path of a YAML file, or a list",
                )
            )
    return good
