"""A strategy that trades nothing and remembers what it was warmed up with."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa

from strategies.base import DeskStrategy, DeskStrategyConfig

DAY = 86_400_000_000_000


class CarryReaderConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it looks back on."""

    candles: int = 30  # Hourly candles
    funding_days: int = 4  # Days of funding settlements


class CarryReader(DeskStrategy):
    """Remembers what all of its kind were given, by key."""

    Config = CarryReaderConfig
    heard: ClassVar[list[tuple[str, str, Any]]] = []

    def history_needed(self) -> dict[str, int]:
        return {"1h": self.config.candles}

    def warm_up(self, panel: Any, interval: str) -> None:
        self.heard.append((self.config.key, interval, panel))

    def funding_needed(self) -> int:
        return int(self.config.funding_days) * DAY

    def warm_up_funding(self, settlements: pa.Table) -> None:
        self.heard.append((self.config.key, "funding", settlements))
