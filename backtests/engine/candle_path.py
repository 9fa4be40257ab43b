"""Triggers and fills resting orders inside a candle, along an assumed path. Engine-specific.

A candle says how far the price went, not in which order. The path goes from its open to one
extreme, to the other, and to its close; ``venue.path`` chooses the first. On the way it stops at
every price where an order triggers, or one tick beyond a limit. Only instruments with orders at the
venue walk, when their candle has closed.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.engine import SimulatedExchange
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.enums import AggressorSide, OrderSide
from nautilus_trader.model.identifiers import TradeId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.orders import Order

from backtests.engine.market import RunMarket
from backtests.engine.venue import NextPrintClient


def high_comes_first(
    path: str, candle: tuple[float, float, float, float], held: float, wanted: int
) -> bool:
    """Return whether a path (``venue.path``) goes to the candle's high before its low.

    ``candle`` is open, high, low and close. ``held`` is the signed position when it opened: the
    pessimistic path turns against it first, so that of a stop and a take-profit in one candle the
    stop fills. ``wanted`` counts without a position: 1 when all resting orders buy, -1 when all
    sell, else 0. The pessimistic path reaches an entry first and turns against it then; where both
    sides rest, it goes first to the extreme that is further from the close.
    """
    opened, high, low, close = candle
    if path == "open_high_low_close":
        return True
    if path == "adaptive":
        return high - opened <= opened - low
    if held:
        return held < 0
    return wanted > 0 if wanted else high - close >= close - low


class CandlePath:
    """Moves the simulated market of single instruments through a closed candle.

    ``tick`` returns an instrument's tick as known by now.
    """

    def __init__(
        self,
        path: str,
        exchange: SimulatedExchange,
        client: NextPrintClient,
        market: RunMarket,
        tick: Callable[[Instrument], Decimal],
    ) -> None:
        self._path, self._exchange, self._client, self._market = path, exchange, client, market
        self._tick = tick
        self._cache: Any = exchange.cache
        self._at: dict[int, Decimal] = {}

    def resting(self) -> list[int]:
        """Return the columns of instruments with orders at the venue."""
        column = self._market.column
        return sorted({column[o.instrument_id.value] for o in self._cache.orders_open()})

    def begin(
        self, column: int, candle: tuple[float, float, float, float], held: float
    ) -> tuple[float, float, bool]:
        """Set the instrument to the candle's open; return both extremes in the path's order.

        The third value tells whether the first extreme is the high.
        """
        sides = {1 if o.side == OrderSide.BUY else -1 for o in self._orders(column)}
        wanted = sides.pop() if len(sides) == 1 else 0
        high_first = high_comes_first(self._path, candle, held, wanted)
        opened, high, low, _ = candle
        self._at[column] = self._instrument(column).make_price(opened).as_decimal()
        return (high, low, True) if high_first else (low, high, False)

    def move(self, column: int, target: float, now: int) -> None:
        """Move the instrument's market to a price, and let orders trigger and fill on the way.

        ``now`` (UNIX nanoseconds) is the time of all these fills. A stop that a strategy sends on a
        fill takes part in the rest of the path; other new orders wait for the next open.
        """
        instrument = self._instrument(column)
        goal = instrument.make_price(target).as_decimal()
        self._client.walking = instrument.id
        try:
            while self._at[column] != goal:
                self._at[column] = price = self._next_price(column, goal)
                self._exchange.process_trade_tick(_tick(instrument, price, now))
                self.settle(now)
        finally:
            self._client.walking = None

    def settle(self, now: int) -> None:
        """Let the venue process the commands that have reached it."""
        self._exchange.process(now)

    def _next_price(self, column: int, goal: Decimal) -> Decimal:
        """Return the nearest price on the way where an order triggers or a limit is passed."""
        start = self._at[column]
        tick = self._tick(self._instrument(column))
        found = goal
        for order in self._orders(column):
            for price in _prices(order, tick):
                if start < price < found or found < price < start:
                    found = price
        return found

    def _orders(self, column: int) -> list[Order]:
        found: list[Order] = self._cache.orders_open(
            instrument_id=self._market.instrument_ids[column]
        )
        return found

    def _instrument(self, column: int) -> Instrument:
        return self._market.instruments[column]


def _prices(order: Order, tick: Decimal) -> list[Decimal]:
    trigger = order.trigger_price if order.has_trigger_price else None
    named = (trigger, getattr(order, "activation_price", None))
    found = [price.as_decimal() for price in named if price is not None]
    if order.has_price:
        beyond = -tick if order.side == OrderSide.BUY else tick
        found.append(order.price.as_decimal() + beyond)
    return found


def _tick(instrument: Instrument, price: Decimal, now: int) -> TradeTick:
    return TradeTick(
        instrument.id,
        instrument.make_price(price),
        instrument.make_qty(1),
        AggressorSide.NO_AGGRESSOR,
        TradeId("PATH"),
        now,
        now,
    )
