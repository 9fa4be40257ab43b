"""How often one may ask: requests a second for each account and path, requests for each address.

Numbers of https://bybit-exchange.github.io/docs/v5/rate-limit for a unified account without a VIP
level, read from the documentation's repository; paths that it does not list are not limited.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

WINDOW_MS = 1_000
ADDRESS_REQUESTS = 600
ADDRESS_WINDOW_MS = 5_000
BAN_MS = 600_000

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


@dataclass(frozen=True)
class Allowance:
    """What a request found of its limit.

    Parameters
    ----------
    granted : int
        How many of the requests may go on; the others are answered 10006.
    limit, left : int
        Requests a second, and how many are left of this second.
    reset_ms : int
        When there is room again; now when there is.
    """

    granted: int
    limit: int
    left: int
    reset_ms: int

    def headers(self) -> dict[str, str]:
        """Return the three headers that Bybit answers with."""
        return {
            "X-Bapi-Limit": str(self.limit),
            "X-Bapi-Limit-Status": str(self.left),
            "X-Bapi-Limit-Reset-Timestamp": str(self.reset_ms),
        }


class Limits:
    """Counts requests in rolling windows.

    Parameters
    ----------
    table : mapping of str to (int, int)
        Requests a second of each path, linear and spot.
    factor : int
        Multiplies all of them; 1 is an account without a VIP level.
    address_requests : int
        Requests of one address in five seconds.
    ban_ms : int
        How long an address that sent more is answered 403.
    """

    def __init__(
        self,
        table: Mapping[str, tuple[int, int]] = DOCUMENTED,
        factor: int = 1,
        address_requests: int = ADDRESS_REQUESTS,
        ban_ms: int = BAN_MS,
    ) -> None:
        self._table = {path: (a * factor, b * factor) for path, (a, b) in table.items()}
        self._taken: defaultdict[tuple[str, str, bool], deque[int]] = defaultdict(deque)
        self._address_requests = address_requests * factor
        self._addresses: defaultdict[str, deque[int]] = defaultdict(deque)
        self._ban_ms = ban_ms
        self._banned: dict[str, int] = {}

    def take(
        self, account: str, path: str, spot: bool, now_ms: int, count: int = 1
    ) -> Allowance | None:
        """Count `count` requests of `account`, the orders of a batch each for itself.

        Returns
        -------
        Allowance, optional
            None for a path that is not limited.
        """
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
            self._banned[address] = now_ms + self._ban_ms
            return False
        taken.append(now_ms)
        return True


def _forget(taken: deque[int], before_ms: int) -> None:
    while taken and taken[0] <= before_ms:
        taken.popleft()
