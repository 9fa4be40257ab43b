"""Strategies of the desk that answer each new size at the best bid by a market order of it.

`Echo` does nothing else; `EchoScalp` is a scalper that answers after it has decided.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nautilus_trader.model.data import OrderBookDeltas
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity

from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.scalper import ScalperConfig
from strategies.scalping.trader import ScalpTrader
from tests.bench.live.meter import Meter


class EchoConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it listens to."""

    signals: tuple[str, ...]  # Ids of the instruments whose books it hears
    answered: str  # Id of the one whose books it answers
    traded: str | None = None  # Id of the instrument that it trades; null only listens
    every: int = 1  # It answers one of so many changes
    meter: str  # File that takes its readings


class EchoScalpConfig(ScalperConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scalper without a bracket, which does not enter by itself."""

    answered: str
    traded: str
    every: int
    meter: str
    protection: Any = None


class Answering(DeskStrategy):
    """Buys and sells in turn, so that its position stays small."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._traded = None if config.traded is None else InstrumentId.from_str(config.traded)
        self._answered = InstrumentId.from_str(config.answered)
        self._every = config.every
        self._meter = Meter(Path(config.meter))
        self._seen: Quantity | None = None
        self._changes = 0
        self._sells = False

    def on_start(self) -> None:
        super().on_start()
        self._meter.start()

    def on_stop(self) -> None:
        super().on_stop()
        self._meter.stop()

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Note how old it is."""
        super().on_order_book_deltas(deltas)
        self._meter.heard(deltas.ts_event)

    def answer(self, instrument_id: InstrumentId) -> None:
        """Answer a size that is new."""
        if self._traded is None or instrument_id != self._answered:
            return
        size = self.cache.order_book(instrument_id).best_bid_size()
        if size is None or size == self._seen:
            return
        self._seen = size
        self._changes += 1
        if self._changes % self._every:
            return
        self._sells = not self._sells
        quantity = size.as_decimal()
        self.send_market(self._traded, -quantity if self._sells else quantity, "echo")


class Echo(Answering):
    """Answers."""

    Config = EchoConfig

    def on_start(self) -> None:
        super().on_start()
        self.expect_book("book")
        for name in self.config.signals:
            self.market.watch(InstrumentId.from_str(name))

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Answer each book."""
        super().on_order_book_deltas(deltas)
        self.answer(deltas.instrument_id)


class EchoScalp(Answering, ScalpTrader):
    """Shows each book to the signals of its instrument; answers those that it decides on."""

    Config = EchoScalpConfig

    def _look(self, instrument_id: InstrumentId, found: Any, now: int) -> None:
        super()._look(instrument_id, found, now)
        self.answer(instrument_id)
