"""The practice exchange: requests and market data in, events out.

``now_ms`` is UTC milliseconds and never goes back. The same calls give the same events. A call that
raises :class:`~live_nodes.practice.exchange.model.BybitRefusal` changes nothing. Call it from one
thread; nothing here blocks or awaits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from live_nodes.practice.exchange import matching, orders, positions
from live_nodes.practice.exchange.accounts import (
    POSITION_FIELDS,
    Coin,
    LinearPosition,
    PracticeAccount,
)
from live_nodes.practice.exchange.book import MarketState, RestingOrder
from live_nodes.practice.exchange.margins import margins_of, position_of, wallet_of
from live_nodes.practice.exchange.model import (
    AccountSpec,
    FeeRates,
    Key,
    Level,
    PracticeSymbol,
    Side,
)
from live_nodes.practice.exchange.records import (
    ROW_TYPES,
    Event,
    ExecutionRow,
    MarketRow,
    OrderRow,
    PositionRow,
    Row,
    TransferRow,
    WalletRow,
)
from live_nodes.practice.exchange.requests import (
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    OrderRequest,
    TradingStopRequest,
)
from live_nodes.practice.exchange.state import ExchangeState


class Exchange:
    """Markets and the accounts that trade in them; another `salt` gives orders other ids."""

    def __init__(
        self, symbols: Iterable[PracticeSymbol], accounts: Iterable[AccountSpec], salt: str = ""
    ) -> None:
        self._state = ExchangeState(symbols, accounts, salt)

    def create(self, account: str, request: OrderRequest, now_ms: int) -> OrderRow:
        """Create an order; it may be filled or cancelled before this returns (see :meth:`drain`).

        Returns its state after the first matching. Raises BybitRefusal: 110007/170131 not enough
        balance, 110017 reduce-only rule, 110072/170141 link id used before, 110003/170193/170194
        price out of range, 110066/110074/170151/170157/30228 not trading, 10001/170121 unknown
        symbol, 110094/170140 value too small, 110009/110020 too many orders, and 10001 or 1701xx
        for a wrong step.
        """
        return self._settled(orders.create(self._at(now_ms), account, request))

    def amend(self, account: str, request: AmendRequest, now_ms: int) -> OrderRow:
        """Change an open order; a new price or a larger quantity loses its place in the queue.

        Raises BybitRefusal: 110001/170213 not there or final, 110064 no more than has filled, 10001
        no change or a wrong step, and :meth:`create`'s for price and balance.
        """
        return self._settled(orders.amend(self._at(now_ms), account, request))

    def cancel(self, account: str, request: CancelRequest, now_ms: int) -> OrderRow:
        """Cancel an open order. Raises BybitRefusal 110001 (linear) or 170213 (spot)."""
        return self._settled(orders.cancel(self._at(now_ms), account, request))

    def cancel_all(self, account: str, request: CancelAllRequest, now_ms: int) -> list[OrderRow]:
        """Cancel every open order that matches the filter; no match is no error."""
        return self._settled(orders.cancel_all(self._at(now_ms), account, request))

    def set_leverage(self, account: str, symbol: str, leverage: Decimal, now_ms: int) -> None:
        """Set a linear symbol's leverage. BybitRefusal: 110043 (no change), 110013, 110012."""
        positions.set_leverage(self._at(now_ms), account, symbol, leverage)
        self._settle()

    def switch_mode(self, account: str, symbol: str, mode: int, now_ms: int) -> None:
        """Accept one-way mode (0).

        BybitRefusal: 110025 (no change); hedge mode (3) 110024, 110028 or 110029.
        """
        positions.switch_mode(self._at(now_ms), account, symbol, mode)

    def set_margin_mode(self, account: str, mode: str, now_ms: int) -> None:
        """Accept REGULAR_MARGIN only; other modes raise BybitRefusal 3400045."""
        positions.set_margin_mode(self._at(now_ms), account, mode)

    def trading_stop(self, account: str, request: TradingStopRequest, now_ms: int) -> None:
        """Set or remove the position's TP/SL or trailing stop. BybitRefusal: 10001, 34040."""
        positions.trading_stop(self._at(now_ms), account, request)
        self._settle()

    def put_symbol(self, symbol: PracticeSymbol, now_ms: int) -> None:
        """Add a market or change its rules; "Closed" cancels orders and settles at the mark."""
        state = self._at(now_ms)
        market = state.markets.setdefault(symbol.key, MarketState(symbol))
        market.symbol = symbol
        if symbol.status == "Closed":
            positions.deliver(state, market)
            self._settle()

    def force_close(
        self,
        account: str | None,
        symbol: str | None,
        part: Decimal,
        exec_type: Literal["BustTrade", "AdlTrade"],
        now_ms: int,
    ) -> bool:
        """Liquidate or deleverage a part of positions at the mark; false when there are none."""
        return self._settled(
            positions.force_close(self._at(now_ms), account, symbol, part, exec_type)
        )

    def transfer(
        self, account: str, kind: str, coin: str, amount: Decimal, now_ms: int
    ) -> TransferRow:
        """Pay money in, or out where the amount is negative; BybitRefusal: not enough of it."""
        return self._settled(positions.transfer(self._at(now_ms), account, kind, coin, amount))

    def quote(self, key: Key, bids: Sequence[Level], asks: Sequence[Level], now_ms: int) -> None:
        """Replace the house book (best first; kept, not copied) and fill the orders it crosses."""
        market = self._at(now_ms).market(key)
        if market.book.quote(bids, asks) and not market.halted:
            matching.meet_house(self._state, market)
            self._settle()

    def trade(self, key: Key, side: Side, price: Decimal, qty: Decimal, now_ms: int) -> None:
        """Trade as a house taker: first the queue ahead of resting orders, then the orders."""
        market = self._at(now_ms).market(key)
        if market.halted:
            return
        matching.house_print(self._state, market, side, price, qty)
        self._settle()

    def set_mark(
        self, key: Key, mark: Decimal, index: Decimal, now_ms: int, last: Decimal | None = None
    ) -> None:
        """Set prices, trigger conditional orders and check liquidation."""
        state = self._at(now_ms)
        market = state.market(key)
        market.mark, market.index = mark, index
        if last is not None:
            market.last = last
        if market.waiting:
            state.moved[key] = None
        if market.holders:
            # Check before the stops, because the price may have jumped past them; and after them,
            # because they may have increased positions.
            positions.liquidate_due(state, market)
            matching.fire_due(state)
            positions.liquidate_due(state, market)
        self._settle()

    def settle_funding(self, key: Key, rate: Decimal, now_ms: int) -> None:
        """Settle funding on every position at the mark price; once per funding time."""
        state = self._at(now_ms)
        market = state.market(key)
        positions.settle_funding(state, market, rate)
        positions.liquidate_due(state, market)
        self._settle()

    def halt(self, key: Key, halted: bool, now_ms: int) -> None:
        """Stop or resume new orders in a symbol; cancels still work."""
        state = self._at(now_ms)
        market = state.market(key)
        if market.halted == halted:
            return
        market.halted = halted
        state.market_changed(key)
        if not halted:
            state.moved[key] = None
            matching.meet_house(state, market)
        self._settle()

    def symbols(self) -> list[PracticeSymbol]:
        """Return all markets."""
        return [market.symbol for market in self._state.markets.values()]

    def symbol(self, key: Key) -> PracticeSymbol:
        """Return a market. Raises BybitRefusal 10001 when there is none."""
        return self._state.market(key).symbol

    def market(self, key: Key) -> MarketRow:
        """Return last, mark and index price, and whether the market is halted."""
        return self._state.market(key).row()

    def accounts(self) -> list[str]:
        """Return the names of the accounts."""
        return list(self._state.accounts)

    def fees(self, account: str, key: Key) -> FeeRates:
        """Return the account's fee rates in a market."""
        return self._state.account(account).fees(self._state.market(key).symbol)

    def book(self, key: Key, depth: int) -> tuple[list[Level], list[Level]]:
        """Return the visible book: house and resting account orders, best first."""
        return self._state.market(key).book.visible(depth)

    def open_orders(self, account: str) -> list[OrderRow]:
        """Return open orders, also conditional ones, newest first."""
        opened = self._state.account(account).open.values()
        return sorted(opened, key=lambda order: order.number, reverse=True)

    def order_history(self, account: str) -> list[OrderRow]:
        """Return final orders, newest first."""
        return self._state.account(account).closed[::-1]

    def find_order(
        self, account: str, order_id: str = "", order_link_id: str = ""
    ) -> OrderRow | None:
        """Return the newest order of either id, open or final."""
        books = self._state.account(account)
        return books.by_id.get(order_id or books.by_link.get(order_link_id, ""))

    def executions(self, account: str) -> list[ExecutionRow]:
        """Return fills and funding, newest first."""
        return self._state.account(account).executions[::-1]

    def transfers(self, account: str) -> list[TransferRow]:
        """Return what moved without trades, newest first."""
        return self._state.account(account).transfers[::-1]

    def positions(self, account: str) -> list[PositionRow]:
        """Return the open positions at the present mark prices."""
        books, markets = self._state.account(account), self._state.markets
        margins = margins_of(books, markets)
        held = sorted(name for name, h in books.holdings.items() if h.size)
        return [position_of(books, name, markets, margins) for name in held]

    def position(self, account: str, symbol: str) -> PositionRow:
        """Return a linear symbol's position, flat when there is none."""
        self._state.market(("linear", symbol))
        return position_of(self._state.account(account), symbol, self._state.markets)

    def wallet(self, account: str) -> WalletRow:
        """Return the account's money at the present prices."""
        return wallet_of(self._state.account(account), self._state.markets)

    def closed_by_order(self, account: str) -> list[list[ExecutionRow]]:
        """Return each order's fills that closed something, the newest order first."""
        by_order: dict[str, list[ExecutionRow]] = {}
        for fill in self._state.account(account).executions:
            if fill.closed_size:
                by_order.setdefault(fill.order_id, []).append(fill)
        return sorted(by_order.values(), key=lambda fills: fills[-1].time_ms, reverse=True)

    def drain(self) -> list[Event]:
        """Return and clear the events since the last call, oldest first."""
        events, self._state.events = self._state.events, []
        return events

    def rows(self) -> list[Row]:
        """Return all rows to store; in the events' rows, only ``queue_ahead`` may be older."""
        markets = self._state.markets
        kept: list[Row] = []
        for account in self._state.accounts.values():
            kept.extend(account.closed)
            for order in account.open.values():
                resting = self._state.market(order.key).book.find(order.side, order.order_id)
                kept.append(replace(order, queue_ahead=resting.ahead) if resting else order)
            kept.extend(account.executions)
            kept.extend(account.transfers)
            margins = margins_of(account, markets)
            kept.extend(position_of(account, s, markets, margins) for s in account.holdings)
            kept.append(wallet_of(account, markets))
        kept.extend(market.row() for market in markets.values())
        return kept

    def restore(self, rows: Iterable[Row]) -> None:
        """Restore the state from stored rows; the same calls then give the same events."""
        self._state.now_ms = _restore(self._state, rows)
        for market in list(self._state.markets.values()):
            if market.symbol.status == "Closed":
                positions.deliver(self._state, market)
        self._settle()

    def _at(self, now_ms: int) -> ExchangeState:
        self._state.now_ms = now_ms
        return self._state

    def _settle(self) -> None:
        if self._state.moved:
            matching.fire_due(self._state)
        self._state.flush()

    def _settled[T](self, done: T) -> T:
        self._settle()
        return done


