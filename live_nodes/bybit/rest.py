"""Signed REST client of Bybit, independent of the adapter that it checks.

It returns plain facts or raises `VenueError`; an error is never an empty list. Signing: HMAC-SHA256
of timestamp, key, receive window and query string or body
(https://bybit-exchange.github.io/docs/v5/guide#authentication).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from catalog.instruments import InstrumentInfo, instrument_id, split_id
from catalog.providers.bybit_json import info_of
from config.errors import DeskError
from live_nodes.bybit.facts import (
    MARGIN_MODES,
    FeeRate,
    LogEntry,
    PositionSettings,
    VenueFill,
    VenueOrder,
    decimal_of,
    entry_of,
    fill_of,
    order_of,
    settings_of,
)
from live_nodes.local.keys import KeyPair

RECEIVE_WINDOW_MS = 5000
TOO_MANY = (10006, 429)
"""Codes of a rate limit: ``retCode``, HTTP status."""
SERVER_BUSY = (10000, 10016)
"""Bybit's codes of a server that timed out or is restarting."""
LONGEST_PAUSE_S = 2.0
CLOSE_ALL = {"qty": "0", "reduceOnly": True, "closeOnTrigger": True}
"""Fields of ``/v5/order/create`` that close a perpetual's whole position, whatever its size."""
PAGE = 50
LOG_PATH = "/v5/account/transaction-log"
SETTINGS_AT_ONCE, SETTINGS_PAUSE_S = 20, 0.5
INSTRUMENT_PAGE = 1000
ORDER_GONE = (110001, 170213)
"""Codes of a cancel that came too late or names no order (perpetuals, spot)."""


_OTHER_KEY = (
    "the venue does not know this key: check that it is copied whole and of this environment "
    "(mainnet, testnet and demo have keys of their own), or make a new one"
)
_OTHERS_TOO = "see what else uses this key or address, or wait a minute"
REMEDIES = {
    **dict.fromkeys(TOO_MANY, _OTHERS_TOO),
    401: _OTHER_KEY,
    403: "the venue refuses this address: too many requests, or a country that it does not serve",
    10002: "this machine's clock is off: set it (chrony or systemd-timesyncd), then start again",
    10003: _OTHER_KEY,
    10004: "the secret is not this key's: copy both anew",
    10005: "the key lacks a permission: let it trade, in Bybit's settings",
    10010: "the key is bound to other addresses: add this machine's in Bybit's settings",
    33004: "the key has expired: make a new one",
}
"""What to do about a refused request, by HTTP status or ``retCode`` (v5 "Error codes")."""


class VenueError(DeskError):
    """The venue refused or did not answer; `code` is ``retCode``, HTTP status, or 0 (no answer)."""

    def __init__(self, message: str, code: int = 0) -> None:
        self.code = code
        remedy = REMEDIES.get(code)
        super().__init__(f"{message}; {remedy}" if remedy else message)


@dataclass(frozen=True)
class ClockReading:
    """Clock skew in seconds, venue minus ours, to within half of `round_trip`."""

    skew: float
    round_trip: float


