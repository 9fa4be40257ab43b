"""Check a document's envelope; convert pydantic's errors to plain words with their places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidationError

from config.documents import KINDS, StrategyComponent
from config.errors import Problem, did_you_mean, some_of
from config.reading import Origin, Path, Tree, descend, key_problem, known_keys, plain, problem
from config.suggestions import (
    ENVIRONMENT_NAME,
    FORMS,
    GLOB,
    INSTRUMENT,
    KEYS_ELSEWHERE,
    is_secret,
    suggest_instrument,
    suggest_number,
    suggest_spelling,
)

_KEYS = 8
"""Number of keys that are shown where a mapping is expected."""
SECRET_PATHS = (("account", "keys"),)
"""Only names of variables are allowed below these: a value could be printed."""

_EXPECTED = {
    "dict_type": "expected a mapping of keys",
    "model_type": "expected a mapping of keys",
    "model_attributes_type": "expected a mapping of keys",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "string_type": "expected text",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "decimal_type": "expected a number",
    "decimal_parsing": "expected a number",
    "finite_number": "expected a finite number",
}


def check_envelope(model: type[BaseModel], tree: Tree) -> tuple[BaseModel | None, list[Problem]]:
    """Return the document of a merged tree, or None, and all problems of its envelope."""
    try:
        return model.model_validate(plain(tree)), []
    except ValidationError as error:
        return None, list(_in_words(model, tree, error))


def _in_words(model: type[BaseModel], tree: Tree, error: ValidationError) -> Iterator[Problem]:
    details = error.errors(include_url=False)
    unknown: dict[Path, str] = {}
    for detail in details:
        if detail["type"] == "extra_forbidden":
            path = _path(tree, detail["loc"])
            known = known_keys(model, path[:-1], tree) + (["extends"] if len(path) == 1 else [])
            unknown[path] = did_you_mean(path[-1], known)
    for detail in details:
        path = _path(tree, detail["loc"])
        kind = detail["type"]
        if kind == "too_short" and detail["input"]:
            # Pydantic counts sound items only, and the others have their own errors.
            continue
        if kind == "extra_forbidden":
            if is_secret(path[-1]):
                yield key_problem(tree, path, KEYS_ELSEWHERE)
            else:
                yield key_problem(tree, path, _unknown(model, path), unknown[path])
        elif kind == "missing":
            meant = (p for p, near in unknown.items() if p[:-1] == path[:-1] and near == path[-1])
            if next(meant, None) is None:
                yield _missing(tree, path)
        elif detail["loc"][-1] == "[key]":
            why = ": it becomes part of order ids" * (path[0] in ("strategies", "actors"))
            yield key_problem(tree, path, f"a key here must match {detail['ctx']['pattern']}{why}")
        elif kind.startswith("union_tag"):
            yield _wrong_model(tree, path, detail)
        else:
            message, suggestion = _message(detail, path, known_keys(model, path, tree))
            yield problem(tree, path, message, suggestion)


_BARE = Tree({}, Origin(""))


def _wrong_model(tree: Tree, path: Path, detail: Any) -> Problem:
    holder = descend(tree, path)[0].value
    if isinstance(holder, dict) and "model" not in holder:
        meant = next((key for key in holder if did_you_mean(key, ["model"])), None)
        if meant is not None:
            return key_problem(tree, (*path, meant), "unknown key", "model")
    message, suggestion = _message(detail, path)
    here = isinstance(holder, dict) and "model" in holder
    return problem(tree, (*path, "model") if here else path, message, suggestion)


def _path(tree: Tree, location: tuple[str | int, ...]) -> Path:
    path: Path = ()
    for index, step in enumerate(location):
        if step == "[key]":
            continue
        inside = descend(tree, path)[0].value
        here = descend(tree, (*path, step))[1] == len(path) + 1
        last = index == len(location) - 1
        if here or (last and isinstance(inside, dict)):
            path = (*path, step)
    return path


def _unknown(model: type[BaseModel], path: Path) -> str:
    if len(path) > 1:
        return "unknown key"
    holder = next((k for k in model.model_fields if path[0] in known_keys(model, (k,), _BARE)), "")
    if holder:
        return f"unknown key here; it belongs under {holder}, indented further"
    kinds = [name for name, model in KINDS.items() if path[0] in model.model_fields]
    if kinds:
        return f"unknown key here; it belongs to a document of kind {' or '.join(kinds)}"
    return "unknown key"


def _missing(tree: Tree, path: Path) -> Problem:
    message, suggestion = "is missing", ""
    if len(path) == 3 and path[1] in StrategyComponent.model_fields:
        message = f"wrong indent: {path[1]} belongs inside a component, indented further"
        return key_problem(tree, path[:2], message)
    if len(path) == 3 and path[0] in ("strategies", "actors") and path[2] == "use":
        holder = descend(tree, path[:1])[0].value
        assert isinstance(holder, dict)
        complete = (
            key
            for key, value in holder.items()
            if isinstance(value.value, dict) and "use" in value.value
        )
        suggestion = did_you_mean(path[1], complete)
        message = f"is missing: no component {path[1]} is inherited, so this one needs an address"
    return problem(tree, path, message, suggestion)


def _message(detail: Any, path: Path, keys: Sequence[str] = ()) -> tuple[str, str]:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if any(path[: len(secret)] == secret for secret in SECRET_PATHS):
        return "must be the name of an environment variable, such as BYBIT_API_KEY", ""
    was = f", was {shown(given)}"
    if kind in _EXPECTED:
        return _EXPECTED[kind] + was + _remedy(kind, given, path, keys), ""
    if kind == "literal_error":
        options = context["expected"].replace("'", "").replace(" or ", ", ")
        words = options.split(", ")
        near = suggest_spelling(given, words.__contains__) or did_you_mean(given, words)
        return f"must be one of {options}{was}", near
    if kind == "union_tag_invalid":
        options = context["expected_tags"].replace("'", "")
        return (
            f"its model must be one of {options}, was {context['tag']}",
            did_you_mean(context["tag"], options.split(", ")),
        )
    if kind == "union_tag_not_found":
        return "needs the key model, which says how it is computed", ""
    if kind in ("too_short", "string_too_short"):
        return "must not be empty", ""
    if kind == "string_pattern_mismatch":
        return form_words(context["pattern"], given)
    if kind == "value_error":
        return f"{context['error']}{was if not isinstance(given, dict) else ''}", ""
    remedy = suggest_number(given, path[-1]) if str(context.get("le")) == "1" else ""
    if 0 < context.get("le", 1) < 1 or -1 < context.get("ge", 0) < 0:
        # A rate, such as a fee: what is far outside was meant in percent.
        remedy = f"{Decimal(str(given)) / 100:f} means {given} %"
    return detail["msg"].replace("Input should", "must") + was + (remedy and f"; {remedy}"), ""


def _remedy(kind: str, given: object, path: Path, keys: Sequence[str]) -> str:
    if _EXPECTED[kind].endswith("keys"):
        if given is None:
            return ": indent its keys further than its own"
        if re.match(r"^\w+:\S", str(given)):
            return ": a space must follow each colon"
        return f"; they are {some_of(keys, _KEYS)}" if keys else ""
    if kind == "string_type" and type(given) in (int, float):
        return f"; write {given}s, {given}m, {given}h or {given}d for a time, else '{given}'"
    found = (
        suggest_number(given, path[-1], fraction=False)
        if _EXPECTED[kind].endswith("number")
        else ""
    )
    return found and f"; {found}"


def form_words(pattern: str, given: object) -> tuple[str, str]:
    """Return what a text that must match a pattern should look like, and what was meant."""
    if pattern == ENVIRONMENT_NAME:
        # What stands there instead may be the secret.
        return f"must be {FORMS[pattern]}", ""
    if pattern in (GLOB, INSTRUMENT):
        meant = suggest_instrument(str(given))
    else:
        meant = suggest_spelling(given, re.compile(pattern).match)
    return f"must be {FORMS.get(pattern, f'text matching {pattern}')}, was {shown(given)}", meant


def shown(given: object) -> str:
    """Return a given value as text for an error message."""
    if isinstance(given, dict):
        return "a mapping"
    if isinstance(given, list | tuple):
        return "a list"
    if given is None:
        return "nothing"
    if isinstance(given, bool):
        return str(given).lower()
    return repr(given)