def _restore(state: ExchangeState, kept: Iterable[Row]) -> int:
    """Load rows; return their latest time (UTC ms). ValueError: unknown account."""
    by_kind: dict[type, list] = {kind: [] for kind in ROW_TYPES.values()}
    for row in kept:
        by_kind[type(row)].append(row)
        state.seq = max(state.seq, row.seq)
    for row in by_kind[MarketRow]:
        _market(state, row)
    for row in by_kind[WalletRow]:
        _wallet(state, row)
    for row in by_kind[PositionRow]:
        _position(state, row)
    for row in sorted(by_kind[ExecutionRow], key=lambda r: r.seq):
        _account(state, row.account).executions.append(row)
    for row in sorted(by_kind[TransferRow], key=lambda r: r.seq):
        _account(state, row.account).transfers.append(row)
    _orders(state, by_kind[OrderRow])
    fills = [row.time_ms for row in (*by_kind[ExecutionRow], *by_kind[TransferRow])]
    changed = (*by_kind[OrderRow], *by_kind[PositionRow], *by_kind[WalletRow])
    return max([0, *fills, *(row.updated_ms for row in changed)])


def _account(state: ExchangeState, name: str) -> PracticeAccount:
    if name not in state.accounts:
        raise ValueError(
            f"the kept rows have an account {name!r} that this exchange does not have; "
            f"it has {', '.join(state.accounts)}"
        )
    return state.accounts[name]


