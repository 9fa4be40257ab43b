"""The exchange's state: markets, accounts, counters, and the events not yet drained.

The parts of the exchange (``matching``, ``stops``, ``liquidation``) are functions over it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.accounts import Account
from live_nodes.practice.exchange.ids import counted_id
from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.model import (
    AccountSpec,
    Event,
    Executed,
    Execution,
    Key,
    MarketChanged,
    Order,
    OrderChanged,
    PositionChanged,
    Printed,
    Side,
    Symbol,
    WalletChanged,
)
from live_nodes.practice.exchange.statements import position_of, wallet_of


class State:
    """Everything there is.

    Positions, wallets and markets that a call touched are noted and told once, at its end
    (:meth:`flush`), after the orders and fills. ``moved`` are the markets whose prices changed and
    whose conditional orders have not been looked at since.
    """

    def __init__(
        self, symbols: Iterable[Symbol], accounts: Iterable[AccountSpec], salt: str
    ) -> None:
        self.markets: dict[Key, Market] = {s.key: Market(s) for s in symbols}
        self.accounts: dict[str, Account] = {a.name: Account(a) for a in accounts}
        self.salt = salt
        self.seq = 0
        self.orders = 0
        self.events: list[Event] = []
        self._positions: dict[tuple[str, str], None] = {}
        self._wallets: dict[str, None] = {}
        self._markets: dict[Key, None] = {}
        self.moved: dict[Key, None] = {}

    def account(self, name: str) -> Account:
        """Give an account.

        Raises
        ------
        KeyError
            The exchange has no such account: its caller checks keys before.
        """
        return self.accounts[name]

    def market(self, key: Key) -> Market:
        """Give a market; Refusal 10001/170121 when there is none."""
        found = self.markets.get(key)
        if found is None:
            raise refusals.unknown_symbol(key[0])
        return found

    def next_seq(self) -> int:
        """Count a change."""
        self.seq += 1
        return self.seq

    def next_order(self) -> tuple[int, str]:
        """Count an order and name it."""
        self.orders += 1
        return self.orders, counted_id(self.salt, "order", self.orders)

    def tell_order(self, order: Order) -> Order:
        """Book and announce an order's new state."""
        order = replace(order, seq=self.next_seq())
        self.accounts[order.account].keep(order)
        self.events.append(OrderChanged(order.account, order))
        if order.category == "spot":
            self.touch_wallet(order.account)
        return order

    def tell_execution(self, execution: Execution) -> Execution:
        """Book and announce a fill (its seq and id are given here)."""
        seq = self.next_seq()
        execution = replace(execution, seq=seq, exec_id=counted_id(self.salt, "exec", seq))
        self.accounts[execution.account].executions.append(execution)
        self.events.append(Executed(execution.account, execution))
        self.touch_wallet(execution.account)
        return execution

    def tell_print(
        self, market: Market, side: Side, price: Decimal, qty: Decimal, now_ms: int
    ) -> None:
        """Announce a public trade; it is the last price from now on."""
        market.prints += 1
        market.last = price
        self.moved[market.key] = None
        number = counted_id(self.salt, f"{market.key}{now_ms}", market.prints)
        self.events.append(Printed(market.key, number, side, price, qty, now_ms, market.prints))

    def touch_position(self, account: str, symbol: str) -> None:
        """Note that a position changed."""
        self._positions[account, symbol] = None

    def touch_wallet(self, account: str) -> None:
        """Note that a wallet changed."""
        self._wallets[account] = None

    def touch_market(self, key: Key) -> None:
        """Note that what is kept of a market changed."""
        self._markets[key] = None

    def flush(self, now_ms: int) -> None:
        """Announce what was touched."""
        if self._positions:
            for name, symbol in self._positions:
                account = self.accounts[name]
                held = account.holding(symbol)
                held.seq, held.updated_ms = self.next_seq(), now_ms
                self.events.append(
                    PositionChanged(name, position_of(account, symbol, self.markets))
                )
            self._positions.clear()
        if self._wallets:
            for name in self._wallets:
                account = self.accounts[name]
                account.wallet_seq, account.updated_ms = self.next_seq(), now_ms
                self.events.append(WalletChanged(name, wallet_of(account, self.markets)))
            self._wallets.clear()
        if self._markets:
            for key in self._markets:
                market = self.markets[key]
                market.seq = self.next_seq()
                self.events.append(MarketChanged(market.row()))
            self._markets.clear()
