"""Limit our order requests per second by a token bucket, exits first.

Beyond its limit of orders per second and account Bybit answers 10006, and the adapter rejects the
order. Requests are journaled before they wait. The holds are checked again before sending, so that
no order leaves late after a broken link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nautilus_trader.execution.messages import (
    BatchCancelOrders,
    CancelAllOrders,
    CancelOrder,
    SubmitOrder,
    SubmitOrderList,
    TradingCommand,
)
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.orders import Order

from actors.gate.gate import WITHDRAWN, OrderGate
from actors.records.order_facts import OrderFacts
from config.documents.watch import ThrottleSettings as Pace
from live_nodes.bybit.bucket import Bucket
from strategies.refusals import Refusal


@dataclass(slots=True)
class _WaitingCommand:
    command: TradingCommand
    requests: Sequence[OrderFacts]


class OrderThrottle:
    """A `Sender` of the order gate; `call_later` is the event loop's."""

    def __init__(
        self,
        gate: OrderGate,
        pace: Pace,
        clock_ns: Callable[[], int],
        call_later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._gate = gate
        self._bucket = Bucket(pace.per_second, pace.burst)
        self._clock_ns = clock_ns
        self._call_later = call_later
        self._exits: deque[_WaitingCommand] = deque()
        self._entries: deque[_WaitingCommand] = deque()
        # Their denial may still be on its way.
        self._withdrawn_last: deque[ClientOrderId] = deque(maxlen=1000)
        self._timer: Any = None
        self.delayed = 0

    @property
    def waiting(self) -> int:
        """Number of waiting commands."""
        return len(self._exits) + len(self._entries)

    def __call__(self, command: TradingCommand, requests: Sequence[OrderFacts]) -> None:
        """Send a command of the gate now, or later within the rate limit."""
        if self.waiting and self._withdrawn(command):
            return
        if isinstance(command, CancelOrder) and self._is_in_vain(command):
            return
        is_exit = all(facts.is_exit for facts in requests)
        nobody_before = not self._exits and (is_exit or not self._entries)
        if nobody_before and self._bucket.take(len(requests), self._clock_ns()):
            self._gate.forward(command)
            return
        self.delayed += 1
        (self._exits if is_exit else self._entries).append(_WaitingCommand(command, requests))
        self._wake()

    def drop(self, reason: Refusal) -> int:
        """Deny every waiting entry and return the number."""
        dropped = list(self._entries)
        self._entries.clear()
        for waiting in dropped:
            self._deny(waiting, reason)
        return len(dropped)

    def _drain(self) -> None:
        self._timer = None
        while self._exits or self._entries:
            queue = self._exits or self._entries
            waiting = queue[0]
            reasons = [reason for facts in waiting.requests if (reason := self._gate.held(facts))]
            if reasons:
                queue.popleft()
                self._deny(waiting, reasons[0])
            elif self._has_ended(waiting.command):
                queue.popleft()
            elif self._bucket.take(len(waiting.requests), self._clock_ns()):
                queue.popleft()
                self._gate.forward(waiting.command)
            else:
                break
        self._wake()

    def _wake(self) -> None:
        if self._timer is None and self.waiting:
            first = (self._exits or self._entries)[0]
            seconds = self._bucket.wait(len(first.requests), self._clock_ns())
            # Slightly later than exact, so that rounding does not wake it too early.
            self._timer = self._call_later(seconds + 0.001, self._drain)

    def _deny(self, waiting: _WaitingCommand, reason: Refusal) -> None:
        for order in _orders(waiting.command):
            self._withdrawn_last.append(order.client_order_id)
            self._gate.withdraw(order, reason)

    def _is_in_vain(self, cancel: CancelOrder) -> bool:
        """Whether an order has ended, or another cancel of it waits."""
        return self._has_ended(cancel) or any(
            isinstance(waiting.command, CancelOrder)
            and waiting.command.client_order_id == cancel.client_order_id
            for waiting in self._exits
        )

    def _has_ended(self, command: TradingCommand) -> bool:
        if not isinstance(command, CancelOrder):
            return False
        name = command.client_order_id
        return self._gate.has_ended(name) or name in self._withdrawn_last

    def _withdrawn(self, command: TradingCommand) -> bool:
        # If every order of the cancel still waits here, the cancel never leaves.
        if isinstance(command, CancelOrder):
            return self._withdraw({command.client_order_id})
        if isinstance(command, BatchCancelOrders):
            wanted = {cancel.client_order_id for cancel in command.cancels}
            found = {order.client_order_id for order in self._waiting_orders()}
            return self._withdraw(wanted & found) and wanted <= found
        if isinstance(command, CancelAllOrders):
            self._withdraw(
                {
                    order.client_order_id
                    for order in self._waiting_orders()
                    if order.instrument_id == command.instrument_id
                    and order.strategy_id == command.strategy_id
                }
            )
        return False

    def _withdraw(self, names: set[Any]) -> bool:
        took = False
        for queue in (self._exits, self._entries):
            for waiting in list(queue):
                if any(order.client_order_id in names for order in _orders(waiting.command)):
                    queue.remove(waiting)
                    self._deny(waiting, WITHDRAWN)
                    took = True
        return took

    def _waiting_orders(self) -> list[Order]:
        return [
            order
            for queue in (self._exits, self._entries)
            for waiting in queue
            for order in _orders(waiting.command)
        ]


def _orders(command: TradingCommand) -> list[Order]:
    if isinstance(command, SubmitOrder):
        return [command.order]
    if isinstance(command, SubmitOrderList):
        return list(command.order_list.orders)
    return []
