"""Bybit's documented payloads, and a comparison of ours with them: keys and JSON types."""

from __future__ import annotations

import gzip
import json
from functools import cache
from typing import Any

import pytest

from tests.builders import SHARED_DATA

FIXTURES = SHARED_DATA / "bybit" / "payload_fixtures"
DOCS = FIXTURES / "bybit_official_docs_v5_examples.jsonl.gz"


@cache
def _documented() -> tuple[dict[str, Any], ...]:
    with gzip.open(DOCS, "rt", encoding="utf-8") as file:
        return tuple(json.loads(line) for line in file)


def documented(page: str, number: int = 0, heading: str = "") -> Any:
    """Return a documentation page's example with that number (those with `heading` in theirs)."""
    if not DOCS.exists():
        pytest.skip(f"no payload examples at {DOCS}")
    found = [
        row["payload"] for row in _documented() if row["page"] == page and heading in row["heading"]
    ]
    return found[number]


def adapter(name: str) -> Any:
    """Return an example that Nautilus's adapter is tested with."""
    path = FIXTURES / "nautilus" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no payload example at {path}")
    return json.loads(path.read_text())


def differences(
    ours: Any, example: Any, lacking: frozenset[str] = frozenset(), where: str = ""
) -> list[str]:
    """List keys of the example that ours lacks and values of another JSON type.

    Parameters
    ----------
    lacking : frozenset of str
        Keys that ours may lack: a test names them with the reason. More keys than the example's
        are allowed, as Bybit adds keys at any time.
    """
    if example is None or (ours is None and example is None):
        return []
    if _kind(ours) != _kind(example):
        return [f"{where}: {_kind(ours)} rather than {_kind(example)}"]
    if isinstance(example, dict):
        missing = sorted(set(example) - set(ours) - lacking)
        found = [f"{where}.{key}: missing" for key in missing]
        for key in set(example) & set(ours):
            found += differences(ours[key], example[key], lacking, f"{where}.{key}")
        return found
    if isinstance(example, list) and example and ours:
        return [
            line
            for number, item in enumerate(ours)
            for line in differences(item, example[0], lacking, f"{where}[{number}]")
        ]
    return []


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", dict: "object", list: "array"}.get(type(value), "null")
