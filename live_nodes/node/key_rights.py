"""Judge an API key: rights to withdraw, binding to IP addresses, expiry.

Facts are those of ``GET /v5/user/query-api``
(https://bybit-exchange.github.io/docs/v5/user/apikey-info). Rights that are missing are
`preflight.permission_gate`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

SOON = timedelta(days=14)
"""A key that expires sooner is warned of."""
_SETTINGS = "in Bybit's settings"


@dataclass(frozen=True)
class KeyFinding:
    """One property of a key, and what to do about it where it is a risk."""

    check: str
    found: str
    remedy: str = ""


def key_findings(answer: Mapping[str, Any], now: datetime) -> list[KeyFinding]:
    """Judge a key's right to move money, the addresses it is bound to, and its expiry."""
    money = sorted((answer.get("permissions") or {}).get("Wallet") or ())
    if "Withdraw" in money:
        rights = "the key may withdraw: who has it can take all there is"
    elif money:
        rights = f"the key may move money between accounts: {', '.join(money)}"
    else:
        rights = "may not move money"
    less = f"make one without rights to the wallet {_SETTINGS}: the desk needs none of them"
    addresses = [name for name in answer.get("ips") or () if name != "*"]
    bound = f"bound to {', '.join(addresses)}"
    return [
        KeyFinding("rights", rights, less if money else ""),
        KeyFinding("addresses", bound)
        if addresses
        else KeyFinding(
            "addresses", "works from any address", f"bind it to this machine's {_SETTINGS}"
        ),
        _expiry(str(answer.get("expiredAt") or ""), now),
    ]


def _expiry(text: str, now: datetime) -> KeyFinding:
    try:
        ends = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        ends = now
    if ends <= now:
        # The venue refuses an expired key itself, so an earlier date stands for none.
        return KeyFinding("expiry", "none given")
    found = f"expires at {ends:%Y-%m-%d %H:%M} UTC, in {(ends - now).days} days"
    remedy = f"make another {_SETTINGS}, or bind it to an address: then it lasts"
    return KeyFinding("expiry", found, remedy if ends < now + SOON else "")
