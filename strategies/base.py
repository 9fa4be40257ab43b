"""The shell in which Nautilus runs a strategy of the desk: engine-specific, and nothing else.

It knows the account, the positions, the orders and the guards' verdicts; what to trade is for the
classes derived from it. Orders and positions are fetched from the cache whenever they are needed,
never held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from msgspec import Meta
from nautilus_trader.common.component import LiveClock
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import OrderBookDeltas, QuoteTick
from nautilus_trader.model.enums import BookType, OrderSide, PriceType
from nautilus_trader.model.events import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.objects import Currency, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.trading.strategy import Strategy

from strategies.clearing import Clearing
from strategies.executor import Executor
from strategies.history import Candles
from strategies.messages import Action, Decision, Executed, Verdict, strictest
from strategies.order_ids import BACKTEST_TAG, KEY, TAG, numbered, order_id, owner_of, session_of
from strategies.sizing.rounding import ZERO, Lot, split
from strategies.state import StateStore
from strategies.tactics.execution import Execution
from strategies.tactics.pricing import Touch

_MONEY = Decimal("0.00000001")
BOOK_DEPTH = 50
"""Levels a side; Bybit has 1, 50, 200 and 1000, and sends these every 20 ms."""
_ENDS = (OrderCanceled, OrderDenied, OrderExpired, OrderRejected)
TouchSource = Literal["none", "quotes", "book"]
"""Where best bids and asks come from: nowhere (candles alone), quotes, or books of many levels."""


class DeskStrategyConfig(StrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the builder gives every strategy; the document's ``params`` can't set these.

    Parameters
    ----------
    key : str
        The component's key in the document; it tags the orders and names the decisions' topic.
    instruments : tuple of str
        Ids of the instruments that are this strategy's to trade.
    settlement : str
        Currency in which equity is counted.
    node : str
        Tag of the node in order ids; ``bt`` in backtests.
    execution : Execution
        How its orders reach the market; the one of these that the document sets.
    """

    desk_fields: ClassVar[frozenset[str]] = frozenset({"key", "instruments", "settlement", "node"})

    key: Annotated[str, Meta(pattern=f"^{KEY}$")]
    instruments: tuple[str, ...]
    settlement: str = "USDT"
    node: Annotated[str, Meta(pattern=f"^{TAG}$")] = BACKTEST_TAG

    execution: Execution = Execution()

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        return [(f"execution.{field}", words) for field, words in self.execution.check()]


