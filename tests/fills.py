"""Fills by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from actors.records.rows import FillRow

Number = str | int | Decimal


def a_fill(quantity: Number, price: Number, fee: Number = "0", **more: Any) -> FillRow:
    """Return a taker's fill of a signed quantity, at the price that stood unless said otherwise."""
    signed = Decimal(quantity)
    known: dict[str, Any] = {
        "instrument": "X",
        "strategy": "s",
        "ts": 0,
        "client_order_id": "O-1",
        "reference_price": Decimal(price),
        "liquidity": "TAKER",
        "kind": "order",
    }
    return FillRow(
        **(known | more),
        side="SELL" if signed < 0 else "BUY",
        quantity=abs(signed),
        price=Decimal(price),
        fee=Decimal(fee),
    )
