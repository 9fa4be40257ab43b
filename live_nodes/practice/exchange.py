"""The practice exchange without network, clock or chance: requests and market data in, events out.

Every call takes ``now_ms`` (UTC milliseconds, never going back); ids are counted, so the same calls
give the same events. Calls raise :class:`~live_nodes.practice.model.Refusal` with Bybit's code and
change nothing then. Nothing here blocks or awaits: one thread, one call at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from live_nodes.practice.model import (
    AccountSpec,
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    ClosedPnl,
    Event,
    Execution,
    Fees,
    Key,
    Level,
    MarketRow,
    Order,
    OrderRequest,
    Position,
    Row,
    Side,
    Symbol,
    TradingStopRequest,
    Wallet,
)


class Exchange:
    """Markets and accounts that trade in them, exactly.

    Parameters
    ----------
    symbols : Iterable[Symbol]
        The markets; more may come by :meth:`put_symbol`.
    accounts : Iterable[AccountSpec]
        The accounts as they begin; :meth:`restore` replaces what they have by what they had.
    """

    def __init__(self, symbols: Iterable[Symbol], accounts: Iterable[AccountSpec]) -> None:
        raise NotImplementedError

    # --- requests of an account -------------------------------------------------------------

    def create(self, account: str, request: OrderRequest, now_ms: int) -> Order:
        """Take an order; it may have filled or died before this returns (see :meth:`drain`).

        The returned order is its state after the first matching; the acknowledgement needs only
        its ids. Raises Refusal: 110007/170131 not enough balance, 110017 reduce-only rule, 110072
        /170141 link id used before, 110003/170132/170133 price out of range, 30228/110126 not
        trading, 10001 unknown symbol, 110094/170140 notional too small, 110020 too many orders.
        """
        raise NotImplementedError

    def amend(self, account: str, request: AmendRequest, now_ms: int) -> Order:
        """Change an open order; a new price or a larger quantity lose its place in the queue.

        Raises Refusal: 110001/170213 not there or final, 110079, 10001 nothing to change ...
        """
        raise NotImplementedError

    def cancel(self, account: str, request: CancelRequest, now_ms: int) -> Order:
        """Take an open order back. Raises Refusal 110001 (linear) or 170213 (spot)."""
        raise NotImplementedError

    def cancel_all(self, account: str, request: CancelAllRequest, now_ms: int) -> list[Order]:
        """Take back every open order that the filter names; none is not an error."""
        raise NotImplementedError

    def set_leverage(self, account: str, symbol: str, leverage: Decimal, now_ms: int) -> None:
        """Set the leverage of a linear symbol. Raises Refusal 110043 (as it is), 110013, 110012."""
        raise NotImplementedError

    def switch_mode(self, account: str, symbol: str, coin: str, mode: int, now_ms: int) -> None:
        """One-way (0) only: 110025 when already so; hedge (3) is refused with 110026... ."""
        raise NotImplementedError

    def set_margin_mode(self, account: str, mode: str, now_ms: int) -> None:
        """REGULAR_MARGIN only; others are refused (3400045)."""
        raise NotImplementedError

    def trading_stop(self, account: str, request: TradingStopRequest, now_ms: int) -> None:
        """Set or take away the position's TP/SL. Raises Refusal 10001, 34040 not modified."""
        raise NotImplementedError

    # --- the market -------------------------------------------------------------------------

    def put_symbol(self, symbol: Symbol, now_ms: int) -> None:
        """Add a market or change its rules; a status of "Closed" settles it at the mark price.

        Its orders are cancelled and its positions closed (execType Delivery, no fee).
        """
        raise NotImplementedError

    def quote(self, key: Key, bids: Sequence[Level], asks: Sequence[Level], now_ms: int) -> None:
        """Replace the house book (best first, aggregated); resting orders it crosses fill.

        The sequences are kept, not copied: give new ones each time.
        """
        raise NotImplementedError

    def trade(self, key: Key, side: Side, price: Decimal, qty: Decimal, now_ms: int) -> None:
        """A house taker's print: eats the queue in front of resting orders, then the orders."""
        raise NotImplementedError

    def set_mark(
        self,
        key: Key,
        mark: Decimal,
        index: Decimal,
        now_ms: int,
        last: Decimal | None = None,
    ) -> None:
        """Set prices: triggers conditional orders, checks liquidation."""
        raise NotImplementedError

    def settle_funding(self, key: Key, rate: Decimal, now_ms: int) -> None:
        """Pay or receive funding on every position at the mark price; once a boundary."""
        raise NotImplementedError

    def halt(self, key: Key, halted: bool, now_ms: int) -> None:
        """Stop or resume taking new orders in a symbol; cancels still go through."""
        raise NotImplementedError

    # --- questions --------------------------------------------------------------------------

    def symbols(self) -> list[Symbol]:
        """Give all markets."""
        raise NotImplementedError

    def symbol(self, key: Key) -> Symbol:
        """Give a market. Raises Refusal 10001 when there is none."""
        raise NotImplementedError

    def market(self, key: Key) -> MarketRow:
        """Give last, mark and index price, and whether the market is halted."""
        raise NotImplementedError

    def accounts(self) -> list[str]:
        """Give the names of the accounts."""
        raise NotImplementedError

    def fees(self, account: str, key: Key) -> Fees:
        """Give what the account pays in a market."""
        raise NotImplementedError

    def book(self, key: Key, depth: int) -> tuple[list[Level], list[Level]]:
        """Give the visible book: house and resting account orders, best first."""
        raise NotImplementedError

    def open_orders(self, account: str) -> list[Order]:
        """Give open orders, conditional ones too, newest first."""
        raise NotImplementedError

    def order_history(self, account: str) -> list[Order]:
        """Give final orders, newest first."""
        raise NotImplementedError

    def find_order(self, account: str, order_id: str = "", order_link_id: str = "") -> Order | None:
        """Give the newest order of either id, open or final."""
        raise NotImplementedError

    def executions(self, account: str) -> list[Execution]:
        """Give fills and funding, newest first."""
        raise NotImplementedError

    def positions(self, account: str) -> list[Position]:
        """Give the positions that are open, at the present mark prices."""
        raise NotImplementedError

    def position(self, account: str, symbol: str) -> Position:
        """Give a linear symbol's position, flat when there is none."""
        raise NotImplementedError

    def wallet(self, account: str) -> Wallet:
        """Give the account's money at the present prices."""
        raise NotImplementedError

    def closed_pnl(self, account: str) -> list[ClosedPnl]:
        """Give what each order closed, newest first."""
        raise NotImplementedError

    # --- memory -----------------------------------------------------------------------------

    def drain(self) -> list[Event]:
        """Give the events since the last call, oldest first, and forget them."""
        raise NotImplementedError

    def rows(self) -> list[Row]:
        """Give everything that must outlive the process; the events' rows upserted are the same.

        Only ``queue_ahead`` may be older in the events' rows: a quote changes it without event.
        """
        raise NotImplementedError

    def restore(self, rows: Iterable[Row]) -> None:
        """Take up where rows left off; the same calls then give the same events."""
        raise NotImplementedError
