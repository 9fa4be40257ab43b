"""What the exchange needs of a market: prices, candles, trades, funding, and a step in time.

Two markets fit: `live_nodes.practice.market.replay_market` (a catalog's window) and
`live_nodes.practice.market.random_market` (seeded). Both are pure functions of their seed and the
wall
clock, so that a restarted exchange goes on with the very same prices. Times are UTC milliseconds,
prices and quantities Decimal on the symbol's tick and lot.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import Key, Level, Side, Symbol

PriceKind = Literal["last", "mark", "index"]

_MINUTE = 60_000
INTERVAL_MS: dict[str, int] = {
    **{str(n): n * _MINUTE for n in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": 1_440 * _MINUTE,
    "W": 7 * 1_440 * _MINUTE,
}
"""Bybit's names of candle intervals and their lengths; weeks start on Mondays. Months are not
served."""


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle; turnover is in the quote coin. Mark and index candles have no volume (0)."""

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal


@dataclass(frozen=True, slots=True)
class FundingRate:
    """One settlement: a fraction of the position's worth, paid by longs when above zero."""

    time_ms: int
    rate: Decimal


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade of the house; `side` is the taker's: ``Buy`` or ``Sell``."""

    time_ms: int
    trade_id: str
    side: Side
    price: Decimal
    qty: Decimal


@dataclass(frozen=True, slots=True)
class Prices:
    """What a ticker shows, besides the touch (which is the exchange's visible book's).

    Spot has neither mark nor funding: `mark` equals `last`, `funding_rate` is 0,
    `next_funding_ms` 0. `open_interest` is in the base coin.
    """

    last: Decimal
    mark: Decimal
    index: Decimal
    previous_24h: Decimal
    high_24h: Decimal
    low_24h: Decimal
    volume_24h: Decimal
    turnover_24h: Decimal
    previous_1h: Decimal
    open_interest: Decimal
    funding_rate: Decimal
    next_funding_ms: int
    funding_minutes: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did; its trades are the exchange's own ``Printed`` events.

    Parameters
    ----------
    quoted : tuple of Key
        Symbols whose house book, prices or candle may have changed.
    statuses : tuple of Symbol
        Symbols that were listed or delisted, as they are now; the exchange knows already.
    """

    quoted: tuple[Key, ...]
    statuses: tuple[Symbol, ...] = ()


class Market(Protocol):
    """A market: pure in time except for `step` (which tells an exchange) and `move` (a drill)."""

    step_seconds: float
    """How often the server calls `step`."""

    def symbols(self, now_ms: int) -> list[Symbol]:
        """Return every symbol launched by now, sorted by category and name.

        `status` is ``Trading``, or ``Closed`` after its delisting (Bybit lists those only to who
        asks for them by ``status=Closed``). A symbol not launched yet is not told at all.
        """

    def klines(
        self,
        key: Key,
        interval: str,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
        now_ms: int,
        price: PriceKind = "last",
    ) -> list[Candle]:
        """Return candles that start in [start_ms, end_ms], oldest first.

        As Bybit does: of more than `limit`, the newest ones, but the oldest where only a start is
        given; with neither start nor end, the newest. The candle that is still forming at
        `now_ms` is among them, with what has happened so far. Stretches without data give no
        candle.

        Parameters
        ----------
        key : Key
            KeyError when unknown.
        interval : str
            A key of `INTERVAL_MS`; KeyError otherwise.
        start_ms, end_ms : int, optional
            Both inclusive; of candle starts.
        limit : int
            Most candles to return, at least 1.
        now_ms : int
            Nothing later is told.
        price : str
            Of which price; candles of spot have ``last`` and ``index`` alike.
        """

    def funding_history(
        self, key: Key, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
    ) -> list[FundingRate]:
        """Return settlements in [start_ms, end_ms] up to now, newest first, at most `limit`."""

    def funding(self, key: Key, now_ms: int) -> tuple[Decimal, int]:
        """Return the rate of the coming settlement and its time (ms); ``(0, 0)`` for spot."""

    def trades(self, key: Key, now_ms: int, limit: int) -> list[PublicTrade]:
        """Return the house's trades until now, newest first, as `step` printed or would have."""

    def book(self, key: Key, now_ms: int) -> tuple[list[Level], list[Level]]:
        """Return the house's bids and asks, best first, as `step` quotes them."""

    def prices(self, key: Key, now_ms: int) -> Prices:
        """Return the ticker's figures."""

    def step(self, exchange: Exchange, now_ms: int) -> Step:
        """Tell the exchange what happened since the step before.

        Sets marks, settles funding whose time has come (each settlement once, also those missed
        while the exchange was down), quotes books, prints trades, lists and delists symbols. The
        caller drains the exchange's events afterwards. Twice at one `now_ms` is as once.
        """

    def move(self, key: Key, price: Decimal, now_ms: int) -> None:
        """Let the last price be `price` from now on: later prices are scaled alike (a drill)."""
