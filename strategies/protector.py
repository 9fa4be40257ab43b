"""Bring the protective orders of each position to what `strategies.tactics.protective` wants.

Engine-specific. It sees every order event and every candle of its strategy, follows each position,
and saves what it knows of it before it sends. A stop moves by a new one before the old goes; a
take-profit by a cancel first, so that together they never exceed the position. While an order fills
in parts, only what the stop lacks of the position is mended at once: requests are limited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nautilus_trader.common.component import Clock
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCanceled,
    OrderCancelRejected,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Price
from nautilus_trader.model.orders import Order

from strategies.market_view import MarketView
from strategies.on_loop import wake_in
from strategies.order_ids import is_protective
from strategies.refusals import refusal_of
from strategies.tactics.pricing import ZERO
from strategies.tactics.protective import (
    CandleClosed,
    Event,
    Offered,
    PositionSeen,
    Protected,
    Protection,
    Reattached,
    TakeFilled,
    Wanted,
    step,
    wanted,
)

if TYPE_CHECKING:
    from strategies.broker import Broker

_AGAIN_NS = 10**9
_PARTS_NS = 500_000_000
"""How long a stop may be too large, and take-profits too small, while an order fills in parts."""


def forget_protection(
    broker: Broker, market: MarketView, instrument_ids: Iterable[InstrumentId]
) -> str:
    """Take down what an earlier session with protection left, as a session without it does.

    Take-profits are cancelled, and what protects no position. A position's stop stays, and goes
    with it. The saved states are deleted: a later session must not protect a new position by the
    stop of an old one. Returns what it did in words, empty when there was nothing.
    """
    saved, wrong = False, []
    for name in map(_name, instrument_ids):
        if broker.store is not None and broker.store.load(name):
            broker.store.save(name, b"")
            saved = True
    resting = broker.protective_orders()
    for order in resting:
        held = market.holding(order.instrument_id)
        closes = held > ZERO if order.side == OrderSide.SELL else held < ZERO
        if not (order.has_trigger_price and closes):
            wrong.append(order)
            broker.cancel(order)
    left = len(resting) - len(wrong)
    if not (wrong or (saved and left)):
        return ""
    return (
        f"protection is off: cancels {len(wrong)} order{'s' * (len(wrong) != 1)}, leaves {left} "
        f"stop{'s' * (left != 1)} at the exchange beside those attached to entries; nothing moves "
        "them any more"
    )


@dataclass(slots=True)
class _Ranges:
    """Last candles of one instrument, each with its true range."""

    candles: deque[tuple[int, int, float, float, float]]
    close: float | None = None

    def add(self, opened: int, closed: int, high: float, low: float, close: float) -> bool:
        """Add a candle; return whether it is newer than the last."""
        if self.candles and closed <= self.candles[-1][1]:
            return False
        before = close if self.close is None else self.close
        self.candles.append((opened, closed, high, low, max(high, before) - min(low, before)))
        self.close = close
        return True

    def average(self) -> Decimal:
        """Return the average true range, of fewer candles where there are no more."""
        # The engine's indicator has the same value, and averages at each candle.
        return Decimal(repr(sum(candle[-1] for candle in self.candles) / len(self.candles)))


class Protector:
    """Protective orders of one strategy's positions, by instrument.

    ``stopped_out`` is called when a position was closed by other orders than the strategy's own
    exits, or is about to be: what would open it again must not be sent.
    """

    def __init__(
        self,
        broker: Broker,
        market: MarketView,
        rules: Protection,
        clock: Callable[[], Clock],
        stopped_out: Callable[[InstrumentId], None],
    ) -> None:
        self._broker, self._market, self._rules = broker, market, rules
        self._clock, self._stopped_out = clock, stopped_out
        self._ranges: dict[InstrumentId, _Ranges] = {}
        self._guarded: dict[InstrumentId, Protected] = {}
        self._moving: set[ClientOrderId] = set()
        self._leaving: dict[InstrumentId, list[ClientOrderId]] = {}
        self._in_parts: set[InstrumentId] = set()

    # Candles -----------------------------------------------------------------------------------

    def warm_up(self, panel: Any, interval_ns: int) -> None:
        """Add candles from before the start: a `catalog.panel.Panel`."""
        for column, name in enumerate(panel.ids):
            prices = (panel.high[:, column], panel.low[:, column], panel.close[:, column])
            for ts, *row in zip(panel.ts.tolist(), *(p.tolist() for p in prices), strict=True):
                if row[2] == row[2]:
                    self._add(InstrumentId.from_str(name), ts - interval_ns, ts, *row)

    def on_candle(
        self,
        instrument_id: InstrumentId,
        opened: int,
        closed: int,
        high: float,
        low: float,
        close: float,
    ) -> None:
        """Add a candle that just closed, and move orders by it; times are UNIX nanoseconds."""
        if not self._add(instrument_id, opened, closed, high, low, close):
            return
        if instrument_id in self._guarded:
            self._follow(instrument_id)
        elif self._market.holding(instrument_id):
            self._see(instrument_id)
        self._sync(instrument_id)

    def _add(self, instrument_id: InstrumentId, *candle: Any) -> bool:
        kept = self._ranges.get(instrument_id)
        if kept is None:
            kept = self._ranges[instrument_id] = _Ranges(deque(maxlen=self._rules.atr))
        return kept.add(*candle)

    def _atr(self, instrument_id: InstrumentId) -> Decimal | None:
        kept = self._ranges.get(instrument_id)
        return None if kept is None else kept.average()

    def _follow(self, instrument_id: InstrumentId) -> None:
        """Move the stop by the candles that it has not followed yet."""
        kept = self._ranges.get(instrument_id)
        if kept is None:
            return
        for opened, closed, high, low, _ in kept.candles:
            if closed > self._guarded[instrument_id].candle:
                prices = (Decimal(repr(high)), Decimal(repr(low)))
                self._step(instrument_id, CandleClosed(opened, closed, *prices, kept.average()))

    # The position ------------------------------------------------------------------------------

    def reattach(self, instrument_ids: tuple[InstrumentId, ...]) -> None:
        """Take up the positions found at a start, before anything new is sent.

        Raises DeskError when a saved state can't be read.
        """
        for instrument_id in instrument_ids:
            saved = self._broker.load_state(_name(instrument_id), Protected)
            held = self._market.holding(instrument_id)
            if saved is not None:
                self._guarded[instrument_id] = saved
                self._step(instrument_id, Reattached(held, self._offered(instrument_id)))
            self._see(instrument_id)
            if held:
                self._follow(instrument_id)
                self._sync(instrument_id)
                continue
            # Also what a crash has kept from being cancelled with its position.
            self._broker.withdraw_protection(instrument_id)
            if saved is not None:
                self._stopped_out(instrument_id)

    def on_order_event(self, event: OrderEvent) -> None:
        """Follow fills, and orders of its own that end."""
        name, instrument_id = event.client_order_id, event.instrument_id
        if isinstance(event, OrderFilled):
            self._on_fill(event)
        elif isinstance(event, OrderAccepted):
            # Also of one whose cancel was lost: the engine has asked, and it is still open.
            self._moving.discard(name)
            if is_protective(name.value):
                self.tidy(instrument_id)
        elif isinstance(event, OrderCanceled | OrderExpired):
            # A take-profit that the venue cut is looked at again with the next fill or candle.
            if name in self._moving or self._is_stop(name):
                self._moving.discard(name)
                self._sync(instrument_id)
            elif name in self._leaving.get(instrument_id, ()):
                self._try_again(instrument_id)
        elif isinstance(event, OrderCancelRejected):
            self._moving.discard(name)
            if is_protective(name.value):
                self._try_again(instrument_id)
        elif isinstance(event, OrderRejected | OrderDenied) and instrument_id in self._guarded:
            refusal = refusal_of(event.reason)
            # One whose own cancel came before it left was refused by nobody.
            if refusal.transient or refusal.code == "withdrawn":
                self._try_again(instrument_id)
            elif self._is_stop(name) and refusal.code != "dry_run":
                self._on_refused_stop(instrument_id, event)
            elif is_protective(name.value):
                self._step(instrument_id, Offered(self._offered(instrument_id)))

    def _on_fill(self, event: OrderFilled) -> None:
        name, instrument_id = event.client_order_id, event.instrument_id
        was_guarded, protects = instrument_id in self._guarded, is_protective(name.value)
        self._follow_parts(name, instrument_id)
        if protects and not self._is_stop(name):
            self._step(instrument_id, TakeFilled(event.last_qty.as_decimal()))
        self._see(instrument_id)
        if instrument_id in self._guarded:
            self._sync(instrument_id)
        elif was_guarded and not self._market.holding(instrument_id):
            self._broker.withdraw_protection(instrument_id)
            if protects or not self._broker.sent(name):
                self._stopped_out(instrument_id)

    def _follow_parts(self, name: ClientOrderId, instrument_id: InstrumentId) -> None:
        order = self._broker.order(name)
        if order is None or order.is_closed:
            self._in_parts.discard(instrument_id)
        elif instrument_id not in self._in_parts:
            self._in_parts.add(instrument_id)
            timer = f"parts.{instrument_id}"
            wake_in(self._clock(), _PARTS_NS, timer, lambda _: self._end_parts(instrument_id))

    def _end_parts(self, instrument_id: InstrumentId) -> None:
        # The clock can't be asked: a live one may still list the timer that has just fired.
        self._in_parts.discard(instrument_id)
        self.tidy(instrument_id)

    def _see(self, instrument_id: InstrumentId) -> None:
        market = self._market
        held, entry = market.holding(instrument_id), market.entry_price(instrument_id)
        atr = self._atr(instrument_id)
        self._step(
            instrument_id, PositionSeen(self._clock().timestamp_ns(), held, entry or ZERO, atr)
        )

    def _step(self, instrument_id: InstrumentId, event: Event) -> None:
        before = self._guarded.get(instrument_id)
        after = step(before, event, self._rules)
        if after is before:
            return
        if after is None:
            del self._guarded[instrument_id]
        else:
            self._guarded[instrument_id] = after
        if after != before:
            self._broker.save_state(_name(instrument_id), after)

    @property
    def unprotected(self) -> list[str]:
        """Ids of positions without a stop: no candle was seen of them."""
        guarded = {instrument_id.value for instrument_id in self._guarded}
        return sorted(self._market.holdings().keys() - guarded)

    def first_stop(self, instrument_id: InstrumentId, price: Decimal) -> Decimal | None:
        """Return how far from its entry a new position's stop would be, None until all of the ATR.

        A position that was opened before would be protected by a guess.
        """
        kept = self._ranges.get(instrument_id)
        if kept is None or len(kept.candles) < self._rules.atr:
            return None
        return self._rules.distance(self._rules.first_stop, kept.average(), price)

    def is_whole(self, instrument_id: InstrumentId) -> bool:
        """Whether just the orders rest that should: none missing, on its way or left over."""
        resting, state = self._resting(instrument_id), self._guarded.get(instrument_id)
        if any(not order.is_open or order.is_pending_cancel for order in resting):
            return False
        if state is None:
            return not resting and not self._market.holding(instrument_id)
        if state.leave or self._is_leaving(instrument_id):
            return False
        missing = self._wanted(instrument_id, state)
        for order in resting:
            kind = "stop" if order.has_trigger_price else "take"
            same = [each for each in missing if each.kind == kind and _is(order, each)]
            if not same:
                return False
            missing.remove(same[0])
        return not missing

    def has_taken(self, instrument_id: InstrumentId) -> bool:
        """Whether take-profits have closed part of the position."""
        state = self._guarded.get(instrument_id)
        return state is not None and state.taken > ZERO

    # Orders ------------------------------------------------------------------------------------

    def tidy(self, instrument_id: InstrumentId) -> None:
        """Bring an instrument's orders to what is wanted, as when an exit begins or has ended."""
        if instrument_id in self._guarded:
            self._sync(instrument_id)
        elif not self._market.holding(instrument_id):
            self._broker.withdraw_protection(instrument_id)

    def crowds(self, instrument_id: InstrumentId) -> bool:
        """Whether take-profits that still rest leave an exit under way too little room.

        Bybit cuts a reduce-only order that rests to what others leave, and refuses it at nothing.
        """
        leaving = self._broker.leaving(instrument_id)
        return self._offered(instrument_id) > abs(self._market.holding(instrument_id)) - leaving

    def attached_stop(self, order: Order) -> dict[str, str] | None:
        """Return the adapter's parameters of an entry that opens a position, None for another.

        Bybit keeps the stop for the whole position from the first fill on, so that it is never
        without; it stays behind our own, which fires first. Spot has none. It is counted from the
        market's price where a limit, as of an order that takes, would let the entry be worse.
        """
        instrument_id, buys = order.instrument_id, order.side == OrderSide.BUY
        if self._market.is_spot(instrument_id):
            return None
        state, atr = self._guarded.get(instrument_id), self._atr(instrument_id)
        price = self._market.newest_price(instrument_id)
        if order.has_price:
            limit = order.price.as_decimal()
            price = limit if price is None else (min if buys else max)(limit, price)
        if atr is None or price is None or (state is not None and state.long == buys):
            return None
        away = self._rules.distance(Decimal(repr(self._rules.catastrophic)), atr, price)
        found = self._market.instrument(instrument_id)
        tick = found.price_increment.as_decimal()
        trigger = max((price - away if buys else price + away) // tick, Decimal(1)) * tick
        text = str(Price(trigger, found.price_precision))
        return {"stop_loss": text, "sl_trigger_by": "LastPrice"}

    def _sync(self, instrument_id: InstrumentId) -> None:
        state = self._guarded.get(instrument_id)
        if state is None:
            return
        if state.leave and not self._is_leaving(instrument_id):
            self._leave(instrument_id, state.leave)
            return
        exit_side = OrderSide.SELL if state.long else OrderSide.BUY
        resting = self._resting(instrument_id)
        stops = [order for order in resting if order.has_trigger_price]
        targets = [order for order in resting if not order.has_trigger_price]
        stop, *takes = self._wanted(instrument_id, state)
        # A flip has left those of the position before: they protect nothing, and nothing waits.
        for order in stops + targets:
            if order.side != exit_side:
                self._broker.cancel(order)
        self._sync_stop(instrument_id, stop, [o for o in stops if o.side == exit_side])
        self._sync_takes(instrument_id, takes, [o for o in targets if o.side == exit_side])

    def _wanted(self, instrument_id: InstrumentId, state: Protected) -> list[Wanted]:
        exit_side = OrderSide.SELL if state.long else OrderSide.BUY
        others = self._broker.under_way({instrument_id.value})
        closing = sum((_left(order) for order in others if order.side == exit_side), ZERO)
        closing = max(closing, self._broker.leaving(instrument_id))
        terms = self._market.terms(instrument_id, exits=True)
        return wanted(state, self._rules, terms, max(state.held - closing, ZERO))

    def _resting(self, instrument_id: InstrumentId) -> list[Order]:
        return self._broker.protective_orders({instrument_id.value})

    def _offered(self, instrument_id: InstrumentId) -> Decimal:
        takes = [o for o in self._resting(instrument_id) if not o.has_trigger_price]
        return sum(map(_left, takes), ZERO)

    def _sync_stop(self, instrument_id: InstrumentId, stop: Wanted, resting: list[Order]) -> None:
        # The answer to a stop under way comes first.
        if any(not order.is_open for order in resting):
            return
        fits = _covers if instrument_id in self._in_parts else _is
        good = [order for order in resting if fits(order, stop) and not order.is_pending_cancel]
        if not good:
            self._broker.place_stop(instrument_id, stop.price, stop.reason, quantity=stop.quantity)
        for order in resting:
            if good and order is not good[-1]:
                self._broker.cancel(order)

    def _sync_takes(
        self, instrument_id: InstrumentId, takes: list[Wanted], resting: list[Order]
    ) -> None:
        # Their answers come first, and cancels before new ones.
        if any(not order.is_open or order.client_order_id in self._moving for order in resting):
            return
        room, offered = sum(take.quantity for take in takes), sum(map(_left, resting), ZERO)
        if offered <= room and instrument_id in self._in_parts:
            return
        missing, wrong = list(takes), []
        for order in resting:
            same = [take for take in missing if _is(order, take)]
            if same and not order.is_pending_cancel:
                missing.remove(same[0])
            else:
                wrong.append(order)
        self._moving.update(order.client_order_id for order in wrong)
        for order in wrong:
            self._broker.cancel(order)
        new = [] if wrong else missing
        offered += sum((take.quantity for take in new), ZERO)
        self._step(instrument_id, Offered(offered))
        for take in new:
            self._broker.place_take(instrument_id, take.price, take.quantity, take.reason)

    def _is_stop(self, name: ClientOrderId) -> bool:
        order = self._broker.order(name)
        return is_protective(name.value) and order is not None and order.has_trigger_price

    def _try_again(self, instrument_id: InstrumentId) -> None:
        """Look at an instrument again in a moment, as when the venue was busy."""
        name = f"protect.{instrument_id}"
        wake_in(self._clock(), _AGAIN_NS, name, lambda _: self.tidy(instrument_id))

    def _on_refused_stop(
        self, instrument_id: InstrumentId, event: OrderRejected | OrderDenied
    ) -> None:
        """Close at market what no stop can protect: the price has passed it, or none rests."""
        state, market = self._guarded[instrument_id], self._market
        order, top = self._broker.order(event.client_order_id), market.top_of_book(instrument_id)
        price = market.engine_price(instrument_id) if top is None else top.mid
        if order is None or not market.holding(instrument_id) or self._is_leaving(instrument_id):
            return
        terms = market.terms(instrument_id, exits=True)
        stop, *_ = wanted(state, self._rules, terms, ZERO)
        others = [o for o in self._resting(instrument_id) if o.has_trigger_price]
        present = (order.side == OrderSide.SELL) == state.long and _is(order, stop)
        passed = price is not None and state.side * (price - stop.price) <= ZERO
        refusal = refusal_of(event.reason)
        if passed or (present and refusal.code == "passed"):
            self._leave(instrument_id, "stop passed")
        elif not present:
            # It was for the position before, or as it was before: the present one gets its own.
            self._sync(instrument_id)
        elif not any(o.side == order.side for o in others):
            self._leave(instrument_id, f"stop refused: {refusal}")

    def _leave(self, instrument_id: InstrumentId, reason: str) -> None:
        self._stopped_out(instrument_id)
        held = self._market.holding(instrument_id)
        # An exit that ended with it has looked at the position, and may have left already.
        if held and not self._is_leaving(instrument_id):
            sent = self._broker.send_market(instrument_id, -held, reason)
            self._leaving[instrument_id] = sent

    def _is_leaving(self, instrument_id: InstrumentId) -> bool:
        orders = map(self._broker.order, self._leaving.get(instrument_id, ()))
        return any(order is not None and not order.is_closed for order in orders)


def _name(instrument_id: InstrumentId) -> str:
    return f"protective.{instrument_id.value}"


def _covers(order: Order, stop: Wanted) -> bool:
    # A sale of coins, on spot, must not exceed what is held.
    enough = _left(order) >= stop.quantity if order.is_reduce_only else _is(order, stop)
    return enough and order.trigger_price.as_decimal() == stop.price


def _is(order: Order, wanted: Wanted) -> bool:
    price = order.price if wanted.kind == "take" else order.trigger_price
    return price.as_decimal() == wanted.price and _left(order) == wanted.quantity


def _left(order: Order) -> Decimal:
    return order.quantity.as_decimal() - order.filled_qty.as_decimal()
