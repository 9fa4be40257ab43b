"""One field of a JSON body at a time: there, of the documented type, in range; else 10001.

Bybit's numbers are JSON strings, its flags JSON booleans, its small integers JSON numbers; where
Bybit is known to take a bare number for a string (both clients of the tests send some) so do we.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from live_nodes.practice.exchange.refusals import parameter

LONGEST = 40


def text(body: Mapping[str, Any], name: str) -> str:
    """Give a string; empty when it is left out or null."""
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise parameter(f"params error: {name} must be a string")
    return value


def choice(
    body: Mapping[str, Any], name: str, allowed: Collection[str], *, required: bool = False
) -> str:
    """Give one of the allowed words; empty when it is left out and may be."""
    value = text(body, name)
    if not value and not required:
        return ""
    if value not in allowed:
        raise parameter(
            f"params error: {name} must be one of {', '.join(allowed)}, was {value[:LONGEST]!r}"
        )
    return value


def number(body: Mapping[str, Any], name: str, *, required: bool = False) -> Decimal | None:
    """Give a number that is not negative; null when it is left out (or empty) and may be."""
    value = body.get(name)
    if value is None or value == "":
        if required:
            raise parameter(f"params error: {name} is required")
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise parameter(f"params error: {name} must be a number in a string")
    written = str(value)
    try:
        parsed = Decimal(written) if len(written) <= LONGEST else None
    except InvalidOperation:
        parsed = None
    if parsed is None or not parsed.is_finite() or parsed < 0 or parsed >= 10**18:
        raise parameter(f"params error: {name} invalid, was {written[:LONGEST]!r}")
    return parsed


def whole(
    body: Mapping[str, Any], name: str, allowed: Collection[int], *, required: bool = False
) -> int:
    """Give one of the allowed integers; 0 when it is left out and may be."""
    value = body.get(name)
    if value is None or value == "":
        if required:
            raise parameter(f"params error: {name} is required")
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        words = ", ".join(str(a) for a in allowed)
        raise parameter(f"params error: {name} must be one of {words}")
    return value


def flag(body: Mapping[str, Any], name: str) -> bool:
    """Give a boolean; false when it is left out."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise parameter(f"params error: {name} must be true or false")
    return value
