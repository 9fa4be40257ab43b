"""Open exposure of every owner (positions and open orders) when an order comes in. Engine-specific.

A rebalance sends hundreds of orders at the same prices. Only the rows that an order changed are
computed again, so the cost does not grow with the square of the orders.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import ClientOrderId

from actors.gate.pending import AccountView
from actors.guards.core.snapshot import Holding, OpenExposure
from actors.records.owners import owner_of
from strategies.order_ids import is_protective

ZERO = Decimal(0)
Key = tuple[str, str]
"""Instrument and owner."""


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
        self._held: dict[str, dict[str, Holding]] = {}
        self._stale: set[str] = set()
        self._owners: dict[str, str] = {}
        self._earlier: dict[str, dict[str, Decimal]] = {}

    def forget(self) -> None:
        """Compute all rows again, after prices or positions changed."""
        self._is_valid = False

    def touch(self, instrument: str) -> None:
        """Compute an instrument's rows again, after one of its orders left, changed or ended."""
        self._stale.add(instrument)

    def rows(
        self, strategy: str, instrument: str, asked_price: Decimal | None, order_id: str
    ) -> tuple[OpenExposure, ...]:
        """Return all rows, sorted by instrument, then owner; one row is always the order's own.

        The order ``order_id`` does not count as open. ``asked_price`` is used where no price is
        known.
        """
        if not self._is_valid:
            self._begin()
        self._renew()
        own = (instrument, strategy)
        place, rows = bisect_left(self._keys, own), self._rows
        known = self._keys[place : place + 1] == [own]
        if not known or order_id in self._orders(instrument) or rows[place].price == ZERO:
            row = self._row(own, without=order_id, asked_price=asked_price)
            rows = [*rows[:place], row, *rows[place + known :]]
        return tuple(rows)

    def _begin(self) -> None:
        self._is_valid = True
        self._held.clear()
        for held in self._account.holdings():
            self._held.setdefault(held.instrument, {})[held.strategy] = held
        self._owners.clear()
        self._keys, self._rows = [], []
        self._earlier = self._from_earlier()
        self._stale = self._held.keys() | self._earlier.keys()
        self._stale.update(name for name, orders in self.under_way.items() if orders)

    def _from_earlier(self) -> dict[str, dict[str, Decimal]]:
        found: dict[str, dict[str, Decimal]] = {}
        for order in self._cache.orders_open():
            name, order_id = order.instrument_id.value, order.client_order_id.value
            if order_id not in self.under_way.get(name, {}):
                left = order.leaves_qty.as_decimal()
                sign = 1 if order.side == OrderSide.BUY else -1
                found.setdefault(name, {})[order_id] = sign * left
        return found

    def _orders(self, name: str) -> dict[str, Decimal]:
        orders = {**self._earlier.get(name, {}), **self.under_way.get(name, {})}
        # A protective order can only shrink its position, and only one of two siblings fills.
        return {
            key: left
            for key, left in orders.items()
            if not (is_protective(key) and self._reduces(key))
        }

    def _owner(self, order_id: str) -> str:
        found = self._owners.get(order_id)
        if found is None:
            order = self._cache.order(ClientOrderId(order_id))
            found = self._owners[order_id] = owner_of(order.strategy_id)
        return found

    def _reduces(self, order_id: str) -> bool:
        return bool(self._cache.order(ClientOrderId(order_id)).is_reduce_only)

    def _renew(self) -> None:
        for name in self._stale:
            owners = self._held.get(name, {}).keys() | set(map(self._owner, self._orders(name)))
            keys = [(name, owner) for owner in sorted(owners)]
            first = bisect_left(self._keys, (name, ""))
            last = bisect_left(self._keys, (name + "\0", ""))  # the first of the next name
            self._keys[first:last], self._rows[first:last] = keys, map(self._row, keys)
        self._stale.clear()

    def _row(self, key: Key, without: str = "", asked_price: Decimal | None = None) -> OpenExposure:
        name, owner = key
        orders = {
            order_id: left
            for order_id, left in self._orders(name).items()
            if order_id != without and self._owner(order_id) == owner
        }
        lefts = orders.values()
        opening = [left for order_id, left in orders.items() if not self._reduces(order_id)]
        held = self._held.get(name, {}).get(owner)
        price = self._account.price(name) or asked_price or (held and held.entry)
        return OpenExposure(
            strategy=owner,
            instrument=name,
            held=ZERO if held is None else held.quantity,
            buys=sum((left for left in lefts if left > ZERO), ZERO),
            sells=-sum((left for left in lefts if left < ZERO), ZERO),
            buy_orders=sum(left > ZERO for left in opening),
            sell_orders=sum(left < ZERO for left in opening),
            price=price or ZERO,
        )
