"""API keys, signatures and rate limits of accounts and addresses.

Limits are of a unified account without a VIP level:
https://bybit-exchange.github.io/docs/v5/rate-limit. Unlisted paths are not limited. Signatures:
https://bybit-exchange.github.io/docs/v5/guide (REST) and
https://bybit-exchange.github.io/docs/v5/ws/connect (WebSocket).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from live_nodes.practice.exchange.model import BybitRefusal

WINDOW_MS = 1_000
ADDRESS_WINDOW_MS = 5_000
BAN_MS = 600_000
ADDRESS_REQUESTS = 600
"""Most requests of an address in `ADDRESS_WINDOW_MS`; beyond, it gets 403 for `BAN_MS`."""

# Requests a second as (linear, spot).
DOCUMENTED: Mapping[str, tuple[int, int]] = {
    "/v5/order/create": (10, 20),
    "/v5/order/amend": (10, 10),
    "/v5/order/cancel": (10, 20),
    "/v5/order/cancel-all": (10, 20),
    "/v5/order/create-batch": (10, 20),
    "/v5/order/amend-batch": (10, 20),
    "/v5/order/cancel-batch": (10, 20),
    "/v5/order/realtime": (50, 50),
    "/v5/order/history": (50, 50),
    "/v5/execution/list": (50, 50),
    "/v5/position/list": (50, 50),
    "/v5/position/closed-pnl": (50, 50),
    "/v5/position/set-leverage": (10, 10),
    "/v5/position/trading-stop": (10, 10),
    "/v5/account/wallet-balance": (50, 50),
    "/v5/account/transaction-log": (50, 50),
    "/v5/account/fee-rate": (10, 5),
    "/v5/user/query-api": (10, 10),
}
KEY = "X-BAPI-API-KEY"
SIGN = "X-BAPI-SIGN"
TIMESTAMP = "X-BAPI-TIMESTAMP"
WINDOW = "X-BAPI-RECV-WINDOW"
DEFAULT_WINDOW_MS = 5_000
AHEAD_MS = 1_000


@dataclass(frozen=True)
class Allowance:
    """How many requests a rate limit accepts; the others are answered 10006.

    `limit` and `left` are requests a second; `reset_ms` is when more are accepted (or now).
    """

    granted: int
    limit: int
    left: int
    reset_ms: int

    def headers(self) -> dict[str, str]:
        """Return Bybit's three rate limit headers."""
        return {
            "X-Bapi-Limit": str(self.limit),
            "X-Bapi-Limit-Status": str(self.left),
            "X-Bapi-Limit-Reset-Timestamp": str(self.reset_ms),
        }


class RateLimits:
    """Counts requests in rolling windows; `factor` multiplies all limits."""

    def __init__(self, factor: int = 1) -> None:
        self._table = {path: (a * factor, b * factor) for path, (a, b) in DOCUMENTED.items()}
        self._taken: defaultdict[tuple[str, str, bool], deque[int]] = defaultdict(deque)
        self._address_requests = ADDRESS_REQUESTS * factor
        self._addresses: defaultdict[str, deque[int]] = defaultdict(deque)
        self._banned: dict[str, int] = {}

    def take(
        self, account: str, path: str, spot: bool, now_ms: int, count: int = 1
    ) -> Allowance | None:
        """Count `count` requests (the orders of a batch each); None for a path without limit."""
        limits = self._table.get(path)
        if limits is None:
            return None
        limit = limits[spot]
        taken = self._taken[(account, path, spot)]
        _forget(taken, now_ms - WINDOW_MS)
        granted = min(count, limit - len(taken))
        taken.extend([now_ms] * granted)
        reset = now_ms if granted == count else taken[0] + WINDOW_MS
        return Allowance(granted, limit, limit - len(taken), reset)

    def take_address(self, address: str, now_ms: int) -> bool:
        """Count a request of `address`; False means answer HTTP 403."""
        if now_ms < self._banned.get(address, 0):
            return False
        taken = self._addresses[address]
        _forget(taken, now_ms - ADDRESS_WINDOW_MS)
        if len(taken) >= self._address_requests:
            self._banned[address] = now_ms + BAN_MS
            return False
        taken.append(now_ms)
        return True


def _forget(taken: deque[int], before_ms: int) -> None:
    while taken and taken[0] <= before_ms:
        taken.popleft()


