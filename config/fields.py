"""Every field of every YAML document on one page, ``config/FIELDS.md``, made from the schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.suggestions import FORMS

FILE = Path(__file__).parent / "FIELDS.md"
_INTRO = """\
# Every field of every document

Made from the code by `python -m config.schema`; do not edit. `perpdesk describe ADDRESS` shows one
component, `perpdesk explain FILE a.b` the value of a field and the line that gave it. What has no
default must be given somewhere: in the file, in one that it extends, or by `--set`.

Documents: {documents}. What their fields hold, and the parameters of strategies and guards, follow
in alphabetical order.
"""
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_SIZES = {"minItems": "at least", "maxItems": "at most"}


def as_page(schemas: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of the kinds' schemas."""
    blocks: dict[str, Any] = {}
    for schema in schemas.values():
        blocks |= schema.get("$defs", {})
    uses = _addresses(blocks)
    documents = ", ".join(f"[{kind}](#{kind})" for kind in schemas)
    parts = [_INTRO.format(documents=documents)]
    parts += [_section(kind, schema, blocks) for kind, schema in schemas.items()]
    for name in sorted(blocks, key=lambda block: str(uses.get(block, block)).lower()):
        parts.append(_section(uses.get(name, name), blocks[name], blocks))
    return "\n".join(parts)


def _addresses(blocks: Mapping[str, Any]) -> dict[str, str]:
    """Return whose parameters a block holds: the component's address by the block's name."""
    found = {}
    for rule in (rule for block in blocks.values() for rule in block.get("allOf", ())):
        reference = rule["then"]["properties"]["params"]["$ref"]
        use = rule["if"]["properties"]["use"]["const"]
        found[_name(reference)] = use
    return found


def _section(name: str, block: Mapping[str, Any], blocks: Mapping[str, Any]) -> str:
    text = _line(block.get("description", ""))
    rows = [
        f"| `{field}` | {_allowed(node)} | {_default(node)} | {_text(node, blocks)} |"
        for field, node in block.get("properties", {}).items()
    ]
    table = ["| field | may be | default | |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([f"## {name}", "", *([text, ""] if text else []), *table, ""])


def _text(node: Mapping[str, Any], blocks: Mapping[str, Any]) -> str:
    inner = blocks[_name(node["$ref"])] if "$ref" in node else {}
    return _line(node.get("description") or inner.get("description", ""))


def _default(node: Mapping[str, Any]) -> str:
    if "default" not in node:
        return ""
    text = json.dumps(node["default"], ensure_ascii=False)
    # What a block holds by default stands in its own table.
    return "see there" if len(text) > 40 and text[0] == "{" else f"`{_line(text)}`"


def _allowed(node: Mapping[str, Any]) -> str:
    if "$ref" in node:
        name = _name(node["$ref"])
        return f"[{name}](#{name.lower().replace('.', '')})"
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(map(_allowed, node["anyOf"])))
    if "const" in node or "enum" in node:
        values = node.get("enum", [node.get("const")])
        return ", ".join(f"`{value}`" for value in values)
    kind = node.get("type", "any")
    limits = [f"{sign} {node[key]:g}" for key, sign in _BOUNDS.items() if key in node]
    limits += [f"{words} {node[key]}" for key, words in _SIZES.items() if key in node]
    if "prefixItems" in node:
        return f"[{', '.join(map(_allowed, node['prefixItems']))}]"
    if kind == "array":
        kind = f"list of {_allowed(node['items'])}"
    elif kind == "object" and (inner := list(node.get("patternProperties", {}).values())):
        kind = f"by name: {_allowed(inner[0])}"
    elif kind == "object" and isinstance(node.get("additionalProperties"), dict):
        kind = f"by name: {_allowed(node['additionalProperties'])}"
    elif kind == "string" and "pattern" in node:
        kind = FORMS.get(node["pattern"], f"text like `{_line(node['pattern'])}`")
    words = {"string": "text", "integer": "whole number", "boolean": "`true`, `false`"}
    return " ".join([words.get(kind, kind), *limits])


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
