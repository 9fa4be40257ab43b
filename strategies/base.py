"""The shell in which Nautilus runs a strategy of the desk: engine-specific, and nothing else.

It knows the account, the positions, the orders and the guards' verdicts, each through an object of
its own; what to trade is for the classes derived from it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from nautilus_trader.model.data import OrderBookDeltas, QuoteTick
from nautilus_trader.model.enums import PriceType
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.orders import Order
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

from strategies.account import Price, equity_of, holding_of, holdings_of
from strategies.book_view import Touches, TouchSource
from strategies.cancel_and_wait import Clearing
from strategies.desk_config import DeskStrategyConfig
from strategies.executor import Executor
from strategies.hooks import Hooks
from strategies.instruments import Instruments
from strategies.messages import Decision, Executed, Verdict
from strategies.on_loop import in_turn
from strategies.order_tags import order_tags
from strategies.orders import Orders
from strategies.sizing.rounding import ZERO, Lot
from strategies.state import StateStore
from strategies.tactics.pricing import Touch
from strategies.verdict_follower import Obedience
from strategies.verdicts import TOPIC, VerdictBoard, board_of


class DeskStrategy(Hooks, Strategy):
    """A strategy that hears verdicts, publishes decisions and sends sized orders."""

    Config: ClassVar[type[DeskStrategyConfig]] = DeskStrategyConfig

    def __init__(self, config: DeskStrategyConfig) -> None:
        self.ids = tuple(sorted(config.instruments))
        self.instrument_ids = tuple(InstrumentId.from_str(name) for name in self.ids)
        claimed = [InstrumentId.from_str(name) for name in config.instruments]
        super().__init__(
            StrategyConfig(
                order_id_tag=config.key,
                external_order_claims=claimed if config.claims else None,
            )
        )
        self._desk_config = config
        self._store: StateStore | None = None
        self._board = VerdictBoard()
        self._instruments = Instruments(self)
        self._touches = Touches(self)
        self._orders = Orders(self)
        self._clearing = Clearing(self)
        self._executor = Executor(self)
        self._obedience = Obedience(self)
        self.adopts_orders = False
        """Whether orders that others placed in its instruments are worked like its own."""
        self.decision_id = ""
        """Id of the decision that orders carry out from now on, empty before the first."""

    @property
    def config(self) -> Any:
        """Its parameters, a `DeskStrategyConfig`; the engine keeps a config of its own."""
        return self._desk_config

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
        self._instruments.know_listings(listed_ns)

    def expect_touch(self, source: TouchSource) -> None:
        """Say where best bids and asks come from: ``quotes`` unless told, ``none`` on candles."""
        self._touches.source = source

    # What the launcher asks, once it runs -------------------------------------------------------

    def resume(self) -> bool:
        """Take up what a crash interrupted, or what was missed; return whether anything began.

        Called once after the start, when positions and orders are reconciled.
        """
        saved = {name: self._executor.saved(name) for name in self.instrument_ids}
        goals = {name: kept for name, kept in saved.items() if kept is not None}
        leaving = self._obedience.left_to_leave()
        for name in map(InstrumentId.from_str, self._obedience.to_leave()):
            if goals.pop(name, None) is not None:
                self._executor.forget(name)

        def go_on() -> None:
            for name, kept in goals.items():
                self._executor.resume(name, kept.goal, kept.reason)
            if leaving:
                self.on_flatten(leaving, self.verdict_on(min(leaving)))

        if goals:
            self.when_clear(go_on, or_else=self.could_not_clear)
        else:
            go_on()
        return bool(goals or leaving)

    @property
    def busy(self) -> bool:
        """Whether it is still carrying out what it decided."""
        return self.trading

    @property
    def trading(self) -> bool:
        """Whether an order or a tactic of its own is under way, or its cancels are awaited."""
        return self._orders.unanswered or bool(self._executor.live) or self.clearing

    @property
    def clearing(self) -> bool:
        """Whether it waits until its own orders are gone (see `when_clear`)."""
        return self._clearing.active

    # The guards --------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Listen to the guards; a derived class calls this first."""
        self._orders.begin_session()
        # Guards start first: what they published again after a restart stands on the board.
        self._board = board_of(self.msgbus)
        self._obedience.begin()
        self.msgbus.subscribe(TOPIC, self._hear_verdict)

    @property
    def verdict(self) -> Verdict:
        """The strictest standing verdict on the desk or on this strategy."""
        return self._board.strictest(("desk", f"strategy:{self.config.key}"))

    def verdict_on(self, instrument: str) -> Verdict:
        """Return the strictest standing verdict on an instrument, the desk's included."""
        scopes = ("desk", f"strategy:{self.config.key}", f"instrument:{instrument}")
        return self._board.strictest(scopes)

    def verdicts_on(self, instrument: str) -> list[Verdict]:
        """Return all that stand on an instrument, the desk's included."""
        scopes = ("desk", f"strategy:{self.config.key}", f"instrument:{instrument}")
        return self._board.on(scopes)

    def _hear_verdict(self, verdict: Verdict) -> None:
        self._obedience.follow(verdict)
        self.on_verdict(verdict)

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Cancel the own orders in instruments that must be left, then close what is held there.

        Called once when a verdict begins to ask for it, not again when it is repeated: what the
        exits leave is for the desk's closer. A derived class may leave in its own way.
        """
        self._obedience.leave(instruments)

    def on_halt(self, instruments: Container[str], verdict: Verdict) -> None:
        """Take back the own entries that wait or rest in instruments that must not be entered.

        Called once when a verdict begins to ask for it; not for one that passes by itself.
        """
        self._obedience.recall(instruments)

    # The account -------------------------------------------------------------------------------

    def last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the newest price that this strategy may value a position at, None without any."""
        price = self.cache.price(instrument_id, PriceType.LAST)
        return None if price is None else price.as_decimal()

    def newest_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the mid of the touch, else the mark price, else `last_price`."""
        touch = self.touch(instrument_id)
        if touch is not None:
            return touch.mid
        mark = self.cache.mark_price(instrument_id)
        return self.last_price(instrument_id) if mark is None else mark.value.as_decimal()

    def equity(self, price_of: Price | None = None) -> Decimal:
        """Return the account's balance plus what open positions have gained, settlement currency.

        Valued at the last closes that the strategy has seen, not at the engine's newest print, so
        that it is what the decision's data say. A position without any price counts as even.

        Parameters
        ----------
        price_of : callable, optional
            Gives other prices to value positions at, by instrument id.
        """
        return equity_of(self, price_of or self.last_price)

    def holdings(self) -> dict[str, Decimal]:
        """Return this strategy's open positions, signed base coin by instrument id."""
        return holdings_of(self)

    def holding(self, instrument_id: InstrumentId) -> Decimal:
        """Return this strategy's open position in one instrument, signed base coin."""
        return holding_of(self, instrument_id)

    def shrinks(self, instrument_id: InstrumentId, quantity: Decimal) -> bool:
        """Whether an order of a signed quantity can only bring the position nearer to zero."""
        held = self.holding(instrument_id)
        return held * quantity < ZERO and abs(quantity) <= abs(held)

    # The market --------------------------------------------------------------------------------

    def instrument(self, instrument_id: InstrumentId) -> Instrument:
        """Return the instrument.

        Raises
        ------
        KeyError
            If the builder did not add it to the engine.
        """
        return self._instruments.find(instrument_id)

    def lot(self, instrument_id: InstrumentId) -> Lot:
        """Return what the exchange asks of an order in the instrument."""
        return self._instruments.lot(instrument_id)

    def is_spot(self, instrument_id: InstrumentId) -> bool:
        """Whether the instrument is a spot pair, which can't be sold short or reduce-only."""
        return self._instruments.is_spot(instrument_id)

    def listed_ns(self, instrument_id: InstrumentId) -> int | None:
        """Return when the instrument was listed, UNIX nanoseconds (UTC), None when unknown."""
        return self._instruments.listed_ns(instrument_id)

    @property
    def sees_touches(self) -> bool:
        """Whether best bids and asks are to be had; candles alone show none."""
        return self._touches.source != "none"

    def watch_touch(self, instrument_id: InstrumentId) -> None:
        """Subscribe to the instrument's best bid and ask, once, from where the builder said."""
        self._touches.watch(instrument_id)

    def touch(self, instrument_id: InstrumentId) -> Touch | None:
        """Return the newest best prices, None when they are not known or make no sense."""
        return self._touches.newest(instrument_id)

    def depth(self, instrument_id: InstrumentId, bps: float) -> float:
        """Return the value displayed within ``bps`` of the mid on the thinner side.

        Settlement currency; zero when no best prices are known. Quotes show these alone.
        """
        return self._touches.depth(instrument_id, bps)

    def in_turn(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return the callback for a timer, made to run in the thread that runs everything else."""
        return in_turn(self.clock, callback)

    # What it sends -----------------------------------------------------------------------------

    def publish(self, decision: Decision) -> None:
        """Publish a decision, before any order of it leaves."""
        self.decision_id = decision.id
        self.msgbus.publish(f"decisions.{self.config.key}", decision)

    def next_order_id(self) -> ClientOrderId:
        """Return the id of the next order; live, the gate refuses any that is not made here."""
        return self._orders.next_id()

    def send(self, order: Order) -> None:
        """Send an order and remember that it is under way."""
        self._orders.send(order)

    def send_market(
        self,
        instrument_id: InstrumentId,
        quantity: Decimal,
        reason: str,
        *,
        decision_id: str | None = None,
    ) -> None:
        """Send a market order for a signed quantity of base coin, whatever the tactic.

        It is reduce-only when it can only shrink the position, and several orders of about the same
        size when the venue takes no single one so large. It carries out the newest decision, unless
        another one is named (an empty id for none).
        """
        decision = self.decision_id if decision_id is None else decision_id
        self._orders.send_market(instrument_id, quantity, order_tags(reason, decision))

    def orders_under_way(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return this strategy's orders that may still fill, those of earlier sessions included.

        Sorted by instrument, then in the order they were made.
        """
        return self._orders.under_way(instruments)

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

    def could_not_clear(self) -> None:
        """Say that cancels are not answered."""
        self.log.error("Own orders would not be cancelled; nothing is sent until they are gone")

    def on_order_event(self, event: OrderEvent) -> None:
        """Follow the own orders; a derived class that overrides it calls this first."""
        ended = self._orders.hear(event)
        self._executor.on_order_event(event)
        if ended:
            self._clearing.check()
            self.on_order_ended()

    # How it trades -----------------------------------------------------------------------------

    @property
    def takes_at_once(self) -> bool:
        """Whether orders go to market at once: by the document, or as no touch is to be had."""
        return self.config.execution.tactic == "taker" or not self.sees_touches

    def executions_entering(self) -> set[str]:
        """Return the ids of instruments in which a tactic under way enlarges a position."""
        return self._executor.entering()

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

    def stop_executing(self, instruments: Container[str] | None = None) -> None:
        """Let tactics go no further, all or those in some instruments, and cancel their orders."""
        self._executor.stop(instruments)

    def end_execution(self, done: Executed) -> None:
        """Publish what became of an execution."""
        if done.reason:
            self.log.warning(f"{done.instrument}: {done.filled} of {done.wanted}: {done.reason}")
        self.msgbus.publish(f"executions.{self.config.key}", done)
        self.on_executed(done)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Show the tactic a quote; a derived class that overrides it calls this as well."""
        self._executor.on_touch(tick.instrument_id)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Show the tactic the book; a derived class that overrides it calls this as well."""
        self._executor.on_touch(deltas.instrument_id)