def _market(state: ExchangeState, row: MarketRow) -> None:
    if row.key not in state.markets:
        raise ValueError(f"the kept rows have a market {row.row_key} that this exchange has not")
    market = state.markets[row.key]
    market.last, market.mark, market.index = row.last, row.mark, row.index
    market.halted, market.house = row.halted, row.house
    market.funded_ms, market.prints, market.seq = row.funded_ms, row.prints, row.seq


def _wallet(state: ExchangeState, row: WalletRow) -> None:
    account = _account(state, row.account)
    account.coins = {c.coin: Coin(c.balance, c.total_realised) for c in row.coins}
    account.updated_ms, account.wallet_seq = row.updated_ms, row.seq


def _position(state: ExchangeState, row: PositionRow) -> None:
    if row.key not in state.markets:
        raise ValueError(f"the kept rows have a position in {row.symbol}, not a market here")
    account = _account(state, row.account)
    kept = {name: getattr(row, name) for name in POSITION_FIELDS}
    held = account.holdings[row.symbol] = LinearPosition(**kept | {"size": row.signed})
    if held.size:
        state.markets[row.key].holders[row.account] = None


def _orders(state: ExchangeState, orders: list[OrderRow]) -> None:
    for order in sorted(orders, key=lambda o: o.seq):
        state.orders = max(state.orders, order.number)
        if order.final:
            _account(state, order.account).keep(order)
    for order in sorted(orders, key=lambda o: o.number):
        account = _account(state, order.account)
        if order.order_link_id:
            account.by_link[order.order_link_id] = order.order_id
        if order.final:
            continue
        market = state.market(order.key)
        account.keep(order)
        if order.untriggered:
            market.waiting[order.order_id] = order.account
        else:
            resting = RestingOrder(
                order.account, order.order_id, order.side, order.price, order.leaves,
                order.priority, order.queue_ahead,
            )  # fmt: skip
            market.book.rest(resting, join=False)
