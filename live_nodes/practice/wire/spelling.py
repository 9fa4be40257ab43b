"""Format numbers for Bybit's JSON: strings without exponent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

Json = dict[str, Any]
CENTS = Decimal("0.00000001")


def plain(value: Decimal) -> str:
    """Format a number without exponent and without trailing zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def places(step: Decimal) -> int:
    """Count the decimals of a step."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def cents(value: Decimal) -> str:
    """Format money: up to eight decimals, without trailing zeros."""
    return plain(value.quantize(CENTS))


def rate(part: Decimal, whole: Decimal) -> str:
    """Format a fraction to four decimals; 0 when the whole is 0."""
    return f"{part / whole:.4f}" if whole > 0 else "0"


def or_empty(value: Decimal | None) -> str:
    """Format a number; empty when there is none."""
    return "" if value is None else plain(value)


def or_zero(value: Decimal | None) -> str:
    """Format a number; 0 when there is none."""
    return "0" if value is None else plain(value)


def cents_or_empty(value: Decimal | None) -> str:
    """Format money; empty when there is none."""
    return "" if value is None else cents(value)
