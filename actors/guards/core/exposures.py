"""What the desk holds, as exact values by instrument. Pure.

Values are in the settlement currency, signed (short is negative), at the prices that the facts
give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from actors.guards.core.facts import ZERO, Snapshot

Values = Mapping[str, Decimal]
"""Signed value by instrument id."""


class _Newest:
    """The net values of the snapshot seen last: several rules read the same one."""

    snapshot: Snapshot | None = None
    values: Values = {}  # noqa: RUF012 - replaced as a whole, never changed


def net_values(snapshot: Snapshot) -> Values:
    """Return the net value of each instrument, over all owners; what nets to nothing is left out.

    One-way mode: the venue knows one position an instrument.
    """
    if _Newest.snapshot is not snapshot:
        values: dict[str, Decimal] = {}
        for held in snapshot.holdings:
            value = held.value
            before = values.get(held.instrument)
            values[held.instrument] = value if before is None else before + value
        _Newest.values = {name: value for name, value in values.items() if value}
        _Newest.snapshot = snapshot
    return _Newest.values


def strategy_values(snapshot: Snapshot, strategy: str) -> Values:
    """Return the value of what one strategy holds in each instrument."""
    return {held.instrument: held.value for held in snapshot.holdings if held.strategy == strategy}


def gross(values: Iterable[Decimal]) -> Decimal:
    """Return the sum of absolute values."""
    return sum(map(abs, values), ZERO)


def net(values: Iterable[Decimal]) -> Decimal:
    """Return the sum of signed values."""
    return sum(values, ZERO)
