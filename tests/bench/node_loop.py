"""A plain loop of Nautilus' `BacktestNode`, with the orders of a run, as its user would write it.

Engine-specific. Each run reads the data from Nautilus' own catalog of files and makes an engine, as
a `BacktestNode` does for each of its configs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
    ImportableStrategyConfig,
    LoggingConfig,
    RiskEngineConfig,
    StrategyConfig,
)
from nautilus_trader.model.data import Bar, TradeTick
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.objects import Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.trading.strategy import Strategy

from tests.bench.bare import Orders

NAMED = ("ts", "instrument", "side", "quantity")


class FileScriptConfig(StrategyConfig, frozen=True):
    """Where the orders are."""

    orders: str


class FileScript(Strategy):
    """Submits the orders of a file at the prints at which they are due."""

    def on_start(self) -> None:
        """Subscribe to all that there is."""
        self._orders: dict[tuple[int, str], list[Any]] = defaultdict(list)
        for ts, name, *order in json.loads(Path(self.config.orders).read_text()):
            self._orders[ts, name].append(order)
        for instrument in self.cache.instruments():
            self.subscribe_trade_ticks(instrument.id)
        for bar_type in self.cache.bar_types():
            self.subscribe_bars(bar_type)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Submit what is due at this print."""
        for side, quantity in self._orders.pop((tick.ts_event, tick.instrument_id.value), ()):
            instrument = self.cache.instrument(tick.instrument_id)
            amount = Quantity(Decimal(quantity), instrument.size_precision)
            self.submit_order(
                self.order_factory.market(tick.instrument_id, OrderSide[side], amount)
            )


def write(folder: Path, instruments: list[Any], data: list[Any], fills: Orders) -> None:
    """Write what the loop reads into a folder."""
    catalog = ParquetDataCatalog(str(folder))
    catalog.write_data(list(instruments))
    for kind in (Bar, TradeTick):
        catalog.write_data([item for item in data if isinstance(item, kind)])
    rows = [[row[name] for name in NAMED] for row in fills]
    (folder / "orders.json").write_text(json.dumps(rows, default=str))


def run_node(folder: Path, names: list[str], balance: Decimal) -> int:
    """Run once; return the number of filled orders."""
    strategy = ImportableStrategyConfig(
        strategy_path=f"{__name__}:FileScript",
        config_path=f"{__name__}:FileScriptConfig",
        config={"orders": str(folder / "orders.json"), "order_id_tag": "node"},
    )
    venue = BacktestVenueConfig(
        name="BYBIT",
        oms_type="NETTING",
        account_type="MARGIN",
        starting_balances=[f"{balance} USDT"],
        default_leverage=5.0,
    )
    node = BacktestNode(
        [
            BacktestRunConfig(
                venues=[venue],
                data=[
                    BacktestDataConfig(
                        catalog_path=str(folder), data_cls=kind, instrument_ids=names
                    )
                    for kind in (Bar, TradeTick)
                ],
                engine=BacktestEngineConfig(
                    logging=LoggingConfig(bypass_logging=True),
                    strategies=[strategy],
                    risk_engine=RiskEngineConfig(max_order_submit_rate="1000000/00:00:01"),
                ),
                raise_exception=True,
                dispose_on_completion=False,
            )
        ]
    )
    node.run()
    (engine,) = node.get_engines()
    filled = sum(bool(order.filled_qty) for order in engine.cache.orders())
    node.dispose()
    return filled
