"""Owner of an order or a position. Engine-specific."""

from __future__ import annotations

from typing import Any

NOBODY = "EXTERNAL"
"""The engine's owner of orders and positions that no strategy claims."""


def owner_of(strategy_id: Any) -> str:
    """Return the strategy's key, empty when no strategy of this desk owns it."""
    return "" if strategy_id.value == NOBODY else str(strategy_id.get_tag())
