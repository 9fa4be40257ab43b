"""Download market history from Bybit's public v5 API.

Nautilus's `BybitHttpClient` pages backwards, retries and keeps to ten requests a second. In 1.231.0
it returns last prices for MARK candles without a warning (a test pins it), and its instruments lack
launch time, leverage and funding interval. These two use Nautilus's plain `HttpClient` at the same
pace.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from nautilus_trader.core import nautilus_pyo3 as engine

from catalog.instruments import InstrumentInfo
from catalog.providers.bybit_json import info_of
from catalog.series import BARS, FUNDING, MARKS
from catalog.storage.manifest import SeriesKey
from config.durations import bar_type, interval_ns
from config.errors import DeskError, InputError, hint

BYBIT = "https://api.bybit.com"
TOO_MANY = 10006
REQUESTS_A_SECOND = 10
PAGE = 1000
TRIES = 5
MS = 1_000_000
_NAMES = {"1d": "D"}
_BUSY = (429, 500, 502, 503, 504)


class BybitHistory:
    """Instruments, candles, mark prices and funding of ``LINEAR`` or ``SPOT``, in one event loop.

    ``base_url`` may be another server of Bybit's v5 API. ``pause`` is the seconds before the first
    retry after a rate limit; it doubles each time.
    """

    def __init__(self, product: str, base_url: str | None = None, pause: float = 1.0) -> None:
        self.product = product
        self.base_url = (base_url or BYBIT).rstrip("/")
        self._pause = pause
        self._category = getattr(engine.BybitProductType, product)
        self._client = engine.BybitHttpClient(base_url=self.base_url)
        quota = engine.Quota.rate_per_second(REQUESTS_A_SECOND)
        self._plain = engine.HttpClient(default_quota=quota, timeout_secs=30)

    async def instruments(self, symbols: tuple[str, ...] | None) -> list[InstrumentInfo]:
        """Request the facts of instruments that trade now; None means all settled in USDT.

        Raises InputError when Bybit has no such symbol.
        """
        for instrument in await self._patiently(
            lambda: self._client.request_instruments(self._category)
        ):
            self._client.cache_instrument(instrument)
        found: dict[str, InstrumentInfo] = {}
        cursor = ""
        while True:
            params = {"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
            result = await self._ask("instruments-info", params)
            for row in result["list"]:
                info = info_of(row, self.product)
                if info is not None and row.get("status") == "Trading":
                    found[info.symbol] = info
            cursor = result.get("nextPageCursor") or ""
            if not cursor:
                break
        if symbols is None:
            return [info for info in found.values() if info.settle == "USDT"]
        for symbol in symbols:
            if symbol not in found:
                words = f"Bybit trades no {self.product.lower()} {symbol}"
                raise InputError(words + hint(symbol, found))
        return [found[symbol] for symbol in symbols]

    async def rows(self, info: InstrumentInfo, key: SeriesKey, start: int, end: int) -> pa.Table:
        """Request the rows of a series with start < ts <= end (UNIX nanoseconds)."""
        if key.kind == "bars":
            return await self.klines(info, key.interval, start, end)
        if key.kind == "mark":
            return await self.marks(info, key.interval, start, end)
        return await self.funding(info, start, end)

    async def klines(self, info: InstrumentInfo, interval: str, start: int, end: int) -> pa.Table:
        """Request candles with start < close <= end (UNIX ns); schema `BARS`, turnover is null."""
        length = interval_ns(interval)
        bars = await self._patiently(
            lambda: self._client.request_bars(
                self._category,
                engine.BarType.from_str(bar_type(info.id, interval)),
                start=_moment(start),
                end=_moment(end - length),
            )
        )
        bars = [bar for bar in bars if start < bar.ts_event <= end]
        columns = [pa.array([bar.ts_event for bar in bars], pa.int64())]
        for name in BARS.names[1:-1]:
            # The engine's own division of its integers can be one bit off the decimal number.
            cells = [getattr(bar, name) for bar in bars]
            values = [round(cell.as_double(), cell.precision) for cell in cells]
            columns.append(pa.array(values, pa.float64()))
        return pa.table([*columns, pa.nulls(len(bars), pa.float64())], schema=BARS)

    async def marks(self, info: InstrumentInfo, interval: str, start: int, end: int) -> pa.Table:
        """Request mark price candles with start < close <= end; schema `MARKS`."""
        length = interval_ns(interval)
        params = {
            "symbol": info.symbol,
            "interval": _NAMES.get(interval) or str(length // (60 * 10**9)),
            "limit": str(PAGE),
            "start": str(start // MS),
        }
        newest = end - length
        rows: list[list[str]] = []
        while newest >= start:
            asked = params | {"end": str(newest // MS)}
            page = (await self._ask("mark-price-kline", asked))["list"]
            rows += page
            if len(page) < PAGE:
                break
            newest = min(int(row[0]) for row in page) * MS - 1
        closes = np.array([int(row[0]) * MS + length for row in rows], dtype=np.int64)
        prices = np.array([[float(cell) for cell in row[1:5]] for row in rows]).reshape(-1, 4)
        inside = (closes > start) & (closes <= end)
        columns = [pa.array(closes[inside]), *(pa.array(c) for c in prices[inside].T)]
        return pa.table(columns, schema=MARKS)

    async def funding(self, info: InstrumentInfo, start: int, end: int) -> pa.Table:
        """Request settlements with start < ts <= end; schema `FUNDING`."""
        rates = await self._patiently(
            lambda: self._client.request_funding_rates(
                self._category,
                engine.InstrumentId.from_str(info.id),
                start=_moment(start),
                end=_moment(end),
            )
        )
        rates = [rate for rate in rates if start < rate.ts_event <= end]
        stamps = pa.array([rate.ts_event for rate in rates], pa.int64())
        values = pa.array([float(rate.rate) for rate in rates], pa.float64())
        return pa.table([stamps, values], schema=FUNDING)

    async def _ask(self, what: str, params: dict[str, str]) -> dict[str, Any]:
        async def once() -> dict[str, Any]:
            answer = await self._plain.get(
                f"{self.base_url}/v5/market/{what}",
                params={"category": self.product.lower(), **params},
            )
            if answer.status != 200:
                raise _RefusedError(answer.status, f"HTTP {answer.status}")
            body = json.loads(answer.body)
            if body.get("retCode") != 0:
                raise _RefusedError(body.get("retCode"), str(body.get("retMsg")))
            result: dict[str, Any] = body["result"]
            return result

        return await self._patiently(once)

    async def _patiently[T](self, call: Callable[[], Awaitable[T]]) -> T:
        # Nautilus repeats failed connections only, never an answer with a retCode.
        pause = self._pause
        for attempt in range(1, TRIES + 1):
            try:
                return await call()
            except _ERRORS as error:
                if attempt == TRIES or not _worth_repeating(error):
                    raise DeskError(f"{self.base_url}: {error}") from error
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")


class _RefusedError(Exception):
    def __init__(self, code: int | None, words: str) -> None:
        super().__init__(f"refused with {code}: {words}")
        self.code = code


_NETWORK = (engine.HttpError, engine.HttpTimeoutError)
_ERRORS = (ValueError, _RefusedError, *_NETWORK)


def _worth_repeating(error: Exception) -> bool:
    if isinstance(error, _RefusedError):
        return error.code == TOO_MANY or error.code in _BUSY
    # BybitHttpClient gives its errors as text only, and repeats failed connections itself.
    return isinstance(error, _NETWORK) or f"error {TOO_MANY}" in str(error)


def _moment(stamp_ns: int) -> datetime:
    return datetime.fromtimestamp(stamp_ns / 1e9, UTC)