@dataclass(frozen=True)
class KeyTerms:
    """What an account's key may do, from which addresses and until when."""

    read_only: bool = False
    permissions: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "ContractTrade": ("Order", "Position"),
            "Spot": ("SpotTrade",),
            "Derivatives": ("DerivativesTrade",),
        }
    )
    ips: tuple[str, ...] = ("*",)
    expires: datetime = datetime(2100, 1, 1, tzinfo=UTC)

    def check(self, now_ms: int, *, spot: bool = False, writes: str = "") -> None:
        """Refuse an expired key (33004), another address (10010), what it may not change (10005).

        `writes` is the path of a request that changes something.
        """
        if self.expires.timestamp() * 1_000 <= now_ms:
            raise BybitRefusal(33004, "Your api key has expired.")
        if not {"*", "127.0.0.1"} & set(self.ips):
            raise BybitRefusal(10010, "Unmatched IP, please check your API key's bound addresses.")
        group, right = ("Spot", "SpotTrade") if spot else (
            "ContractTrade", "Order" if writes.startswith("/v5/order/") else "Position"
        )  # fmt: skip
        if writes and (self.read_only or right not in self.permissions.get(group, ())):
            raise BybitRefusal(10005, "Permission denied, please check your API key permissions.")


class Keyring:
    """The accounts' API keys: account name to its key and secret."""

    def __init__(self, keys: Mapping[str, tuple[str, str]]) -> None:
        self._owners = {key: (name, secret.encode()) for name, (key, secret) in keys.items()}

    def request(self, headers: Mapping[str, str], payload: str, now_ms: int) -> str:
        """Return the account that signed `payload`: a GET's query string, or a POST's body.

        Raises BybitRefusal: 10003 without the headers or for an unknown key, 10002 outside the time
        window, 10004 for a wrong signature.
        """
        stamp, key = headers.get(TIMESTAMP, ""), headers.get(KEY, "")
        window, sign = headers.get(WINDOW, ""), headers.get(SIGN, "")
        for name, value in ((KEY, key), (TIMESTAMP, stamp), (SIGN, sign)):
            if not value:
                raise BybitRefusal(10003, f"API key is invalid: header {name} is missing.")
        name, secret = self._owner(key)
        check_time(stamp, window, now_ms)
        _check_sign(secret, f"{stamp}{key}{window}{payload}", sign)
        return name

    def login(self, args: object, now_ms: int) -> str:
        """Return the account of auth `args` [key, expires, sign]. BybitRefusal 10001/3/4."""
        if not isinstance(args, list) or len(args) != 3:
            raise BybitRefusal(10001, "Params Error")
        key, expires, sign = args
        moment = milliseconds(expires)
        if moment is None or moment <= now_ms:
            raise BybitRefusal(10001, "Params Error: expires is in the past")
        name, secret = self._owner(str(key))
        _check_sign(secret, f"GET/realtime{expires}", str(sign))
        return name

    def _owner(self, key: str) -> tuple[str, bytes]:
        owner = self._owners.get(key)
        if owner is None:
            raise BybitRefusal(10003, "API key is invalid.")
        return owner


def signature(secret: bytes, text: str) -> str:
    """Return the HMAC-SHA256 of `text` in hexadecimal."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def check_time(stamp: object, window: object, now_ms: int) -> None:
    """Refuse a request older than its window or a second ahead of the clock (10002)."""
    moment, width = milliseconds(stamp), milliseconds(window or DEFAULT_WINDOW_MS)
    if moment is None or width is None:
        raise BybitRefusal(10001, "Request parameter error: the timestamp is not in milliseconds.")
    if not now_ms - width <= moment < now_ms + AHEAD_MS:
        raise BybitRefusal(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{moment}],server_timestamp[{now_ms}],recv_window[{width}]",
        )


def milliseconds(value: object) -> int | None:
    """Read a time or a duration; None when it is no whole number of up to 18 digits."""
    text = str(value)
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _check_sign(secret: bytes, text: str, sign: str) -> None:
    ours, theirs = signature(secret, text).encode(), sign.encode(errors="surrogatepass")
    if not hmac.compare_digest(ours, theirs):
        raise BybitRefusal(10004, "Error sign, please check your signature generation algorithm.")
