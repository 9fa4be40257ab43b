"""Send a strategy's orders: order ids, roles, market orders, protective stops, cancels.

Engine-specific; it does not depend on the strategy. Orders are read from the cache whenever they
are needed, never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from decimal import Decimal
from typing import Any, Protocol

from nautilus_trader.cache.base import CacheFacade
from nautilus_trader.common.component import Clock, Logger
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide, OrderStatus, TriggerType
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, StrategyId, TraderId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import Order

from strategies.desk_config import DeskStrategyConfig
from strategies.market_view import MarketView
from strategies.messages import decision_id as decision_id_of
from strategies.on_loop import wake_in
from strategies.order_ids import (
    is_closers,
    is_protective,
    numbered,
    order_id,
    owner_of,
    protective,
    session_of,
)
from strategies.order_tags import Role, decision_of, only_shrinks, order_tags, reason_of, role_of
from strategies.refusals import Refusal, as_reason, refusal_of
from strategies.sizing.rounding import split
from strategies.tactics.pricing import ZERO, smallest

CANCEL_PAUSE_NS = 500_000_000
"""Pause before an order is cancelled again whose cancel was refused or lost."""
CLOSE_PAUSE_NS = 1_000_000_000
"""Pause before a position whose stop was refused is closed again, as where nobody trades."""
REPORT_PAUSE_NS = 1_000_000_000
"""Pause before a strategy is told that verdicts left nothing of what it sent."""
MOST_ORDERS = 500
"""Most orders that an entry is split into: more would leave for minutes at the venue's ten a
second, and what is that far beyond its largest order is a mistake in its size."""
_ENDS = (OrderCanceled, OrderDenied, OrderExpired, OrderRejected)
_Left = tuple[Decimal, Refusal | None]
"""What is left of an order, signed base coin, and why nothing is."""


class Engine(Protocol):
    """Parts of the engine that the broker uses; Nautilus's Strategy has them."""

    @property
    def id(self) -> StrategyId:
        """The strategy's id."""

    @property
    def trader_id(self) -> TraderId:
        """The trader's id."""

    @property
    def clock(self) -> Clock:
        """Time and timers."""

    @property
    def cache(self) -> CacheFacade:
        """Holds the orders."""

    @property
    def log(self) -> Logger:
        """The strategy's log."""

    @property
    def order_factory(self) -> OrderFactory:
        """Makes orders."""

    def submit_order(self, order: Order, *, params: dict[str, Any] | None = None) -> None:
        """Send an order, with parameters of the venue's adapter."""

    def cancel_order(self, order: Order) -> None:
        """Request a cancel from the venue."""

    def handle_event(self, event: OrderEvent) -> None:
        """Call the strategy's handlers of an event."""


