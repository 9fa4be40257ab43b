"""Where a drill takes place: a few instruments of the document's universe, and what is on them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from config.documents import Setup
from config.errors import InputError
from config.universe import select

KEY = "drill"
"""Of the drill's strategy."""
BALANCE = Decimal(100_000)
"""USDT at the start."""
MOST = 4
"""Instruments of a drill, beside those that the guard itself names."""
_ID = re.compile(r"^[A-Z0-9]{2,14}-(LINEAR|SPOT)\.BYBIT$")
_USUAL = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA")


@dataclass(frozen=True)
class Facts:
    """An instrument of the drill's market; the numbers are those of a usual coin of its price."""

    price: Decimal
    tick: Decimal
    lot: Decimal


_FACTS = {
    "BTC": Facts(Decimal(60_000), Decimal("0.1"), Decimal("0.001")),
    "ETH": Facts(Decimal(3_000), Decimal("0.01"), Decimal("0.01")),
    "SOL": Facts(Decimal(150), Decimal("0.01"), Decimal("0.1")),
    "XRP": Facts(Decimal("2"), Decimal("0.0001"), Decimal("1")),
}
_OTHER = Facts(Decimal(20), Decimal("0.001"), Decimal("0.1"))


@dataclass(frozen=True)
class Scene:
    """What recipes know.

    Parameters
    ----------
    key : str
        The guard's.
    params : GuardParams
        The guard's.
    instruments : tuple of str
        Instrument ids, the first few of the universe and all that the guard names.
    leverage : float
        Largest gross value per unit of equity that the document allows.
    taker_fee : float
        Fraction of the value of an order.
    sweep_s, silence_s : float
        How often the live node compares its books with the venue's, and how soon a difference
        counts; after how long a silence it connects anew.
    beat : float
        Seconds that an order needs from its sending to its fill, generously.
    real_time : bool
        Whether a second takes a second, so that nothing can be waited for that takes hours.
    """

    key: str
    params: Any
    instruments: tuple[str, ...]
    leverage: float = 5.0
    taker_fee: float = 0.00055
    sweep_s: float = 13.0
    silence_s: float = 30.0
    beat: float = 3.0
    real_time: bool = False

    @property
    def first(self) -> str:
        """The instrument that most recipes take."""
        return self.instruments[0]

    @property
    def second(self) -> str:
        """Another one."""
        return self.instruments[1]

    @property
    def desk(self) -> str:
        """Scope of everything."""
        return "desk"

    @property
    def strategy(self) -> str:
        """Scope of the drill's strategy."""
        return f"strategy:{KEY}"

    def scope_of(self, instrument: str) -> str:
        """Return the scope of an instrument."""
        return f"instrument:{instrument}"


def facts_of(instrument: str) -> Facts:
    """Return what an instrument is in the drill's market."""
    base = instrument.split("-")[0].removesuffix("USDT").removesuffix("USDC")
    return _FACTS.get(base, _OTHER)


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
