"""The node's own subscriptions: a price of every instrument, and when it last spoke.

Engine-specific. Perpetuals give mark prices, by their tickers; spot pairs, which have none, trades.
Quotes and books are the strategies' to ask for: on spot, quotes and a book of one instrument spoil
each other (live.md 4.9). Paper trading needs quotes of everything to fill on. Guards that look at
markets get the quotes and the funding of perpetuals, which come with the same tickers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.config import ActorConfig
from nautilus_trader.model.data import FundingRateUpdate, MarkPriceUpdate, QuoteTick, TradeTick
from nautilus_trader.model.identifiers import InstrumentId


class NodeFeedConfig(ActorConfig, frozen=True, kw_only=True):
    """What `NodeFeed` subscribes to.

    Parameters
    ----------
    instruments : tuple of str
        Ids of the universe.
    quotes : bool
        Whether to ask for quotes too.
    tickers : bool
        Whether to ask for all that the tickers of perpetuals tell: quotes and funding.
    """

    instruments: tuple[str, ...]
    quotes: bool = False
    tickers: bool = False


class NodeFeed(Actor):
    """Hears a price of every instrument.

    Attributes
    ----------
    heard_ns : dict of str to int
        When each instrument last spoke, UNIX nanoseconds; since the subscription when it has not.
    delays_ns : dict of str to int
        How old the newest update of each instrument was when it came in, by our clock.
    next_funding_ns : dict of str to int
        When each perpetual settles funding next, UNIX nanoseconds (UTC).
    prices_seen : set of str
        Instruments of which a price has come in.
    """

    def __init__(self, config: NodeFeedConfig) -> None:
        super().__init__(config)
        self.heard_ns: dict[str, int] = {}
        self.delays_ns: dict[str, int] = {}
        self.next_funding_ns: dict[str, int] = {}
        self.prices_seen: set[str] = set()

    def on_start(self) -> None:
        """Subscribe."""
        now = self.clock.timestamp_ns()
        for name in self.config.instruments:
            instrument = InstrumentId.from_str(name)
            self.heard_ns[name] = now
            if _is_spot(name):
                self.subscribe_trade_ticks(instrument)
            else:
                self.subscribe_mark_prices(instrument)
            tickers = self.config.tickers and not _is_spot(name)
            if self.config.quotes or tickers:
                self.subscribe_quote_ticks(instrument)
            if tickers:
                self.subscribe_funding_rates(instrument)

    def silent(self, now_ns: int, limit_s: float) -> list[str]:
        """Return the instruments of which nothing has come in for longer than the limit.

        A spot pair in which nobody trades is silent too; its link is watched by the others.
        """
        limit = now_ns - round(limit_s * 1e9)
        return sorted(
            name for name, at in self.heard_ns.items() if at < limit and not _is_spot(name)
        )

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return those of which no price has come in yet."""
        return sorted(set(names) - self.prices_seen)

    def on_mark_price(self, update: MarkPriceUpdate) -> None:
        """Note that it spoke."""
        self._hear(update)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Note that it spoke."""
        self._hear(tick)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Note that it spoke."""
        self._hear(tick)

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        """Note when the next settlement is."""
        if update.next_funding_ns is not None:
            self.next_funding_ns[update.instrument_id.value] = update.next_funding_ns

    def _hear(self, data: Any) -> None:
        name = data.instrument_id.value
        self.heard_ns[name] = self.clock.timestamp_ns()
        self.delays_ns[name] = data.ts_init - data.ts_event
        self.prices_seen.add(name)


def _is_spot(instrument: str) -> bool:
    return "-SPOT." in instrument
