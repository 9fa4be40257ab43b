"""Strategies for tests of live nodes: a steady rebalancer, an eager one, a reader of funding."""

from __future__ import annotations

import signal
import sys
import time
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from nautilus_trader.model.data import OrderBookDeltas
from numpy.typing import NDArray

from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.messages import Verdict
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.history import Window


class SteadyConfig(PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As of any rebalancer."""


class Steady(PanelRebalancer):
    """Scores fall with the name, whatever the candles say."""

    Config = SteadyConfig

    @staticmethod
    def rows_for_scores(config: Any) -> int:
        return 1

    @staticmethod
    def scores(config: Any, window: Window) -> NDArray[np.float64]:
        count = window.close.shape[1]
        known = ~np.isnan(window.close[-1])
        return np.where(known, np.arange(count, 0, -1, dtype=float), np.nan)


class Turned(Steady):
    """Its scores rise with the name."""

    @staticmethod
    def scores(config: Any, window: Window) -> NDArray[np.float64]:
        return -Steady.scores(config, window)


_EVERY_NS = 200_000_000
_CHEAP = Decimal("0.99")
_MORE = Decimal("1.1")


class EagerConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it wants, and where prices are when nothing has happened."""

    wants: dict[str, str]  # Signed base coin and settlement currency, by instrument id
    prices: dict[str, str]


class Eager(DeskStrategy):
    """Enters at its start and again whenever something is missing; buys what got cheap."""

    Config = EagerConfig
    config: EagerConfig

    # It asks for the whole as soon as nothing halts.
    sizes_by_verdicts = True

    def on_start(self) -> None:
        super().on_start()
        self.expect_book("book")
        for name in self.instrument_ids:
            self.market.watch(name)
        self.clock.set_timer_ns(
            "want",
            interval_ns=_EVERY_NS,
            start_time_ns=0,
            stop_time_ns=0,
            callback=self.on_loop(self._want),
        )

    def on_stop(self) -> None:
        self.clock.cancel_timer("want")

    def _want(self, _: Any) -> None:
        for name in self.instrument_ids:
            if self.orders_under_way({name.value}):
                continue
            wanted = Decimal(self.config.wants[name.value])
            price, normal = self.market.newest_price(name), Decimal(self.config.prices[name.value])
            if price is None:
                continue
            if wanted > 0 and price < normal * _CHEAP:
                wanted *= _MORE
            lacking = wanted - self.holding(name)
            # Never an exit: only verdicts close.
            if lacking * wanted > 0:
                self.send_market(name, lacking, "wanted")


class Deaf(Eager):
    """Follows no verdict: what it holds is left to the desk."""

    Config = EagerConfig

    def _on_verdict(self, verdict: Verdict) -> None:
        """Do nothing."""


class Leaking(Eager):
    """Keeps half a megabyte each time it looks; enters at its start only."""

    Config = EagerConfig

    def on_start(self) -> None:
        super().on_start()
        self.kept: list[bytes] = []

    def _want(self, event: Any) -> None:
        self.kept.append(bytes(range(250)) * 2_000)
        if len(self.kept) < 20:
            super()._want(event)


class EndingConfig(EagerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it ends the process."""

    at: str  # book, fill or timer


class Ending(Eager):
    """Ends the process once it holds something."""

    Config = EndingConfig

    def _end(self, at: str) -> None:
        if self.config.at == at and self.holdings():
            sys.exit(0)

    def _want(self, event: Any) -> None:
        self._end("timer")
        super()._want(event)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        self._end("book")
        super().on_order_book_deltas(deltas)

    def on_order_ended(self) -> None:
        self._end("fill")


class HangingConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As of any strategy."""


class Hanging(DeskStrategy):
    """Trades nothing, and holds the event loop for a minute when the process gets SIGUSR1."""

    Config = HangingConfig

    def on_start(self) -> None:
        super().on_start()
        signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60))


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
