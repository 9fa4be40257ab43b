"""Examples of guards just inside, at and outside a limit, for the contract test.

The desk has an equity of 1000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from actors.guards.core.lazy import Results
from actors.guards.core.params import GuardParams
from actors.guards.core.positions import Holdings, positions_of
from actors.guards.core.snapshot import ZERO, Holding, Input, Market, Snapshot
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
    money = ("price", "bid", "ask", "tick", "maintenance_rate", "taker_fee")
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
    before, after = (
        desk(
            equity=1000 + result,
            results={"a": exactly(result)},
            results_by_instrument=results({COIN: exactly(result)}),
        )
        for result in (0, -value)
    )
    return before, after


def results(by_instrument: Mapping[str, Decimal]) -> Results:
    """Return results of positions that cost nothing and have a price of one."""
    rows = [(name, "a", value, ZERO) for name, value in by_instrument.items() if value]
    holdings = Holdings(positions_of(rows, lambda _: 0), tuple, [1] * len(rows))
    quantities = {("a", name): value for name, _, value, _ in rows}
    nothing = dict.fromkeys(by_instrument, ZERO)
    return Results(lambda: dict(by_instrument), nothing, quantities, holdings)


def holding(value: float) -> tuple[Input, ...]:
    """Return a snapshot with a position of this value, without fees and margin."""
    return (desk(NOON, held(value), markets={COIN: Market()}),)
