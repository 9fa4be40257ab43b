"""From candles in ticks and lots to what klines and tickers show."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from live_nodes.practice.exchange.model import Symbol
from live_nodes.practice.market.candles import DAY_MS, Candles
from live_nodes.practice.market.feed import Candle, Prices

HOUR_MS = 3_600_000
OPEN_INTEREST_HOURS = 12
"""Open interest, told as so many hours of volume: nothing trades on it."""


def figures(
    symbol: Symbol,
    told: tuple[Decimal, Decimal, Decimal],
    day: Candles,
    length_ms: int,
    now_ms: int,
    funding: tuple[Decimal, int],
) -> Prices:
    """Return a ticker's figures.

    Parameters
    ----------
    symbol : Symbol
        Its tick and lot.
    told : tuple of Decimal
        Last, mark and index price.
    day : Candles
        Those of the last 24 hours; without any, the day stood still.
    length_ms : int
        Of each.
    now_ms : int
        The time.
    funding : tuple of (Decimal, int)
        Coming rate and its time.
    """
    last, mark, index = told
    none = Decimal(0)
    if not len(day.start):
        return Prices(
            last, mark, index, last, last, last, none, none, last, none, *funding,
            symbol.funding_minutes,
        )  # fmt: skip
    tick, lot = symbol.tick, symbol.lot
    lots = int(day.volume.sum())
    hours = max(1, min(len(day.start) * length_ms, DAY_MS) // HOUR_MS)
    hour_ago = min(int(np.searchsorted(day.start, now_ms - HOUR_MS)), len(day.start) - 1)
    return Prices(
        last=last,
        mark=mark,
        index=index,
        previous_24h=int(day.open[0]) * tick,
        high_24h=int(day.high.max()) * tick,
        low_24h=int(day.low.min()) * tick,
        volume_24h=lots * lot,
        turnover_24h=_money(float(day.turnover.sum())),
        previous_1h=int(day.open[hour_ago]) * tick,
        open_interest=round(lots * OPEN_INTEREST_HOURS / hours) * lot,
        funding_rate=funding[0],
        next_funding_ms=funding[1],
        funding_minutes=symbol.funding_minutes,
    )


def rows(symbol: Symbol, candles: Candles) -> list[Candle]:
    """Return candles with prices and quantities as the exchange tells them."""
    tick, lot = symbol.tick, symbol.lot
    columns = [column.tolist() for column in candles]
    return [
        Candle(start, o * tick, h * tick, low * tick, c * tick, v * lot, _money(worth))
        for start, o, h, low, c, v, worth in zip(*columns, strict=True)
    ]


def _money(value: float) -> Decimal:
    return Decimal(f"{value:.4f}")
