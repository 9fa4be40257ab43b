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
