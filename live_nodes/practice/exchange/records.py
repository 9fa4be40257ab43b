"""Stored rows: orders, fills, positions, wallets and markets; each change makes one event."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from live_nodes.practice.exchange.model import (
    FINAL_STATUSES,
    ZERO,
    Category,
    Key,
    OfMarket,
    OrderStatus,
    Side,
    TriggerBy,
)
from live_nodes.practice.exchange.requests import OrderTerms


class KeptRow:
    """A row of the state file, identified by its table and the fields ``row_ids``."""

    __slots__ = ()
    table: ClassVar[str]
    row_ids: ClassVar[tuple[str, ...]]

    @property
    def row_key(self) -> str:
        """Identifier of this row in its table."""
        return "/".join(getattr(self, name) for name in self.row_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow(OrderTerms, KeptRow):
    """An order's present state: all of GET /v5/order/realtime, and its place in the queue.

    ``priority`` orders equals at one price (lower is earlier); ``queue_ahead`` is the house
    quantity in front of it at its price, 0 when it does not rest. ``parent_id`` is the order whose
    attached TP/SL this is, or empty. A market order's ``price`` is its bound (Bybit turns market
    orders into IOC limits). ``stop_order_type`` stays after the trigger. A trailing stop keeps its
    distance in ``trailing``, and has no ``trigger_price`` until ``active_price`` is reached.
    """

    table, row_ids = "orders", ("order_id",)

    account: str
    number: int = 0
    order_id: str = ""
    price: Decimal
    status: OrderStatus = "New"
    created_ms: int = 0
    updated_ms: int = 0
    filled: Decimal = ZERO
    filled_value: Decimal = ZERO
    fee: Decimal = ZERO
    fee_coin: str = ""
    closed_pnl: Decimal = ZERO
    cancel_type: str = "UNKNOWN"
    reject_reason: str = "EC_NoError"
    create_type: str = "CreateByUser"
    stop_order_type: str = ""
    last_price_on_created: Decimal | None = None
    slippage_type: str = ""
    slippage: Decimal | None = None
    trailing: Decimal | None = None
    active_price: Decimal | None = None
    parent_id: str = ""
    priority: int = 0
    queue_ahead: Decimal = ZERO
    seq: int = 0

    @property
    def final(self) -> bool:
        """Whether the order can no longer change."""
        return self.status in FINAL_STATUSES

    @property
    def untriggered(self) -> bool:
        """Whether it is a conditional order that has not triggered."""
        return self.status == "Untriggered"

    @property
    def leaves(self) -> Decimal:
        """Quantity that could still fill; 0 once the order is final, as at Bybit."""
        return ZERO if self.final else self.qty - self.filled

    @property
    def average(self) -> Decimal | None:
        """Mean price of the fills, or null before the first."""
        return self.filled_value / self.filled if self.filled else None


@dataclass(frozen=True, slots=True)
class ExecutionRow(OfMarket, KeptRow):
    """A fill, funding payment or liquidation: all of GET /v5/execution/list, and more.

    ``pnl`` is the realised gain of the closed part without fees (Bybit's ``execPnl``);
    ``closed_pnl`` is less the fees of entry and exit. ``fee`` is positive when paid, in
    ``fee_coin``; of Funding it is the payment, and ``fee_rate`` the funding rate. ``change`` is the
    change of the settle coin's wallet, ``balance`` the wallet after it. ``entry_price`` is the
    closed part's mean entry price.
    """

    table, row_ids = "executions", ("exec_id",)

    account: str
    exec_id: str
    category: Category
    symbol: str
    side: Side
    exec_type: Literal["Trade", "Funding", "BustTrade", "AdlTrade", "Delivery"]
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_rate: Decimal
    fee_coin: str
    is_maker: bool
    time_ms: int
    order_id: str = ""
    order_link_id: str = ""
    order_type: Literal["Market", "Limit", "UNKNOWN"] = "UNKNOWN"
    order_price: Decimal = ZERO
    order_qty: Decimal = ZERO
    leaves: Decimal = ZERO
    closed_size: Decimal = ZERO
    stop_order_type: str = ""
    create_type: str = ""
    market_unit: str = ""
    mark_price: Decimal = ZERO
    pnl: Decimal = ZERO
    closed_pnl: Decimal = ZERO
    entry_price: Decimal = ZERO
    leverage: Decimal = ZERO
    change: Decimal = ZERO
    balance: Decimal = ZERO
    seq: int = 0


@dataclass(frozen=True, slots=True)
class TransferRow(KeptRow):
    """Money that moved without a trade; ``balance`` is the coin's after it.

    ``kind`` is a type of https://bybit-exchange.github.io/docs/v5/enum#typeuta-translog.
    """

    table, row_ids = "transfers", ("transfer_id",)

    account: str
    transfer_id: str
    kind: str
    coin: str
    amount: Decimal
    balance: Decimal
    time_ms: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class PositionRow(KeptRow):
    """A one-way linear position, with its margins at the present mark price.

    ``size`` is never negative; ``side`` is empty when flat. ``entry`` is the mean price without
    fees, ``cost / size``; ``cost`` is exact. ``current_realised`` counts since the position was
    opened, ``total_realised`` since the start (both with fees and funding). ``liquidation_price``
    is null when no mark price of this symbol alone could cause it.
    """

    table, row_ids = "positions", ("account", "symbol")

    account: str
    symbol: str
    side: Literal["", "Buy", "Sell"] = ""
    size: Decimal = ZERO
    entry: Decimal = ZERO
    cost: Decimal = ZERO
    entry_fees: Decimal = ZERO
    leverage: Decimal = Decimal(10)
    mark_price: Decimal = ZERO
    value: Decimal = ZERO
    initial_margin: Decimal = ZERO
    maintenance_margin: Decimal = ZERO
    unrealised: Decimal = ZERO
    current_realised: Decimal = ZERO
    total_realised: Decimal = ZERO
    break_even: Decimal = ZERO
    liquidation_price: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trailing_stop: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    created_ms: int = 0
    updated_ms: int = 0
    seq: int = 0

    @property
    def key(self) -> Key:
        """The market of the position."""
        return ("linear", self.symbol)

    @property
    def signed(self) -> Decimal:
        """Size, negative when short."""
        return -self.size if self.side == "Sell" else self.size


@dataclass(frozen=True, slots=True)
class CoinBalance:
    """One coin of a wallet; ``balance`` includes ``locked``."""

    coin: str
    balance: Decimal
    locked: Decimal = ZERO
    usd_price: Decimal = ZERO
    unrealised: Decimal = ZERO
    total_realised: Decimal = ZERO
    order_margin: Decimal = ZERO
    position_margin: Decimal = ZERO
    maintenance_margin: Decimal = ZERO

    @property
    def equity(self) -> Decimal:
        """Balance and unrealised gain of the open positions."""
        return self.balance + self.unrealised

    @property
    def usd_value(self) -> Decimal:
        """Equity in dollars."""
        return self.equity * self.usd_price


@dataclass(frozen=True, slots=True)
class WalletRow(KeptRow):
    """A unified account's coins, and its totals in dollars.

    Available is margin balance less initial margin, never below zero (Bybit's
    ``totalAvailableBalance``); the rates are margins over the margin balance.
    """

    table, row_ids = "wallets", ("account",)

    account: str
    coins: tuple[CoinBalance, ...]
    equity: Decimal = ZERO
    wallet_balance: Decimal = ZERO
    margin_balance: Decimal = ZERO
    available: Decimal = ZERO
    unrealised: Decimal = ZERO
    initial_margin: Decimal = ZERO
    maintenance_margin: Decimal = ZERO
    updated_ms: int = 0
    seq: int = 0

    def coin(self, name: str) -> CoinBalance:
        """Return the balance of a coin, zero when the wallet has none."""
        return next((c for c in self.coins if c.coin == name), CoinBalance(name, ZERO))


@dataclass(frozen=True, slots=True)
class MarketRow(OfMarket, KeptRow):
    """Stored state of a market: last prices, halt and the house's position.

    ``house`` is opposite to the sum of the accounts' positions. ``funded_ms`` is the last funding
    settlement, ``prints`` the number of public trades. Stored prices may be old: a price change
    alone makes no event.
    """

    table, row_ids = "markets", ("category", "symbol")

    category: Category
    symbol: str
    last: Decimal = ZERO
    mark: Decimal = ZERO
    index: Decimal = ZERO
    halted: bool = False
    house: Decimal = ZERO
    funded_ms: int = 0
    prints: int = 0
    seq: int = 0


type Row = OrderRow | ExecutionRow | TransferRow | PositionRow | WalletRow | MarketRow
"""A stored row: upsert by ``(table, row_key)``."""

ROW_TYPES: dict[
    str, type[OrderRow | ExecutionRow | TransferRow | PositionRow | WalletRow | MarketRow]
] = {t.table: t for t in (OrderRow, ExecutionRow, TransferRow, PositionRow, WalletRow, MarketRow)}


@dataclass(frozen=True, slots=True)
class Printed:
    """A public trade (push topic ``publicTrade``), not stored; ``side`` is the taker's.

    ``seq`` counts the market's trades since its first start, 0 for those of before.
    """

    key: Key
    trade_id: str
    side: Side
    price: Decimal
    qty: Decimal
    time_ms: int
    seq: int = 0


type Event = Row | Printed
"""A changed row, to store and to push on its topic; or a public trade."""
