"""Lengths of time in parameters, as text: ``500ms``, ``10s``, ``3m``, ``1h``, ``1d``."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated

from msgspec import Meta

_UNITS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_SPAN = r"^(0|[1-9][0-9]{0,4})(ms|s|m|h|d)$"

Span = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,4}(ms|s|m|h|d)$")]
"""A length of time above zero."""
SpanOrNone = Annotated[str, Meta(pattern=_SPAN)]
"""A length of time, or ``0s`` for none."""


@cache
def span_ns(text: str) -> int:
    """Return the nanoseconds of a length of time.

    Raises
    ------
    ValueError
        If it is no whole number followed by ms, s, m, h or d.

    Examples
    --------
    >>> span_ns("500ms"), span_ns("3m"), span_ns("0s")
    (500000000, 180000000000, 0)
    """
    match = re.match(_SPAN, text)
    if match is None:
        raise ValueError(f"expected a length of time such as 500ms, 10s or 3m, was {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def seconds(nanoseconds: int) -> float:
    """Return nanoseconds as seconds, for what a reading shows."""
    return nanoseconds / 1e9
