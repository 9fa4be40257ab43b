"""What the practice exchange is made of: symbols, requests, records, events and refusals.

Everything is frozen. Money, prices and quantities are :class:`~decimal.Decimal`; times are int UTC
milliseconds, as on Bybit's wire. Names of values (``"Buy"``, ``"PartiallyFilled"``,
``"EC_PostOnlyWillTakeLiquidity"``) are Bybit's own, from
https://bybit-exchange.github.io/docs/v5/enum, so that the wire only has to spell the fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Literal

type Key = tuple[str, str]
"""A market: (category, symbol name), for example ``("linear", "BTCUSDT")``."""

type Level = tuple[Decimal, Decimal]
"""One aggregated price level of a book: (price, quantity)."""

Category = Literal["linear", "spot"]
Side = Literal["Buy", "Sell"]
OrderType = Literal["Market", "Limit"]
TimeInForce = Literal["GTC", "IOC", "FOK", "PostOnly"]
TriggerBy = Literal["", "LastPrice", "MarkPrice", "IndexPrice"]
TpslMode = Literal["", "Full", "Partial"]
OrderStatus = Literal[
    "Untriggered",
    "Triggered",
    "New",
    "PartiallyFilled",
    "Filled",
    "Cancelled",
    "PartiallyFilledCanceled",
    "Deactivated",
    "Rejected",
]
ZERO = Decimal(0)
FINAL_STATUSES = frozenset(
    {"Filled", "Cancelled", "PartiallyFilledCanceled", "Deactivated", "Rejected"}
)
"""Statuses after which an order never changes; spot's partly filled cancel has its own name."""


