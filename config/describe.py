"""What comes with perpdesk, and a component's parameters, read from the code."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import yaml

from config import shipped
from config.components import is_struct, resolve, shipped_addresses
from config.params import WORDS, choices, metas, parameter_fields
from config.reading import as_written, options
from config.suggestions import FORMS

Rows = list[tuple[str, str]]
"""Names, each with a line about it."""


def component_rows(room: str) -> Rows:
    """Return the shipped components of ``strategies`` or ``actors``."""
    found = (use for use in shipped_addresses() if use.startswith(f"{room}."))
    return [(use, _first_line(importlib.import_module(use.partition(":")[0]))) for use in found]


def document_rows(group: str) -> Rows:
    """Return the shipped documents of a group, each with its description or first comment."""
    return [(name, _about(shipped.file_of(name))) for name in shipped.names(group)]


def _about(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    described = yaml.safe_load(text).get("description")
    comments = re.findall(r"^# (?!yaml-language-server)(.*)$", text, re.MULTILINE)
    return str(described or next(iter(comments), ""))


def _first_line(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0].removesuffix(" Pure.")


@dataclass(frozen=True)
class Parameter:
    """One parameter: what it may be, its default as written in YAML (None: required), its text."""

    name: str
    allowed: str
    default: str | None
    text: str


@dataclass(frozen=True)
class Description:
    """A component's address, what it is, the unit of what it measures, and its parameters."""

    use: str
    text: str
    unit: str
    parameters: list[Parameter]


def describe(use: str) -> Description:
    """Return what a component is and takes; raise AddressError for a wrong address.

    Its package needs no ``allow`` here.
    """
    cls: Any = resolve(use, [use.partition(":")[0].partition(".")[0]])
    text = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ")
    return Description(use, text, getattr(cls, "unit", ""), list(_parameters(cls.Config)))


def _parameters(config: Any, prefix: str = "") -> Iterator[Parameter]:
    texts: dict[str, str] = {}
    for base in reversed(config.__mro__):
        documented = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        for names, words in re.findall(
            r"^([\w, ]+) : .*\n((?: +.*\n?)+)", documented, re.MULTILINE
        ):
            texts |= dict.fromkeys(names.split(", "), " ".join(words.split()))
    for name, field in parameter_fields(config).items():
        inner = next((option for option in options(field.type) if is_struct(option)), None)
        if inner is not None and field.default is not None:
            yield from _parameters(inner, f"{prefix}{name}.")
            continue
        nested = list(_parameters(inner, f"{prefix}{name}.")) if inner is not None else []
        for many in options(field.type):
            place = ".NAME." if get_origin(many) is dict else "[]."
            for item in filter(is_struct, get_args(many)):
                nested += _parameters(item, f"{prefix}{name}{place}")
        text = next((m.description for m in metas(field.type) if m.description), "")
        yield Parameter(
            prefix + name, _allowed(field.type), _default(field), text or texts.get(name, "")
        )
        yield from nested


def _default(field: Any) -> str | None:
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is msgspec.NODEFAULT:
        return None
    return msgspec.json.encode(as_written(msgspec.to_builtins(value, enc_hook=str))).decode()


def _allowed(annotation: Any) -> str:
    listed = ", ".join(map(str, choices(annotation)))
    if listed and not any(option in (int, float) for option in options(annotation)):
        return listed
    for meta in metas(annotation):
        if meta.examples:
            return ", ".join(map(str, meta.examples))
        if meta.pattern:
            return FORMS.get(meta.pattern, f"text matching {meta.pattern}")
    names = ["object" if is_struct(o) else getattr(o, "__name__", "") for o in options(annotation)]
    kinds = [WORDS.get(name, "") for name in names]
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    limits = [
        f"{sign} {value:g}"
        for meta in metas(annotation)
        for name, sign in signs.items()
        if (value := getattr(meta, name)) is not None
    ]
    plain = " or ".join(dict.fromkeys(kind for kind in kinds if kind)) or "see the text"
    return " or ".join(filter(None, [f"{plain} {' and '.join(limits)}".strip(), listed]))