class DeskStrategy(Strategy):
    """A strategy that hears verdicts, publishes decisions and sends sized orders."""

    Config: ClassVar[type[DeskStrategyConfig]] = DeskStrategyConfig

    def __init__(self, config: DeskStrategyConfig) -> None:
        super().__init__(config)
        self.ids = tuple(sorted(config.instruments))
        self.instrument_ids = tuple(InstrumentId.from_str(name) for name in self.ids)
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._lots: dict[InstrumentId, tuple[Instrument, Lot]] = {}
        self._listed: dict[str, int] = {}
        self._store: StateStore | None = None
        self._touch_source: TouchSource = "quotes"
        self._id_prefix = ""
        self._orders_made = 0
        self._own: set[ClientOrderId] = set()
        self._clearing = Clearing(self)
        self._executor = Executor(self)
        self._watched: set[InstrumentId] = set()
        self.adopts_orders = False
        """Whether orders that others placed in its instruments are worked like its own."""

    # What the builder asks for -----------------------------------------------------------------

    def history_needed(self) -> dict[str, int]:
        """Return how many candles of each interval must be known before the first decision."""
        return {}

    def warm_up(self, panel: Candles, interval: str) -> None:
        """Take in candles from before the start, the same way as those that come later."""

    def funding_needed(self) -> int:
        """Return how far back funding settlements must be known at the start, nanoseconds."""
        return 0

    def warm_up_funding(self, settlements: pa.Table) -> None:
        """Take in funding settlements from before the start.

        Parameters
        ----------
        settlements : pyarrow.Table
            ``ts`` (UNIX nanoseconds, UTC), ``instrument`` and ``rate`` (a fraction a settlement,
            positive when longs pay) of the strategy's own instruments, sorted by time, then id.
            Given once more, one settlement later, it takes the place of what was given before.
        """

    def history_lacking(self, interval: str, close_ns: int) -> list[str]:
        """Return the ids whose candle of a close time should be here and is not.

        Live, a candle that closes while the link is down never comes: the node asks for it then.
        """
        return []

    def schedule(self) -> tuple[int, int] | None:
        """Return its period and offset in nanoseconds, None when it decides on events."""
        return None

    # What the builder tells, before the start ---------------------------------------------------

    def attach_state(self, store: StateStore) -> None:
        """Keep what must survive a crash in the store; without one nothing is kept."""
        self._store = store

    @property
    def store(self) -> StateStore | None:
        """What keeps its state, None where nothing does."""
        return self._store

    def know_listings(self, listed_ns: Mapping[str, int]) -> None:
        """Take in when instruments were listed, UNIX nanoseconds (UTC) by id.

        What is not told is looked up in the instrument's own ``info``.
        """
        self._listed.update(listed_ns)

    def expect_touch(self, source: TouchSource) -> None:
        """Say where best bids and asks come from: ``quotes`` unless told, ``none`` on candles."""
        self._touch_source = source

    # What the launcher asks, once it runs -------------------------------------------------------

    def due(self, now_ns: int) -> int | None:
        """Return the latest stamp of its schedule that is missing, None when nothing is.

        Parameters
        ----------
        now_ns : int
            UNIX nanoseconds (UTC).
        """
        return None

    def run_now(self, force: bool = False) -> bool:
        """Do what is due at once, with ``force`` even when nothing is; return whether it began."""
        return False

    def resume(self) -> bool:
        """Take up what a crash interrupted, or what was missed; return whether anything began.

        Called once after the start, when positions and orders are reconciled.
        """
        saved = {name: self._executor.saved(name) for name in self.instrument_ids}
        goals = {name: kept for name, kept in saved.items() if kept is not None}

        def go_on() -> None:
            for name, kept in goals.items():
                self._executor.resume(name, kept.goal, kept.reason)

        if goals:
            self.when_clear(go_on, or_else=self.could_not_clear)
        return bool(goals)

    def leave_open(self) -> None:
        """Be told that the node stops: what is under way is for the next start to finish."""

    @property
    def busy(self) -> bool:
        """Whether it is still carrying out what it decided."""
        return bool(self._own or self._executor.live) or self._clearing.active

    # The guards --------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Listen to the guards; a derived class calls this first."""
        session = session_of(self.clock.timestamp_ns())
        self._id_prefix = order_id(self.config.node, self.config.key, session, 0)[:-1]
        self.msgbus.subscribe("verdicts.*", self._hear_verdict)

    def on_verdict(self, verdict: Verdict) -> None:
        """Act at once on a verdict that concerns this strategy, if that is needed."""

    @property
    def verdict(self) -> Verdict:
        """The strictest standing verdict on the desk or on this strategy."""
        scopes = ("desk", f"strategy:{self.config.key}")
        return strictest([v for v in self._standing() if v.scope in scopes])

    def verdict_on(self, instrument: str) -> Verdict:
        """Return the strictest standing verdict on an instrument, the desk's included."""
        scopes = ("desk", f"strategy:{self.config.key}", f"instrument:{instrument}")
        return strictest([v for v in self._standing() if v.scope in scopes])

    def _standing(self) -> list[Verdict]:
        if not self._verdicts:
            return []
        now = self.clock.timestamp_ns()
        return [v for v in self._verdicts.values() if v.until is None or v.until > now]

    def _hear_verdict(self, verdict: Verdict) -> None:
        # One guard's newest word on a scope replaces its earlier one; NONE takes it back.
        name = (verdict.guard, verdict.scope)
        if verdict.action == Action.NONE:
            self._verdicts.pop(name, None)
        else:
            self._verdicts[name] = verdict
        self.on_verdict(verdict)

    # The account -------------------------------------------------------------------------------

    def last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the newest price that this strategy may value a position at, None without any."""
        price = self.cache.price(instrument_id, PriceType.LAST)
        return None if price is None else price.as_decimal()

    def equity(self) -> Decimal:
        """Return the account's balance plus what open positions have gained, settlement currency.

        Valued at the last closes that the strategy has seen, not at the engine's newest print, so
        that it is what the decision's data say. A position without any price counts as even.
        """
        account = self.portfolio.account(self.instrument_ids[0].venue)
        total = account.balance_total(Currency.from_str(self.config.settlement))
        equity = ZERO if total is None else total.as_decimal()
        for position in self.cache.positions_open():
            price = self.last_price(position.instrument_id)
            if price is not None:
                entry = Decimal(repr(position.avg_px_open))
                equity += position.signed_decimal_qty() * (price - entry)
        return equity.quantize(_MONEY)

    def watch_touch(self, instrument_id: InstrumentId) -> None:
        """Subscribe to the instrument's best bid and ask, once, from where the builder said.

        Never to both quotes and a book: on spot the adapter mixes them up (nautilus/live.md 4.9).
        """
        if instrument_id in self._watched or self._touch_source == "none":
            return
        self._watched.add(instrument_id)
        if self._touch_source == "quotes":
            self.subscribe_quote_ticks(instrument_id)
        else:
            self.subscribe_order_book_deltas(instrument_id, BookType.L2_MBP, depth=BOOK_DEPTH)

    def touch(self, instrument_id: InstrumentId) -> Touch | None:
        """Return the newest best prices, None when they are not known or make no sense."""
        if self._touch_source == "quotes":
            quote = self.cache.quote_tick(instrument_id)
            if quote is None:
                return None
            parts = (quote.bid_price, quote.ask_price, quote.bid_size, quote.ask_size)
        else:
            book = self.cache.order_book(instrument_id)
            if book is None:
                return None
            parts = (
                book.best_bid_price(),
                book.best_ask_price(),
                book.best_bid_size(),
                book.best_ask_size(),
            )
        if any(part is None for part in parts):
            return None
        touch = Touch(*(part.as_decimal() for part in parts))
        return touch if ZERO < touch.bid < touch.ask else None

    def depth(self, instrument_id: InstrumentId, bps: float) -> float:
        """Return the value displayed within ``bps`` of the mid on the thinner side.

        Settlement currency; zero when no best prices are known. Quotes show these alone.
        """
        touch = self.touch(instrument_id)
        if touch is None:
            return 0.0
        if self._touch_source == "quotes":
            sides = [[(touch.bid, touch.bid_size)], [(touch.ask, touch.ask_size)]]
        else:
            book = self.cache.order_book(instrument_id)
            sides = [
                [(level.price.as_decimal(), Decimal(repr(level.size()))) for level in levels]
                for levels in (book.bids(), book.asks())
            ]
        reach = touch.mid * Decimal(repr(bps)) / 10_000
        near = [
            sum(price * size for price, size in side if abs(price - touch.mid) <= reach)
            for side in sides
        ]
        return float(min(near))

    def holdings(self) -> dict[str, Decimal]:
        """Return this strategy's open positions, signed base coin by instrument id."""
        held: dict[str, Decimal] = {}
        for position in self.cache.positions_open(strategy_id=self.id):
            name = position.instrument_id.value
            held[name] = held.get(name, ZERO) + position.signed_decimal_qty()
        return held

    def holding(self, instrument_id: InstrumentId) -> Decimal:
        """Return this strategy's open position in one instrument, signed base coin."""
        positions = self.cache.positions_open(instrument_id=instrument_id, strategy_id=self.id)
        return sum((position.signed_decimal_qty() for position in positions), ZERO)

    def instrument(self, instrument_id: InstrumentId) -> Instrument:
        """Return the instrument.

        Raises
        ------
        KeyError
            If the builder did not add it to the engine.
        """
        found = self.cache.instrument(instrument_id)
        if found is None:
            raise KeyError(f"instrument {instrument_id} is not known to the engine")
        return found

    def lot(self, instrument_id: InstrumentId) -> Lot:
        """Return what the exchange asks of an order in the instrument."""
        found = self.instrument(instrument_id)
        kept = self._lots.get(instrument_id)
        # The venue may change its rules while a node runs: a new instrument object is read anew.
        if kept is None or kept[0] is not found:
            kept = self._lots[instrument_id] = (found, self._read_lot(found))
        return kept[1]

    @staticmethod
    def _read_lot(found: Instrument) -> Lot:
        return Lot(
            step=found.size_increment.as_decimal(),
            min_quantity=ZERO if found.min_quantity is None else found.min_quantity.as_decimal(),
            min_notional=ZERO if found.min_notional is None else found.min_notional.as_decimal(),
        )

    def is_spot(self, instrument_id: InstrumentId) -> bool:
        """Whether the instrument is a spot pair, which can't be sold short or reduce-only."""
        return isinstance(self.instrument(instrument_id), CurrencyPair)

    def listed_ns(self, instrument_id: InstrumentId) -> int | None:
        """Return when the instrument was listed, UNIX nanoseconds (UTC), None when unknown."""
        known = self._listed.get(instrument_id.value)
        return known or (self.instrument(instrument_id).info or {}).get("listed_ns")

    # Time --------------------------------------------------------------------------------------

    def in_turn(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return the callback for a timer, made to run in the thread that runs everything else.

        A live clock calls timers from a thread of its own, in the midst of order events.
        """
        if not isinstance(self.clock, LiveClock):
            return callback
        loop = asyncio.get_running_loop()

        def hop(event: Any) -> None:
            loop.call_soon_threadsafe(callback, event)

        return hop

    # What it sends -----------------------------------------------------------------------------

    def next_order_id(self) -> ClientOrderId:
        """Return the id of the next order; live, the gate refuses any that is not made here."""
        self._orders_made += 1
        return ClientOrderId(numbered(self._id_prefix, self._orders_made))

    def publish(self, decision: Decision) -> None:
        """Publish a decision, before any order of it leaves."""
        self.msgbus.publish(f"decisions.{self.config.key}", decision)

    def execute(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Trade a signed quantity of base coin by the document's tactic.

        Raises
        ------
        ValueError
            If maker_first is under way in the instrument (see `stop_executing`).
        """
        if self.takes_at_once:
            self.send_market(instrument_id, quantity, reason)
        else:
            self._executor.start(instrument_id, quantity, reason)

    @property
    def takes_at_once(self) -> bool:
        """Whether orders go to market at once: by the document, or as no touch is to be had."""
        return self.config.execution.tactic == "taker" or self._touch_source == "none"

    def stop_executing(self, instruments: Container[str] | None = None) -> None:
        """Let tactics go no further, all or those in some instruments, and cancel their orders."""
        self._executor.stop(instruments)

    def end_execution(self, done: Executed) -> None:
        """Publish what became of an execution."""
        if done.reason:
            self.log.warning(f"{done.instrument}: {done.filled} of {done.wanted}: {done.reason}")
        self.msgbus.publish(f"executions.{self.config.key}", done)
        self.on_executed(done)

    def on_executed(self, done: Executed) -> None:
        """Act when a tactic has ended, whether or not all was traded."""

    def on_execution_progress(self, instrument_id: InstrumentId) -> None:
        """Act when part of an execution is filled."""

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Show the tactic a quote; a derived class that overrides it calls this as well."""
        self._executor.on_touch(tick.instrument_id)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Show the tactic the book; a derived class that overrides it calls this as well."""
        self._executor.on_touch(deltas.instrument_id)

    def orders_under_way(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return this strategy's orders that may still fill, those of earlier sessions included.

        Sorted by instrument, then in the order they were made.
        """
        cache = self.cache
        found = {order.client_order_id: order for order in cache.orders_open(strategy_id=self.id)}
        for order in cache.orders_inflight(strategy_id=self.id):
            found[order.client_order_id] = order
        # Live, one that was just sent is none of these before the engines' queues have passed it.
        for name in self._own:
            order = cache.order(name)
            if order is not None and not order.is_closed:
                found[name] = order
        return sorted(
            (
                o
                for o in found.values()
                if (instruments is None or o.instrument_id.value in instruments)
                and self._is_mine(o)
            ),
            key=lambda o: (
                o.instrument_id,
                o.ts_init,
                len(o.client_order_id.value),
                o.client_order_id,
            ),
        )

    def _is_mine(self, order: Order) -> bool:
        """Whether it is to be worked; a claim on an instrument brings in others' orders too."""
        if self.adopts_orders or not self.config.external_order_claims:
            return True
        owner = owner_of(order.client_order_id.value)
        return owner is not None and owner == (self.config.node, self.config.key)

    def cancel_waiting(self, instruments: Container[str] | None = None) -> None:
        """Cancel every order of this strategy that is under way, or those in some instruments.

        One by one: the exchange's cancel-all would take orders with it that are not ours.
        """
        for order in self.orders_under_way(instruments):
            if not order.is_pending_cancel:
                self.cancel_order(order)

    def when_clear(
        self,
        then: Callable[[], None],
        *,
        or_else: Callable[[], None],
        instruments: Container[str] | None = None,
    ) -> None:
        """Cancel what is under way, all or in some instruments, and go on once it is gone.

        Parameters
        ----------
        then : callable
            Called when none of the orders is left: at once in the simulated engine, unless one
            rests on a book, and when the exchange has answered live.
        or_else : callable
            Called in place of it when cancels are not answered in a minute.
        instruments : container of str, optional
            Ids; all by default. A call while one waits takes its place.
        """
        self._clearing.begin(then, or_else, instruments)

    def send_market(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Send a market order for a signed quantity of base coin, whatever the tactic.

        It is reduce-only when it can only shrink the position, and several orders of about the same
        size when the venue takes no single one so large.
        """
        found = self.instrument(instrument_id)
        largest = None if found.max_quantity is None else found.max_quantity.as_decimal()
        reduce_only = self.shrinks(instrument_id, quantity) and not self.is_spot(instrument_id)
        for size in split(abs(quantity), found.size_increment.as_decimal(), largest):
            self.send(
                self.order_factory.market(
                    instrument_id,
                    OrderSide.BUY if quantity > ZERO else OrderSide.SELL,
                    Quantity(size, found.size_precision),
                    reduce_only=reduce_only,
                    tags=[reason],
                    client_order_id=self.next_order_id(),
                )
            )

    def shrinks(self, instrument_id: InstrumentId, quantity: Decimal) -> bool:
        """Whether an order of a signed quantity can only bring the position nearer to zero."""
        held = self.holding(instrument_id)
        return held * quantity < ZERO and abs(quantity) <= abs(held)

    def send(self, order: Order) -> None:
        """Send an order and remember that it is under way."""
        self._own.add(order.client_order_id)
        self.submit_order(order)

    def on_order_event(self, event: OrderEvent) -> None:
        """Follow the own orders; a derived class that overrides it calls this first."""
        if isinstance(event, OrderFilled):
            order = self.cache.order(event.client_order_id)
            ended = order is not None and order.is_closed
        else:
            ended = isinstance(event, _ENDS)
        if ended:
            self._own.discard(event.client_order_id)
        self._executor.on_order_event(event)
        if ended:
            self._clearing.check()
            self.on_order_ended()

    def could_not_clear(self) -> None:
        """Say that cancels are not answered."""
        self.log.error("Own orders would not be cancelled; nothing is sent until they are gone")

    def on_order_ended(self) -> None:
        """Act when one of the own orders is filled, cancelled or refused."""
