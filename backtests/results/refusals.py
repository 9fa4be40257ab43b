"""Which guard kept an order back: at the order gate, or where a strategy sized by its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from actors.records.order_facts import OrderFacts
from strategies.refusals import Refusal


class _Wish(msgspec.Struct, frozen=True):
    order: str = "0"
    held_back_by: str = ""


class _Wishes(msgspec.Struct, frozen=True):
    targets: tuple[_Wish, ...] = ()


class Refusals:
    """Counts the requests that each guard refused, changes of orders included.

    It stands at the order gate as an `actors.records.order_facts.Observer`.
    """

    def __init__(self) -> None:
        self.by_guard: Counter[str] = Counter()

    def intended(self, facts: OrderFacts) -> None:
        """Let what leaves leave."""

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Count what a guard refused."""
        if refusal.guard:
            self.by_guard[refusal.guard] += 1


def held_back(payloads: Iterable[bytes]) -> Counter[str]:
    """Return how many orders strategies did not send because of each guard."""
    decoder = msgspec.json.Decoder(_Wishes)
    found: Counter[str] = Counter()
    for payload in payloads:
        # Most decisions name no guard and need not be decoded.
        if b'"held_back_by"' not in payload:
            continue
        for wish in decoder.decode(payload).targets:
            if wish.held_back_by and wish.order == "0":
                found[wish.held_back_by] += 1
    return found
