"""An account's books: coins, positions, orders, fills; and what they add up to.

Exact: a position keeps what it was entered for (``cost``), never a rounded mean price, so that the
wallet is always start + realised - fees + funding, to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from live_nodes.practice.margin import (
    break_even,
    liquidation_price,
    maintenance_margin,
    orders_margin,
    position_margin,
)
from live_nodes.practice.market import Market
from live_nodes.practice.model import (
    ZERO,
    AccountSpec,
    CoinBalance,
    Execution,
    Fees,
    Order,
    Position,
    Side,
    Symbol,
    TriggerBy,
    Wallet,
)

COST_DIGITS = Decimal("1e-12")
DOLLARS = ("USDT", "USDC", "USD")

type Markets = Mapping[tuple[str, str], Market]


@dataclass(slots=True)
class Coin:
    """A coin's balance, and all that linear trading ever realised in it."""

    balance: Decimal = ZERO
    realised: Decimal = ZERO


@dataclass(slots=True)
class Holding:
    """A linear position; ``size`` is negative when short, ``cost`` is never negative.

    ``entry_fees`` are what entering the present size cost.
    """

    symbol: str
    leverage: Decimal
    size: Decimal = ZERO
    cost: Decimal = ZERO
    entry_fees: Decimal = ZERO
    current_realised: Decimal = ZERO
    total_realised: Decimal = ZERO
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    tp_trigger_by: TriggerBy = ""
    sl_trigger_by: TriggerBy = ""
    created_ms: int = 0
    updated_ms: int = 0
    seq: int = 0

    @property
    def entry(self) -> Decimal:
        """Mean entry price, 0 when flat."""
        return self.cost / abs(self.size) if self.size else ZERO

    def unrealised(self, mark: Decimal) -> Decimal:
        """Give the gain at a mark price."""
        return self.size * mark - self.cost if self.size > 0 else self.size * mark + self.cost


@dataclass(frozen=True, slots=True)
class Booked:
    """What a linear fill did: gain of the closed part, its size and mean entry price.

    ``net`` is the gain less the fees of closing that part and of having entered it.
    """

    pnl: Decimal
    closed: Decimal
    entry: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class Margins:
    """An account's margins in dollars, and by settle coin what makes them up."""

    balance: Decimal
    position: dict[str, Decimal] = field(default_factory=dict)
    order: dict[str, Decimal] = field(default_factory=dict)
    maintenance_by_coin: dict[str, Decimal] = field(default_factory=dict)
    unrealised_by_coin: dict[str, Decimal] = field(default_factory=dict)
    locked: dict[str, Decimal] = field(default_factory=dict)
    locked_collateral: Decimal = ZERO

    @property
    def initial(self) -> Decimal:
        """Initial margin of positions and orders."""
        return sum(self.position.values(), ZERO) + sum(self.order.values(), ZERO)

    @property
    def maintenance(self) -> Decimal:
        """Maintenance margin of all positions."""
        return sum(self.maintenance_by_coin.values(), ZERO)

    @property
    def free(self) -> Decimal:
        """What new orders could use; negative when more is used than there is."""
        return self.balance - self.initial - self.locked_collateral


