"""Which guard kept an order back: read from the words that guards, gate and strategies use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import msgspec

from actors.records.order_facts import OrderFacts

_BY = re.compile(
    r"(?:^|[ (])(?:shrink|halt_entries|reduce_only|flatten)(?: for now)? by ([a-z0-9]{1,8}): "
)


class _Wish(msgspec.Struct, frozen=True):
    order: str = "0"
    reason: str = ""


class _Wishes(msgspec.Struct, frozen=True):
    targets: tuple[_Wish, ...] = ()


def refuser(reason: str) -> str | None:
    """Return the key of the guard that refused, None when no guard did.

    Examples
    --------
    >>> refuser("order gate: halt_entries for now by funding: settles in 2 min")
    'funding'
    >>> refuser("order gate: quantity is zero") is None
    True
    """
    match = _BY.search(reason)
    return None if match is None else match[1]


class Refusals:
    """Counts the requests that each guard refused, changes of orders included.

    It stands at the order gate as an `actors.records.order_facts.Observer`.
    """

    def __init__(self) -> None:
        self.by_guard: Counter[str] = Counter()

    def intended(self, facts: OrderFacts) -> None:
        """Let what leaves leave."""

    def refused(self, facts: OrderFacts, reason: str) -> None:
        """Count what a guard refused."""
        guard = refuser(reason)
        if guard is not None:
            self.by_guard[guard] += 1


def refused_orders(reasons: Iterable[str]) -> Counter[str]:
    """Return how many of the reasons of refused orders name each guard."""
    return Counter(guard for guard in map(refuser, reasons) if guard is not None)


def held_back(payloads: Iterable[bytes]) -> Counter[str]:
    """Return how many orders strategies did not send because of each guard.

    Parameters
    ----------
    payloads : iterable of bytes
        Decisions, as in the column of that name of the decisions table.
    """
    decoder = msgspec.json.Decoder(_Wishes)
    found: Counter[str] = Counter()
    for payload in payloads:
        # Most decisions name no guard and need not be decoded.
        if b" by " not in payload:
            continue
        for wish in decoder.decode(payload).targets:
            guard = refuser(wish.reason) if wish.order == "0" else None
            if guard is not None:
                found[guard] += 1
    return found
