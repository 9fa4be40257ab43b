"""Whether each WebSocket of the venue answers, asked by our own client."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from live_nodes.local.endpoints import Addresses
from live_nodes.local.keys import KeyPair

_VALID_MS = 5_000


async def link_answers(
    where: Addresses,
    products: Sequence[str],
    keys: KeyPair | None,
    seconds: float,
    trades: bool,
) -> dict[str, str]:
    """Return for each link what is wrong with it, empty when it answers.

    Public links must answer a ping, those of the account a login.

    Parameters
    ----------
    where : Addresses
        Of the environment.
    products : sequence of str
        ``LINEAR``, ``SPOT``.
    keys : KeyPair or None
        None leaves out the links of the account.
    seconds : float
        How long one may take.
    trades : bool
        Whether there is a trade link (Bybit's demo has none).
    """
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        f"public {product.lower()}": (
            f"{where.ws_public}/{product.lower()}",
            {"op": "ping", "req_id": "doctor"},
        )
        for product in products
    }
    if keys is not None:
        asked["private"] = (where.ws_private, login(keys))
        if trades:
            asked["trade"] = (where.ws_trade, login(keys))
    answers = {}
    async with aiohttp.ClientSession() as session:
        for name, (url, message) in asked.items():
            answers[name] = await _wrong(session, url, message, seconds)
    return answers


def login(keys: KeyPair) -> dict[str, Any]:
    """Return the login of a link of the account.

    Signed as Bybit says (https://bybit-exchange.github.io/docs/v5/ws/connect): HMAC-SHA256 of
    ``GET/realtime`` and the time until which the login is valid.
    """
    until = int(time.time() * 1000) + _VALID_MS
    secret = keys.secret.reveal().encode()
    signature = hmac.new(secret, f"GET/realtime{until}".encode(), hashlib.sha256).hexdigest()
    return {"op": "auth", "args": [keys.key.reveal(), until, signature]}


async def _wrong(
    session: aiohttp.ClientSession, url: str, message: dict[str, Any], seconds: float
) -> str:
    # A link that is frozen does not answer a goodbye either.
    limit = aiohttp.ClientWSTimeout(ws_close=seconds)
    try:
        async with asyncio.timeout(2 * seconds), session.ws_connect(url, timeout=limit) as socket:
            await socket.send_json(message)
            answer = await asyncio.wait_for(socket.receive_json(), seconds)
    except TimeoutError:
        return f"{url}: no answer within {seconds:g} s"
    except (aiohttp.ClientError, TypeError, json.JSONDecodeError) as error:
        return f"{url}: {error}"
    if answer.get("success", True) is True and answer.get("retCode", 0) == 0:
        return ""
    words = answer.get("ret_msg") or answer.get("retMsg") or "refused"
    return f"{url}: {words}"
