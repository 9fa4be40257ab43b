"""Where a drill takes place: a few instruments of the document's universe, and what is on them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from actors.guards.core.drill import BALANCE
from config.documents import Setup
from config.errors import InputError
from config.universe import select

MOST = 4
"""Instruments of a drill, beside those that the guard itself names."""
_ID = re.compile(r"^[A-Z0-9]{2,14}-(LINEAR|SPOT)\.BYBIT$")
_USUAL = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA")


def quantity(weight: float, price: Decimal, lot: Decimal, equity: Decimal = BALANCE) -> Decimal:
    """Return the signed quantity, on the lot, of a weight."""
    lots = equity * Decimal(repr(weight)) / price / lot
    return lots.to_integral_value(ROUND_HALF_UP) * lot


def instruments_of(setup: Setup, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the instruments of a guard's drill: those that it names first, then the universe's.

    Raises
    ------
    InputError
        When the universe matches none that the drill knows of.
    """
    named = [name for name in _ids(params) if select([name], setup.universe)]
    written = [name for name in setup.universe.instruments if _ID.match(name)]
    usual = [f"{coin}USDT-LINEAR.BYBIT" for coin in _USUAL]
    rest = [name for name in (*written, *usual) if select([name], setup.universe)]
    found = list(dict.fromkeys((*named, *rest)))
    chosen = tuple(found[: max(MOST, len(dict.fromkeys(named)))])
    if len(chosen) < 2:
        raise InputError(
            "universe.instruments: a drill needs two instruments; name them, as "
            f"{', '.join(usual[:2])}"
        )
    return chosen


def _ids(value: Any) -> Iterator[str]:
    """Yield the instrument ids that stand anywhere in parameters."""
    if isinstance(value, str):
        if _ID.match(value):
            yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _ids(key)
            yield from _ids(inner)
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _ids(inner)
