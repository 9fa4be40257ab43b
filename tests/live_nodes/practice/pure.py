"""A pure exchange for tests: BTCUSDT perpetual and spot, ETHUSDT perpetual, round numbers.

Fees are 0.01 % maker and 0.1 % taker, so that they can be worked out in the head; the maintenance
rate is 0.5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal as D
from typing import Any

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec, BybitRefusal, Key, PracticeSymbol
from live_nodes.practice.exchange.records import Event, OrderRow
from live_nodes.practice.exchange.requests import AmendRequest, CancelRequest, OrderRequest

BTC: Key = ("linear", "BTCUSDT")
ETH: Key = ("linear", "ETHUSDT")
SPOT: Key = ("spot", "BTCUSDT")
T0 = 1_700_000_000_000


def symbol(key: Key, base: str, **changes: Any) -> PracticeSymbol:
    values: dict[str, Any] = {
        "category": key[0], "name": key[1], "base": base, "quote": "USDT", "settle": "USDT",
        "tick": D("0.1"), "lot": D("0.001"), "min_qty": D("0.001"), "max_qty": D(1000),
        "max_market_qty": D(500), "min_notional": D(5), "maker_fee": D("0.0001"),
        "taker_fee": D("0.001"),
    }  # fmt: skip
    return PracticeSymbol(**(values | changes))


SYMBOLS = [
    symbol(BTC, "BTC"),
    symbol(ETH, "ETH"),
    symbol(SPOT, "BTC", lot=D("0.00001"), min_qty=D("0.00001"), funding_minutes=0),
]


class Desk:
    """An exchange whose house shows one lot of levels around 100, and short ways to ask."""

    def __init__(self, *accounts: AccountSpec, symbols: Sequence[PracticeSymbol] = SYMBOLS) -> None:
        self.accounts = accounts or (AccountSpec("anna"), AccountSpec("bert"))
        self.symbols = symbols
        self.exchange = Exchange(symbols, self.accounts)
        self.now = T0
        for key in (BTC, ETH, SPOT):
            self.mark(100, key=key)
            self.quote([(99, 10), (98, 10)], [(101, 10), (102, 10)], key=key)
        self.exchange.drain()

    def tick(self) -> int:
        self.now += 1
        return self.now

    def quote(
        self, bids: Sequence[tuple[Any, Any]], asks: Sequence[tuple[Any, Any]], key: Key = BTC
    ) -> None:
        def levels(rows: Sequence[tuple[Any, Any]]) -> list[tuple[D, D]]:
            return [(D(str(p)), D(str(q))) for p, q in rows]

        self.exchange.quote(key, levels(bids), levels(asks), self.tick())

    def mark(self, price: Any, key: Key = BTC, last: Any = None) -> None:
        value = D(str(price))
        self.exchange.set_mark(
            key, value, value, self.tick(), value if last is None else D(str(last))
        )

    def trade(self, side: Any, price: Any, qty: Any, key: Key = BTC) -> None:
        self.exchange.trade(key, side, D(str(price)), D(str(qty)), self.tick())

    def order(
        self,
        side: Any,
        qty: Any,
        price: Any = None,
        *,
        account: str = "anna",
        key: Key = BTC,
        **more: Any,
    ) -> OrderRow:
        request = OrderRequest(
            category=key[0],  # type: ignore[arg-type]
            symbol=key[1],
            side=side,
            order_type="Market" if price is None else "Limit",
            qty=D(str(qty)),
            price=None if price is None else D(str(price)),
            **{k: D(str(v)) if isinstance(v, int | float) and not isinstance(v, bool)
               and k not in ("trigger_direction", "position_idx") else v
               for k, v in more.items()},
        )  # fmt: skip
        return self.exchange.create(account, request, self.tick())

    def amend(self, order: OrderRow, **changes: Any) -> OrderRow:
        values = {k: v if k.endswith("_by") else D(str(v)) for k, v in changes.items()}
        request = AmendRequest(order.category, order.symbol, order.order_id, **values)
        return self.exchange.amend(order.account, request, self.tick())

    def cancel(self, order: OrderRow) -> OrderRow:
        request = CancelRequest(order.category, order.symbol, order.order_id)
        return self.exchange.cancel(order.account, request, self.tick())

    def now_of(self, order: OrderRow) -> OrderRow:
        """Return an order as it stands now."""
        found = self.exchange.find_order(order.account, order.order_id)
        assert found is not None
        return found

    def usdt(self, account: str = "anna") -> D:
        return self.exchange.wallet(account).coin("USDT").balance

    def size(self, account: str = "anna", name: str = "BTCUSDT") -> D:
        return self.exchange.position(account, name).signed

    def events(self) -> list[Event]:
        return self.exchange.drain()


def refused(call: Any, *args: Any, **more: Any) -> BybitRefusal:
    """Return the refusal that a call ends in."""
    try:
        call(*args, **more)
    except BybitRefusal as refusal:
        return refusal
    raise AssertionError("the call was not refused")
