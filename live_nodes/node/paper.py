"""Paper trading by Nautilus's sandbox, with spot as Bybit has it. Engine-specific.

The sandbox takes fees of its own and books coins like perpetuals; nautilus_trader 1.231.0 takes no
other fee model for it, so this module replaces the name that it makes one by.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from nautilus_trader.adapters.sandbox import execution as sandbox
from nautilus_trader.adapters.sandbox.execution import SandboxExecutionClient
from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId

from actors.records.coins import WholeLots
from backtests.engine.coins import CoinFeeModel, pay_in_cash


class PaperFactory(SandboxLiveExecClientFactory):
    """Makes the sandbox, in which coins pay fees in coins and are paid in cash."""

    @staticmethod
    def create(*, cache: Any, msgbus: Any, **rest: Any) -> SandboxExecutionClient:  # type: ignore[override]
        """Make the client."""
        lots, real = WholeLots(partial(_lot, cache)), sandbox.MakerTakerFeeModel
        sandbox.MakerTakerFeeModel = partial(CoinFeeModel, lots, books=True)
        try:
            client = SandboxLiveExecClientFactory.create(cache=cache, msgbus=msgbus, **rest)
        finally:
            sandbox.MakerTakerFeeModel = real

        def on_order_event(event: Any) -> None:
            if isinstance(event, OrderFilled):
                pay_in_cash(client.exchange, cache, event)

        # Before strategies, which size by the wallet.
        msgbus.subscribe("events.order.*", on_order_event, priority=10)
        return client


PaperFactory.__name__ = SandboxLiveExecClientFactory.__name__
"""The engine gives the portfolio to a factory of this name only."""


def _lot(cache: Any, name: str) -> Decimal:
    lot: Decimal = cache.instrument(InstrumentId.from_str(name)).size_increment.as_decimal()
    return lot