class Refusal(Exception):
    """A request that the exchange refuses, with Bybit's own code and words.

    Parameters
    ----------
    code : int
        Bybit's ``retCode`` (https://bybit-exchange.github.io/docs/v5/error).
    message : str
        Bybit's ``retMsg``.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Symbol:
    """One market and its rules, in quote coin and base coin units.

    ``max_qty`` and ``max_market_qty`` bound one order; ``min_notional`` is quote coin;
    ``maintenance_margin`` is a fraction of the position's value (Bybit's lowest risk tier);
    ``maker_fee`` and ``taker_fee`` are fractions, used where an account has none of its own;
    ``funding_minutes`` is 0 for spot. ``price_limit`` bounds how far through the last price (as a
    fraction) a limit order may reach (Bybit's ``priceLimitRatioX``). ``status`` is ``"Trading"``,
    ``"PreLaunch"``, ``"Delivering"`` or ``"Closed"``.
    """

    category: Category
    name: str
    base: str
    quote: str
    settle: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    max_qty: Decimal
    max_market_qty: Decimal
    min_notional: Decimal
    max_leverage: Decimal = Decimal(100)
    maintenance_margin: Decimal = Decimal("0.005")
    funding_minutes: int = 480
    launch_ms: int = 0
    delivery_ms: int = 0
    status: str = "Trading"
    maker_fee: Decimal = Decimal("0.0002")
    taker_fee: Decimal = Decimal("0.00055")
    price_limit: Decimal = Decimal("0.1")
    leverage_step: Decimal = Decimal("0.01")

    @property
    def key(self) -> Key:
        """Category and name: what the exchange calls this market."""
        return (self.category, self.name)


@dataclass(frozen=True, slots=True)
class Fees:
    """Fractions of a fill's value; negative is a rebate."""

    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account as it begins: its coins, its leverage and its fees (null: the symbol's own).

    ``collateral`` says which part of a coin's dollar value counts as margin; coins that it does not
    name count nothing.
    """

    name: str
    balances: tuple[tuple[str, Decimal], ...] = (("USDT", Decimal(100_000)),)
    leverage: Decimal = Decimal(10)
    linear_fees: Fees | None = None
    spot_fees: Fees | None = None
    collateral: tuple[tuple[str, Decimal], ...] = (("USDT", Decimal(1)), ("USDC", Decimal(1)))


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """POST /v5/order/create, checked and typed (``validation.order_request`` makes it).

    Empty strings and nulls are fields that the caller left out. ``slippage`` is a fraction or null
    (from ``slippageToleranceType`` Percent or TickSize).
    """

    category: Category
    symbol: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    order_link_id: str = ""
    market_unit: Literal["", "baseCoin", "quoteCoin"] = ""
    is_leverage: bool = False
    reduce_only: bool = False
    close_on_trigger: bool = False
    position_idx: int = 0
    trigger_price: Decimal | None = None
    trigger_direction: int = 0
    trigger_by: TriggerBy = ""
    order_filter: Literal["Order", "StopOrder", "tpslOrder"] = "Order"
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    tpsl_mode: TpslMode = ""
    tp_order_type: OrderType = "Market"
    sl_order_type: OrderType = "Market"
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None
    slippage_type: Literal["", "TickSize", "Percent"] = ""
    slippage: Decimal | None = None

    @property
    def key(self) -> Key:
        """The market that the order is for."""
        return (self.category, self.symbol)


@dataclass(frozen=True, slots=True)
class AmendRequest:
    """POST /v5/order/amend; null leaves a value as it is, zero takes a TP or SL away."""

    category: Category
    symbol: str
    order_id: str = ""
    order_link_id: str = ""
    qty: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy = ""
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """POST /v5/order/cancel; one of the two ids is given, ``order_id`` wins."""

    category: Category
    symbol: str
    order_id: str = ""
    order_link_id: str = ""
    order_filter: Literal["", "Order", "StopOrder", "tpslOrder"] = ""


@dataclass(frozen=True, slots=True)
class CancelAllRequest:
    """POST /v5/order/cancel-all; linear needs a symbol, a base coin or a settle coin."""

    category: Category
    symbol: str = ""
    base_coin: str = ""
    settle_coin: str = ""
    order_filter: Literal["", "Order", "StopOrder", "tpslOrder"] = ""
    stop_order_type: str = ""


@dataclass(frozen=True, slots=True)
class TradingStopRequest:
    """POST /v5/position/trading-stop; null leaves as is, zero takes away.

    A trailing stop is refused: the practice exchange does not have one.
    """

    category: Category
    symbol: str
    tpsl_mode: Literal["Full", "Partial"] = "Full"
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = "LastPrice"
    sl_trigger_by: TriggerBy = "LastPrice"
    tp_size: Decimal | None = None
    sl_size: Decimal | None = None
    tp_order_type: OrderType = "Market"
    sl_order_type: OrderType = "Market"
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None
    position_idx: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """One order as it stands: everything GET /v5/order/realtime shows, and its place in the queue.

    ``priority`` orders equals at one price (lower is earlier); ``queue_ahead`` is the house
    quantity still in front of it at its price. ``number`` is the exchange's own count of orders;
    ``seq`` the count of the change that made this snapshot. ``parent_id`` is the order whose
    attached TP/SL this is, or empty. A market order's ``price`` is the bound that it was given
    (Bybit turns market orders into IOC limits). ``stop_order_type`` stays after the trigger.
    """

    table: ClassVar[str] = "orders"

    account: str
    number: int
    order_id: str
    order_link_id: str
    category: Category
    symbol: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal
    time_in_force: TimeInForce
    status: OrderStatus
    created_ms: int
    updated_ms: int
    filled: Decimal = ZERO
    filled_value: Decimal = ZERO
    fee: Decimal = ZERO
    fee_coin: str = ""
    closed_pnl: Decimal = ZERO
    cancel_type: str = "UNKNOWN"
    reject_reason: str = "EC_NoError"
    create_type: str = "CreateByUser"
    reduce_only: bool = False
    close_on_trigger: bool = False
    is_leverage: bool = False
    market_unit: str = ""
    position_idx: int = 0
    stop_order_type: str = ""
    trigger_price: Decimal | None = None
    trigger_direction: int = 0
    trigger_by: TriggerBy = ""
    order_filter: str = "Order"
    last_price_on_created: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    tpsl_mode: TpslMode = ""
    tp_order_type: OrderType = "Market"
    sl_order_type: OrderType = "Market"
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None
    slippage_type: str = ""
    slippage: Decimal | None = None
    parent_id: str = ""
    priority: int = 0
    queue_ahead: Decimal = ZERO
    seq: int = 0

    @property
    def row_key(self) -> str:
        """What makes this row one of its table."""
        return self.order_id

    @property
    def key(self) -> Key:
        """The market of the order."""
        return (self.category, self.symbol)

    @property
    def final(self) -> bool:
        """Whether the order can still change."""
        return self.status in FINAL_STATUSES

    @property
    def untriggered(self) -> bool:
        """Whether it is a conditional order that still waits for its price."""
        return self.status == "Untriggered"

    @property
    def leaves(self) -> Decimal:
        """What could still fill; 0 once the order is final (as Bybit shows it)."""
        return ZERO if self.final else self.qty - self.filled

    @property
    def average(self) -> Decimal | None:
        """Mean price of the fills, or null before the first."""
        return self.filled_value / self.filled if self.filled else None


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill, funding payment or liquidation: everything GET /v5/execution/list shows, and more.

    ``pnl`` is the realised gain of the closed part without fees (Bybit's ``execPnl``),
    ``closed_pnl`` the same less the fees of its entry and exit; ``fee`` is
    a cost when positive, in ``fee_coin``; for Funding the fee is what was paid (negative:
    received) and ``fee_rate`` the funding rate. ``change`` is what the settle coin's wallet moved
    by, ``balance`` the wallet after it. ``entry_price`` is the position's mean price before, of
    the part that was closed; ``counterparty`` is the other account, or empty for the house.
    """

    table: ClassVar[str] = "executions"

    account: str
    exec_id: str
    category: Category
    symbol: str
    side: Side
    exec_type: Literal["Trade", "Funding", "BustTrade", "Delivery"]
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
    is_leverage: bool = False
    market_unit: str = ""
    mark_price: Decimal = ZERO
    pnl: Decimal = ZERO
    closed_pnl: Decimal = ZERO
    entry_price: Decimal = ZERO
    leverage: Decimal = ZERO
    change: Decimal = ZERO
    balance: Decimal = ZERO
    counterparty: str = ""
    seq: int = 0

    @property
    def row_key(self) -> str:
        """What makes this row one of its table."""
        return self.exec_id

    @property
    def key(self) -> Key:
        """The market of the fill."""
        return (self.category, self.symbol)


@dataclass(frozen=True, slots=True)
class Position:
    """A one-way position in a linear symbol, with its margins at the mark price of the moment.

    ``size`` is never negative; ``side`` is empty when flat. ``entry`` is the mean price, without
    fees; ``cost`` is what the size was entered for, exactly (``entry`` is ``cost / size``),
    ``entry_fees`` what entering it cost.
    ``current_realised`` counts since the position was opened, ``total_realised`` for ever (both
    with fees and funding). ``liquidation_price`` and ``bust_price`` are null when no mark price of
    this symbol alone could bring them about.
    """

    table: ClassVar[str] = "positions"

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
    bust_price: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    tpsl_mode: Literal["Full", "Partial"] = "Full"
    status: Literal["Normal", "Liq", "Adl"] = "Normal"
    created_ms: int = 0
    updated_ms: int = 0
    seq: int = 0

    @property
    def row_key(self) -> str:
        """What makes this row one of its table."""
        return f"{self.account}/{self.symbol}"

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
    """One coin of a wallet. ``locked`` is held by open spot orders; ``balance`` counts it too.

    ``collateral`` is the part of its value that counts as margin.
    """

    coin: str
    balance: Decimal
    locked: Decimal = ZERO
    usd_price: Decimal = ZERO
    unrealised: Decimal = ZERO
    total_realised: Decimal = ZERO
    order_margin: Decimal = ZERO
    position_margin: Decimal = ZERO
    maintenance_margin: Decimal = ZERO
    collateral: Decimal = ZERO

    @property
    def equity(self) -> Decimal:
        """Balance and what the open positions would give."""
        return self.balance + self.unrealised

    @property
    def usd_value(self) -> Decimal:
        """Equity in dollars."""
        return self.equity * self.usd_price


@dataclass(frozen=True, slots=True)
class Wallet:
    """A unified account's money: its coins, and the totals in dollars.

    Available is margin balance less initial margin, never below zero (Bybit's
    ``totalAvailableBalance``); the rates are margins over the margin balance.
    """

    table: ClassVar[str] = "wallets"

    account: str
    margin_mode: Literal["REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN"]
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

    @property
    def row_key(self) -> str:
        """What makes this row one of its table."""
        return self.account

    def coin(self, name: str) -> CoinBalance:
        """Give the balance of a coin, zero when the wallet has none."""
        return next((c for c in self.coins if c.coin == name), CoinBalance(name, ZERO))


@dataclass(frozen=True, slots=True)
class ClosedPnl:
    """What one order closed: a row of GET /v5/position/closed-pnl.

    ``pnl`` is less the fees of entry and exit, without funding (so is Bybit's own example).
    """

    account: str
    symbol: str
    order_id: str
    side: Side
    order_type: str
    order_price: Decimal
    qty: Decimal
    closed_size: Decimal
    entry_value: Decimal
    exit_value: Decimal
    pnl: Decimal
    fill_count: int
    leverage: Decimal
    exec_type: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class MarketRow:
    """What the exchange itself must remember of a market: last prices, halt, the house's position.

    ``house`` is the sum of what the house holds against the accounts: with all positions of the
    accounts it makes zero. ``funded_ms`` is when funding was last settled, ``prints`` how many
    public trades there were. A price change alone makes no event: a kept row's prices may be old.
    """

    table: ClassVar[str] = "markets"

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

    @property
    def row_key(self) -> str:
        """What makes this row one of its table."""
        return f"{self.category}/{self.symbol}"

    @property
    def key(self) -> Key:
        """The market."""
        return (self.category, self.symbol)


type Row = Order | Execution | Position | Wallet | MarketRow
"""What is kept between two lives of the exchange: upsert by ``(table, row_key)``."""

ROW_TYPES: dict[str, type[Order | Execution | Position | Wallet | MarketRow]] = {
    t.table: t for t in (Order, Execution, Position, Wallet, MarketRow)
}


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order was made or changed; push topic ``order``."""

    account: str
    order: Order

    @property
    def row(self) -> Order:
        """The row to keep."""
        return self.order


@dataclass(frozen=True, slots=True)
class Executed:
    """A fill, funding payment or liquidation; push topic ``execution``."""

    account: str
    execution: Execution

    @property
    def row(self) -> Execution:
        """The row to keep."""
        return self.execution


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """A position changed in size, settings or stops; push topic ``position``."""

    account: str
    position: Position

    @property
    def row(self) -> Position:
        """The row to keep."""
        return self.position


@dataclass(frozen=True, slots=True)
class WalletChanged:
    """A wallet's coins changed; push topic ``wallet``."""

    account: str
    wallet: Wallet

    @property
    def row(self) -> Wallet:
        """The row to keep."""
        return self.wallet


@dataclass(frozen=True, slots=True)
class Printed:
    """A public trade: a house print or a fill of an account; push topic ``publicTrade``.

    ``side`` is the taker's. Nothing to keep (``row`` is null): the market remembers its own.
    """

    key: Key
    trade_id: str
    side: Side
    price: Decimal
    qty: Decimal
    time_ms: int
    seq: int
    row: None = field(default=None)


@dataclass(frozen=True, slots=True)
class MarketChanged:
    """The exchange's own memory of a market changed; kept, never pushed."""

    market: MarketRow

    @property
    def row(self) -> MarketRow:
        """The row to keep."""
        return self.market


type Event = OrderChanged | Executed | PositionChanged | WalletChanged | Printed | MarketChanged
