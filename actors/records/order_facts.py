"""An order request as plain data, for the order gate's observers and holds. Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from strategies.refusals import Refusal

Operation = Literal["submit", "modify", "cancel", "cancel_all"]


class OrderFacts(msgspec.Struct, frozen=True):
    """One request at the gate, before it leaves.

    Parameters
    ----------
    client_order_id, side : str
        Empty for ``cancel_all`` (``side``: of both sides).
    quantity : Decimal
        Base coin, unsigned; for ``modify`` what is left to fill. Zero for ``cancel_all``.
    order_type, time_in_force : str
        The engine's words (``LIMIT``, ``MARKET``, …; ``GTC``, ``IOC``, …); may be empty.
    is_exit : bool
        Whether it can only shrink a position, or cancels an order. Only a dry run holds exits.
    ts : int
        UNIX nanoseconds (UTC).
    reason : str
        The strategy's reason.
    decision_id : str
        The decision that it carries out, or empty.
    reference_price : Decimal or None
        Price when a submitted order leaves, to compute slippage.
    """

    operation: Operation
    client_order_id: str
    strategy: str
    instrument: str
    side: str
    quantity: Decimal
    ts: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    order_type: str = ""
    time_in_force: str = ""
    reduce_only: bool = False
    post_only: bool = False
    is_exit: bool = False
    reason: str = ""
    decision_id: str = ""
    reference_price: Decimal | None = None


class Observer(Protocol):
    """Gets every request synchronously: what it writes is durable before the request leaves."""

    def intended(self, facts: OrderFacts) -> None:
        """Process a request that is about to leave."""

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Process a request that the gate or a hold refused."""


Hold = Callable[[OrderFacts], Refusal | str | None]
"""Returns why a request must not leave now, or None. A plain string is a refusal of the order gate,
not of a guard."""