class Account:
    """One account's state; the exchange's other parts change it, nothing else does."""

    def __init__(self, spec: AccountSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.coins: dict[str, Coin] = {c: Coin(amount) for c, amount in spec.balances}
        self.holdings: dict[str, Holding] = {}
        self.open: dict[str, Order] = {}
        self.closed: list[Order] = []
        self.by_id: dict[str, Order] = {}
        self.by_link: dict[str, str] = {}
        self.executions: list[Execution] = []
        self.updated_ms = 0
        self.wallet_seq = 0
        self._collateral = dict(spec.collateral)

    # -- looking things up -------------------------------------------------------------------

    def holding(self, symbol: str) -> Holding:
        """Give a symbol's position, made flat when there was none."""
        held = self.holdings.get(symbol)
        if held is None:
            held = self.holdings[symbol] = Holding(symbol, self.spec.leverage)
        return held

    def leverage(self, symbol: str) -> Decimal:
        """Give a symbol's leverage."""
        held = self.holdings.get(symbol)
        return held.leverage if held else self.spec.leverage

    def size(self, symbol: str) -> Decimal:
        """Give a symbol's position, negative when short."""
        held = self.holdings.get(symbol)
        return held.size if held else ZERO

    def coin(self, name: str) -> Coin:
        """Give a coin, made empty when there was none."""
        found = self.coins.get(name)
        if found is None:
            found = self.coins[name] = Coin()
        return found

    def fees(self, symbol: Symbol) -> Fees:
        """Give what the account pays in a market."""
        own = self.spec.linear_fees if symbol.category == "linear" else self.spec.spot_fees
        return own or Fees(symbol.maker_fee, symbol.taker_fee)

    def keep(self, order: Order) -> None:
        """Take an order's newest state into the books."""
        self.by_id[order.order_id] = order
        if order.order_link_id:
            self.by_link[order.order_link_id] = order.order_id
        if order.final:
            self.open.pop(order.order_id, None)
            self.closed.append(order)
        else:
            self.open[order.order_id] = order

    # -- booking -----------------------------------------------------------------------------

    def book_linear(
        self, symbol: Symbol, side: Side, price: Decimal, qty: Decimal, fee: Decimal, now_ms: int
    ) -> Booked:
        """Book a fill of a perpetual; the fee (settle coin) is taken from the wallet."""
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

    def pay_funding(self, symbol: Symbol, paid: Decimal, now_ms: int) -> None:
        """Take a funding payment from the wallet; negative was received."""
        self._realise(symbol, self.holding(symbol.name), -paid, now_ms)

    def book_spot(
        self, symbol: Symbol, side: Side, value: Decimal, qty: Decimal, fee: Decimal, now_ms: int
    ) -> None:
        """Book a spot fill; a buyer's fee is base coin, a seller's quote coin."""
        base, quote = self.coin(symbol.base), self.coin(symbol.quote)
        if side == "Buy":
            base.balance += qty - fee
            quote.balance -= value
        else:
            base.balance -= qty
            quote.balance += value - fee
        self.updated_ms = now_ms

    def _realise(self, symbol: Symbol, held: Holding, amount: Decimal, now_ms: int) -> None:
        coin = self.coin(symbol.settle)
        coin.balance += amount
        coin.realised += amount
        held.current_realised += amount
        held.total_realised += amount
        held.updated_ms = self.updated_ms = now_ms

    # -- adding up ---------------------------------------------------------------------------

    def margins(self, markets: Markets, plus: Order | None = None) -> Margins:
        """Add up margins at the present prices, as if ``plus`` were one of the open orders."""
        position: dict[str, Decimal] = {}
        order: dict[str, Decimal] = {}
        maintenance: dict[str, Decimal] = {}
        unrealised: dict[str, Decimal] = {}
        for held in self.holdings.values():
            if not held.size:
                continue
            market = markets["linear", held.symbol]
            rules, taker = market.symbol, self.fees(market.symbol).taker
            coin, value = rules.settle, abs(held.size) * market.value_price
            position[coin] = position.get(coin, ZERO) + position_margin(
                value, held.leverage, taker, held.size > 0
            )
            maintenance[coin] = maintenance.get(coin, ZERO) + maintenance_margin(
                value, rules.maintenance_margin, taker
            )
            unrealised[coin] = unrealised.get(coin, ZERO) + held.unrealised(market.value_price)
        sides: dict[str, list[Decimal]] = {}
        locked: dict[str, Decimal] = {}
        orders = [*self.open.values(), plus] if plus is not None else list(self.open.values())
        for o in orders:
            if o.category == "linear":
                if o.untriggered or o.reduce_only:
                    continue
                sums = sides.setdefault(o.symbol, [ZERO, ZERO, ZERO, ZERO])
                at = 0 if o.side == "Buy" else 2
                sums[at] += o.leaves
                sums[at + 1] += o.leaves * o.price
            elif amount := locked_by(o):
                rules = markets["spot", o.symbol].symbol
                coin = rules.quote if o.side == "Buy" else rules.base
                locked[coin] = locked.get(coin, ZERO) + amount
        for name, (bq, bv, sq, sv) in sides.items():
            rules = markets["linear", name].symbol
            held_size, leverage = self.size(name), self.leverage(name)
            cost = orders_margin(held_size, (bq, bv), (sq, sv), leverage, self.fees(rules).taker)
            order[rules.settle] = order.get(rules.settle, ZERO) + cost
        balance = pledged = ZERO
        for name, part in self._collateral.items():
            own = self.coins[name].balance if name in self.coins else ZERO
            price = dollar_price(markets, name)
            balance += (own + unrealised.get(name, ZERO)) * price * part
            pledged += locked.get(name, ZERO) * price * part
        for name, gain in unrealised.items():
            if name not in self._collateral:
                balance += gain * dollar_price(markets, name)
        return Margins(balance, position, order, maintenance, unrealised, locked, pledged)

    def spendable(self, coin: str, margins: Margins, markets: Markets) -> Decimal:
        """Give how much of a coin spot orders may still use: not locked, not needed as margin."""
        own = self.coins[coin].balance if coin in self.coins else ZERO
        left = own - margins.locked.get(coin, ZERO)
        part = self._collateral.get(coin, ZERO)
        if part and margins.initial:
            left = min(left, margins.free / (part * dollar_price(markets, coin)))
        return left

    def position(self, symbol: str, markets: Markets, margins: Margins | None = None) -> Position:
        """Give a symbol's position at the present mark."""
        held = self.holdings.get(symbol)
        if held is None:
            return Position(self.name, symbol, leverage=self.spec.leverage)
        market = markets["linear", symbol]
        rules, taker = market.symbol, self.fees(market.symbol).taker
        mark = market.value_price
        value = abs(held.size) * mark
        liquidation = even = None
        if held.size:
            margins = margins or self.margins(markets)
            own = maintenance_margin(value, rules.maintenance_margin, taker)
            liquidation = liquidation_price(
                held.size, mark, margins.balance, margins.maintenance - own,
                rules.maintenance_margin, taker,
            )  # fmt: skip
            even = break_even(held.size, held.entry, held.current_realised, taker)
        return Position(
            account=self.name,
            symbol=symbol,
            side="Buy" if held.size > 0 else "Sell" if held.size < 0 else "",
            size=abs(held.size),
            entry=held.entry,
            cost=held.cost,
            entry_fees=held.entry_fees,
            leverage=held.leverage,
            mark_price=mark,
            value=value,
            initial_margin=position_margin(value, held.leverage, taker, held.size > 0),
            maintenance_margin=maintenance_margin(value, rules.maintenance_margin, taker),
            unrealised=held.unrealised(mark) if held.size else ZERO,
            current_realised=held.current_realised,
            total_realised=held.total_realised,
            break_even=even or ZERO,
            liquidation_price=liquidation,
            take_profit=held.take_profit,
            stop_loss=held.stop_loss,
            tp_trigger_by=held.tp_trigger_by,
            sl_trigger_by=held.sl_trigger_by,
            created_ms=held.created_ms,
            updated_ms=held.updated_ms,
            seq=held.seq,
        )

    def wallet(self, markets: Markets) -> Wallet:
        """Give the wallet at the present prices."""
        margins = self.margins(markets)
        coins = []
        equity = balance = ZERO
        for name, coin in self.coins.items():
            price = dollar_price(markets, name)
            row = CoinBalance(
                coin=name,
                balance=coin.balance,
                locked=margins.locked.get(name, ZERO),
                usd_price=price,
                unrealised=margins.unrealised_by_coin.get(name, ZERO),
                total_realised=coin.realised,
                order_margin=margins.order.get(name, ZERO),
                position_margin=margins.position.get(name, ZERO),
                maintenance_margin=margins.maintenance_by_coin.get(name, ZERO),
                collateral=self._collateral.get(name, ZERO),
            )
            coins.append(row)
            equity += row.usd_value
            balance += row.balance * price
        return Wallet(
            account=self.name,
            margin_mode="REGULAR_MARGIN",
            coins=tuple(coins),
            equity=equity,
            wallet_balance=balance,
            margin_balance=margins.balance,
            available=max(ZERO, margins.free),
            unrealised=sum(margins.unrealised_by_coin.values(), ZERO),
            initial_margin=margins.initial,
            maintenance_margin=margins.maintenance,
            updated_ms=self.updated_ms,
            seq=self.wallet_seq,
        )


def locked_by(order: Order) -> Decimal:
    """Return what a spot order holds: quote coin of a buy, base coin of a sell.

    A conditional order holds nothing before its trigger, a TP/SL order does ("the assets are
    occupied even before the order is triggered", POST /v5/order/create); the pair that a fill
    brought along holds nothing, for both would sell the same coins.
    """
    if order.untriggered and (order.order_filter != "tpslOrder" or order.parent_id):
        return ZERO
    if order.side == "Sell":
        return order.leaves
    price = order.price or order.trigger_price or ZERO
    return order.leaves * price


def dollar_price(markets: Markets, coin: str) -> Decimal:
    """Return a coin's price in dollars: its USDT market's index, mark or last price, else 0."""
    if coin in DOLLARS:
        return Decimal(1)
    for category in ("linear", "spot"):
        market = markets.get((category, f"{coin}USDT"))
        if market is not None:
            return market.index or market.mark or market.last
    return ZERO
