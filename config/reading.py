"""Read YAML into a tree in which every value knows its place, and write it back.

Scalars follow YAML 1.2, because YAML 1.1 (PyYAML's own) reads ``at: 12:05`` as 725, ``side: no`` as
false and ``1e-4`` as text. Dates stay text: the models read them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path as FilePath
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from config.durations import show
from config.errors import Problem
from config.suggestions import yaml_remedy

Scalar = str | int | float | bool | None
Path = tuple[str | int, ...]

TAG = "model"
"""Key that chooses a mapping's shape: when a child changes it, all other keys of the parent's
mapping are dropped."""


@dataclass(frozen=True)
class Origin:
    """Place of a value in a file; line and column are one-based, 0 where there is none.

    The file is ``--set`` for an override and ``default`` for a default.
    """

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}" if self.line else self.file

    def problem(self, path: str, message: str, suggestion: str = "") -> Problem:
        """Return a Problem of the dotted path, placed here."""
        return Problem(self.file, self.line, self.col, path, message, suggestion)


@dataclass(frozen=True)
class Tree:
    """A value and its place.

    `key` is the place of its key in a mapping; `plain` is true for a scalar without quotes.
    """

    value: Scalar | dict[str, Tree] | list[Tree]
    origin: Origin
    key: Origin | None = None
    plain: bool = False

    @property
    def place(self) -> Origin:
        """Place for an error: the value, or the key above a value of many lines."""
        if self.key is not None and self.key.line != self.origin.line:
            return self.key
        return self.origin


def merge(parent: Tree, child: Tree, problems: list[Problem], path: Path = ()) -> Tree:
    """Return the parent with the child's values: mappings merge, all else is replaced.

    A single value of the parent where the child has keys is a mistake; it is added to `problems`.
    """
    if not isinstance(child.value, dict):
        return child
    if not isinstance(parent.value, dict):
        if parent.value is not None:
            message = f"expected a mapping of keys, since {child.place} gives keys here"
            problems.append(parent.place.problem(dotted(path), message))
        return child
    old, new = parent.value.get(TAG), child.value.get(TAG)
    if old is not None and new is not None and old.value != new.value:
        return child
    merged = dict(parent.value)
    for key, value in child.value.items():
        merged[key] = merge(merged[key], value, problems, (*path, key)) if key in merged else value
    return replace(child, value=merged)


def plain(tree: Tree) -> Any:
    """Return the value alone, as dicts, lists and scalars."""
    if isinstance(tree.value, dict):
        return {key: plain(value) for key, value in tree.value.items()}
    if isinstance(tree.value, list):
        return [plain(value) for value in tree.value]
    return tree.value


def descend(tree: Tree, path: Path) -> tuple[Tree, int]:
    """Return the deepest part of the tree on the path, and how many steps led to it."""
    for steps, step in enumerate(path):
        value = tree.value
        if isinstance(value, dict) and step in value:
            tree = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            tree = value[step]
        else:
            return tree, steps
    return tree, len(path)


def problem(tree: Tree, path: Path, message: str, suggestion: str = "") -> Problem:
    """Return a Problem of the value at the path, placed at the value or its parent."""
    return descend(tree, path)[0].place.problem(dotted(path), message, suggestion)


def key_problem(tree: Tree, path: Path, message: str, suggestion: str = "") -> Problem:
    """Return a Problem of the last key of the path, placed at the key."""
    found = descend(tree, path)[0]
    return (found.key or found.origin).problem(dotted(path), message, suggestion)


def dotted(path: Path) -> str:
    """Return the path as text: ``strategies.reversal.params.exclude[0]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = f'"{step}"' if "." in step else step
            text += f".{name}" if text else name
    return text


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each scalar, list and empty mapping with its path, in the order written."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


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


VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""A variable of the environment, and the default behind its name."""
# YAML reads the braces of a variable as a mapping, so they are hidden from it.
_HIDDEN = str.maketrans("{}", "\ue000\ue001")
_SHOWN = str.maketrans("\ue000\ue001", "{}")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it


class Dumper(yaml.SafeDumper):
    """Writes YAML that `read_text` reads back as the same values."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it


for _name, _pattern, _first in RESOLVERS:
    for _class in (_Loader, Dumper):
        _class.add_implicit_resolver(
            _PREFIX + _name, re.compile(_pattern), [*_first, ""] if _name == "null" else [*_first]
        )


def read_file(file: FilePath, problems: list[Problem]) -> Tree | None:
    """Return the tree of a file, None if it can't be read; add its errors to `problems`."""
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


def read_sound(file: FilePath, problems: list[Problem]) -> Tree | None:
    """As `read_file`, but of a file that is no YAML return what is: its keys outside of the error.

    A top key that can't be read on its own, or stands there twice, has no value.
    """
    tree = read_file(file, problems)
    if tree is not None or not file.is_file():
        return tree
    name, values = str(file), dict[str, Tree]()
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    for block in re.split(r"(?m)^(?=[\w\"'])", text):
        if key := re.match(r"[\"']?(\w+)", block):
            part = read_text(block, name, [])
            found = part.value if part is not None and isinstance(part.value, dict) else {}
            sound = key[1] not in values and key[1] in found
            values[key[1]] = found[key[1]] if sound else Tree(None, Origin(name))
    return Tree(values, Origin(name))


