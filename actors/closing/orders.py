"""Commands in a strategy's name that the closer gives, and the engine's orders as it sees them.

Engine-specific.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType, TimeInForce
from nautilus_trader.model.identifiers import (
    ClientOrderId,
    InstrumentId,
    StrategyId,
    TraderId,
)
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.orders import Order

from actors.closing.facts import EXTERNAL, Cancel, Close, Terms, UnderWay
from actors.closing.forced_orders import at_market, cancelling
from strategies.order_ids import closers_session, order_id

NOBODY = "EXTERNAL"
"""The engine's owner of orders and positions that no strategy claims."""
EXTERNAL_KEY = "external"
"""Stands in order ids where the owner is nobody of the desk."""
TAG = "flatten"
"""Reason that the closer's orders carry."""
_NOT_LEFT = (OrderStatus.INITIALIZED, OrderStatus.EMULATED, OrderStatus.RELEASED)
_UNANSWERED = (*_NOT_LEFT, OrderStatus.SUBMITTED)
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def owner_key(strategy_id: StrategyId) -> str:
    """Return the key of the strategy, `EXTERNAL` for nobody's."""
    return EXTERNAL if strategy_id.value == NOBODY else str(strategy_id.get_tag())


def under_way(order: Order, owner: str, *, ours: bool) -> UnderWay:
    """Return the order as the closer's rules see it."""
    left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
    return UnderWay(
        id=order.client_order_id.value,
        owner=owner,
        instrument=order.instrument_id.value,
        left=left if order.side == OrderSide.BUY else -left,
        reduce_only=order.is_reduce_only,
        takes=order.order_type == OrderType.MARKET or order.time_in_force in _AT_ONCE,
        left_us=order.status not in _NOT_LEFT,
        answered=order.status not in _UNANSWERED,
        since=order.ts_last,
        ours=ours,
    )


def terms_of(instrument: Instrument, price: Decimal | None, there: Decimal | None) -> Terms:
    """Return what the venue asks of an order in the instrument."""
    largest, least, value = (
        None if found is None else found.as_decimal()
        for found in (instrument.max_quantity, instrument.min_quantity, instrument.min_notional)
    )
    return Terms(
        lot=instrument.size_increment.as_decimal(),
        min_quantity=least or Decimal(0),
        min_notional=value or Decimal(0),
        max_quantity=largest,
        spot=isinstance(instrument, CurrencyPair),
        price=price,
        there=there,
    )


class Hands:
    """Sends what the rules ask for.

    Parameters
    ----------
    cache : Cache
        Of the engine.
    bus : MessageBus
        Of the engine.
    trader_id : TraderId
        Whose orders they are.
    tag : str
        The node's tag in order ids.
    start_ns : int
        UNIX nanoseconds (UTC); names the session in order ids.

    Attributes
    ----------
    sent : set of ClientOrderId
        Its closes, until somebody sees that they have ended.
    """

    def __init__(self, cache: Any, bus: Any, trader_id: TraderId, tag: str, start_ns: int) -> None:
        self._cache, self._bus, self._trader_id, self._tag = cache, bus, trader_id, tag
        self._session = closers_session(start_ns)
        self._made = 0
        self.sent: set[ClientOrderId] = set()

    def cancel(self, act: Cancel, now: int) -> None:
        """Take an order back; one that ended meanwhile needs none."""
        order = self._cache.order(ClientOrderId(act.id))
        if order is None or order.is_closed:
            return
        emulated = order.status == OrderStatus.EMULATED
        endpoint = "OrderEmulator.execute" if emulated else "ExecEngine.execute"
        self._bus.send(endpoint=endpoint, msg=cancelling(order, now))

    def close(self, act: Close, now: int) -> None:
        """Send a close in the name of whose position it is."""
        key = act.key
        instrument = self._cache.instrument(InstrumentId.from_str(key.instrument))
        held = self._cache.positions_open(instrument_id=instrument.id)
        position = next((p for p in held if owner_key(p.strategy_id) == key.owner), None)
        if position is None:  # The close before it, at a simulated venue, was enough.
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
            # Spot knows no such thing.
            reduce_only=not isinstance(instrument, CurrencyPair),
            position_id=position.id,
        )
        self.sent.add(command.order.client_order_id)
        self._cache.add_order(command.order, position.id)
        small = instrument.min_quantity is not None and (
            command.order.quantity < instrument.min_quantity
        )
        # The RiskEngine denies what the venue may well take: the whole of a small position.
        self._bus.send(endpoint=f"{'Exec' if small else 'Risk'}Engine.execute", msg=command)
