"""Check a component's parameters against its config class, each alone, to report all errors.

The class is a msgspec Struct with ranges in `msgspec.Meta`. The builder, never a document, sets the
fields inherited from the engine and those in ``desk_fields``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from config.envelope import shown
from config.errors import DocumentErrors, Problem, did_you_mean
from config.reading import Path, as_written, dotted, options

_ENGINE = "nautilus_trader."
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping of keys",
    "null": "null",
}
_INNER = re.compile(r" - at `\$(.*)`$")


@dataclass(frozen=True)
class ParamProblem:
    """One problem of a parameter; `path` is below ``params``.

    `at_key` is true when the key itself is wrong, rather than its value.
    """

    path: Path
    message: str
    suggestion: str = ""
    at_key: bool = False


@cache
def parameter_fields(config: type[msgspec.Struct]) -> Mapping[str, FieldInfo]:
    """Return the fields that a document may set, by name, in the order declared."""
    builders = set(getattr(config, "desk_fields", ()))
    for base in config.__mro__:
        if base.__module__.startswith(_ENGINE):
            builders.update(getattr(base, "__struct_fields__", ()))
    return MappingProxyType(
        {field.name: field for field in _fields(config) if field.name not in builders}
    )


@cache
def _fields(config: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    # Their annotations are evaluated anew each time, which takes longer than all the checks.
    return msgspec.structs.fields(config)


def check_params(config: type[msgspec.Struct], params: Mapping[str, Any]) -> list[ParamProblem]:
    """Return unknown keys, wrong types and values out of range of a component's parameters.

    If there are none, return the problems of values that don't go together, from the class's
    ``check``.
    """
    fields = parameter_fields(config)
    problems = _check_fields(fields, params, ())
    if problems:
        own = {field.name for field in _fields(config)} - fields.keys()
        return [
            replace(wrong, message="is set by the desk, not by a document", suggestion="")
            if wrong.at_key and len(wrong.path) == 1 and wrong.path[0] in own
            else wrong
            for wrong in problems
        ]
    # Only parameters matter to `check`; a Struct's own constructor checks no types, so the fields
    # that the builder sets can stay empty here.
    filled = build_params(config, params)
    for field in _fields(config):
        if field.required and field.name not in filled:
            filled[field.name] = None
    try:
        instance = config(**filled)
    except (ValueError, TypeError) as error:
        return [ParamProblem((), str(error))]
    check = getattr(instance, "check", None)
    found: list[tuple[str, str]] = check() if check is not None else []
    return [ParamProblem(_steps(path), message) for path, message in found]


def _steps(path: str) -> Path:
    return tuple(
        int(index) if index else name for index, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    )


def build_params(cls: type[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document's parameters converted to the config class's types, without defaults.

    Raises DocumentErrors for everything that `check_params` finds.
    """
    config: type[msgspec.Struct] = getattr(cls, "Config", cls)
    fields = parameter_fields(config)
    problems = _check_fields(fields, params, ())
    if problems:
        name = f"{cls.__module__}:{cls.__qualname__}"
        raise DocumentErrors(
            Problem(name, 0, 0, dotted(p.path), p.message, p.suggestion) for p in problems
        )
    return {name: _convert(value, fields[name].type) for name, value in params.items()}


def complete_params(cls: type[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters, defaults included, as plain scalars, lists and mappings."""
    config: type[msgspec.Struct] = getattr(cls, "Config", cls)
    given = build_params(config, params)
    complete = {}
    for name, field in parameter_fields(config).items():
        if name in given:
            complete[name] = given[name]
        elif field.default is not msgspec.NODEFAULT:
            complete[name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            complete[name] = field.default_factory()
    plain: dict[str, Any] = as_written(msgspec.to_builtins(complete, enc_hook=str))
    return plain


def _check_fields(
    fields: Mapping[str, FieldInfo], params: Mapping[str, Any], path: Path
) -> list[ParamProblem]:
    problems = []
    unknown = {name: did_you_mean(name, fields) for name in params if name not in fields}
    for name, near in unknown.items():
        problems.append(ParamProblem((*path, name), "unknown parameter", near, at_key=True))
    for name, field in fields.items():
        if name in params:
            problems.extend(_check_value(field.type, params[name], (*path, name)))
        elif field.required and name not in unknown.values():
            problems.append(ParamProblem((*path, name), "is missing"))
    return problems


def _check_value(annotation: Any, value: Any, path: Path) -> list[ParamProblem]:
    struct = next((part for part in options(annotation) if _is_struct(part)), None)
    if struct is not None and isinstance(value, Mapping):
        fields = {field.name: field for field in _fields(struct)}
        return _check_fields(fields, value, path)
    item = _item(annotation)
    if item is not None and isinstance(value, list):
        # Each apart, so that errors name the very line and say what would be right there.
        problems = []
        for index, inner in enumerate(value):
            problems.extend(_check_value(item, inner, (*path, index)))
        if problems:
            return problems
    of_name = _value_by_name(annotation)
    if of_name is not None and isinstance(value, Mapping):
        problems = []
        for name, inner in value.items():
            problems.extend(_check_value(of_name, inner, (*path, name)))
        if problems:
            return problems
    try:
        _convert(value, annotation)
    except msgspec.ValidationError as error:
        text = str(error)
        inner = _INNER.search(text)
        if inner:
            text = text[: inner.start()]
            for step in _steps(inner[1]):
                path = (*path, step)
                value = value[step]
        return [ParamProblem(path, *_in_words(text, annotation, value))]
    return []


def _in_words(text: str, annotation: Any, value: Any) -> tuple[str, str]:
    choices = [
        choice
        for part in options(annotation)
        if get_origin(part) is Literal
        for choice in get_args(part)
    ]
    was = shown(value)
    listed = ", ".join(str(choice) for choice in choices)
    if choices and any(part is float for part in options(annotation)):
        # A number that is out of range is told by its range.
        if text.startswith("Invalid enum value"):
            return f"must be a number or {listed}, was {was}", did_you_mean(value, choices)
    elif choices:
        return f"must be one of {listed}, was {was}", did_you_mean(value, map(str, choices))
    alike = _examples(annotation)
    if "matching regex" in text and alike:
        return f"must look like {', '.join(alike)}, was {was}", did_you_mean(value, alike)
    text = text.split(", got ")[0]
    text = re.sub(r"`([^`]*)`", lambda match: _types_in_words(match[1]), text)
    return f"{text[:1].lower()}{text[1:]}, was {was}", ""


def _examples(annotation: Any) -> list[str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        first, *more = get_args(annotation)
        own = [str(e) for meta in more for e in getattr(meta, "examples", None) or ()]
        return own or _examples(first)
    if origin in (Union, UnionType):
        return [example for part in get_args(annotation) for example in _examples(part)]
    return []


def _types_in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))


def _convert(value: Any, annotation: Any) -> Any:
    return msgspec.convert(value, annotation, dec_hook=_from_text)


def _from_text(annotation: type[Any], value: Any) -> Any:
    from_text = getattr(annotation, "from_str", None)
    if from_text is None or not isinstance(value, str):
        raise ValueError(f"expected the text of a {annotation.__name__}")
    return from_text(value)


def _item(annotation: Any) -> Any:
    for part in options(annotation):
        item, *others = get_args(part) or (None,)
        if get_origin(part) is list or (get_origin(part) is tuple and others == [...]):
            return item
    return None


def _value_by_name(annotation: Any) -> Any:
    for part in options(annotation):
        if get_origin(part) is dict:
            return get_args(part)[1]
    return None


def _is_struct(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)
