"""Market closes and cancels in a strategy's name, by the venue or the closer. Engine-specific."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import CancelOrder, SubmitOrder
from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType, TimeInForce
from nautilus_trader.model.identifiers import (
    ClientOrderId,
    InstrumentId,
    PositionId,
    StrategyId,
    TraderId,
)
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import MarketOrder, Order

from actors.closing.facts import (
    EXTERNAL,
    ZERO,
    CancelAct,
    CloseAct,
    ClosingTerms,
    PositionKey,
    WorkingOrder,
)
from actors.gate.gate import OrderGate
from actors.gate.pending import AccountView
from actors.records.owners import owner_of
from strategies.order_ids import BACKTEST_TAG, closers_session, is_closers, order_id, own_key

EXTERNAL_KEY = "external"
TAG = "flatten"
"""Reason in the closer's orders."""
_NOT_LEFT = (OrderStatus.INITIALIZED, OrderStatus.EMULATED, OrderStatus.RELEASED)
_UNANSWERED = (*_NOT_LEFT, OrderStatus.SUBMITTED)
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def at_market(
    trader_id: TraderId,
    strategy_id: StrategyId,
    instrument: Instrument,
    quantity: Decimal,
    *,
    named: str,
    tag: str,
    now: int,
    reduce_only: bool = True,
    position_id: PositionId | None = None,
) -> SubmitOrder:
    """Return the command that trades a signed quantity at market; times are UNIX nanoseconds."""
    order = MarketOrder(
        trader_id=trader_id,
        strategy_id=strategy_id,
        instrument_id=instrument.id,
        client_order_id=ClientOrderId(named),
        order_side=OrderSide.BUY if quantity > 0 else OrderSide.SELL,
        quantity=Quantity(abs(quantity), instrument.size_precision),
        init_id=UUID4(),
        ts_init=now,
        time_in_force=TimeInForce.GTC,
        reduce_only=reduce_only,
        tags=[tag],
    )
    return SubmitOrder(
        trader_id=trader_id,
        strategy_id=strategy_id,
        order=order,
        command_id=UUID4(),
        ts_init=now,
        position_id=position_id,
    )


def cancel_of(order: Order, now: int) -> CancelOrder:
    """Return the command that cancels an order."""
    return CancelOrder(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        command_id=UUID4(),
        ts_init=now,
    )


