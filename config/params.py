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

from config.components import is_struct
from config.envelope import form_words, shown
from config.errors import DocumentErrors, Problem, did_you_mean
from config.reading import Path, as_written, dotted, options
from config.suggestions import KEYS_ELSEWHERE, is_secret, suggest_number, suggest_spelling

_ENGINE = "nautilus_trader."
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping of keys",
    "null": "null",
    "Decimal": "a number",
    "NoneType": "null",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping of keys",
}
_INNER = re.compile(r" - at `\$(.*)`$")
_LENGTH = re.compile(r"`array` of length (>=|<=|)\s*(\d+)")
_BOUNDS = {">=": " or more", "<=": " or fewer", "": ""}


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
    """Return all that is wrong with a component's parameters.

    These are unknown keys, wrong types, values out of range, and values that don't go together,
    from the class's ``check``. Beside other errors, ``check`` sees defaults in place of the wrong
    values, and only what it finds with each of their other choices counts too.
    """
    fields = parameter_fields(config)
    problems = _check_fields(fields, params, ())
    if not problems:
        return _check_together(config, params)
    own = {
        field.name: "is set by the desk, not by a document"
        for field in _fields(config)
        if field.name not in fields
    } | getattr(config, "elsewhere", {})
    problems = [
        replace(wrong, message=own[str(wrong.path[0])], suggestion="")
        if wrong.at_key and len(wrong.path) == 1 and wrong.path[0] in own
        else wrong
        for wrong in problems
    ]
    sound = _without_wrong(params, problems)
    if _check_fields(fields, sound, ()):
        # What is missing has no default.
        return problems
    left_out = {_left_out(params, wrong.path) for wrong in problems}
    found = [wrong for wrong in _check_together(config, sound) if wrong.path]
    found = [w for w in found if not any(w.path[: len(path)] == path for path in left_out)]
    for path in left_out:
        for other in _sound_values(_type_at(fields, path)):
            changed = _with(sound, path, other)
            if not _check_fields(fields, changed, ()):
                with_other = _check_together(config, changed)
                found = [wrong for wrong in found if wrong in with_other]
    return [*problems, *found]


def check_each(config: type[msgspec.Struct], params: Mapping[str, Any]) -> list[ParamProblem]:
    """Return what is wrong with parameters each by itself, not with how they go together."""
    return _check_fields(parameter_fields(config), params, ())


def _without_wrong(params: Mapping[str, Any], problems: list[ParamProblem]) -> Mapping[str, Any]:
    for wrong in problems:
        params = _without(params, wrong.path)
    return params


def _without(params: Mapping[str, Any], path: Path) -> dict[str, Any]:
    first, *rest = path
    kept = {key: value for key, value in params.items() if key != first}
    if rest and isinstance(inner := params.get(str(first)), Mapping):
        kept[str(first)] = _without(inner, tuple(rest))
    return kept


def _left_out(params: Mapping[str, Any], path: Path) -> Path:
    """Return the part of a path that `_without` removes: a wrong list goes as a whole."""
    inner: Any = params
    for depth, name in enumerate(path):
        if not isinstance(inner, Mapping):
            return path[:depth]
        inner = inner.get(str(name))
    return path


