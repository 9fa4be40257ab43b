"""Warm-up: fetch candles and funding before the start, and candles that the feed missed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from backtests.engine.build import signal_intervals
from catalog.instruments import InstrumentInfo
from catalog.panel import Panel, one_below_another, side_by_side
from catalog.providers.bybit_http import BybitHistory
from catalog.series import KINDS
from catalog.storage.manifest import SeriesKey
from config.durations import HOUR_NS, interval_ns
from config.errors import DeskError, GateRefused
from strategies.base import DeskStrategy
from strategies.schedule import last_close

TOP_UP = 2
"""Number of candles fetched again once the feed runs: one may have closed in between."""
ASK_AFTER = (5, 10, 20, 40, 80, 160)
"""Seconds after a close at which missing candles are fetched."""


class WarmUp:
    """Fetches candles and funding; the listings of `histories` must have been fetched."""

    def __init__(
        self,
        histories: Mapping[str, BybitHistory],
        infos: Mapping[str, InstrumentInfo],
        strategies: Mapping[str, DeskStrategy],
    ) -> None:
        self._histories, self._infos, self._strategies = histories, infos, strategies
        self._until: dict[str, int] = {}
        self._asked: dict[str, tuple[int, int]] = {}
        self._funded_hour = 0

    async def run(self, now_ns: int, timeout: float) -> int:
        """Feed every strategy its candles and funding; return the number of candles.

        Raises GateRefused if the venue refuses them, or does not send them in time.
        """
        try:
            async with asyncio.timeout(timeout):
                candles = await self._feed(now_ns, None)
                await self._feed_funding(now_ns)
                return candles
        except TimeoutError:
            raise GateRefused(
                f"gate warm-up: the venue gave no full history within {timeout:g} s "
                "(gates.warm_up_timeout)"
            ) from None
        except DeskError as error:
            raise GateRefused(f"gate warm-up: {error}") from error

    async def top_up(self, now_ns: int) -> None:
        """Feed new candles and funding that the feed may have missed; repeats do no harm."""
        await self._feed(now_ns, TOP_UP)
        await self._feed_funding(now_ns)

    async def complete(self, now_ns: int) -> list[str]:
        """Fetch candles that the feed did not bring, and funding; return the instruments found.

        A candle that closes while its link is down is never sent again. Each is requested a few
        times (`ASK_AFTER`), and so are settlements, of which the feed brings none. Raises DeskError
        if the venue gives no answer.
        """
        found = []
        for interval, rows in signal_intervals(dict(self._strategies)).items():
            close = last_close(now_ns, interval_ns(interval))
            if not self._is_time(interval, now_ns, close):
                continue
            lacking = {
                name
                for strategy in self._strategies.values()
                for name in strategy.history_lacking(interval, close)
            }
            tables = {}
            for name in sorted(lacking):
                info = self._infos[name]
                start = close - rows * interval_ns(interval)
                key = SeriesKey("bars", interval, name)
                table = await self._histories[info.product].rows(info, key, start, close)
                if table.num_rows and table["ts"][-1].as_py() == close:
                    tables[name] = table
            if tables:
                self._hand_over(side_by_side(tables), interval)
                found += sorted(tables)
        settled = last_close(now_ns, HOUR_NS)
        if self._is_time("funding", now_ns, settled):
            if any(s.funding_lacking(settled) for s in self._strategies.values()):
                self._funded_hour = 0
            await self._feed_funding(now_ns)
        return found

    def _is_time(self, what: str, now_ns: int, since: int) -> bool:
        at, times = self._asked.get(what, (since, 0))
        times = times if at == since else 0
        passed = (now_ns - since) / 1e9
        if times >= len(ASK_AFTER) or passed < ASK_AFTER[times]:
            return False
        # A start late in the interval requests once, not once for each time that has passed.
        self._asked[what] = (since, sum(passed >= after for after in ASK_AFTER))
        return True

    async def _feed(self, now_ns: int, most: int | None) -> int:
        needed = {
            interval: bars
            for interval, bars in signal_intervals(dict(self._strategies)).items()
            if last_close(now_ns, interval_ns(interval)) > self._until.get(interval, 0)
        }
        candles = 0
        for interval, bars in needed.items():
            rows = bars if most is None else min(most, bars)
            end = last_close(now_ns, interval_ns(interval))
            start = end - rows * interval_ns(interval)
            tables = {}
            strategies = self._strategies.values()
            names = {n for s in strategies if interval in s.history_needed() for n in s.ids}
            for name in sorted(names):
                # One request after the other: the client's rate limit applies.
                info = self._infos[name]
                key = SeriesKey("bars", interval, name)
                tables[name] = await self._histories[info.product].rows(info, key, start, end)
                candles += tables[name].num_rows
            self._hand_over(side_by_side(tables), interval)
            self._until[interval] = end
        return candles

    async def _feed_funding(self, now_ns: int) -> None:
        # Bybit settles on the hour, every 8, 4, 2 or 1 hours (https://www.bybit.com/en/help-
        # center/article/Introduction-to-Funding-Rate).
        hour = now_ns // HOUR_NS
        back: dict[str, int] = {}
        for strategy in self._strategies.values():
            for name in strategy.ids if strategy.funding_needed() else ():
                back[name] = max(back.get(name, 0), strategy.funding_needed())
        if not back or hour == self._funded_hour:
            return
        tables = {}
        for name in sorted(back):
            # Spot has no funding; Bybit gives no answer for it.
            if (info := self._infos[name]).product == "LINEAR":
                history = self._histories[info.product]
                key = SeriesKey("funding", "", name)
                table = await history.rows(info, key, now_ns - back[name], now_ns)
                # As in the catalog: by time, on the minute.
                tables[name] = KINDS["funding"].normalize(table, name).sort_by("ts")
        for strategy in self._strategies.values():
            if strategy.funding_needed():
                own = {name: tables[name] for name in strategy.ids if name in tables}
                start = now_ns - strategy.funding_needed()
                strategy.warm_up_funding(one_below_another(own, start))
        self._funded_hour = hour

    def _hand_over(self, panel: Panel, interval: str) -> None:
        for strategy in self._strategies.values():
            if interval in strategy.history_needed():
                strategy.warm_up(panel, interval)


async def listings(histories: Mapping[str, BybitHistory]) -> dict[str, InstrumentInfo]:
    """Return the instruments that trade now, settled or quoted in USDT, by id."""
    found: dict[str, InstrumentInfo] = {}
    for history in histories.values():
        found |= {info.id: info for info in await history.instruments(None)}
    return found
