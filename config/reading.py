"""YAML text to a Tree, with the rules of YAML 1.2 for scalars.

YAML 1.1, PyYAML's own, reads ``at: 12:05`` as 725, ``side: no`` as false and ``1e-4`` as text; a
trading desk can't have that. Dates stay text here: the models read them.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path as FilePath

import yaml

from config.errors import Problem
from config.tree import Origin, Scalar, Tree

_PREFIX = "tag:yaml.org,2002:"
RESOLVERS: list[tuple[str, str, str]] = [
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?)$",
        "-+.0123456789",
    ),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN"),
]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it


class Dumper(yaml.SafeDumper):
    """Writes YAML that this reader reads back as the same values."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it


for _name, _pattern, _first in RESOLVERS:
    for _class in (_Loader, Dumper):
        _class.add_implicit_resolver(
            _PREFIX + _name, re.compile(_pattern), [*_first, ""] if _name == "null" else [*_first]
        )


def read_file(file: FilePath, problems: list[Problem]) -> Tree | None:
    """Return the file's content; what is wrong with it is added to `problems`.

    Returns None where nothing can be read.
    """
    name = str(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problems.append(Problem(name, 0, 0, "", "there is no such file"))
    except UnicodeDecodeError as error:
        problems.append(Problem(name, 0, 0, "", f"is not UTF-8 text ({error.reason})"))
    except OSError as error:
        problems.append(Problem(name, 0, 0, "", f"cannot be read ({error.strerror})"))
    else:
        return read_text(text, name, problems)
    return None


def read_text(text: str, name: str, problems: list[Problem]) -> Tree | None:
    """Return the text's content; what is wrong with it is added to `problems`."""
    try:
        node = _composed(text)
        if node is None:
            problems.append(Problem(name, 1, 1, "", "is empty; a document is a mapping of keys"))
            return None
        return _Reader(name, problems).tree(node, None, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        problems.append(Problem(name, line, col, "", f"YAML syntax: {what}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.append(Problem(name, line, 1, "", f"YAML syntax: {error.reason}"))
    except RecursionError:
        problems.append(Problem(name, 1, 1, "", "is nested too deeply"))
    return None


@lru_cache(maxsize=32)
def _composed(text: str) -> yaml.Node | None:
    """Return a text's nodes: parents are read again and again, by each document of many."""
    node: yaml.Node | None = _Loader(text).get_single_node()
    return node


class _Reader:
    """Turns YAML nodes into Trees, noting problems on the way."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self._problems = problems
        self._open: list[int] = []

    def _origin(self, node: yaml.Node) -> Origin:
        return Origin(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _note(self, node: yaml.Node, path: tuple[str, ...], message: str) -> None:
        at = self._origin(node)
        self._problems.append(Problem(at.file, at.line, at.col, ".".join(path), message))

    def tree(self, node: yaml.Node, key: Origin | None, path: tuple[str, ...]) -> Tree:
        origin = self._origin(node)
        if isinstance(node, yaml.ScalarNode):
            return Tree(self._scalar(node, path), origin, key, plain=node.style is None)
        if id(node) in self._open:
            self._note(node, path, "an alias holds itself")
            return Tree(None, origin, key)
        if node.tag not in (_PREFIX + "map", _PREFIX + "seq"):
            self._note(node, path, f"the tag {node.tag} is not read here; write plain values")
        self._open.append(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return Tree(self._mapping(node, path), origin, key)
            items = [self.tree(item, None, path) for item in node.value]
            return Tree(items, origin, key)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Tree]:
        mapping: dict[str, Tree] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(key_node, path, "a key must be a word")
                continue
            name = str(key_node.value)
            at = self._origin(key_node)
            inner = (*path, name)
            if name == "<<":
                self._note(key_node, path, "merge keys (<<) are not read; use extends")
                continue
            if name in mapping:
                first = mapping[name].key
                assert first is not None
                self._note(
                    key_node, inner, f"duplicate key; it stands already in line {first.line}"
                )
            mapping[name] = self.tree(value_node, at, inner)
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: tuple[str, ...]) -> Scalar:
        kind = node.tag.removeprefix(_PREFIX)
        if kind not in ("str", "null", "bool", "int", "float"):
            self._note(node, path, f"the tag {node.tag} is not read here; write plain values")
            return None
        try:
            return scalar(kind, str(node.value))
        except ValueError as error:
            self._note(node, path, str(error))
            return None


def scalar(kind: str, text: str) -> Scalar:
    """Return the value of a scalar's text.

    Raises
    ------
    ValueError
        When the text is no value of that kind, or too large a number.
    """
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        digits = text.replace("_", "")
        return int(digits, 0) if digits[:2].lower() in ("0x", "0o") else int(digits)
    if kind == "float":
        number = float(text.replace("_", ""))
        if math.isinf(number):
            raise ValueError(f"{text} is too large a number")
        return number
    return text


def value_of(text: str) -> Scalar:
    """Return the value that the text would have as an unquoted scalar in a document."""
    for kind, pattern, _ in RESOLVERS:
        if re.match(pattern, text):
            return scalar(kind, text)
    return text
