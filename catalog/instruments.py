"""Instrument facts: names, steps and limits."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

VENUE = "BYBIT"
TESTNET = "bybit testnet"
"""Whose prices those are that were recorded there (`source_venue`)."""
PRODUCTS = ("LINEAR", "SPOT")
QUOTES = ("USDT", "USDC", "USD", "EUR", "BTC", "ETH")
ACCOUNT_COIN = "USDT"
"""Coin of the account in backtests and nodes, in which all that is traded must settle."""


class InstrumentInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts of one instrument; amounts are decimal strings, times UNIX nanoseconds (UTC).

    Raises ValueError for an unknown product, or an amount that is not a decimal above zero.
    """

    id: str
    symbol: str
    product: str
    """``LINEAR`` (USDT perpetual) or ``SPOT``."""
    base: str
    quote: str
    """Coin of prices and notionals; quantities are in `base`."""
    settle: str
    tick: str
    lot: str
    min_qty: str
    min_notional: str
    max_qty: str | None = None
    max_leverage: str = "25"
    """Of the first risk tier."""
    maintenance_margin: str = "0.02"
    """Fraction of the position's value, of the first risk tier; "0" for spot."""
    funding_minutes: int = 480
    """Between two funding settlements; 0 for spot."""
    listed_ns: int = 0
    delisted_ns: int | None = None
    inferred: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        if self.product not in PRODUCTS:
            raise ValueError(f"{self.id}: product must be LINEAR or SPOT, was {self.product!r}")
        for name in ("tick", "lot", "min_qty", "max_leverage"):
            if _decimal(self.id, name, getattr(self, name)) <= 0:
                raise ValueError(f"{self.id}: {name} must be above 0")
        for name in ("min_notional", "maintenance_margin"):
            if _decimal(self.id, name, getattr(self, name)) < 0:
                raise ValueError(f"{self.id}: {name} must not be below 0")

    @property
    def price_precision(self) -> int:
        """Decimals of a price."""
        return decimals(self.tick)

    @property
    def size_precision(self) -> int:
        """Decimals of a quantity."""
        return decimals(self.lot)


def _decimal(owner: str, name: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{owner}: {name} must be a decimal number, was {text!r}") from None


def decimals(step: str) -> int:
    """Count the decimals of a step without trailing zeros: 3 for "0.0010"."""
    exponent = Decimal(step).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def instrument_id(symbol: str, product: str) -> str:
    """Return an instrument id as in Nautilus's Bybit adapter: ``BTCUSDT-LINEAR.BYBIT``."""
    return f"{symbol}-{product}.{VENUE}"


def split_id(instrument: str) -> tuple[str, str]:
    """Split ``BTCUSDT-LINEAR.BYBIT`` into ``("BTCUSDT", "LINEAR")``."""
    symbol, _, product = instrument.partition(".")[0].rpartition("-")
    return symbol, product


def split_symbol(symbol: str) -> tuple[str, str]:
    """Split ``BTCUSDT`` into ``("BTC", "USDT")``; raise ValueError for an unknown quote coin."""
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    raise ValueError(f"symbol {symbol!r} ends in none of {', '.join(QUOTES)}")


def instrument_info(
    symbol: str, product: str, *, tick: str, lot: str, **facts: Any
) -> InstrumentInfo:
    """Return an instrument's facts: coins are those of its symbol, the smallest order is a lot.

    It settles in its quote coin, and spot has neither leverage, margin nor funding. Raises
    ValueError for an unknown quote coin.
    """
    base, quote = split_symbol(symbol)
    known: dict[str, Any] = {"min_qty": lot, "min_notional": "5", **facts}
    if product == "SPOT":
        known |= {"max_leverage": "1", "maintenance_margin": "0", "funding_minutes": 0}
    return InstrumentInfo(
        id=instrument_id(symbol, product),
        symbol=symbol,
        product=product,
        base=base,
        quote=quote,
        settle=quote,
        tick=tick,
        lot=lot,
        **known,
    )
