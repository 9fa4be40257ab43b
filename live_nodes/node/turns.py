"""Calls from outside by which a node's components act; live and in a replay. Engine-specific.

The same functions install a recorder and a replay, so that both know the same calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from nautilus_trader.model.events import OrderEvent, OrderInitialized
from nautilus_trader.model.orders import OrderUnpacker

from live_nodes.node.tape import Tape
from strategies.base import DeskStrategy

DATA_NOW, DATA, EVENT, COMMAND = "data at once", "data", "order event", "command"
ACCOUNT, HALT, LAST_PRICE = "account", "halt", "last price"
_ACCOUNT_ENDPOINT = "Portfolio.update_account"


def engine_turns(tape: Tape, kernel: Any) -> deque[Any]:
    """Make turns of what enters the engine: data, order events, accounts, queued commands.

    Returns the queue of commands that a replay fills itself.
    """
    if type(tape) is Tape:
        # A node that records nothing is left as it is.
        return deque()
    data, risk, bus = kernel.data_engine, kernel.risk_engine, kernel.msgbus
    data._handle_data = tape.wrap(DATA, data._handle_data)
    _order_events(tape, kernel)

    queued: deque[Any] = deque()
    check = risk._execute_command

    def check_next() -> None:
        # A replay that went another way may have none.
        if queued:
            check(queued.popleft())

    turn = tape.wrap(COMMAND, check_next)

    def from_queue(command: Any) -> None:
        queued.append(command)
        turn()

    risk._execute_command = from_queue

    update = kernel.portfolio.update_account
    bus.deregister(endpoint=_ACCOUNT_ENDPOINT, handler=update)
    bus.register(endpoint=_ACCOUNT_ENDPOINT, handler=tape.wrap(ACCOUNT, update))
    tape.take(kernel, "_initialize_portfolio", "portfolio")
    for method in ("start_actor", "start_strategy"):
        tape.take(kernel.trader, method)
    return queued


def _order_events(tape: Tape, kernel: Any) -> None:
    cache, execution = kernel.cache, kernel.exec_engine
    handle = execution._handle_event
    seen: set[str] = set()

    def handled(event: OrderEvent, made: OrderInitialized | None) -> None:
        # An order that reconciliation found at the venue; live, the engine has just added it.
        if made is not None and cache.order(event.client_order_id) is None:
            cache.add_order(OrderUnpacker.from_init(made), None, None)
        handle(event)

    turn = tape.wrap(EVENT, handled)

    def with_order(event: OrderEvent) -> None:
        name = event.client_order_id.value
        order = None if name in seen else cache.order(event.client_order_id)
        seen.add(name)
        turn(event, None if order is None else order.init_event)

    execution._handle_event = with_order


def strategy_turns(tape: Tape, strategies: Mapping[str, DeskStrategy]) -> None:
    """Make turns of what the launcher calls: candles of before the start, resume, run now."""
    for key, strategy in strategies.items():
        for method in ("warm_up", "warm_up_funding", "resume", "run_now"):
            tape.take(strategy, method, f"{key}.{method}")