class ClosingView:
    """Reads the positions and orders of all owners from the engine.

    The gate knows the orders that passed it and have not reached the venue.
    """

    def __init__(self, cache: Any, gate: OrderGate, account: AccountView, tag: str) -> None:
        self._cache, self._gate, self._account, self._tag = cache, gate, account, tag

    def positions(self) -> dict[PositionKey, Decimal]:
        """Return the positions, signed base coin."""
        found: dict[PositionKey, Decimal] = {}
        for position in self._cache.positions_open():
            key = PositionKey(owner_of(position.strategy_id), position.instrument_id.value)
            found[key] = found.get(key, ZERO) + position.signed_decimal_qty()
        return {key: held for key, held in found.items() if held}

    def terms(self, names: Iterable[str]) -> dict[str, ClosingTerms]:
        """Return the venue's order limits of the instruments that are known."""
        instruments = {n: self._cache.instrument(InstrumentId.from_str(n)) for n in names}
        return {n: self._terms(found) for n, found in instruments.items() if found is not None}

    def orders(self, sent: set[ClientOrderId]) -> list[WorkingOrder]:
        """Return every order that may still fill; closes that ended are removed from ``sent``."""
        cache = self._cache
        found: dict[ClientOrderId, Order] = {
            order.client_order_id: order
            for orders in (cache.orders_open(), cache.orders_inflight(), cache.orders_emulated())
            for order in orders
        }
        # Orders that wait here or in the engines' queues are not among these yet.
        for names in self._gate.under_way.values():
            for name in names:
                order = cache.order(ClientOrderId(name))
                if order is not None:
                    found[order.client_order_id] = order
        for client_order_id in list(sent):
            order = cache.order(client_order_id)
            if order is None or order.is_closed:
                sent.discard(client_order_id)
            else:
                found[client_order_id] = order
        return [self._working(order) for order in found.values() if not order.is_closed]

    def _terms(self, instrument: Instrument) -> ClosingTerms:
        largest, least, value = (
            None if found is None else found.as_decimal()
            for found in (instrument.max_quantity, instrument.min_quantity, instrument.min_notional)
        )
        spot = isinstance(instrument, CurrencyPair)
        account = self._cache.account_for_venue(instrument.id.venue) if spot else None
        coins = None if account is None else account.balance_total(instrument.base_currency)
        return ClosingTerms(
            lot=instrument.size_increment.as_decimal(),
            min_quantity=least or ZERO,
            min_notional=value or ZERO,
            max_quantity=largest,
            spot=spot,
            price=self._account.price(instrument.id.value) if spot else None,
            in_wallet=None if coins is None else coins.as_decimal(),
        )

    def _working(self, order: Order) -> WorkingOrder:
        left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
        return WorkingOrder(
            id=order.client_order_id.value,
            owner=self._owner_of(order),
            instrument=order.instrument_id.value,
            left=left if order.side == OrderSide.BUY else -left,
            reduce_only=order.is_reduce_only,
            takes=order.order_type == OrderType.MARKET or order.time_in_force in _AT_ONCE,
            has_left=order.status not in _NOT_LEFT,
            answered=order.status not in _UNANSWERED,
            since=order.ts_last,
            ours=is_closers(order.client_order_id.value),
        )

    def _owner_of(self, order: Order) -> str:
        """Return the owner; a strategy that claims an instrument owns others' orders there too."""
        key = owner_of(order.strategy_id)
        if self._tag == BACKTEST_TAG:
            return key
        return EXTERNAL if own_key(self._tag, order.client_order_id.value) is None else key


class ClosingBroker:
    """Sends the closer's cancels and closes.

    ``start_ns`` (UNIX nanoseconds, UTC) names the session in order ids. ``sent`` holds the ids of
    the closes until `ClosingView.orders` sees that they have ended.
    """

    def __init__(self, cache: Any, bus: Any, trader_id: TraderId, tag: str, start_ns: int) -> None:
        self._cache, self._bus, self._trader_id, self._tag = cache, bus, trader_id, tag
        self._session = closers_session(start_ns)
        self._made = 0
        self.sent: set[ClientOrderId] = set()

    def cancel(self, act: CancelAct, now: int) -> None:
        """Cancel an order, unless it has ended."""
        order = self._cache.order(ClientOrderId(act.id))
        if order is None or order.is_closed:
            return
        emulated = order.status == OrderStatus.EMULATED
        endpoint = "OrderEmulator.execute" if emulated else "ExecEngine.execute"
        self._bus.send(endpoint=endpoint, msg=cancel_of(order, now))

    def close(self, act: CloseAct, now: int) -> None:
        """Send a close in the name of the position's owner."""
        key = act.key
        instrument = self._cache.instrument(InstrumentId.from_str(key.instrument))
        held = self._cache.positions_open(instrument_id=instrument.id)
        position = next((p for p in held if owner_of(p.strategy_id) == key.owner), None)
        if position is None:  # A simulated venue has already filled the close before.
            return
        self._made += 1
        name = key.owner if key.owner != EXTERNAL else EXTERNAL_KEY
        command = at_market(
            self._trader_id,
            position.strategy_id,
            instrument,
            act.quantity,
            named=order_id(self._tag, name, self._session, self._made),
            tag=TAG,
            now=now,
            # Spot has no reduce-only orders.
            reduce_only=not isinstance(instrument, CurrencyPair),
            position_id=position.id,
        )
        self.sent.add(command.order.client_order_id)
        self._cache.add_order(command.order, position.id)
        small = instrument.min_quantity is not None and (
            command.order.quantity < instrument.min_quantity
        )
        # The RiskEngine denies closing a whole small position, which the venue may accept.
        self._bus.send(endpoint=f"{'Exec' if small else 'Risk'}Engine.execute", msg=command)
