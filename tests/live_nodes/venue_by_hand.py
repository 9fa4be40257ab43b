"""Orders, fills and findings as the venue would tell them, written by hand."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

from live_nodes.bybit.facts import VenueFill, VenueOrder

BTC = "BTCUSDT-LINEAR.BYBIT"
ETH = "ETHUSDT-LINEAR.BYBIT"
MINE = "n1-rev-abc-1"
SECOND = 1_000_000_000


def order(link_id: str = MINE, **facts: Any) -> VenueOrder:
    """Return an open order to buy 0.010 at 49,000, nothing filled."""
    known: dict[str, Any] = {
        "instrument": BTC,
        "order_id": f"venue-{link_id}",
        "order_link_id": link_id,
        "side": "Buy",
        "status": "New",
        "order_type": "Limit",
        "time_in_force": "GTC",
        "quantity": D("0.010"),
        "filled": D(0),
        "price": D(49000),
        "trigger_price": D(0),
        "reduce_only": False,
        "stop_order_type": "",
        "reject_reason": "EC_NoError",
        "created_ns": 100 * SECOND,
    }
    return VenueOrder(**(known | facts))


def fill(execution_id: str = "e-1", link_id: str = MINE, **facts: Any) -> VenueFill:
    """Return an execution that bought 0.004 at 49,000."""
    known: dict[str, Any] = {
        "instrument": BTC,
        "execution_id": execution_id,
        "order_id": f"venue-{link_id}",
        "order_link_id": link_id,
        "side": "Buy",
        "quantity": D("0.004"),
        "price": D(49000),
        "fee": D("0.1"),
        "fee_coin": "USDT",
        "is_maker": False,
        "kind": "Trade",
        "ts_ns": 101 * SECOND,
    }
    return VenueFill(**(known | facts))
