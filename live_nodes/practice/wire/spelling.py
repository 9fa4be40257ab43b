"""How JSON and its numbers are spelled on Bybit's wire: strings without exponent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

Json = dict[str, Any]
CENTS = Decimal("0.00000001")
"""Bybit writes money to eight decimals."""


def plain(value: Decimal) -> str:
    """Write a number without exponent and without trailing zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def places(step: Decimal) -> int:
    """Count the decimals of a step."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def cents(value: Decimal) -> str:
    """Write money: to eight decimals, without trailing zeros."""
    return plain(value.quantize(CENTS))


def rate(part: Decimal, whole: Decimal) -> str:
    """Write a fraction to four decimals; 0 of nothing."""
    return f"{part / whole:.4f}" if whole > 0 else "0"


def or_empty(value: Decimal | None) -> str:
    """Write a number; empty when there is none."""
    return "" if value is None else plain(value)


def or_zero(value: Decimal | None) -> str:
    """Write a number; 0 when there is none."""
    return "0" if value is None else plain(value)


def cents_or_empty(value: Decimal | None) -> str:
    """Write money; empty when there is none."""
    return "" if value is None else cents(value)
