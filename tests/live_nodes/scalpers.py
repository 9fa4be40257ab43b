"""Scalpers that enter when a test says so."""

from __future__ import annotations

from typing import Any

from strategies.scalper import ScalperConfig
from strategies.scalping.trader import ScalpTrader


class ScalpAtOnce(ScalpTrader):
    """Buys wherever nothing is held, whatever the scores are; leaves nothing."""

    Config = ScalperConfig

    def _look(self, instrument_id: Any, found: Any, now: int) -> None:
        if self._stopping or self._waits_for_node or self.holding(instrument_id):
            return
        if not self.busy_in(instrument_id):
            self._enter(instrument_id, found, 1, 10.0, now)


class ScalpByHand(ScalpAtOnce):
    """Buys as often as ``buys`` says, once nothing is held; leaves while ``leaves`` is set."""

    buys = 0
    leaves = False

    def on_start(self) -> None:
        self.events: list[Any] = []
        super().on_start()

    def on_order_event(self, event: Any) -> None:
        self.events.append(event)
        super().on_order_event(event)

    def _look(self, instrument_id: Any, found: Any, now: int) -> None:
        held, entering, exiting = self._own(instrument_id)
        if self.leaves and held and not (entering or exiting):
            self._leave(instrument_id, held, "score gone")
        elif self.buys:
            super()._look(instrument_id, found, now)

    def _enter(self, *args: Any) -> Any:
        refused = super()._enter(*args)
        self.buys -= refused is None
        return refused
