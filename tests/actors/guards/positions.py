"""Books and orders by hand, for the rules on what is held."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal as D
from typing import Any

import msgspec

from actors.guards.core.guard import NOTHING, Guard
from actors.guards.core.limits import Reading
from actors.guards.core.snapshot import Holding, Market, OpenExposure, OrderRequested, Snapshot

BTC, ETH = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"
BTC_SPOT = "BTCUSDT-SPOT.BYBIT"
NOW = 1_700_000_000 * 10**9


def holding(
    instrument: str, quantity: object, price: object | None, owner: str = "rev", entry: object = 1
) -> Holding:
    """Return a position; quantities and prices as anything that reads as a decimal."""
    return Holding(
        strategy=owner,
        instrument=instrument,
        quantity=D(str(quantity)),
        entry=D(str(entry)),
        price=None if price is None else D(str(price)),
    )


def snapshot(
    *holdings: Holding,
    equity: object = 1000,
    now: int = NOW,
    markets: Mapping[str, Market] | None = None,
    leverage: object = 5,
    results: Mapping[str, D] | None = None,
) -> Snapshot:
    """Return the desk with these positions."""
    return Snapshot(
        now=now,
        equity=D(str(equity)),
        holdings=tuple(sorted(holdings, key=lambda h: (h.instrument, h.strategy))),
        markets=dict(markets or {}),
        leverage=D(str(leverage)),
        results=dict(results or {}),
    )


def row(
    instrument: str,
    held: object = 0,
    price: object = 100,
    buys: object = 0,
    sells: object = 0,
    owner: str = "rev",
) -> OpenExposure:
    """Return what stands in an instrument."""
    return OpenExposure(
        strategy=owner,
        instrument=instrument,
        held=D(str(held)),
        buys=D(str(buys)),
        sells=D(str(sells)),
        price=D(str(price)),
    )


def asked(
    instrument: str, quantity: object, *standing: OpenExposure, owner: str = "rev"
) -> OrderRequested:
    """Return an entry at the gate, with what stands at its moment."""
    if not any(one.instrument == instrument and one.strategy == owner for one in standing):
        standing = (*standing, row(instrument, owner=owner))
    return OrderRequested(
        ts=NOW,
        strategy=owner,
        instrument=instrument,
        quantity=D(str(quantity)),
        price=None,
        is_exit=False,
        open_exposure=standing,
    )


def readings_of(guard: Guard[Any, Any], desk: Snapshot) -> dict[tuple[str, str], Reading]:
    """Return what a guard without a state measures, by scope and key."""
    return by_scope(guard.observe(NOTHING, desk)[1])


def reading_of(guard: Guard[Any, Any], desk: Snapshot) -> Reading:
    """Return the one thing that a guard without a state measures."""
    return only(guard.observe(NOTHING, desk)[1])


def refusal(
    guard: Guard[Any, Any], order: OrderRequested, desk: Snapshot | None = None
) -> str | None:
    """Return why a guard without a state refuses an entry, None when it admits it."""
    return guard.admit(NOTHING, order, desk or snapshot())


def only(readings: tuple[Reading, ...] | None) -> Reading:
    """Return the one reading there is."""
    assert readings is not None
    (found,) = readings
    return found


def by_scope(readings: tuple[Reading, ...] | None) -> dict[tuple[str, str], Reading]:
    """Return the readings by scope and key; they survive JSON."""
    assert readings is not None
    again = msgspec.json.decode(msgspec.json.encode(readings), type=tuple[Reading, ...])
    assert again == readings
    found = {(reading.scope, reading.key): reading for reading in readings}
    assert len(found) == len(readings)
    return found
