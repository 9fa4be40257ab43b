"""Examples of guards just inside, at and outside a limit, for the contract test.

The desk has an equity of 1000.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Holding, Input, Market, Snapshot
from config.durations import DAY_NS, HOUR_NS

COIN, OTHER = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"
NOON = 20_000 * DAY_NS + 12 * HOUR_NS
SECOND = 10**9


@dataclass(frozen=True)
class Example:
    """Inputs at which a guard with these parameters measures a value."""

    params: GuardParams
    play: Callable[[float], tuple[Input, ...]]  # its last reading measures the value
    values: tuple[float, float, float]  # just inside the limit, at it, and beyond
    clear: float | None = None  # the clear value that is nearest to the limit
    scope: str = "desk"
    key: str = ""
    at_limit: bool = True  # whether the limit itself is over


def exactly(number: float) -> Decimal:
    """Return a number as a decimal, as it is written."""
    return Decimal(str(number))


def desk(now: int = NOON, *holdings: Holding, equity: float = 1000, **fields: Any) -> Snapshot:
    """Return a snapshot."""
    return Snapshot(now=now, equity=exactly(equity), holdings=holdings, **fields)


def one_market(now: int = NOON, name: str = COIN, **fields: Any) -> Snapshot:
    """Return a snapshot with one instrument's market."""
    money = ("price", "bid", "ask", "tick", "maintenance_rate", "taker_fee", "bid_size", "ask_size")
    known: dict[str, Any] = {
        key: exactly(value) if key in money else value for key, value in fields.items()
    }
    return desk(now, markets={name: Market(**known)})


def held(value: float, name: str = COIN) -> Holding:
    """Return a position of this value."""
    one = Decimal(1)
    return Holding(strategy="a", instrument=name, quantity=exactly(value), entry=one, price=one)


def lost(value: float) -> tuple[Input, ...]:
    """Return the snapshots before and after a loss in one instrument by one strategy."""
    results = {"a": -exactly(value)}
    by_instrument = {COIN: -exactly(value)}
    before = desk(results={"a": Decimal(0)}, results_by_instrument={COIN: Decimal(0)})
    after = desk(equity=1000 - value, results=results, results_by_instrument=by_instrument)
    return before, after


def holding(value: float) -> tuple[Input, ...]:
    """Return a snapshot with a position of this value, without fees and margin."""
    return (desk(NOON, held(value), markets={COIN: Market()}),)