def read_text(text: str, name: str, problems: list[Problem]) -> Tree | None:
    """Return the tree of a YAML text; add its errors to `problems`."""
    try:
        node = _composed(text)
        if node is None:
            problems.append(Problem(name, 1, 1, "", "is empty; a document is a mapping of keys"))
            return None
        return _Reader(name, problems).tree(node, None, ())
    except yaml.MarkedYAMLError as error:
        opened = error.context_mark if "quoted" in (error.context or "") else None
        mark = opened or error.problem_mark or error.context_mark
        line, col = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        at, remedy = yaml_remedy(text, line, what)
        message = remedy or f"YAML syntax: {what}"
        problems.append(Problem(name, at, col if at == line else 1, "", message))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.append(Problem(name, line, 1, "", f"YAML syntax: {error.reason}"))
    except RecursionError:
        problems.append(Problem(name, 1, 1, "", "is nested too deeply"))
    return None


@lru_cache(maxsize=32)
def _composed(text: str) -> yaml.Node | None:
    # Cached, because many documents share their parents.
    hidden = VARIABLE.sub(lambda found: found[0].translate(_HIDDEN), text)
    node: yaml.Node | None = _Loader(hidden).get_single_node()
    return node


class _Reader:
    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self._problems = problems
        self._open: list[int] = []

    def _origin(self, node: yaml.Node) -> Origin:
        return Origin(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _note(self, node: yaml.Node, path: tuple[str, ...], message: str) -> None:
        self._problems.append(self._origin(node).problem(".".join(path), message))

    def tree(
        self, node: yaml.Node, key: Origin | None, path: tuple[str, ...], flow: bool = False
    ) -> Tree:
        origin = self._origin(node)
        if isinstance(node, yaml.ScalarNode):
            if flow and node.style is None and node.value.translate(_SHOWN) != node.value:
                self._note(node, path, 'inside { } and [ ] write "${NAME}" in quotes')
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
            flow = isinstance(node, yaml.CollectionNode) and bool(node.flow_style)
            items = [self.tree(item, None, path, flow) for item in node.value]
            return Tree(items, origin, key)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Tree]:
        mapping: dict[str, Tree] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(key_node, path, "a key must be a word")
                continue
            name = str(key_node.value).translate(_SHOWN)
            at = self._origin(key_node)
            inner = (*path, name)
            if name == "<<":
                self._note(key_node, path, "merge keys (<<) are not read; use extends")
                continue
            if name in mapping:
                first = mapping[name].key
                assert first is not None
                self._note(key_node, inner, f"duplicate key; it is already in line {first.line}")
            mapping[name] = self.tree(value_node, at, inner, bool(node.flow_style))
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: tuple[str, ...]) -> Scalar:
        kind = node.tag.removeprefix(_PREFIX)
        if kind not in ("str", "null", "bool", "int", "float"):
            self._note(node, path, f"the tag {node.tag} is not read here; write plain values")
            return None
        try:
            return scalar(kind, str(node.value).translate(_SHOWN))
        except ValueError as error:
            self._note(node, path, str(error))
            return None


def scalar(kind: str, text: str) -> Scalar:
    """Return the value of a scalar's text, or raise ValueError."""
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
    """Return the value of a text as an unquoted scalar in a document."""
    for kind, pattern, _ in RESOLVERS:
        if re.match(pattern, text):
            return scalar(kind, text)
    return text


def known_keys(model: type[BaseModel], path: Path, tree: Tree) -> list[str]:
    """Return the allowed keys of the mapping at the path; the tree's tags choose its shape."""
    shapes: list[type[BaseModel]] = _models(model)
    annotations: list[Any] = [model]
    for index, step in enumerate(path):
        annotations = [inner for outer in annotations for inner in _inside(outer, step)]
        shapes = _tagged(annotations, descend(tree, path[: index + 1])[0])
        annotations = [*shapes, *(a for a in annotations if not _models(a))]
    return [name for shape in shapes for name in shape.model_fields]


def _tagged(annotations: list[Any], tree: Tree) -> list[type[BaseModel]]:
    models = [model for annotation in annotations for model in _models(annotation)]
    tag = tree.value.get(TAG) if isinstance(tree.value, dict) else None
    if tag is None:
        return models
    fields = {model: model.model_fields.get(TAG) for model in models}
    return [m for m, field in fields.items() if field and field.default == tag.value] or models


def _inside(annotation: Any, step: str | int) -> tuple[Any, ...]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field: Any = annotation.model_fields.get(str(step))
        return options(field.annotation) if field is not None else ()
    if get_origin(annotation) is dict:
        return options(get_args(annotation)[1])
    if get_origin(annotation) in (tuple, list):
        return options(get_args(annotation)[0])
    return ()


@cache
def options(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the annotation itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return options(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(option for part in get_args(annotation) for option in options(part))
    return (annotation,)


def _models(annotation: Any) -> list[type[BaseModel]]:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return [annotation] if is_model else []


def digest(complete: dict[str, Any]) -> str:
    """Return the SHA-256 (hex) of the values; the spelling of numbers doesn't matter."""
    plain_values = _plain_values(complete, _canonical)
    text = json.dumps(plain_values, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_yaml(complete: dict[str, Any]) -> str:
    """Return YAML that reads back as the same values."""
    return yaml.dump(
        as_written(complete), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def as_written(value: Any) -> Any:
    """Return the value as in a document: plain scalars, lists and mappings."""
    return _plain_values(value, _as_number)


def _plain_values(value: Any, scalar_of: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _plain_values(inner, scalar_of) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_values(inner, scalar_of) for inner in value]
    return show(value) if isinstance(value, datetime) else scalar_of(value)


def _canonical(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f") if value else "0"
    # Parameters are floats where amounts are Decimal; 1 and 1.0 are the same parameter.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_number(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    # Text where a float would not hold the number exactly.
    if value == value.to_integral_value() and abs(value) < 10**15:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)
