"""Find own orders of which the venue has said nothing yet: they may be filled. Engine-specific."""

from __future__ import annotations

from typing import Any

from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.orders import Order


def unanswered(cache: Any, instrument_id: InstrumentId | None = None) -> list[Order]:
    """Return orders that were sent, maybe with a cancel after them, and are not known as taken."""
    sent = cache.orders_inflight(instrument_id=instrument_id)
    return [order for order in sent if order.venue_order_id is None]
