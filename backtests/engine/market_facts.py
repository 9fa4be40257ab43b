"""What a backtest knows of each market at a moment, as guards are told live of theirs.

Nothing here looks ahead: prices are those of the newest row, and of a settlement that is to come
only its time is told, which the venue announces.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

import numpy as np

from actors.guards.core.snapshot import Market as MarketFact
from actors.records.prices import CachePrices
from backtests.engine.accountant import Accountant
from backtests.engine.feed import Grid, Settlement
from backtests.engine.market import Market

MINUTE_NS = 60_000_000_000


class Markets:
    """An `actors.desk.risk_desk.MarketFacts` of a backtest.

    Parameters
    ----------
    accountant : Accountant
        Where prices come from.
    market : Market
        The run's instruments.
    cache : Cache
        The engine's: candles show no best prices, but a feed of quotes or books does.
    """

    def __init__(self, accountant: Accountant, market: Market, cache: Any) -> None:
        self._accountant = accountant
        self._market = market
        self._prices = CachePrices(cache)
        self._heard = np.zeros(len(market.ids), dtype=np.int64)
        self._gone: set[str] = set()
        self._row_ts = 0
        self._settlements: dict[str, deque[int]] = {name: deque() for name in market.ids}
        self._settled: dict[str, int] = {}
        self._fixed = {
            info.id: (
                Decimal(info.tick),
                Decimal(info.maintenance_margin),
                instrument.taker_fee,
                info.product == "SPOT",
                0 if info.product == "SPOT" else info.funding_minutes * MINUTE_NS,
            )
            for info, instrument in zip(market.infos, market.instruments, strict=True)
        }

    def schedule(self, settlements: list[Settlement]) -> None:
        """Take in when funding will be settled."""
        for settlement in settlements:
            self._settlements[settlement.instrument].append(settlement.ts)

    def moved(self, grid: Grid, row: int) -> None:
        """Take in which candles closed at a row, and which instruments end with it."""
        self._row_ts = int(grid.ts[row])
        if grid.real is None:
            self._heard[~np.isnan(grid.close[row])] = self._row_ts
        else:
            self._heard[grid.real[row]] = self._row_ts
        self._gone.update(self._market.ids[column] for column in grid.delisted.get(row, ()))

    def __call__(self, instrument: str, now: int) -> MarketFact:
        """Return what is known of an instrument; ``silent_ns`` counts from its last candle."""
        tick, maintenance, fee, is_spot, _ = self._fixed[instrument]
        bid, ask = self._prices.touch(instrument)
        heard = int(self._heard[self._market.column[instrument]])
        trades = instrument not in self._gone
        return MarketFact(
            price=self._accountant.price(instrument),
            bid=bid,
            ask=ask,
            tick=tick,
            # One that is not listed yet, or no more, has nothing to say.
            silent_ns=self._row_ts - heard if heard and trades else None,
            next_funding_ns=self._next_funding(instrument, now),
            last_funding_ns=self._settled.get(instrument),
            trading=trades,
            gone=not trades,
            maintenance_rate=maintenance,
            taker_fee=fee,
            spot=is_spot,
        )

    def _next_funding(self, instrument: str, now: int) -> int | None:
        period = self._fixed[instrument][-1]
        if not period:
            return None
        due = self._settlements[instrument]
        while due and due[0] <= now:
            self._settled[instrument] = due.popleft()
        # A slice knows its own settlements alone; the venue settles at whole periods of UTC.
        return due[0] if due else (now // period + 1) * period
