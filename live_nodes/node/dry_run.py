"""A dry run: everything happens but the sending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.records.order_facts import OrderFacts
from strategies.state import StateStore

DRY_RUN = "dry run"
"""The reason of its refusals."""


class Intentions:
    """An observer of the order gate that says and keeps what would have been sent.

    Parameters
    ----------
    kept : list
        Takes each as plain values.
    say : callable
        Takes a line for the person who watches.
    """

    def __init__(self, kept: list[dict[str, Any]], say: Callable[[str], None]) -> None:
        self._kept, self._say = kept, say

    def intended(self, facts: OrderFacts) -> None:
        """Hear of a request that would leave: in a dry run none gets so far."""

    def refused(self, facts: OrderFacts, reason: str) -> None:
        """Hear of a request that the dry run, or another rule before it, kept back."""
        if reason != DRY_RUN:
            return
        price = "" if facts.price is None else f" at {facts.price:f}"
        quantity = f"{facts.quantity:f} " if facts.quantity else ""
        self._say(f"would {facts.operation} {facts.side} {quantity}{facts.instrument}{price}")
        self._kept.append(
            {
                "operation": facts.operation,
                "strategy": facts.strategy,
                "instrument": facts.instrument,
                "side": facts.side,
                "quantity": f"{facts.quantity:f}",
                "price": None if facts.price is None else f"{facts.price:f}",
                "order_type": facts.order_type,
                "reduce_only": facts.reduce_only,
            }
        )


class ScratchState:
    """A store that reads what is real and keeps what is written to itself: nothing was done.

    Parameters
    ----------
    real : StateStore
        The journal's.
    """

    def __init__(self, real: StateStore) -> None:
        self._real = real
        self._written: dict[str, bytes] = {}

    def load(self, name: str) -> bytes | None:
        """Return what was saved last under the name, in this run or before."""
        return self._written.get(name) or self._real.load(name)

    def save(self, name: str, value: bytes) -> None:
        """Keep the value for the rest of the run."""
        self._written[name] = value
