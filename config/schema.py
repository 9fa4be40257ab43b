"""JSON Schema of documents, for editors; ``python -m config.schema`` writes it and `fields` again.

Nothing is required, because a file may inherit it. A component's address chooses its parameters.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec

from config import fields
from config.components import resolve, shipped_addresses
from config.describe import describe
from config.documents import KINDS, Part
from config.errors import InputError, hint
from config.params import parameter_fields

FOLDER = Path(__file__).parent / "schemas"
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_COMPONENTS = ("Component", "StrategyComponent", "Scorer")


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a kind; raise InputError for an unknown kind."""
    if kind not in KINDS:
        there = f"there are {', '.join(KINDS)}{hint(kind, KINDS)}"
        raise InputError(f"no kind of document {kind!r}; {there}")
    model = KINDS[kind].model_json_schema()
    _describe(KINDS[kind], model)
    definitions = model.get("$defs", {})
    for part in _parts(Part):
        if part.__name__ in definitions:
            _describe(part, definitions[part.__name__])
    result: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_as_written(model),
        "title": f"perpdesk {kind}",
    }
    path = {"type": "string", "minLength": 1}
    result["properties"] = {
        "extends": {
            "description": "File or files whose values this one inherits, relative to this file, "
            "or names of shipped ones such as perpdesk:setups/xs_reversal.",
            "anyOf": [path, {"type": "array", "items": path}],
        },
        **result["properties"],
    }
    definitions = result.get("$defs", {})
    if any(name in definitions for name in _COMPONENTS):
        _add_parameters(definitions)
    return result


def as_text(kind: str) -> str:
    """Return the schema as the text of its file."""
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"


def fields_page() -> str:
    """Return the page about every field."""
    return fields.as_page({kind: schema(kind) for kind in KINDS})


def _as_written(node: Any) -> Any:
    if isinstance(node, list):
        return [_as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("required", "discriminator", "title"):
            continue
        if key in ("properties", "$defs", "patternProperties"):
            result[key] = {name: _as_written(inner) for name, inner in value.items()}
        elif key in ("default", "const", "enum"):
            result[key] = value
        elif key in _BOUNDS and isinstance(value, float) and value.is_integer():
            # Python shares the types ``Annotated[float, Meta(ge=0)]`` and ``Meta(ge=0.0)``: which
            # of the two is written would depend on the order of imports.
            result[key] = int(value)
        else:
            result["anyOf" if key == "oneOf" else key] = _as_written(value)
    if "patternProperties" in result:
        result["additionalProperties"] = False
    return result


def _parts(base: type[Part]) -> Iterator[type[Part]]:
    for part in base.__subclasses__():
        yield part
        yield from _parts(part)


def _describe(part: type[Part], schema: dict[str, Any]) -> None:
    # Pydantic's ``use_attribute_docstrings`` would read the texts at each start of each command.
    for base in reversed(part.__mro__[: part.__mro__.index(Part)]):
        (definition,) = ast.parse(dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in pairwise(definition.body):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(description))),
                ) if name in part.model_fields:
                    described = {
                        **schema["properties"][name],
                        "description": inspect.cleandoc(description),
                    }
                    schema["properties"][name] = dict(sorted(described.items()))


def _add_parameters(definitions: dict[str, Any]) -> None:
    addresses = list(shipped_addresses())
    configs = [resolve(use).Config for use in addresses]
    parameters = [
        msgspec.defstruct(
            f"{config.__name__}Params",
            [(name, field.type) for name, field in parameter_fields(config).items()],
            kw_only=True,
            forbid_unknown_fields=True,
            module=config.__module__,
        )
        for config in configs
    ]
    # All at once: blocks of two components that have one name get different ones.
    found, blocks = msgspec.json.schema_components(
        parameters, ref_template="#/$defs/{name}", schema_hook=lambda _: {"type": "string"}
    )
    definitions.update({name: _as_written(value) for name, value in blocks.items()})
    references = dict(zip(addresses, found, strict=True))
    for use, config, reference in zip(addresses, configs, found, strict=True):
        properties = definitions[reference["$ref"].rpartition("/")[2]]["properties"]
        texts = {parameter.name: parameter.text for parameter in describe(use).parameters}
        for name, field in parameter_fields(config).items():
            if text := texts.get(name):
                properties[name].setdefault("description", text)
            if field.default is not msgspec.NODEFAULT:
                properties[name]["default"] = msgspec.to_builtins(field.default, enc_hook=str)
    for name in _COMPONENTS:
        if name in definitions:
            definitions[name]["properties"]["use"]["examples"] = addresses
            definitions[name]["allOf"] = [
                {
                    "if": {"properties": {"use": {"const": use}}, "required": ["use"]},
                    "then": {"properties": {"params": reference}},
                }
                for use, reference in references.items()
            ]


if __name__ == "__main__":
    for name in KINDS:
        file = FOLDER / f"{name}.json"
        file.write_text(as_text(name), encoding="utf-8")
        print(file)
    fields.FILE.write_text(fields_page(), encoding="utf-8")
    print(fields.FILE)
