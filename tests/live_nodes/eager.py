"""Strategies for tests that kill nodes at breaches: they want their positions, whatever happens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.messages import Verdict

_EVERY_NS = 200_000_000
_CHEAP = Decimal("0.99")
_MORE = Decimal("1.1")


class EagerConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it wants, and where prices are when nothing has happened."""

    wants: dict[str, str]  # Signed base coin and settlement currency, by instrument id
    prices: dict[str, str]


class Eager(DeskStrategy):
    """Enters as soon as it starts and again whenever something is missing; buys what got cheap.

    It leaves what it is told to leave, as every strategy does, and tries to come back at once.
    """

    Config = EagerConfig
    config: EagerConfig

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
            # Never an exit: leaving is for those who are told to.
            if lacking * wanted > 0:
                self.send_market(name, lacking, "wanted")


class Deaf(Eager):
    """Hears no verdict: what it holds is left to the desk."""

    Config = EagerConfig

    def _on_verdict(self, verdict: Verdict) -> None:
        """Do nothing."""
