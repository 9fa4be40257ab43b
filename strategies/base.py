"""The strategy that Nautilus runs: wires market, broker and verdicts, and forwards their events.

Engine-specific. What to trade is for the classes derived from it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from nautilus_trader.model.data import OrderBookDeltas, QuoteTick
from nautilus_trader.model.events import OrderEvent, PositionClosed
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.orders import Order
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

from strategies.broker import Broker, BrokerEvents
from strategies.desk_config import DeskStrategyConfig
from strategies.hooks import Hooks
from strategies.market_view import BookSource, MarketView
from strategies.messages import Decision, Executed, Verdict
from strategies.on_loop import on_loop
from strategies.state import StateStore
from strategies.verdict_follower import VerdictFollower
from strategies.verdicts import TOPIC, board_of


class DeskStrategy(Hooks, Strategy):
    """A strategy that follows verdicts, publishes decisions and sends sized orders.

    Attributes
    ----------
    market : MarketView
        Instruments, prices, the account and what is held.
    broker : Broker
        What is sent, and what is under way.
    verdicts : VerdictFollower
        What the guards ask of it.
    """

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
        self.market = MarketView(self, self.instrument_ids, config.settlement)
        self.broker = Broker(
            self,
            self.market,
            config,
            BrokerEvents(
                order_ended=self.on_order_ended,
                progressed=self.on_execution_progress,
                executed=self._on_executed,
                stopping=self.on_stopping,
            ),
        )
        self.verdicts = VerdictFollower(
            config.key,
            self.instrument_ids,
            self.market,
            self.broker,
            on_flatten=self.on_flatten,
            on_halt=self.on_halt,
            could_not_clear=self.could_not_clear,
        )

    @property
    def config(self) -> Any:
        """Its parameters, a `DeskStrategyConfig`; the engine keeps a config of its own."""
        return self._desk_config

    # What the builder says before the start ------------------------------------------------------

    def attach_state(self, store: StateStore) -> None:
        """Keep what must survive a crash in the store; without one nothing is kept."""
        self.broker.store = store

    def know_listings(self, listed_ns: Mapping[str, int]) -> None:
        """Take in when instruments were listed, UNIX nanoseconds (UTC) by id."""
        self.market.listed.update(listed_ns)

    def expect_book(self, source: BookSource) -> None:
        """Set where best bids and asks come from: ``quotes`` by default, ``none`` on candles."""
        self.market.source = source

    # For the launcher, once it runs ---------------------------------------------------------

    def resume(self) -> bool:
        """Go on with what a crash interrupted, or what was missed; return whether anything began.

        Called once after the start, when positions and orders are reconciled.
        """
        broker, verdicts = self.broker, self.verdicts
        saved = {name: broker.saved(name) for name in self.instrument_ids}
        goals = {name: kept for name, kept in saved.items() if kept is not None}
        leaving = verdicts.left_to_leave()
        for name in map(InstrumentId.from_str, verdicts.to_leave()):
            if goals.pop(name, None) is not None:
                broker.forget(name)

        def go_on() -> None:
            for name, kept in goals.items():
                broker.resume(name, kept.goal, kept.reason)
            if leaving:
                self.on_flatten(leaving, verdicts.strictest_on(min(leaving)))

        if goals:
            self.when_clear(go_on, or_else=self.could_not_clear)
        else:
            go_on()
        return bool(goals or leaving)

    @property
    def busy(self) -> bool:
        """Whether it is still carrying out what it decided."""
        return self.broker.trading

    # The guards ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Follow the guards; a derived class calls this first."""
        self.broker.begin_session()
        # Guards start first: what they published again after a restart stands on the board.
        self.verdicts.begin(board_of(self.msgbus))
        self.msgbus.subscribe(TOPIC, self._on_verdict)

    def _on_verdict(self, verdict: Verdict) -> None:
        self.verdicts.follow(verdict)
        self.on_verdict(verdict)

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Cancel the own orders in instruments that must be left, then close what is held there.

        Called once when a verdict begins to ask for it, not again when it is repeated: what the
        exits leave is for the desk's closer. A derived class may leave in its own way.
        """
        self.verdicts.leave(instruments)

    def on_halt(self, instruments: Container[str], verdict: Verdict) -> None:
        """Cancel the own entries that wait or rest in instruments that must not be entered.

        Called once when a verdict begins to ask for it; not for a transient one.
        """
        self.verdicts.recall(instruments)

    # The market and the account ------------------------------------------------------------------

    def instrument(self, instrument_id: InstrumentId) -> Instrument:
        """Return the instrument."""
        return self.market.instrument(instrument_id)

    def equity(self) -> Decimal:
        """Return the account's balance plus what open positions have gained, settlement currency.

        Valued at the last closes that the strategy has seen, so that it is what the decision's data
        say. A position without any price counts as even.
        """
        return self.market.equity()

    def holdings(self) -> dict[str, Decimal]:
        """Return this strategy's open positions, signed base coin by instrument id."""
        return self.market.holdings()

    def holding(self, instrument_id: InstrumentId) -> Decimal:
        """Return this strategy's open position in one instrument, signed base coin."""
        return self.market.holding(instrument_id)

    # What it sends -------------------------------------------------------------------------------

    def publish(self, decision: Decision) -> None:
        """Publish a decision, before any order of it leaves."""
        self.broker.decision_id = decision.id
        self.msgbus.publish(f"decisions.{self.config.key}", decision)

    def next_order_id(self) -> ClientOrderId:
        """Return the id of the next order; live, the gate refuses any that is not made here."""
        return self.broker.next_order_id()

    def send(self, order: Order) -> None:
        """Send an order and remember that it is under way."""
        self.broker.send(order)

    def send_market(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Send a market order for a signed quantity of base coin, whatever the tactic.

        It is reduce-only when it can only shrink the position, and several orders of about the same
        size when the venue takes no single one so large.
        """
        self.broker.send_market(instrument_id, quantity, reason)

    def place_stop(self, instrument_id: InstrumentId, trigger: Decimal) -> None:
        """Rest a reduce-only stop for the whole position at the venue, in place of the one before.

        It stays there until the position is closed, also while the node is stopped.
        """
        self.broker.place_stop(instrument_id, trigger)

    def execute(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Trade a signed quantity of base coin by the document's tactic.

        Raises
        ------
        ValueError
            If an execution is under way in the instrument (see `stop_executing`).
        """
        self.broker.execute(instrument_id, quantity, reason)

    def stop_executing(self, instruments: Container[str] | None = None) -> None:
        """Stop tactics and cancel their orders, all or those in some instruments."""
        self.broker.stop(instruments)

    def orders_under_way(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return this strategy's orders that may still fill, those of earlier sessions included.

        Sorted by instrument, then in the order they were made.
        """
        return self.broker.under_way(instruments)

    def cancel_waiting(self, instruments: Container[str] | None = None) -> None:
        """Cancel every order of this strategy that is under way, or those in some instruments."""
        self.broker.cancel_all(instruments)

    def when_clear(
        self,
        then: Callable[[], None],
        *,
        or_else: Callable[[], None],
        instruments: Container[str] | None = None,
    ) -> None:
        """Cancel what is under way and go on once it is gone (see `Broker.when_clear`)."""
        self.broker.when_clear(then, or_else=or_else, instruments=instruments)

    def could_not_clear(self) -> None:
        """Log that cancels are not answered."""
        self.log.error("Own orders would not be cancelled; nothing is sent until they are gone")

    def on_loop(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a timer's callback, made to run on the loop that runs everything else."""
        return on_loop(self.clock, callback)

    # Events of the engine ------------------------------------------------------------------------

    def on_order_event(self, event: OrderEvent) -> None:
        """Follow the own orders; a derived class that overrides it calls this first."""
        self.broker.on_order_event(event)

    def on_position_closed(self, event: PositionClosed) -> None:
        """Withdraw what protected it; a derived class that overrides it calls this as well."""
        self.broker.withdraw_protection(event.instrument_id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Show tactics a quote; a derived class that overrides it calls this as well."""
        self.broker.on_top_of_book(tick.instrument_id)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Show tactics the book; a derived class that overrides it calls this as well."""
        self.broker.on_top_of_book(deltas.instrument_id)

    def _on_executed(self, done: Executed) -> None:
        if done.reason:
            self.log.warning(f"{done.instrument}: {done.filled} of {done.wanted}: {done.reason}")
        self.msgbus.publish(f"executions.{self.config.key}", done)
        self.on_executed(done)
