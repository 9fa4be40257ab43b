"""Download market history from Bybit's public v5 API.

By Nautilus's plain `HttpClient`, at ten requests a second: its `BybitHttpClient` (1.231.0) returns
last prices for MARK candles, and its instruments lack launch time, leverage and funding interval.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import pyarrow as pa
from nautilus_trader.core import nautilus_pyo3 as engine

from catalog.instruments import InstrumentInfo
from catalog.providers.bybit_json import info_of
from catalog.series import KINDS
from catalog.storage.manifest import SeriesKey
from config.durations import MINUTE_NS, interval_ns
from config.errors import DeskError, InputError, hint

BYBIT = "https://api.bybit.com"
REQUESTS_A_SECOND = 10
TRIES = 5
MS = 1_000_000
_BUSY = (10006, 429, 500, 502, 503, 504)
_NETWORK = (engine.HttpError, engine.HttpTimeoutError)


class _Asked(NamedTuple):
    """How a kind of series is asked for, and where a row of the answer has its time and values."""

    path: str
    start: str
    end: str
    page: int
    time: Any
    values: tuple[Any, ...]


_ASKED = {
    "bars": _Asked("kline", "start", "end", 1000, 0, (1, 2, 3, 4, 5)),
    "mark": _Asked("mark-price-kline", "start", "end", 1000, 0, (1, 2, 3, 4)),
    "funding": _Asked(
        "funding/history", "startTime", "endTime", 200, "fundingRateTimestamp", ("fundingRate",)
    ),
}


class BybitHistory:
    """Instruments, candles, mark prices and funding of ``LINEAR`` or ``SPOT``, in one event loop.

    ``base_url`` may be another server of Bybit's v5 API. ``pause`` is the seconds before the first
    retry after a rate limit; it doubles each time.
    """

    def __init__(self, product: str, base_url: str | None = None, pause: float = 1.0) -> None:
        self.product = product
        self.base_url = (base_url or BYBIT).rstrip("/")
        self._pause = pause
        quota = engine.Quota.rate_per_second(REQUESTS_A_SECOND)
        self._client = engine.HttpClient(default_quota=quota, timeout_secs=30)

    async def instruments(self, symbols: tuple[str, ...] | None) -> list[InstrumentInfo]:
        """Request the facts of instruments that trade now; None means all settled in USDT.

        Raises InputError when Bybit has no such symbol.
        """
        found: dict[str, InstrumentInfo] = {}
        cursor = ""
        while True:
            params = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
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
        """Request the rows of a series with start < ts <= end (UNIX nanoseconds), sorted by ts.

        Candles are known by their close; their turnover is null.
        """
        asked, length = _ASKED[key.kind], interval_ns(key.interval) if key.interval else 0
        params = {"symbol": info.symbol, "limit": str(asked.page), asked.start: str(start // MS)}
        if length:
            params["interval"] = "D" if key.interval == "1d" else str(length // MINUTE_NS)
        found: dict[int, list[float]] = {}
        newest = end - length
        while newest >= start:
            answer = await self._ask(asked.path, params | {asked.end: str(newest // MS)})
            for row in answer["list"]:
                found[int(row[asked.time]) * MS + length] = [float(row[n]) for n in asked.values]
            if len(answer["list"]) < asked.page:
                break
            newest = min(found) - length - 1
        rows = [(ts, *values) for ts, values in sorted(found.items()) if start < ts <= end]
        columns: list[Any] = list(zip(*rows, strict=True)) or [()] * (1 + len(asked.values))
        columns += [(None,) * len(rows)] * (key.kind == "bars")
        schema = KINDS[key.kind].given
        typed = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
        return pa.table(typed, schema=schema)

    async def _ask(self, what: str, params: dict[str, str]) -> dict[str, Any]:
        """Return an answer's result; ask again where the venue is busy or the network failed."""
        for attempt in range(TRIES):
            try:
                return await self._answer(what, params)
            except (ValueError, _RefusedError, *_NETWORK) as error:
                again = isinstance(error, _NETWORK) or getattr(error, "code", None) in _BUSY
                if attempt == TRIES - 1 or not again:
                    raise DeskError(f"{self.base_url}: {error}") from error
            await asyncio.sleep(self._pause * 2**attempt)
        raise AssertionError("unreachable")

    async def _answer(self, what: str, params: dict[str, str]) -> dict[str, Any]:
        answer = await self._client.get(
            f"{self.base_url}/v5/market/{what}",
            params={"category": self.product.lower(), **params},
            keys=[BYBIT],  # Without a key, the quota counts nothing.
        )
        if answer.status != 200:
            raise _RefusedError(answer.status, f"HTTP {answer.status}")
        body = json.loads(answer.body)
        if body.get("retCode") != 0:
            raise _RefusedError(body.get("retCode"), str(body.get("retMsg")))
        result: dict[str, Any] = body["result"]
        return result


class _RefusedError(Exception):
    def __init__(self, code: int | None, words: str) -> None:
        super().__init__(f"refused with {code}: {words}")
        self.code = code
