"""A complete document as canonical text (for its hash) and as YAML."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import yaml

from config.durations import show
from config.reading import Dumper


def digest(complete: dict[str, Any]) -> str:
    """Return the SHA-256 (hex) of the values; how numbers were spelled doesn't matter."""
    text = json.dumps(_canonical(complete), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_yaml(complete: dict[str, Any]) -> str:
    """Return YAML that reads back as the same values."""
    return yaml.dump(
        as_written(complete), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def as_written(value: Any) -> Any:
    """Return the value as a document would write it: plain scalars, lists and mappings."""
    if isinstance(value, dict):
        return {key: as_written(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_written(inner) for inner in value]
    if isinstance(value, datetime):
        return show(value)
    return _number(value) if isinstance(value, Decimal) else value


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(inner) for inner in value]
    if isinstance(value, datetime):
        return show(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f") if value else "0"
    # Parameters are floats where amounts are Decimal; 1 and 1.0 are the same parameter.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: Decimal) -> int | float | str:
    """Return the number, as text where a float would not hold it exactly as it was written."""
    if value == value.to_integral_value() and abs(value) < 10**15:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)
