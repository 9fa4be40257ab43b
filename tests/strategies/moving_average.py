"""Moving-average cross: long above the average, flat below, with a stop at the venue."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Annotated, ClassVar

from msgspec import Meta
from nautilus_trader.model.data import Bar, BarType

from config.durations import bar_type
from strategies.base import DeskStrategy
from strategies.desk_config import DeskStrategyConfig


class MovingAverageConfig(
    DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Parameters of the cross, beside those of every strategy."""

    interval: str = "1h"
    slow: Annotated[int, Meta(ge=2, description="Candles of the average.")] = 20
    weight: Annotated[float, Meta(gt=0.0, le=1.0, description="Part of equity.")] = 0.5
    stop: Annotated[float, Meta(gt=0.0, lt=1.0, description="Below the close, a fraction.")] = 0.05


class MovingAverage(DeskStrategy):
    """Buys when a close is above the mean of the last ones, sells when it is below."""

    Config: ClassVar[type[MovingAverageConfig]] = MovingAverageConfig

    def __init__(self, config: MovingAverageConfig) -> None:
        super().__init__(config)
        self._closes = {i: deque[float](maxlen=config.slow) for i in self.instrument_ids}

    def on_start(self) -> None:
        super().on_start()
        for name in self.ids:
            self.subscribe_bars(BarType.from_str(bar_type(name, self.config.interval)))

    def on_bar(self, bar: Bar) -> None:
        name, config = bar.bar_type.instrument_id, self.config
        closes = self._closes[name]
        closes.append(bar.close.as_double())
        if len(closes) < config.slow or self.busy:
            return
        held = self.holding(name)
        above = closes[-1] > sum(closes) / len(closes)
        if held and not above:
            self.execute(name, -held, "below the average")
        elif above and not held and not self.verdicts.on(name.value):
            price, lot = bar.close.as_decimal(), self.market.lot(name)
            wanted = self.equity() * Decimal(repr(config.weight)) / price
            size = wanted // lot.step * lot.step
            if size >= lot.min_quantity and size * price >= lot.min_notional:
                self.execute(name, size, "above the average")

    def on_order_ended(self) -> None:
        for name in self.instrument_ids:
            if self.holding(name) and not self.broker.protective_orders({name.value}):
                tick = self.instrument(name).price_increment.as_decimal()
                level = Decimal(repr(self._closes[name][-1] * (1 - self.config.stop)))
                self.place_stop(name, level // tick * tick)