def _with(params: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    first, rest = str(path[0]), path[1:]
    return {**params, first: _with(params.get(first) or {}, rest, value) if rest else value}


def _type_at(fields: Mapping[str, FieldInfo], path: Path) -> Any:
    """Return the type of a field of nested blocks, None where there is no such field."""
    field = fields.get(str(path[0]))
    if field is None or len(path) == 1:
        return None if field is None else field.type
    inner = {each.name: each for block in _blocks(field.type) for each in _fields(block)}
    return _type_at(inner, path[1:])


def _blocks(annotation: Any) -> list[type[msgspec.Struct]]:
    return [part for part in options(annotation) if is_struct(part)]


def _sound_values(annotation: Any) -> list[Any]:
    numeric = any(part in (int, float) for part in options(annotation))
    bounds = [meta.le for meta in metas(annotation) if meta.le is not None] if numeric else []
    blocks: list[Any] = [{}] * bool(_blocks(annotation))
    return [*choices(annotation), *(bounds or [1] * numeric), *blocks]


def _check_together(config: type[msgspec.Struct], params: Mapping[str, Any]) -> list[ParamProblem]:
    try:
        instance: Any = _instance(config, params)
    except (ValueError, TypeError) as error:
        return [ParamProblem((), str(error))]
    check = getattr(instance, "check", None)
    found: list[tuple[str, str]] = check() if check is not None else []
    return [ParamProblem(_steps(path), message) for path, message in found]


def sound_instance(config: type[msgspec.Struct], params: Mapping[str, Any]) -> Any:
    """Return the config class with the parameters that are right; None where one is missing."""
    fields = parameter_fields(config)
    if problems := _check_fields(fields, params, ()):
        params = _without_wrong(params, problems)
        if _check_fields(fields, params, ()):
            return None
    return _instance(config, params)


def _instance(config: type[msgspec.Struct], params: Mapping[str, Any]) -> msgspec.Struct:
    # A Struct's own constructor checks no types, so the fields that the builder sets stay empty.
    filled = _converted(config, params)
    for field in _fields(config):
        if field.required and field.name not in filled:
            filled[field.name] = None
    return config(**filled)


def _steps(path: str) -> Path:
    return tuple(
        int(index) if index else name for index, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    )


def build_params(cls: type[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document's parameters converted to the config class's types, without defaults.

    Raises DocumentErrors for everything that `check_params` finds.
    """
    config: type[msgspec.Struct] = getattr(cls, "Config", cls)
    problems = _check_fields(parameter_fields(config), params, ())
    if problems:
        name = f"{cls.__module__}:{cls.__qualname__}"
        raise DocumentErrors(
            Problem(name, 0, 0, dotted(p.path), p.message, p.suggestion) for p in problems
        )
    return _converted(config, params)


def _converted(config: type[msgspec.Struct], params: Mapping[str, Any]) -> dict[str, Any]:
    fields = parameter_fields(config)
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
        words = (KEYS_ELSEWHERE, "") if is_secret(name) else ("unknown parameter", near)
        problems.append(ParamProblem((*path, name), *words, at_key=True))
    for name, field in fields.items():
        if name in params:
            problems.extend(_check_value(field.type, params[name], (*path, name)))
        elif field.required and name not in unknown.values():
            problems.append(ParamProblem((*path, name), "is missing"))
    return problems


def _check_value(annotation: Any, value: Any, path: Path) -> list[ParamProblem]:
    struct = next((part for part in options(annotation) if is_struct(part)), None)
    if struct is not None and isinstance(value, Mapping):
        fields = {field.name: field for field in _fields(struct)}
        return _check_fields(fields, value, path)
    item = _item(annotation)
    if item is not None and isinstance(value, list):
        # Each apart, so that errors name the very line and say what would be right there.
        problems = []
        for index, inner in enumerate(value):
            problems.extend(_check_value(item, inner, (*path, index)))
        if any((meta.extra_json_schema or {}).get("uniqueItems") for meta in metas(annotation)):
            problems += [
                ParamProblem((*path, index), "is given twice")
                for index, inner in enumerate(value)
                if inner in value[:index]
            ]
        if problems:
            return problems
    by_name = _name_and_value(annotation)
    if by_name is not None and isinstance(value, Mapping):
        problems = []
        of_names, of_name = by_name
        for name, inner in value.items():
            wrong = _check_value(of_names, name, (*path, name))
            problems.extend(replace(one, at_key=True) for one in wrong)
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
        return [ParamProblem(path, *_in_words(text, annotation, value, str(path[-1])))]
    return []


def _in_words(text: str, annotation: Any, value: Any, field: str) -> tuple[str, str]:
    listing = choices(annotation)
    was = shown(value)
    listed = ", ".join(str(choice) for choice in listing)
    near = suggest_spelling(value, listing.__contains__) or did_you_mean(value, map(str, listing))
    if listing and any(part is float for part in options(annotation)):
        # A number that is out of range gets the words of its range.
        if text.startswith("Invalid enum value"):
            return f"must be a number or {listed}, was {was}", near
    elif listing:
        return f"must be one of {listed}, was {was}", near
    alike = next((list(map(str, m.examples)) for m in metas(annotation) if m.examples), [])
    if "matching regex" in text and alike:
        return f"must look like {', '.join(alike)}, was {was}", did_you_mean(value, alike)
    if length := _LENGTH.search(text):
        return f"must have {length[2]}{_BOUNDS[length[1]]} items, has {len(value)}", ""
    pattern = next((meta.pattern for meta in metas(annotation) if meta.pattern), None)
    if pattern is not None and "`str" in text:
        return form_words(pattern, value)
    most = next((meta.le for meta in metas(annotation) if meta.le is not None), None)
    numeric = any(part in (int, float) for part in options(annotation))
    remedy = suggest_number(value, field, fraction=most == 1) if numeric else ""
    text = text.split(", got ")[0]
    text = re.sub(r"`([^`]*)`", _types_in_words, text)
    return f"{text[:1].lower()}{text[1:]}, was {was}" + (remedy and f"; {remedy}"), ""


def metas(annotation: Any) -> list[msgspec.Meta]:
    """Return the ranges, patterns and examples of a type, the outermost first."""
    origin = get_origin(annotation)
    if origin is Annotated:
        first, *more = get_args(annotation)
        return [*(meta for meta in more if isinstance(meta, msgspec.Meta)), *metas(first)]
    if origin in (Union, UnionType):
        return [meta for part in get_args(annotation) for meta in metas(part)]
    return []


def choices(annotation: Any) -> list[Any]:
    """Return the values that a type lists."""
    parts = (part for part in options(annotation) if get_origin(part) is Literal)
    return [choice for part in parts for choice in get_args(part)]


def _types_in_words(match: re.Match[str]) -> str:
    return " or ".join(WORDS.get(name, name) for name in match[1].split(" | "))


def _convert(value: Any, annotation: Any) -> Any:
    return msgspec.convert(value, annotation, dec_hook=_from_text)


def _from_text(annotation: type[Any], value: Any) -> Any:
    from_text = getattr(annotation, "from_str", None)
    if from_text is None or not isinstance(value, str):
        raise ValueError(f"expected the text of a {annotation.__name__}")
    return from_text(value)


@cache
def _item(annotation: Any) -> Any:
    for part in options(annotation):
        item, *others = get_args(part) or (None,)
        if get_origin(part) is list or (get_origin(part) is tuple and others == [...]):
            return item
    return None


@cache
def _name_and_value(annotation: Any) -> tuple[Any, Any] | None:
    for part in options(annotation):
        if get_origin(part) is dict:
            of_names, of_name = get_args(part)
            return of_names, of_name
    return None