class VenueRest:
    """REST client as an asynchronous context; `keys` only for paths of the account.

    A read-only request is made up to `tries` times, of `timeout` seconds each, after a rate limit
    or no answer. `clock_shift_ns` corrects this machine's clock in stamps: a wrong clock must not
    prevent closing. `on_error` takes ``(path, text)`` of every failed try. `answers` says whether
    the newest request got a valid answer, even a refusal. `waits_out` may ask for another try after
    the last one. `coins_held` returns the own coins in a wallet, by spot pair.
    """

    tries = 3

    def __init__(self, base_url: str, keys: KeyPair | None, *, timeout: float = 5.0) -> None:
        self.base_url = base_url
        self._keys, self._timeout = keys, timeout
        self._session: aiohttp.ClientSession | None = None
        self.clock_shift_ns = 0
        self.on_error: Callable[[str, str], None] | None = None
        self.waits_out: Callable[[VenueError], bool] = lambda _: False
        self.answers = True
        self.coins_held: Callable[[Mapping[str, Decimal]], Mapping[str, Decimal]] | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def clock(self, samples: int = 3) -> ClockReading:
        """Compare the clocks; the sample with the shortest round trip counts."""
        readings = []
        for _ in range(samples):
            before = time.time_ns()
            result = await self._get("/v5/market/time", {})
            after = time.time_ns()
            middle = (before + after) / 2
            skew = (int(result["timeNano"]) - middle) / 1e9
            readings.append(ClockReading(skew, (after - before) / 1e9))
        return min(readings, key=lambda reading: reading.round_trip)

    async def announced(self) -> list[dict[str, Any]]:
        """Return raw notices (https://bybit-exchange.github.io/docs/v5/system-status)."""
        result = await self._get("/v5/system/status", {})
        return list(result["list"])

    async def instruments(self, product: str) -> dict[str, InstrumentInfo]:
        """Return the instruments of a product (``LINEAR``, ``SPOT``) that trade now, by id."""
        params = {"category": product.lower(), "limit": str(INSTRUMENT_PAGE)}
        found = {}
        for row in await self._pages("/v5/market/instruments-info", params):
            info = info_of(row, product) if row.get("status") == "Trading" else None
            if info is not None:
                found[info.id] = info
        return found

    async def price(self, instrument: str) -> Decimal:
        """Return the last traded price."""
        result = await self._get("/v5/market/tickers", market_fields(instrument))
        return decimal_of(result["list"][0]["lastPrice"])

    async def permissions(self) -> dict[str, Any]:
        """Return the key's permissions (``/v5/user/query-api``)."""
        return await self._get("/v5/user/query-api", {}, signed=True)

    async def fee_rates(self, product: str) -> dict[str, FeeRate]:
        """Return the account's fee rates by the venue's symbol."""
        result = await self._get("/v5/account/fee-rate", {"category": product.lower()}, signed=True)
        return {
            row["symbol"]: FeeRate(decimal_of(row["makerFeeRate"]), decimal_of(row["takerFeeRate"]))
            for row in result["list"]
        }

    async def margin_mode(self) -> str:
        """Return ``cross``, ``isolated`` or ``portfolio``."""
        result = await self._get("/v5/account/info", {}, signed=True)
        mode = result["marginMode"]
        return MARGIN_MODES.get(mode, mode)

    async def position_settings(self, instruments: Iterable[str]) -> dict[str, PositionSettings]:
        """Return position mode and leverage of each perpetual, within Bybit's 50 requests a second.

        Only a request for one symbol has them while there is no position.
        """
        found: dict[str, PositionSettings] = {}
        for names in itertools.batched(instruments, SETTINGS_AT_ONCE):
            if found:
                await asyncio.sleep(SETTINGS_PAUSE_S)
            settings = await asyncio.gather(*map(self._settings, names))
            found |= dict(zip(names, settings, strict=True))
        return found

    async def _settings(self, instrument: str) -> PositionSettings:
        result = await self._get("/v5/position/list", market_fields(instrument), signed=True)
        return settings_of(result["list"])

    async def set_leverage(self, instrument: str, leverage: Decimal) -> None:
        """Set a perpetual's leverage."""
        both = dict.fromkeys(("buyLeverage", "sellLeverage"), f"{leverage:f}")
        await self._post("/v5/position/set-leverage", market_fields(instrument) | both)

    async def balance(self) -> Decimal:
        """Return the unified account's USDT, without unrealised profit."""
        return (await self.coins()).get("USDT", Decimal(0))

    async def coins(self) -> dict[str, Decimal]:
        """Return the unified account's wallet: the balance of each coin."""
        result = await self._get(
            "/v5/account/wallet-balance", {"accountType": "UNIFIED"}, signed=True
        )
        if not result["list"]:
            raise VenueError(
                f"{self.base_url}: the key's account is no unified trading account: upgrade it in "
                "Bybit's settings"
            )
        coins = result["list"][0]["coin"]
        return {coin["coin"]: decimal_of(coin.get("walletBalance")) for coin in coins}

    async def positions(self) -> dict[str, Decimal]:
        """Return what is held, signed base coin by instrument id; flat ones are left out.

        Perpetual positions of everyone, and own coins of spot pairs (`coins_held`).
        """
        rows = await self._pages(
            "/v5/position/list",
            {"category": "linear", "settleCoin": "USDT", "limit": "200"},
            signed=True,
        )
        held = {
            instrument_id(row["symbol"], "LINEAR"): decimal_of(row["size"])
            * (-1 if row.get("side") == "Sell" else 1)
            for row in rows
        }
        if self.coins_held is not None:
            held |= self.coins_held(await self.coins())
        return {name: quantity for name, quantity in held.items() if quantity}

    async def open_orders(self, *products: str) -> list[VenueOrder]:
        """Return all orders that may still fill, conditional ones included."""
        found: dict[str, VenueOrder] = {}
        for product, kind in itertools.product(products, ("Order", "StopOrder")):
            params = {"category": product.lower(), "limit": str(PAGE), "openOnly": "0"}
            if product == "LINEAR":
                params["settleCoin"] = "USDT"
            params["orderFilter"] = kind
            for row in await self._pages("/v5/order/realtime", params, signed=True):
                order = order_of(row, product)
                if order.is_open:
                    found[order.order_id] = order
        return list(found.values())

    async def order(self, instrument: str, order_link_id: str) -> VenueOrder | None:
        """Return an open or past order by our own id; None when the venue knows none."""
        params = market_fields(instrument) | {"orderLinkId": order_link_id}
        for path in ("/v5/order/realtime", "/v5/order/history"):
            result = await self._get(path, params, signed=True)
            if result["list"]:
                return order_of(result["list"][0], split_id(instrument)[1])
        return None

    async def fills(self, product: str, since_ns: int, until_ns: int) -> list[VenueFill]:
        """Return executions with since <= ts <= until, oldest first, 7 days a request."""
        found: dict[str, VenueFill] = {}
        params = {"category": product.lower()}
        async for row in self._weeks("/v5/execution/list", params, 100, since_ns, until_ns):
            fill = fill_of(row, product)
            found[fill.execution_id] = fill
        return sorted(found.values(), key=lambda fill: (fill.ts_ns, fill.execution_id))

    async def transactions(self, since_ns: int, until_ns: int, coin: str = "") -> list[LogEntry]:
        """Return the account's transaction log, since <= ts <= until, oldest first."""
        found: dict[tuple[str, str], LogEntry] = {}
        params = {"accountType": "UNIFIED"} | ({"currency": coin} if coin else {})
        async for row in self._weeks(LOG_PATH, params, PAGE, since_ns, until_ns):
            try:
                entry = entry_of(row)
            except (KeyError, ValueError, ArithmeticError) as error:
                raise VenueError(f"{LOG_PATH}: an entry that can't be read: {row}") from error
            found[entry.id, entry.coin] = entry
        return sorted(found.values(), key=lambda entry: (entry.ts_ns, entry.id))

    async def cancel(self, instrument: str, order_id: str, order_filter: str = "") -> bool:
        """Cancel an order; False when it is gone already.

        A conditional order of a spot pair needs its `VenueOrder.order_filter`.
        """
        body = market_fields(instrument) | {"orderId": order_id}
        if order_filter:
            body["orderFilter"] = order_filter
        try:
            await self._post("/v5/order/cancel", body)
        except VenueError as error:
            if error.code in ORDER_GONE:
                return False
            raise
        return True

    async def cancel_all(self, instrument: str) -> None:
        """Cancel all orders of the account in an instrument, conditional ones included."""
        await self._post("/v5/order/cancel-all", market_fields(instrument))

    async def create(self, instrument: str, fields: Mapping[str, Any]) -> str:
        """Send an order with `fields` of ``/v5/order/create``; return the venue's order id."""
        result = await self._post("/v5/order/create", market_fields(instrument) | dict(fields))
        return str(result["orderId"])

    async def _weeks(
        self, path: str, params: dict[str, str], size: int, since_ns: int, until_ns: int
    ) -> AsyncIterator[dict[str, Any]]:
        week = 7 * 86_400_000 - 1
        begin, end = since_ns // 1_000_000, until_ns // 1_000_000
        while begin <= end:
            span = {"startTime": str(begin), "endTime": str(min(begin + week, end))}
            asked = params | {"limit": str(size)} | span
            async for rows in self._each_page(path, asked, signed=True):
                for row in rows:
                    yield row
                # There may be thousands: let orders leave between two pages.
                await asyncio.sleep(0)
            begin += week + 1

    async def _pages(
        self, path: str, params: dict[str, str], *, signed: bool = False
    ) -> list[dict[str, Any]]:
        return [row async for rows in self._each_page(path, params, signed=signed) for row in rows]

    async def _each_page(
        self, path: str, params: dict[str, str], *, signed: bool = False
    ) -> AsyncIterator[list[dict[str, Any]]]:
        cursor = ""
        while True:
            asked = params | ({"cursor": cursor} if cursor else {})
            result = await self._get(path, asked, signed=signed)
            yield result["list"]
            following = result.get("nextPageCursor") or ""
            if not following or following == cursor or not result["list"]:
                return
            cursor = following

    async def _get(
        self, path: str, params: dict[str, str], *, signed: bool = False
    ) -> dict[str, Any]:
        pause, attempt = 0.25, 0
        while True:
            attempt += 1
            try:
                query = urlencode(params)
                headers = self._signed(query) if signed else {}
                url = f"{self.base_url}{path}" + (f"?{query}" if query else "")
                return await self._ask("GET", path, url, headers, None)
            except VenueError as error:
                if not _worth_repeating(error):
                    raise
                if attempt >= self.tries and not self.waits_out(error):
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        # Never repeated: the caller looks up whether it arrived.
        text = json.dumps(body, separators=(",", ":"))
        headers = self._signed(text) | {"Content-Type": "application/json"}
        return await self._ask("POST", path, f"{self.base_url}{path}", headers, text)

    async def _ask(
        self, method: str, path: str, url: str, headers: dict[str, str], body: str | None
    ) -> dict[str, Any]:
        try:
            found = await self._answer(method, path, url, headers, body)
        except VenueError as error:
            if path == LOG_PATH:
                # Nothing trades by the log: guards need not count it, nor exits take another way.
                raise
            self.answers = not _worth_repeating(error)
            if self.on_error is not None and error.code not in ORDER_GONE:
                self.on_error(path, str(error))
            raise
        self.answers = True
        return found

    async def _answer(
        self, method: str, path: str, url: str, headers: dict[str, str], body: str | None
    ) -> dict[str, Any]:
        assert self._session is not None, "use the client as an asynchronous context"
        what = f"{self.base_url}{path}"
        try:
            # The URL must be exactly the signed text, with the same escapes.
            address = URL(url, encoded=True)
            async with self._session.request(
                method, address, headers=headers, data=body
            ) as response:
                status, text = response.status, await response.text()
        except TimeoutError:
            raise VenueError(f"{what}: no answer within {self._timeout:g} s") from None
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno or 0
            why = os.strerror(number) if number > 0 else error.os_error.strerror
            raise VenueError(f"{what}: no connection ({why})") from None
        except aiohttp.ClientError as error:
            raise VenueError(f"{what}: {error or type(error).__name__}") from None
        if status != 200:
            words = "" if status in REMEDIES else " ".join(text.split())[:200]
            raise VenueError(f"{what}: HTTP {status} {words}".rstrip(), status)
        try:
            answer = json.loads(text)
            code, words, result = answer["retCode"], answer["retMsg"], answer["result"]
        except (ValueError, KeyError, TypeError):
            raise VenueError(f"{what}: no answer of Bybit v5: {text[:200]}") from None
        if code != 0:
            raise VenueError(f"{what}: {words} (code {code})", code)
        return dict(result)

    def _signed(self, payload: str) -> dict[str, str]:
        if self._keys is None:
            raise VenueError(f"{self.base_url}: this request needs keys, and there are none")
        stamp = str((time.time_ns() + self.clock_shift_ns) // 1_000_000)
        text = f"{stamp}{self._keys.key.reveal()}{RECEIVE_WINDOW_MS}{payload}"
        return {
            "X-BAPI-API-KEY": self._keys.key.reveal(),
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": str(RECEIVE_WINDOW_MS),
            "X-BAPI-SIGN": self._keys.sign(text),
        }


async def refused_for(request: Awaitable[object]) -> str:
    """Wait for an order's request; return why the venue refused it, empty otherwise.

    Without an answer it counts as sent: the engine asks for it.
    """
    try:
        await request
    except VenueError as error:
        return str(error) if error.code else ""
    return ""


def market_fields(instrument: str) -> dict[str, str]:
    """Return the fields that name an instrument in a request."""
    symbol, product = split_id(instrument)
    return {"category": product.lower(), "symbol": symbol}


def _worth_repeating(error: VenueError) -> bool:
    return error.code in (0, *TOO_MANY, *SERVER_BUSY) or 500 <= error.code < 600
