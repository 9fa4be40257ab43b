"""A request at the order gate, as its observers and holds get it: plain data, no engine type.

Pure, so that the journal that takes it down and the rules that judge it outlive the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from strategies.refusals import Refusal

Operation = Literal["submit", "modify", "cancel", "cancel_all"]


class OrderFacts(msgspec.Struct, frozen=True):
    """One request as it stands at the gate, before it leaves.

    Parameters
    ----------
    client_order_id : str
        Empty for ``cancel_all``.
    side : {"BUY", "SELL", ""}
        Empty for ``cancel_all`` of both sides.
    quantity : Decimal
        Base coin, unsigned; for ``modify`` what is left to fill. Zero for ``cancel_all``.
    price, trigger_price : Decimal or None
        Limit and trigger price, where the order has them.
    order_type, time_in_force : str
        The engine's words for them (``LIMIT``, ``MARKET``, …; ``GTC``, ``IOC``, …); may be empty.
    reduce_only, post_only : bool
        As the venue will see them.
    is_exit : bool
        Whether it can only shrink a position, or takes an order back. Exits are never held, except
        by a dry run.
    ts : int
        UNIX nanoseconds (UTC).
    reason : str
        What the strategy says it is for.
    decision_id : str
        The decision that it carries out, empty for none.
    reference_price : Decimal or None
        The price that stands as it leaves (of a submit): what its fills are compared with.
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
    """Gets every request, synchronously: what it writes is durable before the request leaves."""

    def intended(self, facts: OrderFacts) -> None:
        """Take a request that is about to leave."""

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Take a request that the gate or a hold refused."""


Hold = Callable[[OrderFacts], Refusal | str | None]
"""Returns why a request must wait or not leave at all; None lets it pass. Plain words are a rule of
the order gate, as no guard's."""
