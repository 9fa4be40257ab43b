"""Handle market data, and orders that answer it, without the engine's queues. Engine-specific.

The live engine puts both on queues, and a queue takes two turns of the event loop each time.
"""

from __future__ import annotations

import threading
from typing import Any

from live_nodes.node.tape import Call
from strategies.exits import ended_by


def handle_at_once(kernel: Any, turn: Call = lambda function: function) -> None:
    """Handle data when it arrives, and the orders that strategies send while they handle it.

    Data and orders of other threads than this one, the event loop's, still wait in the queues. So
    do all other orders, such as those on a fill: until every subscriber has handled it. Orders
    leave in the order in which they were sent. Fills wait as well: data may be handled before a
    fill that came just before them, while its order still counts as under way. ``turn`` makes the
    handling of data a turn of a recording.
    """
    data, risk, bus = kernel.data_engine, kernel.risk_engine, kernel.msgbus
    check = risk._execute_command
    thread = threading.get_ident()
    handling, queued = False, 0

    def process(item: Any) -> None:
        nonlocal handling
        if handling or threading.get_ident() != thread:
            data.process(item)
            return
        handling = True
        try:
            data._handle_data(item)
        except SystemExit as error:
            data._handle_queue_exception(ended_by(error), "Data")
        except Exception as error:  # noqa: BLE001 - as from its queue
            data._handle_queue_exception(error, "Data")
        finally:
            handling = False

    def execute(command: Any) -> None:
        nonlocal queued
        if not handling or queued or threading.get_ident() != thread:
            queued += 1
            risk.execute(command)
            return
        try:
            check(command)
        except SystemExit as error:
            risk._handle_queue_exception(ended_by(error), "command")
        except Exception as error:  # noqa: BLE001 - as from its queue
            risk._handle_queue_exception(error, "command")

    def from_queue(command: Any) -> None:
        nonlocal queued
        queued -= 1
        check(command)

    risk._execute_command = from_queue
    for endpoint, queue, handler in (
        ("DataEngine.process", data.process, turn(process)),
        ("RiskEngine.execute", risk.execute, execute),
    ):
        bus.deregister(endpoint=endpoint, handler=queue)
        bus.register(endpoint=endpoint, handler=handler)
