"""Counts orders that guards stopped, at the order gate or in a strategy's sizing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from actors.records.order_facts import OrderFacts
from strategies.messages import SHRINK
from strategies.refusals import Refusal


class _Wish(msgspec.Struct, frozen=True):
    order: str = "0"
    held_back_by: str = ""


class _Wishes(msgspec.Struct, frozen=True):
    kind: str = ""
    targets: tuple[_Wish, ...] = ()


class Refusals:
    """Counts the requests that each guard refused, changes of orders included.

    It is an `actors.records.order_facts.Observer` of the order gate.
    """

    def __init__(self) -> None:
        self.by_guard: Counter[str] = Counter()

    def intended(self, facts: OrderFacts) -> None:
        """Ignore a request that leaves."""

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Count a guard's refusal."""
        if refusal.guard:
            self.by_guard[refusal.guard] += 1


def held_back(payloads: Iterable[bytes]) -> Counter[str]:
    """Return how many orders strategies did not send, or sent smaller, because of each guard."""
    decoder = msgspec.json.Decoder(_Wishes)
    found: Counter[str] = Counter()
    for payload in payloads:
        # Most decisions name no guard and need not be decoded.
        if b'"held_back_by"' not in payload:
            continue
        decision = decoder.decode(payload)
        for wish in decision.targets:
            if wish.held_back_by and (wish.order == "0" or decision.kind == SHRINK):
                found[wish.held_back_by] += 1
    return found
