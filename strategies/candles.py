"""Base class of strategies that decide on closed candles of their instruments. Engine-specific."""

from __future__ import annotations

from decimal import Decimal

from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import bar_type, interval_ns
from strategies.base import DeskStrategy
from strategies.desk_config import DeskStrategyConfig
from strategies.rebalance.history import CandleHistory, Candles


class CandleStrategy(DeskStrategy):
    """Collects the candles of all its instruments on one grid of time.

    ``rows`` is the number of candles that a decision needs. ``ranges`` keeps open, high and low as
    well, ``funding`` settled funding rates. The config has an ``interval``.
    """

    def __init__(
        self,
        config: DeskStrategyConfig,
        rows: int,
        *,
        ranges: bool = False,
        funding: bool = False,
    ) -> None:
        super().__init__(config)
        self._interval: str = self.config.interval
        self._wants_range = ranges
        self._index = {instrument: i for i, instrument in enumerate(self.instrument_ids)}
        self._history = CandleHistory(
            len(self.ids), rows, interval_ns(self._interval), ranges=ranges, funding=funding
        )
        self.market.last_price = self.last_price

    def on_start(self) -> None:
        """Subscribe to the candles of all instruments; a derived class calls this first."""
        super().on_start()
        for name in self.ids:
            self.subscribe_bars(BarType.from_str(bar_type(name, self._interval)))

    def history_needed(self) -> dict[str, int]:
        """Return the number of candles a decision needs."""
        rules = self.config.protection
        ranges = 0 if rules is None else rules.atr + 1
        return {self._interval: max(self._history.rows, ranges)}

    def warm_up(self, panel: Candles, interval: str) -> None:
        """Add candles from before the start."""
        if interval == self._interval:
            self._history.warm_up(panel, self.ids)
            if self.broker.protector is not None:
                self.broker.protector.warm_up(panel, self._history.interval_ns)

    def history_lacking(self, interval: str, close_ns: int) -> list[str]:
        """Return the ids whose candle of a close time is missing."""
        if interval != self._interval:
            return []
        return [self.ids[i] for i in self._history.lacks(close_ns)]

    def on_bar(self, bar: Bar) -> None:
        """Add a candle that just closed."""
        # The engine's own division of its 128-bit integers can be one bit off the decimal number.
        close, volume = bar.close, bar.volume
        self._history.add(
            self._index[bar.bar_type.instrument_id],
            bar.ts_event,
            round(close.as_double(), close.precision),
            round(volume.as_double(), volume.precision),
            [round(p.as_double(), p.precision) for p in (bar.open, bar.high, bar.low)]
            if self._wants_range
            else (),
        )
        self.protect_on(bar)

    def last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the last close; for an instrument of another strategy, the engine's price."""
        index = self._index.get(instrument_id)
        if index is None:
            return self.market.engine_price(instrument_id)
        close = self._history.last_close(index)
        return None if close is None else Decimal(repr(close))
