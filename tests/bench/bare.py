"""The bare engine doing the orders of a run: no desk, only a script that submits them.

Engine-specific. It gets the very same bars and prints, and submits each order when its instrument
prints, so that it fills at the same price.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from nautilus_trader.config import RiskEngineConfig, StrategyConfig
from nautilus_trader.core.data import Data
from nautilus_trader.model.data import Bar, TradeTick
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Quantity
from nautilus_trader.trading.strategy import Strategy

from backtests.engine.market import RunMarket
from catalog.instruments import VENUE
from tests.builders_engine import bare_engine

Orders = list[dict[str, Any]]
"""Rows of a run's fills table: ts, instrument, side, quantity."""


class Script(Strategy):
    """Submits given orders at given prints."""

    def __init__(self, market: RunMarket, bar_types: list[Any], fills: Orders) -> None:
        super().__init__(StrategyConfig(strategy_id="Script-bare", order_id_tag="bare"))
        self._market, self._bar_types = market, bar_types
        self._orders: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
        for fill in fills:
            self._orders[fill["ts"], fill["instrument"]].append(fill)

    def on_start(self) -> None:
        """Subscribe to what the desk's strategy and its venue hear."""
        for bar_type in self._bar_types:
            self.subscribe_bars(bar_type)
        for instrument in self._market.instruments:
            self.subscribe_trade_ticks(instrument.id)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Submit the orders that the run filled at this print."""
        for fill in self._orders.pop((tick.ts_event, tick.instrument_id.value), ()):
            column = self._market.column[fill["instrument"]]
            instrument = self._market.instruments[column]
            side = OrderSide.BUY if fill["side"] == "BUY" else OrderSide.SELL
            quantity = Quantity(Decimal(fill["quantity"]), instrument.size_precision)
            self.submit_order(self.order_factory.market(instrument.id, side, quantity))


def run_bare(
    market: RunMarket, data: list[Data], fills: Orders, balance: Decimal
) -> tuple[int, Any]:
    """Run the script; return the number of filled orders and the final balance."""
    engine = bare_engine(
        *market.instruments,
        equity=balance,
        risk_engine=RiskEngineConfig(max_order_submit_rate="1000000/00:00:01"),
    )
    bar_types = sorted({item.bar_type for item in data if isinstance(item, Bar)})
    engine.add_strategy(Script(market, bar_types, fills))
    engine.add_data(data, validate=False)
    engine.run()
    filled = sum(1 for order in engine.cache.orders() if order.is_closed and order.filled_qty)
    total = engine.portfolio.account(Venue(VENUE)).balance_total(market.currency)
    engine.dispose()
    return filled, total
