"""Live accounts in a process that ran backtests: what the venue reports, and nothing else.

The engine keeps for the whole process, by the venue's name, that a simulated exchange has its
balances worked out from fills. A live node in the same process, as in a worker of the tests, then
takes fees off that the venue took off already. A node that a user starts is alone in its process.
"""

from __future__ import annotations

from typing import Any

from nautilus_trader.accounting.accounts.margin import MarginAccount
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.events import AccountState

import live_nodes.node.live as course

_ENDPOINT = "Portfolio.update_account"
_LIVE = "UNIFIED"
_make = course.build_node


def believe_venues() -> None:
    """Have the accounts of all nodes of this process made so; safe to call again."""
    course.build_node = _made


def _made(*args: Any) -> TradingNode:
    made = _make(*args)
    kernel = made.kernel
    real = kernel.portfolio.update_account

    def update(event: AccountState) -> None:
        live = event.account_id.get_id() == _LIVE
        if live and kernel.cache.account(event.account_id) is None:
            kernel.cache.add_account(MarginAccount(event, False))
        real(event)

    kernel.msgbus.deregister(_ENDPOINT, real)
    kernel.msgbus.register(_ENDPOINT, update)
    return made
