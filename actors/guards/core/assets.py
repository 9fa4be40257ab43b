"""Which asset an instrument is about, from its id. Pure."""

from __future__ import annotations

import re
from functools import cache

_QUOTES = ("USDT", "USDC", "USDE", "PERP", "USD", "EUR")
_MULTIPLE = re.compile(
    r"^(?:1000+(?P<thousands>[A-Z][A-Z0-9]*)|1M(?P<million>[A-Z]{2,})|(?P<before>[A-Z]+)1000+)$"
)


@cache
def asset_of(instrument: str) -> str:
    """Return the coin that an instrument's price depends on: spot, perpetual and future alike.

    Bybit quotes cheap coins by the thousand or the million (``1000PEPEUSDT``, ``SHIB1000USDT``,
    ``1000000MOGUSDT``): these are their coin. A coin that starts with another number is itself.

    Parameters
    ----------
    instrument : str
        Instrument id such as ``BTCUSDT-LINEAR.BYBIT``.

    Examples
    --------
    >>> asset_of("BTCUSDT-LINEAR.BYBIT"), asset_of("BTCUSDT-SPOT.BYBIT"), asset_of("BTCPERP")
    ('BTC', 'BTC', 'BTC')
    >>> asset_of("1000PEPEUSDT-LINEAR.BYBIT"), asset_of("1INCHUSDT-LINEAR.BYBIT")
    ('PEPE', '1INCH')
    """
    symbol = instrument.partition(".")[0].partition("-")[0]
    for quote in _QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            symbol = symbol.removesuffix(quote)
            break
    return coin_of(symbol)


def coin_of(symbol: str) -> str:
    """Return the coin that a base such as ``1000PEPE`` counts a multiple of.

    Examples
    --------
    >>> coin_of("1000PEPE"), coin_of("SHIB1000"), coin_of("1MBABYDOGE"), coin_of("C98")
    ('PEPE', 'SHIB', 'BABYDOGE', 'C98')
    """
    found = _MULTIPLE.match(symbol)
    return next(filter(None, found.groups())) if found else symbol
