"""An account's books; the exact entry value (``cost``) of positions keeps the wallet exact."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal

from live_nodes.practice.exchange.model import (
    ZERO,
    AccountSpec,
    FeeRates,
    PracticeSymbol,
    Side,
    TriggerBy,
)
from live_nodes.practice.exchange.records import ExecutionRow, OrderRow, TransferRow

COST_DIGITS = Decimal("1e-12")


@dataclass(slots=True)
class Coin:
    """A coin's balance, and the total realised by linear trading in it."""

    balance: Decimal = ZERO
    realised: Decimal = ZERO


@dataclass(slots=True)
class LinearPosition:
    """A linear position: ``size`` is negative when short; ``cost``, the entry value, never is."""

    symbol: str
    leverage: Decimal
    size: Decimal = ZERO
    cost: Decimal = ZERO
    entry_fees: Decimal = ZERO
    current_realised: Decimal = ZERO
    total_realised: Decimal = ZERO
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trailing_stop: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    created_ms: int = 0
    updated_ms: int = 0
    seq: int = 0

    @property
    def entry(self) -> Decimal:
        """Mean entry price, 0 when flat."""
        return self.cost / abs(self.size) if self.size else ZERO

    def set_stop(self, *, profit: bool, price: Decimal | None, by: TriggerBy = "") -> None:
        """Set the whole-position take-profit or stop-loss that is shown; null removes it."""
        if profit:
            self.take_profit, self.tp_trigger_by = price, by
        else:
            self.stop_loss, self.sl_trigger_by = price, by

    def clear_stops(self) -> None:
        """Remove the stops that are shown."""
        self.set_stop(profit=True, price=None)
        self.set_stop(profit=False, price=None)
        self.trailing_stop = None

    def unrealised(self, mark: Decimal) -> Decimal:
        """Return the unrealised gain at a mark price."""
        return self.size * mark - self.cost if self.size > 0 else self.size * mark + self.cost


POSITION_FIELDS = tuple(field.name for field in fields(LinearPosition))
"""Those that a position and its row share; only the size of the position is signed."""


@dataclass(frozen=True, slots=True)
class Booked:
    """The result of a linear fill; ``net`` is the gain less the fees of entry and exit."""

    pnl: Decimal
    closed: Decimal
    entry: Decimal
    net: Decimal


class PracticeAccount:
    """One account's state; only the exchange's other parts change it."""

    def __init__(self, spec: AccountSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.coins: dict[str, Coin] = {c: Coin(amount) for c, amount in spec.balances}
        self.holdings: dict[str, LinearPosition] = {}
        self.open: dict[str, OrderRow] = {}
        self.closed: list[OrderRow] = []
        self.by_id: dict[str, OrderRow] = {}
        self.by_link: dict[str, str] = {}
        self.executions: list[ExecutionRow] = []
        self.transfers: list[TransferRow] = []
        self.updated_ms = 0
        self.wallet_seq = 0

    def holding(self, symbol: str) -> LinearPosition:
        """Return a symbol's position; create a flat one if there is none."""
        return self.holdings.setdefault(symbol, LinearPosition(symbol, self.spec.leverage))

    def leverage(self, symbol: str) -> Decimal:
        """Return a symbol's leverage."""
        held = self.holdings.get(symbol)
        return held.leverage if held else self.spec.leverage

    def size(self, symbol: str) -> Decimal:
        """Return a symbol's position, negative when short."""
        held = self.holdings.get(symbol)
        return held.size if held else ZERO

    def reducible(self, symbol: str, side: Side) -> Decimal:
        """Return how much of the position an order of this side could close."""
        size = self.size(symbol)
        return max(ZERO, size if side == "Sell" else -size)

    def unclaimed(self, symbol: str, side: Side, but: str = "") -> Decimal:
        """Return how much could be closed beside the resting reduce-only orders, except one."""
        resting = (
            o.leaves
            for o in self.open.values()
            if o.reduce_only and not o.untriggered and o.order_id != but
            and (o.category, o.symbol, o.side) == ("linear", symbol, side)
        )  # fmt: skip
        return max(ZERO, self.reducible(symbol, side) - sum(resting, ZERO))

    def coin(self, name: str) -> Coin:
        """Return a coin; create an empty one if there is none."""
        return self.coins.setdefault(name, Coin())

    def fees(self, symbol: PracticeSymbol) -> FeeRates:
        """Return the account's fee rates in a market."""
        own = self.spec.linear_fees if symbol.category == "linear" else self.spec.spot_fees
        return own or FeeRates(symbol.maker_fee, symbol.taker_fee)

    def keep(self, order: OrderRow) -> None:
        """Store an order's newest state."""
        self.by_id[order.order_id] = order
        if order.order_link_id:
            self.by_link[order.order_link_id] = order.order_id
        if order.final:
            self.open.pop(order.order_id, None)
            self.closed.append(order)
        else:
            self.open[order.order_id] = order

    def book_linear(
        self,
        symbol: PracticeSymbol,
        side: Side,
        price: Decimal,
        qty: Decimal,
        fee: Decimal,
        now_ms: int,
    ) -> Booked:
        """Book a fill of a perpetual; the fee, in settle coin, reduces the wallet."""
        held = self.holding(symbol.name)
        signed = qty if side == "Buy" else -qty
        before = held.size
        entry = held.entry
        closed = min(qty, abs(before)) if before * signed < 0 else ZERO
        pnl = net = ZERO
        if closed:
            if closed == abs(before):
                released, entry_fees = held.cost, held.entry_fees
            else:
                released = (held.cost * closed / abs(before)).quantize(COST_DIGITS)
                entry_fees = (held.entry_fees * closed / abs(before)).quantize(COST_DIGITS)
            pnl = closed * price - released if before > 0 else released - closed * price
            held.cost -= released
            held.entry_fees -= entry_fees
            net = pnl - entry_fees - fee * closed / qty
        held.size = before + signed
        opened = qty - closed
        held.cost += opened * price
        held.entry_fees += fee * opened / qty
        if opened and closed == abs(before):
            held.current_realised = ZERO
            if not held.created_ms:
                held.created_ms = now_ms
        self._realise(symbol, held, pnl - fee, now_ms)
        return Booked(pnl, closed, entry if closed else ZERO, net)

    def pay_funding(self, symbol: PracticeSymbol, paid: Decimal, now_ms: int) -> None:
        """Take a funding payment from the wallet; a negative payment was received."""
        self._realise(symbol, self.holding(symbol.name), -paid, now_ms)

    def book_spot(
        self,
        symbol: PracticeSymbol,
        side: Side,
        value: Decimal,
        qty: Decimal,
        fee: Decimal,
        now_ms: int,
    ) -> None:
        """Book a spot fill; a buyer pays the fee in base coin, a seller in quote coin."""
        base, quote = self.coin(symbol.base), self.coin(symbol.quote)
        if side == "Buy":
            base.balance += qty - fee
            quote.balance -= value
        else:
            base.balance -= qty
            quote.balance += value - fee
        self.updated_ms = now_ms

    def _realise(
        self, symbol: PracticeSymbol, held: LinearPosition, amount: Decimal, now_ms: int
    ) -> None:
        coin = self.coin(symbol.settle)
        coin.balance += amount
        coin.realised += amount
        held.current_realised += amount
        held.total_realised += amount
        held.updated_ms = self.updated_ms = now_ms
