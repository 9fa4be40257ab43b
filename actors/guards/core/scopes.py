"""What a count is kept of, and the name of that scope in verdicts."""

from __future__ import annotations

from typing import Literal

Of = Literal["instrument", "strategies", "desk"]
"""Each instrument by itself, each strategy by itself, or the desk as a whole."""


def scope_of(of: Of, strategy: str, instrument: str) -> str:
    """Return the scope that something of a strategy in an instrument counts for.

    Examples
    --------
    >>> scope_of("strategies", "rev", "BTCUSDT-LINEAR.BYBIT")
    'strategy:rev'
    """
    if of == "desk":
        return "desk"
    return f"strategy:{strategy}" if of == "strategies" else f"instrument:{instrument}"
