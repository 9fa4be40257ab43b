"""Base class of the desk's strategies in Nautilus: connects market, broker and verdicts.

Engine-specific. Derived classes decide what to trade.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from nautilus_trader.model.data import Bar, OrderBookDeltas, QuoteTick
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
from strategies.messages import SHRINK, Decision, Executed, Target, Verdict
from strategies.on_loop import on_loop
from strategies.protector import forget_protection
from strategies.refusals import Refusal, refused_by
from strategies.state import StateStore
from strategies.verdict_follower import VerdictFollower
from strategies.verdicts import TOPIC, board_of


class DeskStrategy(Hooks, Strategy):
    """Base strategy: follows verdicts, publishes decisions and sends sized orders.

    ``market`` has instruments, prices, account and positions. ``broker`` sends orders and lists
    open ones. ``verdicts`` has the guards' standing verdicts.
    """

    Config: ClassVar[type[DeskStrategyConfig]] = DeskStrategyConfig

    sizes_by_verdicts: ClassVar[bool] = False
    """Whether its own sizes follow `shrink` verdicts; those of any other shrink as it sends."""

    def __init__(self, config: DeskStrategyConfig) -> None:
        self.ids = tuple(sorted(config.instruments))
        self.instrument_ids = tuple(InstrumentId.from_str(name) for name in self.ids)
        claimed = [InstrumentId.from_str(name) for name in config.instruments]
        super().__init__(
            StrategyConfig(
                order_id_tag=config.key,
                external_order_claims=claimed if config.claims else None,
                # The journal has them; formatting them would delay each order.
                log_events=False,
                log_commands=False,
            )
        )
        self._desk_config = config
        self.start_note = ""
        """What the start found of earlier sessions, in words; a node prints it."""
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
                stopped_out=self.on_stopped_out,
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
        if not self.sizes_by_verdicts:
            self.broker.shrunk = self._shrunk

    @property
    def config(self) -> Any:
        """The strategy's parameters, a `DeskStrategyConfig`; the engine has its own config."""
        return self._desk_config

    # Called by the builder before the start ------------------------------------------------------

    def attach_state(self, store: StateStore) -> None:
        """Save state that must survive a crash in this store; without a store nothing is saved."""
        self.broker.store = store

    def know_listings(self, listed_ns: Mapping[str, int]) -> None:
        """Set listing times by instrument id, UNIX nanoseconds (UTC)."""
        self.market.listed.update(listed_ns)

    def expect_book(self, source: BookSource) -> None:
        """Set the source of best bids and asks: ``quotes`` by default, ``none`` on candles."""
        self.market.source = source

    # Called by the launcher -----------------------------------------------------------------

    def resume(self) -> bool:
        """Continue after a crash, or catch up; return whether anything began.

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
                if broker.buys_back(name, kept.goal - self.market.holding(name)):
                    self.log.warning(f"{name}: not resumed: it buys back what a take-profit closed")
                    broker.forget(name)
                else:
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
        """Whether orders or executions of this strategy are under way."""
        return self.broker.trading

    def busy_in(self, instrument_id: InstrumentId) -> bool:
        """Whether an order or a tactic of its own is under way in one instrument."""
        broker = self.broker
        is_executing = instrument_id in broker.live or bool(broker.under_way({instrument_id.value}))
        return is_executing or broker.closes_soon(instrument_id)

    # The guards ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Subscribe to verdicts; a derived class calls this first.

        Raises ValueError where an instrument that the parameters name is missing.
        """
        lacking = {name for _, name in self.config.instruments_read()} - set(self.ids)
        if lacking:
            raise ValueError(
                f"strategy {self.config.key}: {', '.join(sorted(lacking))} must be among its "
                "instruments: its parameters name them"
            )
        self.broker.begin_session()
        if self.broker.protector is not None:
            self._protect()
        else:
            self.start_note = forget_protection(self.broker, self.market, self.instrument_ids)
        # Guards start first: after a restart their verdicts are on the board already.
        self.verdicts.begin(board_of(self.msgbus))
        self.msgbus.subscribe(TOPIC, self._on_verdict)

    def _on_verdict(self, verdict: Verdict) -> None:
        self.verdicts.follow(verdict)
        self.on_verdict(verdict)

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Cancel own orders, then close positions, in instruments that a verdict flattens.

        Called once when such a verdict begins, not when it is repeated: the desk's closer closes
        what the exits leave. A derived class may exit in another way.
        """
        self.verdicts.leave(instruments)

    def on_halt(self, instruments: Container[str], verdict: Verdict) -> None:
        """Cancel own entry orders in instruments where a verdict halts entries.

        Called once when such a verdict begins; not for a transient one.
        """
        self.verdicts.recall(instruments)

    # The market and the account ------------------------------------------------------------------

    def instrument(self, instrument_id: InstrumentId) -> Instrument:
        """Return the instrument."""
        return self.market.instrument(instrument_id)

    def equity(self) -> Decimal:
        """Return balance plus unrealised profit, settlement currency.

        Valued at `market.last_price`: the last closes of a strategy that keeps candles, so that it
        fits the decision's data; else the newest trade or candle. Candles that close together come
        one by one: those still to come count at the price before. A position without any price
        counts as even.
        """
        return self.market.equity()

    def holdings(self) -> dict[str, Decimal]:
        """Return this strategy's open positions, signed base coin by instrument id."""
        return self.market.holdings()

    def holding(self, instrument_id: InstrumentId) -> Decimal:
        """Return this strategy's open position in one instrument, signed base coin."""
        return self.market.holding(instrument_id)

    # Orders --------------------------------------------------------------------------------------

    def publish(self, decision: Decision) -> None:
        """Publish a decision; call it before sending its orders."""
        self.broker.decision_id = decision.id
        self.msgbus.publish(f"decisions.{self.config.key}", decision)

    def next_order_id(self) -> ClientOrderId:
        """Return the id of the next order; a live node's gate refuses ids made elsewhere."""
        return self.broker.next_order_id()

    def _shrunk(
        self, instrument_id: InstrumentId, quantity: Decimal
    ) -> tuple[Decimal, Refusal | None]:
        left = self.verdicts.shrunk(instrument_id, quantity)
        if left == quantity:
            return left, None
        verdict = self.verdicts.shrink_on(instrument_id.value)
        refusal, now = refused_by(verdict), self.clock.timestamp_ns()
        held, price = self.holding(instrument_id), self.market.newest_price(instrument_id)
        wanted, equity = held + quantity, self.equity()
        weight = float(wanted * price / equity) if price and equity > 0 else 0.0
        target = Target(
            instrument=instrument_id.value,
            price=None if price is None else float(price),
            weight=weight,
            current=f"{held:f}",
            target=f"{held + left:f}",
            order=f"{left:f}",
            held_back_by=verdict.guard,
            wanted=f"{wanted:f}",
        )
        decision = Decision(
            strategy=self.config.key,
            ts=now,
            data_ts=now,
            kind=SHRINK,
            equity=f"{equity:f}",
            multiplier=verdict.multiplier,
            gross=abs(weight),
            net=weight,
            targets=(target,),
            note=f"{left:f} of {quantity:f} {instrument_id} is entered: {refusal}",
        )
        # Without `publish`: orders belong to the decision that the strategy itself published.
        self.msgbus.publish(f"decisions.{self.config.key}", decision)
        return left, None if left else refusal

    def send(self, order: Order) -> None:
        """Send an order and track it; an entry shrinks as `shrink` verdicts demand."""
        self.broker.send(order)

    def send_market(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Send a market order for a signed quantity of base coin, whatever the tactic.

        It is reduce-only when it can only shrink the position. It is split into orders of similar
        size when it exceeds the venue's largest order. An entry shrinks as `shrink` verdicts
        demand.

        Raises
        ------
        ValueError
            If it is less than a lot.
        """
        self.broker.send_market(instrument_id, quantity, reason)

    def place_stop(self, instrument_id: InstrumentId, trigger: Decimal) -> None:
        """Place a reduce-only stop for the whole position at the venue, replacing the earlier one.

        It stays there until the position is closed, also while the node is stopped.
        """
        self.broker.place_stop(instrument_id, trigger)

    def protect_on(self, bar: Bar) -> None:
        """Move stops and take-profits by a candle that just closed, as `protection` says.

        A strategy calls it with each candle of one interval; a rebalancer does so itself.
        """
        protector = self.broker.protector
        if protector is not None:
            prices = [round(p.as_double(), p.precision) for p in (bar.high, bar.low, bar.close)]
            kind, closed = bar.bar_type, bar.ts_event
            opened = closed - kind.spec.timedelta // timedelta(microseconds=1) * 1000
            protector.on_candle(kind.instrument_id, opened, closed, *prices)

    def _protect(self) -> None:
        spot = [name.value for name in self.instrument_ids if self.market.is_spot(name)]
        assert self.config.protection is not None
        assert self.broker.protector is not None
        if spot and self.config.protection.take:
            raise ValueError(
                f"strategy {self.config.key}: a take-profit on spot takes up its coins, so that "
                f"neither a stop nor an exit could sell them: leave out {', '.join(spot)}, or set "
                "protection.take: []"
            )
        self.broker.protector.reattach(self.instrument_ids)

    def execute(self, instrument_id: InstrumentId, quantity: Decimal, reason: str) -> None:
        """Trade a signed quantity of base coin by the document's tactic.

        An entry shrinks as `shrink` verdicts demand.

        Raises
        ------
        ValueError
            If it is less than a lot, or an execution is under way in the instrument (see
            `stop_executing`).
        """
        self.broker.execute(instrument_id, quantity, reason)

    def stop_executing(self, instruments: Container[str] | None = None) -> None:
        """Stop tactics and cancel their orders, all or in some instruments."""
        self.broker.stop(instruments)

    def orders_under_way(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return this strategy's open orders, including those of earlier sessions.

        Sorted by instrument, then in the order they were made.
        """
        return self.broker.under_way(instruments)

    def cancel_waiting(self, instruments: Container[str] | None = None) -> None:
        """Cancel this strategy's open orders, all or in some instruments."""
        self.broker.cancel_all(instruments)

    def when_clear(
        self,
        then: Callable[[], None],
        *,
        or_else: Callable[[], None],
        instruments: Container[str] | None = None,
    ) -> None:
        """Cancel open orders, then call ``then`` when they are gone (see `Broker.when_clear`)."""
        self.broker.when_clear(then, or_else=or_else, instruments=instruments)

    def could_not_clear(self) -> None:
        """Log that the venue did not answer cancels."""
        self.log.error("Own orders would not be cancelled; nothing is sent until they are gone")

    def on_loop(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a timer callback that runs on the main event loop."""
        return on_loop(self.clock, callback)

    # Events of the engine ------------------------------------------------------------------------

    def on_order_event(self, event: OrderEvent) -> None:
        """Track own orders; a derived class that overrides it calls this first."""
        self.broker.on_order_event(event)

    def on_position_closed(self, event: PositionClosed) -> None:
        """Cancel the position's stops; a derived class that overrides it calls this as well."""
        self.broker.withdraw_protection(event.instrument_id, event.entry)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Send a quote to tactics; a derived class that overrides it calls this as well."""
        if self.broker.executes:
            self.broker.on_top_of_book(tick.instrument_id)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Send the book to tactics; a derived class that overrides it calls this as well."""
        if self.broker.executes:
            self.broker.on_top_of_book(deltas.instrument_id)

    def _on_executed(self, done: Executed) -> None:
        if done.reason:
            self.log.warning(f"{done.instrument}: {done.filled} of {done.wanted}: {done.reason}")
        self.msgbus.publish(f"executions.{self.config.key}", done)
        self.on_executed(done)
