"""The account as the closer's rules see it, read from the engine's cache. Engine-specific."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.orders import Order

from actors.closing.facts import EXTERNAL, Key, Terms, UnderWay
from actors.closing.orders import owner_key, terms_of, under_way
from actors.gate.gate import AccountView, OrderGate
from strategies.order_ids import BACKTEST_TAG, is_closers, owner_of


class Sight:
    """Reads positions and orders, whoever's they are.

    Parameters
    ----------
    cache : Cache
        Of the engine.
    gate : OrderGate
        Knows of orders that passed it and have not reached the venue.
    account : AccountView
        Gives prices.
    tag : str
        The node's tag in order ids.
    """

    def __init__(self, cache: Any, gate: OrderGate, account: AccountView, tag: str) -> None:
        self._cache, self._gate, self._account, self._tag = cache, gate, account, tag

    def positions(self) -> dict[Key, Decimal]:
        """Return what is held, signed base coin."""
        found: dict[Key, Decimal] = {}
        for position in self._cache.positions_open():
            key = Key(owner_key(position.strategy_id), position.instrument_id.value)
            found[key] = found.get(key, Decimal(0)) + position.signed_decimal_qty()
        return {key: held for key, held in found.items() if held}

    def terms(self, names: Iterable[str]) -> dict[str, Terms]:
        """Return what the venue asks of orders in the instruments, those that are known."""
        found = {}
        for name in names:
            instrument = self._cache.instrument(InstrumentId.from_str(name))
            if isinstance(instrument, CurrencyPair):
                account = self._cache.account_for_venue(instrument.id.venue)
                total = None if account is None else account.balance_total(instrument.base_currency)
                there = None if total is None else total.as_decimal()
                found[name] = terms_of(instrument, self._account.price(name), there)
            elif instrument is not None:
                found[name] = terms_of(instrument, None, None)
        return found

    def under_way(self, sent: set[ClientOrderId]) -> list[UnderWay]:
        """Return every order that may still fill.

        Parameters
        ----------
        sent : set of ClientOrderId
            Of the closer's own; those that have ended are taken out.
        """
        cache = self._cache
        found: dict[ClientOrderId, Order] = {
            order.client_order_id: order
            for orders in (cache.orders_open(), cache.orders_inflight(), cache.orders_emulated())
            for order in orders
        }
        # What waits for its turn, or for the engines' queues, is none of these yet.
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
        return [
            under_way(order, self._owner_of(order), ours=is_closers(order.client_order_id.value))
            for order in found.values()
            if not order.is_closed
        ]

    def _owner_of(self, order: Order) -> str:
        """Return whose it is; a claim on an instrument brings others' orders to its strategy."""
        key = owner_key(order.strategy_id)
        if self._tag == BACKTEST_TAG:
            return key
        made = owner_of(order.client_order_id.value)
        return key if made is not None and made.tag == self._tag else EXTERNAL
