"""Who sent a request: Bybit v5 signatures, checked.

Rules: https://bybit-exchange.github.io/docs/v5/guide (REST) and
https://bybit-exchange.github.io/docs/v5/ws/connect (WebSocket).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from live_nodes.practice.exchange.model import Refusal

KEY = "X-BAPI-API-KEY"
SIGN = "X-BAPI-SIGN"
TIMESTAMP = "X-BAPI-TIMESTAMP"
WINDOW = "X-BAPI-RECV-WINDOW"
DEFAULT_WINDOW_MS = 5_000
AHEAD_MS = 1_000


class Keyring:
    """The accounts' keys.

    Parameters
    ----------
    keys : mapping of str to (str, str)
        Account name to its key and secret.
    """

    def __init__(self, keys: Mapping[str, tuple[str, str]]) -> None:
        self._owners = {key: (name, secret.encode()) for name, (key, secret) in keys.items()}

    def request(self, headers: Mapping[str, str], payload: str, now_ms: int) -> str:
        """Return the account that signed a REST request.

        Parameters
        ----------
        headers : mapping of str to str
            The request's headers; names in any case.
        payload : str
            What was signed: a GET's query string as it came, or a POST's body.
        now_ms : int
            The exchange's clock, Unix milliseconds.

        Raises
        ------
        Refusal
            10001 without the headers, 10002 outside the time window, 10003 for an unknown key,
            10004 for a signature that is not that of its secret.
        """
        stamp, key = headers.get(TIMESTAMP, ""), headers.get(KEY, "")
        window, sign = headers.get(WINDOW, ""), headers.get(SIGN, "")
        for name, value in ((KEY, key), (TIMESTAMP, stamp), (SIGN, sign)):
            if not value:
                raise Refusal(10001, f"Request parameter error: header {name} is missing.")
        name, secret = self._owner(key)
        check_time(stamp, window, now_ms)
        if not _same(signature(secret, f"{stamp}{key}{window}{payload}"), sign):
            raise Refusal(10004, "Error sign, please check your signature generation algorithm.")
        return name

    def login(self, args: object, now_ms: int) -> str:
        """Return the account of a WebSocket ``auth`` message with `args` [key, expires, sign].

        Raises
        ------
        Refusal
            10001, 10003 or 10004 as for a request; 10001 too when it has expired.
        """
        if not isinstance(args, list) or len(args) != 3:
            raise Refusal(10001, "Params Error")
        key, expires, sign = args
        moment = milliseconds(expires)
        if moment is None or moment <= now_ms:
            raise Refusal(10001, "Params Error: expires is in the past")
        name, secret = self._owner(str(key))
        if not _same(signature(secret, f"GET/realtime{expires}"), str(sign)):
            raise Refusal(10004, "Error sign, please check your signature generation algorithm.")
        return name

    def _owner(self, key: str) -> tuple[str, bytes]:
        owner = self._owners.get(key)
        if owner is None:
            raise Refusal(10003, "API key is invalid.")
        return owner


def signature(secret: bytes, text: str) -> str:
    """Return the HMAC-SHA256 of `text` in hexadecimal."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def check_time(stamp: object, window: object, now_ms: int) -> None:
    """Refuse a request that is older than its window or a second ahead of the clock (10002)."""
    moment, width = milliseconds(stamp), milliseconds(window or DEFAULT_WINDOW_MS)
    if moment is None or width is None:
        raise Refusal(10001, "Request parameter error: the timestamp is not in milliseconds.")
    if not now_ms - width <= moment < now_ms + AHEAD_MS:
        raise Refusal(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{moment}],server_timestamp[{now_ms}],recv_window[{width}]",
        )


def milliseconds(value: object) -> int | None:
    """Read a time or a span; None when it is no whole number of up to 18 digits."""
    text = str(value)
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode(errors="surrogatepass"))
