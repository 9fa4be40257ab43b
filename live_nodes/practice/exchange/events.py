"""What the exchange tells: every change once, with the row that must be kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from live_nodes.practice.exchange.records import Execution, MarketRow, Order, Position, Wallet
from live_nodes.practice.exchange.terms import Key, Side


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
