"""What guards are told of a market in a node. Engine-specific."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from nautilus_trader.model.instruments import CurrencyPair

from actors.guards.core.facts import Market
from actors.records.prices import CachePrices
from catalog.instruments import InstrumentInfo


class Feed(Protocol):
    """What it asks of `live_nodes.node.feed.NodeFeed`."""

    heard_ns: dict[str, int]
    delays_ns: dict[str, int]
    next_funding_ns: dict[str, int]


class LiveMarkets:
    """Gives what is known of an instrument's market (`actors.desk.risk_desk.MarketFacts`).

    Parameters
    ----------
    cache : Cache
        The node's.
    infos : mapping of str to InstrumentInfo
        Of the universe, as the venue told them before the start.

    Attributes
    ----------
    feed : Feed or None
        Once it runs.
    lag_ns : int
        How far this process's loop lags behind now.
    skew_ns : int
        The venue's clock minus ours.
    closed : frozenset of str
        Instruments in which the venue takes no orders.
    """

    def __init__(self, cache: Any, infos: Mapping[str, InstrumentInfo]) -> None:
        self._cache = cache
        self._prices = CachePrices(cache)
        self._infos = infos
        self.feed: Feed | None = None
        self.lag_ns = 0
        self.skew_ns = 0
        self.closed: frozenset[str] = frozenset()

    def __call__(self, name: str, now: int) -> Market:
        """Return what is known now, UNIX nanoseconds (UTC)."""
        instrument = self._cache.instrument(self._prices.id(name))
        info = self._infos.get(name)
        bid, ask = self._prices.touch(name)
        is_spot = isinstance(instrument, CurrencyPair)
        feed = self.feed
        delay = None if feed is None else feed.delays_ns.get(name)
        return Market(
            price=self._prices.price(name),
            bid=bid,
            ask=ask,
            tick=Decimal(0) if instrument is None else instrument.price_increment.as_decimal(),
            silent_ns=self._silence(name, now, is_spot),
            delay_ns=None if delay is None else max(0, delay + self.skew_ns) + self.lag_ns,
            next_funding_ns=None if info is None else self._next_funding(name, info, now),
            trading=name not in self.closed,
            maintenance_rate=Decimal(0) if info is None else Decimal(info.maintenance_margin),
            taker_fee=Decimal(0) if instrument is None else Decimal(instrument.taker_fee),
            spot=is_spot,
        )

    def _next_funding(self, name: str, info: InstrumentInfo, now: int) -> int | None:
        """Return the next settlement: what the venue told last, else one interval after another.

        The adapter tells of a new one only when the rate is new too, which at Bybit often stays
        what it was; from midnight UTC on, perpetuals settle once an interval.
        """
        interval = info.funding_minutes * 60 * 10**9
        told = None if self.feed is None else self.feed.next_funding_ns.get(name)
        if not interval or (told is not None and told > now):
            return told
        first = 0 if told is None else told
        return first + ((now - first) // interval + 1) * interval

    def _silence(self, name: str, now: int, is_spot: bool) -> int | None:
        """Return how long nothing came; of a spot pair only where its book or quotes are heard."""
        instrument_id = self._prices.id(name)
        quote, book = self._cache.quote_tick(instrument_id), self._cache.order_book(instrument_id)
        moments = [
            *([] if quote is None else [quote.ts_init]),
            *([] if book is None else [book.ts_last]),
        ]
        if not is_spot and self.feed is not None and name in self.feed.heard_ns:
            moments.append(self.feed.heard_ns[name])
        return max(0, now - max(moments)) if moments else None
