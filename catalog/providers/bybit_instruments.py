"""One row of Bybit's instruments-info as our own facts; shared by files and pulls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from catalog.instruments import InstrumentInfo, instrument_id

MS = 1_000_000


def info_of(row: dict[str, Any], category: str) -> InstrumentInfo | None:
    """Read a row.

    Parameters
    ----------
    row : dict
        An element of ``result.list``.
    category : str
        ``LINEAR`` or ``SPOT``.

    Returns
    -------
    InstrumentInfo, optional
        None for dated futures. The maintenance margin is half of the initial one at the highest
        leverage: that is Bybit's first risk tier, which instruments-info itself does not tell.

    Raises
    ------
    KeyError, ValueError
        When the row is not what Bybit v5 sends.
    """
    lots, prices = row["lotSizeFilter"], row["priceFilter"]
    shared: dict[str, Any] = {
        "id": instrument_id(row["symbol"], category),
        "symbol": row["symbol"],
        "product": category,
        "base": row["baseCoin"],
        "quote": row["quoteCoin"],
        "tick": prices["tickSize"],
        "min_qty": lots["minOrderQty"],
        "source": "bybit instruments-info",
    }
    if category == "SPOT":
        return InstrumentInfo(
            **shared,
            settle=row["quoteCoin"],
            lot=lots["basePrecision"],
            min_notional=lots["minOrderAmt"],
            max_qty=lots.get("maxLimitOrderQty") or lots.get("maxOrderQty"),
            max_leverage="1",
            maintenance_margin="0",
            funding_minutes=0,
        )
    if row["contractType"] != "LinearPerpetual":
        return None
    leverage = row["leverageFilter"]["maxLeverage"]
    ends = int(row.get("deliveryTime") or 0)
    return InstrumentInfo(
        **shared,
        settle=row["settleCoin"],
        lot=lots["qtyStep"],
        min_notional=lots.get("minNotionalValue") or "5",
        max_qty=lots["maxOrderQty"],
        max_leverage=leverage,
        maintenance_margin=f"{(Decimal('0.5') / Decimal(leverage)).normalize():f}",
        funding_minutes=int(row["fundingInterval"]),
        listed_ns=int(row["launchTime"]) * MS,
        delisted_ns=ends * MS if ends else None,
    )
