"""Guards in a backtest: sends them the accountant's bookings and the market's prices.

They evaluate after every new row of prices, after the fills of the venue's own closes, and 1 ns
before strategies decide. Their orders then fill like orders of that stamp: at the next print, or at
that candle's close where the document says so.

There is no look-ahead: prices are those of the newest row. Of a future settlement only the time is
known, which the venue announces.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from functools import cache, partial
from typing import Any

import numpy as np
from nautilus_trader.backtest.engine import SimulatedExchange
from nautilus_trader.backtest.execution_client import BacktestExecClient
from nautilus_trader.execution.messages import SubmitOrder, TradingCommand
from nautilus_trader.model.data import TradeTick

from actors.desk.books import StrategyBooks
from actors.desk.guard import GuardActor
from actors.desk.risk_desk import RiskDesk
from actors.guards.core.decisions import Decisions
from actors.guards.core.lazy import Markets, UnpricedMarkets
from actors.guards.core.snapshot import Market as MarketSnapshot
from actors.records.prices import BookOf, CachePrices, decimals
from backtests.engine.accountant import Accountant
from backtests.engine.feed import PriceGrid, Settlement
from backtests.engine.market import RunMarket, exact_closes
from backtests.engine.venue import NextPrintClient
from config.durations import MINUTE_NS

UNLISTED, GONE = -1, -2
"""In place of a silence: no candle yet, and none any more."""
_NO_SILENCE = b"none"
"""In place of the silences where every instrument has a candle of this row."""


class BacktestMarkets:
    """Market snapshots of a backtest, for `actors.desk.risk_desk.MarketFacts`.

    Best prices come from the venue's books, or from the cache's quotes; candles have none.
    """

    def __init__(
        self,
        accountant: Accountant,
        market: RunMarket,
        engine_cache: Any,
        book_of: BookOf | None = None,
    ) -> None:
        self._accountant = accountant
        self._market = market
        self._prices = CachePrices(engine_cache, book_of)
        count = len(market.ids)
        self._every = np.arange(count, dtype=np.int64)
        self._last_candle = np.zeros(count, dtype=np.int64)
        self._is_gone = np.zeros(count, dtype=np.bool_)
        self._row_ts, self._all_closed = 0, False
        self._settlements: tuple[deque[int], ...] = tuple(deque() for _ in market.ids)
        self._next: list[int | None] = [None] * count
        self._settled: list[int | None] = [None] * count
        self._next_is_known_until: float = 0
        self._silence = b""
        self._unpriced = UnpricedMarkets()
        spot = [info.product == "SPOT" for info in market.infos]
        self._periods = [
            0 if is_spot else info.funding_minutes * MINUTE_NS
            for info, is_spot in zip(market.infos, spot, strict=True)
        ]
        # Equal numbers share one object, which saves memory.
        number = cache(Decimal)
        fees = [number(str(instrument.taker_fee)) for instrument in market.instruments]
        self._fixed = [
            (info.id, number(info.tick), number(info.maintenance_margin), fee, is_spot)
            for info, fee, is_spot in zip(market.infos, fees, spot, strict=True)
        ]

    def schedule(self, settlements: list[Settlement]) -> None:
        """Store the times of the next funding settlements."""
        for settlement in settlements:
            self._settlements[self._market.column[settlement.instrument]].append(settlement.ts)
        self._next_is_known_until = 0

    def moved(self, grid: PriceGrid, row: int) -> None:
        """Store which candles closed at a row, and which instruments end there."""
        if grid.ends_within and row == len(grid.ts) - 1:
            return  # the candle that is missing there has not ended
        self._row_ts = int(grid.ts[row])
        closed = ~np.isnan(grid.close[row]) if grid.real is None else grid.real[row]
        gone = grid.delisted.get(row, ())
        self._all_closed = not gone and bool(closed.all())
        self._last_candle[closed] = self._row_ts
        for column in gone:
            self._is_gone[column] = True

    def __call__(self, now: int) -> Markets:
        """Return each instrument's snapshot; ``silent_ns`` counts from its last candle."""
        engine_ids = self._market.instrument_ids
        if now >= self._next_is_known_until:
            self._next = [self._next_funding(column, now) for column in range(len(engine_ids))]
            coming = (ts for ts in self._next if ts is not None)
            self._next_is_known_until = min(coming, default=math.inf)
            self._silence = b""
        if not (self._all_closed and self._silence == _NO_SILENCE):
            silence = np.where(self._last_candle == 0, UNLISTED, self._row_ts - self._last_candle)
            silence[self._is_gone] = GONE
            now_silent = silence.tobytes() if silence.any() else _NO_SILENCE
            if now_silent != self._silence:
                self._unpriced, self._silence = self._without_prices(silence.tolist()), now_silent
        closes = self._accountant.closes
        prices = partial(exact_closes, closes, self._every)
        if self._accountant.live_prices is None:
            return Markets(self._unpriced, prices, closes)
        touches = map(self._prices.engine_touch, engine_ids)
        return Markets(self._unpriced, prices, closes, partial(map, decimals, list(touches)))

    def _without_prices(self, silence: list[int]) -> UnpricedMarkets:
        found = UnpricedMarkets()
        for fixed, silent, due, settled in zip(
            self._fixed, silence, self._next, self._settled, strict=True
        ):
            name, tick, maintenance, fee, is_spot = fixed
            found[name] = MarketSnapshot(
                tick=tick,
                silent_ns=silent if silent >= 0 else None,
                next_funding_ns=due,
                last_funding_ns=settled,
                trading=silent != GONE,
                gone=silent == GONE,
                maintenance_rate=maintenance,
                taker_fee=fee,
                spot=is_spot,
            )
        return found

    def _next_funding(self, column: int, now: int) -> int | None:
        period = self._periods[column]
        if not period:
            return None
        due = self._settlements[column]
        while due and due[0] <= now:
            self._settled[column] = due.popleft()
        # After the slice's last settlement: the venue settles at whole periods of UTC.
        return due[0] if due else (now // period + 1) * period


def risk_desk(
    kernel: Any,
    accountant: Accountant,
    market: RunMarket,
    guards: Mapping[str, GuardActor],
    leverage: Decimal,
    decisions: Decisions,
    book_of: BookOf | None,
) -> RiskDesk:
    """Return the risk desk, with the guards attached, to which the accountant reports."""
    markets = BacktestMarkets(accountant, market, kernel.cache, book_of)
    desk = RiskDesk(
        kernel,
        accountant,
        StrategyBooks(),
        guards,
        leverage=leverage,
        later=accountant.later,
        market=markets,
        decisions=decisions,
        strict=True,
    )
    for guard in guards.values():
        guard.attach(desk)
    accountant.report_to(desk, markets if "markets" in desk.needs else None)
    return desk


class AtStampClient(NextPrintClient):
    """Keeps orders sent 1 ns before a stamp until the candles of that stamp are in.

    It is for runs whose orders fill at the close of the candle that they were decided on: when the
    guards evaluate, the market still has the candle before.
    """

    def __init__(self, exchange: SimulatedExchange, kernel: Any, accountant: Accountant) -> None:
        super().__init__(exchange, kernel, prints_to_wait=1)
        self._accountant = accountant
        self._is_due = False

    def submit_order(self, command: SubmitOrder) -> None:
        """Send the order, at the stamp at the earliest."""
        if self._clock.timestamp_ns() + 1 == self._accountant.stamp:
            super().submit_order(command)
        else:
            BacktestExecClient.submit_order(self, command)

    def _wait(self, command: TradingCommand) -> None:
        super()._wait(command)
        if not self._is_due:
            self._is_due = True
            self._accountant.at_stamp("orders of the stamp", self._send_all)

    def _release(self, tick: TradeTick) -> None:
        """Do nothing at prints: orders wait for the stamp."""

    def _send_all(self, _: object) -> None:
        self._is_due = False
        waiting, self._waiting = self._waiting, {}
        for entries in waiting.values():
            for entry in entries:
                self._venue.send(entry.command)