class OrderSender:
    """Orders of one strategy.

    ``decision_id`` is the published decision of the next orders, empty before the first: orders of
    a strategy that publishes none carry the id of the moment when they were made. With
    ``adopts_orders``, orders that others placed in its instruments are treated like its own.
    """

    def __init__(self, engine: Engine, market: MarketView, config: DeskStrategyConfig) -> None:
        self._engine = engine
        self._market = market
        self._config = config
        self._id_prefix = ""
        self._made = 0
        self._own: set[ClientOrderId] = set()
        self._protecting: set[ClientOrderId] = set()
        self._rests: dict[ClientOrderId, Decimal] = {}
        self._cancelled: dict[ClientOrderId, int] = {}
        self._replaced: dict[ClientOrderId, list[ClientOrderId]] = {}
        self._closing: set[ClientOrderId] = set()
        self._closed_at: dict[InstrumentId, int] = {}
        self.decision_id = ""
        self.adopts_orders = False
        self.shrunk: Callable[[InstrumentId, Decimal], _Left] | None = None
        """Returns what verdicts leave of an order; None where a strategy sizes by them itself."""
        self._reports: list[Callable[[], None]] = []

    def begin_session(self) -> None:
        """Set the prefix of order ids to this start."""
        config = self._config
        session = session_of(self._engine.clock.timestamp_ns())
        self._id_prefix = order_id(config.node, config.key, session, 0)[:-1]

    def next_order_id(self) -> ClientOrderId:
        """Return the id of the next order; a live node's gate refuses ids made elsewhere."""
        self._made += 1
        return ClientOrderId(numbered(self._id_prefix, self._made))

    def send(self, order: Order) -> None:
        """Send an order and track it; one of which verdicts leave nothing is denied."""
        left = size = _signed(order, order.quantity.as_decimal())
        if self.shrunk is not None and not order.is_reduce_only:
            left, refusal = self.shrunk(order.instrument_id, size)
            if refusal is not None:
                order.apply(self._deny(order.instrument_id, refusal, order.client_order_id))
                return
        if left != size:
            # The same object, as the strategy may have kept it to cancel it.
            init = OrderInitialized.to_dict(order.init_event)
            init["quantity"] = str(Quantity(abs(left), order.quantity.precision))
            Order.__init__(order, OrderInitialized.from_dict(init))
        self._submit(order)

    def _deny(
        self, instrument_id: InstrumentId, refusal: Refusal, name: ClientOrderId | None = None
    ) -> OrderDenied:
        """Report an order that is not sent as one that the gate refuses; it has no row of one."""
        engine = self._engine
        denied = OrderDenied(
            engine.trader_id,
            engine.id,
            instrument_id,
            name or self.next_order_id(),
            as_reason(refusal),
            UUID4(),
            engine.clock.timestamp_ns(),
        )
        self._report_soon(lambda: engine.handle_event(denied))
        return denied

    def _report_soon(self, report: Callable[[], None]) -> None:
        """Report in a moment: at once, a strategy that tries again would not come to an end."""
        self._reports.append(report)
        if len(self._reports) == 1:
            name = f"denied.{self._config.key}"
            wake_in(self._engine.clock, REPORT_PAUSE_NS, name, self._on_reports)

    def _on_reports(self, _: object) -> None:
        reports, self._reports = self._reports, []
        for report in reports:
            report()

    def _submit(self, order: Order) -> None:
        self._own.add(order.client_order_id)
        attached = self._attached_stop(order)
        if attached is None:
            self._engine.submit_order(order)
        else:
            self._engine.submit_order(order, params=attached)

    def _attached_stop(self, order: Order) -> dict[str, str] | None:
        return None

    def send_market(
        self,
        instrument_id: InstrumentId,
        quantity: Decimal,
        reason: str,
        *,
        decision_id: str | None = None,
    ) -> list[ClientOrderId]:
        """Send a market order for a signed quantity of base coin, whatever the tactic.

        It is reduce-only when it can only shrink the position. It is split into orders of similar
        size when it exceeds the venue's largest order. Without a ``decision_id`` it belongs to the
        newest decision, or to this moment; an empty one is for none. Returns the orders' ids: none
        where verdicts leave nothing of it.

        Raises
        ------
        ValueError
            If it is less than a lot.
        """
        left, refusal = self._asked(instrument_id, quantity)
        if refusal is not None:
            self._deny(instrument_id, refusal)
            return []
        return self._send_market(instrument_id, left, reason, decision_id)

    def _asked(self, instrument_id: InstrumentId, quantity: Decimal) -> _Left:
        """Return what verdicts leave of an order; raises ValueError for one of less than a lot."""
        self._check_type(f"an order of {quantity!r} {instrument_id}", quantity)
        market, size = self._market, abs(quantity)
        step, unit = market.lot(instrument_id).step, market.instrument(instrument_id).size_precision
        is_sized = quantity.is_finite() and round(size, unit)
        # A position that the venue's rules have made too small since is left whole.
        may_be_less = self.shrunk is None or (is_sized and market.shrinks(instrument_id, quantity))
        if not is_sized or (size < step and not may_be_less):
            raise ValueError(
                f"strategy {self._config.key}: an order of {quantity:f} {instrument_id} must be a "
                f"number, at least its lot of {step:f}"
            )
        return (quantity, None) if self.shrunk is None else self.shrunk(instrument_id, quantity)

    def _check_type(self, what: str, value: object) -> None:
        if not isinstance(value, Decimal):
            kind = type(value).__name__
            raise TypeError(f"strategy {self._config.key}: {what} must be a Decimal, not a {kind}")

    def _is_absurd(self, instrument_id: InstrumentId, quantity: Decimal) -> bool:
        largest = self._market.terms(instrument_id, exits=False).max_quantity
        too_large = largest is not None and abs(quantity) > MOST_ORDERS * largest
        return too_large and not self._market.shrinks(instrument_id, quantity)

    def _send_market(
        self,
        instrument_id: InstrumentId,
        quantity: Decimal,
        reason: str,
        decision_id: str | None = None,
    ) -> list[ClientOrderId]:
        market, engine = self._market, self._engine
        found = market.instrument(instrument_id)
        largest = None if found.max_quantity is None else found.max_quantity.as_decimal()
        if self._is_absurd(instrument_id, quantity):
            largest = None  # Refused whole, once, as above the venue's maximum.
        role: Role = "exit" if market.shrinks(instrument_id, quantity) else "entry"
        reduce_only = role == "exit" and not market.is_spot(instrument_id)
        tags = order_tags(reason, self._decision() if decision_id is None else decision_id, role)
        names = []
        for size in split(abs(quantity), found.size_increment.as_decimal(), largest):
            names.append(self.next_order_id())
            self._submit(
                engine.order_factory.market(
                    instrument_id,
                    OrderSide.BUY if quantity > ZERO else OrderSide.SELL,
                    Quantity(size, found.size_precision),
                    reduce_only=reduce_only,
                    tags=tags,
                    client_order_id=names[-1],
                )
            )
        return names

    def order(self, name: ClientOrderId) -> Order | None:
        """Return an order as it is now, None when it is unknown."""
        return self._engine.cache.order(name)

    def sent(self, name: ClientOrderId) -> bool:
        """Whether this strategy sent the order, in any session, other than to protect."""
        value = name.value
        if is_closers(value) or is_protective(value):
            return False
        return owner_of(value) == (self._config.node, self._config.key)

    def under_way(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return open orders, also of earlier sessions, without protective ones.

        Sorted by instrument, then in the order they were made.
        """
        return [o for o in self.all_open(instruments) if role_of_order(o) != "protective"]

    def all_open(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return open orders of every role, sorted like `under_way`."""
        cache, mine = self._engine.cache, self._engine.id
        found = {order.client_order_id: order for order in cache.orders_open(strategy_id=mine)}
        for order in cache.orders_inflight(strategy_id=mine):
            found[order.client_order_id] = order
        # Live, an order that was just sent is in neither list until the engine's queues pass it.
        for name in self._own | self._protecting:
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
        if is_closers(order.client_order_id.value):
            return False
        config = self._config
        if self.adopts_orders or not config.claims:
            return True
        owner = owner_of(order.client_order_id.value)
        return owner is not None and owner == (config.node, config.key)

    # Protective orders rest at the venue while a position is open. They do not make a strategy
    # busy; a rebalance or a stop of the node does not cancel them. The order gate does not count
    # them, as they can only shrink a position.

    def place_stop(
        self,
        instrument_id: InstrumentId,
        trigger: Decimal,
        reason: str = "stop",
        *,
        quantity: Decimal | None = None,
    ) -> ClientOrderId:
        """Place a reduce-only stop-market order for the whole position at the venue.

        On spot it is a sale of that size, which takes up no coins before its trigger. An earlier
        stop is cancelled once the venue has accepted the new one, so that the position is never
        without: the adapter's amend would lose the trigger price.

        A stop that the venue refuses, as one that the price has already passed, closes the position
        at market when no other stop protects it, unless it is too small for any order.

        ``trigger`` is the last price at which it sells a long or buys back a short, rounded down to
        the tick.
        ``reason`` is a tag. With a ``quantity``, unsigned base coin, it is for that much.

        Raises
        ------
        ValueError
            Without a position.
        """
        held, found = self._market.holding(instrument_id), self._market.instrument(instrument_id)
        if held == ZERO:
            raise ValueError(f"no position to protect: {instrument_id}")
        self._check_type(f"a stop at {trigger!r} {instrument_id}", trigger)
        tick = found.price_increment.as_decimal()
        name = self._protective_id()
        self._replaced[name] = [order.client_order_id for order in self._stops(instrument_id)]
        self._protecting.add(name)
        self._engine.submit_order(
            self._engine.order_factory.stop_market(
                instrument_id,
                OrderSide.SELL if held > ZERO else OrderSide.BUY,
                Quantity(quantity or abs(held), found.size_precision),
                Price(trigger // tick * tick, found.price_precision),
                trigger_type=TriggerType.LAST_PRICE,
                reduce_only=not self._market.is_spot(instrument_id),
                tags=order_tags(reason, self._decision(), "protective"),
                client_order_id=name,
            )
        )
        return name

    def place_take(
        self, instrument_id: InstrumentId, price: Decimal, quantity: Decimal, reason: str
    ) -> None:
        """Place a reduce-only limit order that takes profit on part of the position.

        On spot it is a sale of that size, which takes up its coins: cancel it before another sale.

        ``price`` is on the tick, ``quantity`` unsigned base coin; ``reason`` is a tag.
        """
        found, name = self._market.instrument(instrument_id), self._protective_id()
        self._protecting.add(name)
        self._engine.submit_order(
            self._engine.order_factory.limit(
                instrument_id,
                OrderSide.SELL if self._market.holding(instrument_id) > ZERO else OrderSide.BUY,
                Quantity(quantity, found.size_precision),
                Price(price, found.price_precision),
                reduce_only=not self._market.is_spot(instrument_id),
                tags=order_tags(reason, self._decision(), "protective"),
                client_order_id=name,
            )
        )

    def _protective_id(self) -> ClientOrderId:
        self._made += 1
        return ClientOrderId(protective(self._id_prefix, self._made))

    def _stops(self, instrument_id: InstrumentId) -> list[Order]:
        return [o for o in self.protective_orders({instrument_id.value}) if o.has_trigger_price]

    def protective_orders(self, instruments: Container[str] | None = None) -> list[Order]:
        """Return open protective orders, sorted like `under_way`."""
        return [o for o in self.all_open(instruments) if role_of_order(o) == "protective"]

    def withdraw_protection(
        self, instrument_id: InstrumentId, entry: OrderSide | None = None
    ) -> None:
        """Cancel the protective orders of an instrument, as when its position is closed.

        With an ``entry`` side only those of positions entered on it: a flip has begun another.
        """
        for order in self.protective_orders({instrument_id.value}):
            if order.side != entry:
                self.cancel(order)

    def _follow_protective(self, event: OrderEvent) -> None:
        if isinstance(event, OrderAccepted):
            for name in self._replaced.pop(event.client_order_id, ()):
                order = self._engine.cache.order(name)
                if order is not None and not order.is_closed:
                    self.cancel(order)
        elif isinstance(event, _ENDS):
            self._replaced.pop(event.client_order_id, None)

    def is_entry(self, order: Order) -> bool:
        """Whether the unfilled rest of an order could open or enlarge a position."""
        signed = _signed(order, order.quantity.as_decimal() - order.filled_qty.as_decimal())
        return not order.is_reduce_only and not self._market.shrinks(order.instrument_id, signed)

    def cancel(self, order: Order) -> None:
        """Cancel an order unless it has ended, or a cancel is pending or was sent a moment ago."""
        self._rests.pop(order.client_order_id, None)
        self._request_cancel(order)

    def _request_cancel(self, order: Order) -> None:
        name, now = order.client_order_id, self._engine.clock.timestamp_ns()
        # One that never left is not pending; one that is pending is not after a late acceptance.
        recent = name in self._cancelled and not self._lost_cancel(name, now)
        if not (order.is_closed or order.is_pending_cancel or recent):
            self._cancelled[name] = now
            self._engine.cancel_order(order)

    def _lost_cancel(self, name: ClientOrderId, now: int) -> bool:
        """Whether an order that is open was to be cancelled, so long ago that it should be gone."""
        last = self._cancelled.get(name)
        return last is not None and now >= last + CANCEL_PAUSE_NS

    def cancel_all(self, instruments: Container[str] | None = None) -> None:
        """Cancel open orders one by one, all or in some instruments.

        The exchange's cancel-all would also cancel orders that are not ours.
        """
        for order in self.under_way(instruments):
            self.cancel(order)

    # A market order may wait in the throttle for its turn to leave. When others move the position
    # toward its goal meanwhile, it would pass the goal: it is withdrawn, and its rest sent.

    def _shrink_waiting(self, event: OrderFilled) -> None:
        moved = event.last_qty.as_decimal()
        for order in self.under_way({event.instrument_id.value}):
            name = order.client_order_id
            waits = name in self._own and order.status == OrderStatus.INITIALIZED
            # The venue itself cuts what is reduce-only.
            other = order.has_price or order.is_reduce_only or order.side != event.order_side
            size = self._rests.get(name, order.quantity.as_decimal())
            rest = max(size - moved, ZERO)
            is_cancelled = name in self._cancelled and name not in self._rests
            if other or not waits or rest == size or is_cancelled:
                continue
            moved -= size - rest
            self._rests[name] = rest
            self._request_cancel(order)

    def _send_rest(self, event: OrderEvent) -> None:
        rest = self._rests.pop(event.client_order_id, ZERO)
        if rest and isinstance(event, OrderDenied) and refusal_of(event.reason).code == "withdrawn":
            order = self._engine.cache.order(event.client_order_id)
            self._send_market(
                event.instrument_id,
                _signed(order, rest),
                reason_of(order.tags),
                decision_of(order.tags),
            )

    def _track(self, event: OrderEvent) -> bool:
        if isinstance(event, OrderFilled):
            order = self._engine.cache.order(event.client_order_id)
            ended = order is not None and order.is_closed
        else:
            ended = isinstance(event, _ENDS)
        if self._replaced:
            self._follow_protective(event)
        # Rejections of earlier sessions come again at a restart: their positions are history.
        refused_stop = (
            isinstance(event, OrderRejected)
            and event.client_order_id in self._protecting
            and self._config.protection is None
        )
        if ended:
            self._send_rest(event)
            self._own.discard(event.client_order_id)
            self._cancelled.pop(event.client_order_id, None)
            self._protecting.discard(event.client_order_id)
        order = self.order(event.client_order_id)
        if order is not None and (
            refused_stop or (ended and order.client_order_id in self._closing)
        ):
            self._closing.discard(order.client_order_id)
            self._close_unprotected(event.instrument_id, order.side)
        return ended

    def _close_unprotected(self, instrument_id: InstrumentId, side: OrderSide) -> None:
        held, clock = self._market.holding(instrument_id), self._engine.clock
        closing = OrderSide.SELL if held > ZERO else OrderSide.BUY
        if held == ZERO or side != closing:
            return  # The position that it was for is gone.
        stops = [order for order in self._stops(instrument_id) if order.side == closing]
        if stops or self.under_way({instrument_id.value}) or self._is_too_little(instrument_id):
            return
        last, now = self._closed_at.get(instrument_id), clock.timestamp_ns()
        if last is not None and now < last + CLOSE_PAUSE_NS:
            # The exit found too few to trade with: at once again, it would go on for ever.
            wake_in(
                clock,
                CLOSE_PAUSE_NS,
                f"close.{instrument_id}",
                lambda _: self._close_unprotected(instrument_id, side),
            )
            return
        self._closed_at[instrument_id] = now
        self._closing.update(self.send_market(instrument_id, -held, "stop refused"))

    def _is_too_little(self, instrument_id: InstrumentId) -> bool:
        market = self._market
        left, price = abs(market.holding(instrument_id)), market.newest_price(instrument_id)
        terms = market.terms(instrument_id, exits=True)
        return price is not None and left < smallest(left, price, terms)

    def closes_soon(self, instrument_id: InstrumentId) -> bool:
        """Whether a position is to be closed in a moment, as nobody traded when its stop failed."""
        return f"close.{instrument_id}" in self._engine.clock.timer_names

    def _decision(self) -> str:
        return self.decision_id or decision_id_of(
            self._config.key, self._engine.clock.timestamp_ns()
        )


def _signed(order: Order, quantity: Decimal) -> Decimal:
    return quantity if order.side == OrderSide.BUY else -quantity


def role_of_order(order: Order) -> Role:
    """Return an order's role; after a restart it is read from its id and flags."""
    return role_of(order.client_order_id.value, order.tags, order_only_shrinks(order))


def order_only_shrinks(order: Order) -> bool:
    """Whether an order can only shrink what is held."""
    return only_shrinks(
        order.client_order_id.value,
        order.instrument_id.value,
        sells=order.side == OrderSide.SELL,
        reduce_only=order.is_reduce_only,
    )
