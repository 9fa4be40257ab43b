"""The exchange's state: markets, accounts, counters and pending events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from hashlib import blake2b
from uuid import UUID

from live_nodes.practice.exchange import refusals
from live_nodes.practice.exchange.accounts import PracticeAccount
from live_nodes.practice.exchange.book import MarketState
from live_nodes.practice.exchange.margins import position_of, wallet_of
from live_nodes.practice.exchange.model import (
    ZERO,
    AccountSpec,
    Key,
    OrderStatus,
    PracticeSymbol,
    Side,
)
from live_nodes.practice.exchange.records import Event, ExecutionRow, OrderRow, Printed


class ExchangeState:
    """Markets and accounts; ``moved`` markets have new prices and unchecked conditional orders."""

    def __init__(
        self, symbols: Iterable[PracticeSymbol], accounts: Iterable[AccountSpec], salt: str
    ) -> None:
        self.markets: dict[Key, MarketState] = {s.key: MarketState(s) for s in symbols}
        self.accounts = {a.name: PracticeAccount(a) for a in accounts}
        self.salt = salt
        self.now_ms = 0
        self.seq = 0
        self.orders = 0
        self.events: list[Event] = []
        self.moved: dict[Key, None] = {}
        self._positions: dict[tuple[str, str], None] = {}
        self._wallets: dict[str, None] = {}
        self._markets: dict[Key, None] = {}

    def account(self, name: str) -> PracticeAccount:
        """Return an account; KeyError for an unknown name."""
        return self.accounts[name]

    def market(self, key: Key) -> MarketState:
        """Return a market; BybitRefusal 10001/170121 when there is none."""
        found = self.markets.get(key)
        if found is None:
            raise refusals.UNKNOWN_SYMBOL(key[0])
        return found

    def next_seq(self) -> int:
        """Return the next sequence number."""
        self.seq += 1
        return self.seq

    def numbered(self, order: OrderRow) -> OrderRow:
        """Return a new order with its number and id, made now."""
        self.orders += 1
        return replace(
            order, number=self.orders, order_id=counted_id(self.salt, "order", self.orders),
            created_ms=self.now_ms, updated_ms=self.now_ms,
        )  # fmt: skip

    def record_order(self, order: OrderRow) -> OrderRow:
        """Store an order's new state, with its present place in the queue, and add its event."""
        resting = None
        if not order.final and not order.untriggered:
            resting = self.market(order.key).book.find(order.side, order.order_id)
        ahead = resting.ahead if resting else ZERO
        order = replace(order, queue_ahead=ahead, seq=self.next_seq())
        self.accounts[order.account].keep(order)
        self.events.append(order)
        if order.category == "spot":
            self.wallet_changed(order.account)
        return order

    def record_execution(self, execution: ExecutionRow) -> None:
        """Store a fill with its new seq and id."""
        seq = self.next_seq()
        execution = replace(execution, seq=seq, exec_id=counted_id(self.salt, "exec", seq))
        self.accounts[execution.account].executions.append(execution)
        self.events.append(execution)
        self.wallet_changed(execution.account)

    def record_print(self, market: MarketState, side: Side, price: Decimal, qty: Decimal) -> None:
        """Record a public trade; it sets the last price."""
        market.prints += 1
        market.last = price
        self.moved[market.key] = None
        number = counted_id(self.salt, f"{market.key}{self.now_ms}", market.prints)
        self.events.append(
            Printed(market.key, number, side, price, qty, self.now_ms, market.prints)
        )

    def take_out(self, order: OrderRow) -> None:
        """Remove an open order from the book or from the waiting conditional orders."""
        market = self.market(order.key)
        if order.untriggered:
            market.waiting.pop(order.order_id, None)
        else:
            market.book.remove(order.side, order.order_id)

    def close_order(
        self, order: OrderRow, *, cancel_type: str, reason: str = "EC_NoError"
    ) -> OrderRow:
        """End an order that did not fill completely.

        Bybit: an untriggered one is Deactivated; spot has its own status for a partly filled one,
        derivatives use Cancelled (https://bybit-exchange.github.io/docs/v5/enum#orderstatus).
        """
        self.take_out(order)
        status: OrderStatus = "Cancelled"
        if order.untriggered:
            status = "Deactivated"
        elif order.category == "spot" and order.filled:
            status = "PartiallyFilledCanceled"
        return self.record_order(
            replace(
                order, status=status, cancel_type=cancel_type, reject_reason=reason,
                updated_ms=self.now_ms,
            )
        )  # fmt: skip

    def position_changed(self, account: str, symbol: str) -> None:
        """Mark a position as changed."""
        self._positions[account, symbol] = None

    def wallet_changed(self, account: str) -> None:
        """Mark a wallet as changed."""
        self._wallets[account] = None

    def market_changed(self, key: Key) -> None:
        """Mark a market's stored state as changed."""
        self._markets[key] = None

    def flush(self) -> None:
        """Make the events of the changed positions, wallets and markets."""
        for name, symbol in self._positions:
            account = self.accounts[name]
            held = account.holding(symbol)
            held.seq, held.updated_ms = self.next_seq(), self.now_ms
            self.events.append(position_of(account, symbol, self.markets))
        for name in self._wallets:
            account = self.accounts[name]
            account.wallet_seq, account.updated_ms = self.next_seq(), self.now_ms
            self.events.append(wallet_of(account, self.markets))
        for key in self._markets:
            market = self.markets[key]
            market.seq = self.next_seq()
            self.events.append(market.row())
        self._positions.clear()
        self._wallets.clear()
        self._markets.clear()


def counted_id(salt: str, kind: str, number: int) -> str:
    """Return a UUID-shaped id from a salt, kind and number; it is not random."""
    text = f"{salt}/{kind}/{number}".encode()
    return str(UUID(bytes=blake2b(text, digest_size=16).digest()))
