"""Open exposure of every owner (positions and open orders) when an order comes in. Engine-specific.

A rebalance sends hundreds of orders at the same prices. Only the rows that an order changed are
computed again, so the cost does not grow with the square of the orders.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import ClientOrderId

from actors.gate.pending import AccountView, protects_from_outside, sides
from actors.guards.core.snapshot import NO_RANGES, Holding, OpenExposure, Ranges, ranges_of
from actors.records.order_facts import OrderFacts
from actors.records.owners import owner_of
from strategies.order_sender import order_only_shrinks
from strategies.order_tags import only_shrinks

ZERO = Decimal(0)
Key = tuple[str, str]
"""Instrument and owner."""


class _Sender(NamedTuple):
    """Who sent an order, and whether it can only reduce a position."""

    owner: str
    reduces: bool


class OpenExposures:
    """Computes the rows of `actors.guards.core.snapshot.OrderRequested.open_exposure`.

    ``under_way`` holds what orders that passed the gate may still fill: signed base coin, by
    instrument and client order id.
    """

    def __init__(self, account: AccountView, cache: Any) -> None:
        self.under_way: Mapping[str, Mapping[str, Decimal]] = {}
        self._account = account
        self._cache = cache
        self._is_valid = False
        self._keys: list[Key] = []
        self._rows: list[OpenExposure] = []
        self._ranges = NO_RANGES
        self._held: dict[str, dict[str, Holding]] = {}
        self._stale: set[str] = set()
        self._senders: dict[str, _Sender] = {}
        self._earlier: dict[str, dict[str, Decimal]] = {}

    def forget(self) -> None:
        """Compute all rows again, after prices or positions changed."""
        self._is_valid = False

    def touch(self, instrument: str) -> None:
        """Compute an instrument's rows again, after one of its orders left, changed or ended."""
        self._stale.add(instrument)

    def sent(self, order: OrderFacts) -> None:
        """Compute the rows of an order's instrument again, after it passed the gate."""
        self._senders[order.client_order_id] = _Sender(
            order.strategy,
            only_shrinks(
                order.client_order_id,
                order.instrument,
                sells=order.side == "SELL",
                reduce_only=order.reduce_only,
            ),
        )
        self.touch(order.instrument)

    def rows(
        self, strategy: str, instrument: str, asked_price: Decimal | None, order_id: str
    ) -> tuple[tuple[OpenExposure, ...], Ranges]:
        """Return all rows, sorted by instrument, then owner, and the ranges of instruments.

        One row is always the order's own.
        The order ``order_id`` does not count as open. ``asked_price`` is used where no price is
        known.
        """
        if not self._is_valid:
            self._begin()
        self._renew()
        own, known = (instrument, strategy), self._span(instrument)
        place, rows, ranges = bisect_left(self._keys, own), self._rows, self._ranges
        after = place + (self._keys[place : place + 1] == [own])
        orders = self._orders(instrument)
        changes = orders.pop(order_id, None) is not None
        if after == place or changes or rows[place].price == ZERO:
            row = self._row(own, orders, asked_price)
            ranges = _changed(
                ranges, instrument, [*rows[known.start : place], row, *rows[after : known.stop]]
            )
            rows = [*rows[:place], row, *rows[after:]]
        return tuple(rows), ranges

    def _begin(self) -> None:
        self._is_valid = True
        self._held.clear()
        for held in self._account.holdings():
            self._held.setdefault(held.instrument, {})[held.strategy] = held
        self._senders.clear()
        self._keys, self._rows, self._ranges = [], [], NO_RANGES
        self._earlier = self._from_earlier()
        self._stale = self._held.keys() | self._earlier.keys()
        self._stale.update(name for name, orders in self.under_way.items() if orders)

    def _from_earlier(self) -> dict[str, dict[str, Decimal]]:
        found: dict[str, dict[str, Decimal]] = {}
        for order in self._cache.orders_open():
            name, order_id = order.instrument_id.value, order.client_order_id.value
            known = order_id in self.under_way.get(name, {})
            # What protects can only shrink a position, and only one of two siblings fills.
            if not known and not protects_from_outside(order):
                left = order.leaves_qty.as_decimal()
                sign = 1 if order.side == OrderSide.BUY else -1
                found.setdefault(name, {})[order_id] = sign * left
        return found

    def _orders(self, name: str) -> dict[str, Decimal]:
        return {**self._earlier.get(name, {}), **self.under_way.get(name, {})}

    def _sender(self, order_id: str) -> _Sender:
        found = self._senders.get(order_id)
        if found is None:
            order = self._cache.order(ClientOrderId(order_id))
            found = _Sender(owner_of(order.strategy_id), order_only_shrinks(order))
            self._senders[order_id] = found
        return found

    def _renew(self) -> None:
        anew = not self._rows
        for name in self._stale:
            orders = self._orders(name)
            owners = {*self._held.get(name, ()), *(self._sender(key).owner for key in orders)}
            keys = [(name, owner) for owner in sorted(owners)]
            rows = [self._row(key, orders) for key in keys]
            span = self._span(name)
            self._keys[span], self._rows[span] = keys, rows
            if not anew:
                self._ranges = _changed(self._ranges, name, rows)
        if anew:
            self._ranges = ranges_of(self._rows)
        self._stale.clear()

    def _span(self, name: str) -> slice:
        first = bisect_left(self._keys, (name, ""))
        last = bisect_left(self._keys, (name + "\0", ""), first)  # the first of the next name
        return slice(first, last)

    def _row(
        self, key: Key, orders: Mapping[str, Decimal], asked_price: Decimal | None = None
    ) -> OpenExposure:
        name, owner = key
        senders = [(left, self._sender(order_id)) for order_id, left in orders.items()]
        lefts = [(left, sender.reduces) for left, sender in senders if sender.owner == owner]
        held = self._held.get(name, {}).get(owner)
        position = ZERO if held is None else held.quantity
        buys, sells = sides(position, lefts)
        price = self._account.price(name) or asked_price or (held and held.entry)
        return OpenExposure(
            strategy=owner,
            instrument=name,
            held=position,
            buys=buys,
            sells=sells,
            buy_orders=sum(left > ZERO and not reduces for left, reduces in lefts),
            sell_orders=sum(left < ZERO and not reduces for left, reduces in lefts),
            price=price or ZERO,
        )


def _changed(ranges: Ranges, name: str, rows: list[OpenExposure]) -> Ranges:
    return ranges.changed(name, ranges_of(rows).by_instrument.get(name))
