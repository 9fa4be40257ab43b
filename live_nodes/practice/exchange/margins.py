"""Cross margin: an account's margins, positions and wallet at the present prices.

Formulas from Bybit's help centre: "Order Cost (USDT Contract)", "Maintenance Margin (USDT
Contract)", "Liquidation Price (USDT Contract)" and "Bankruptcy Price (USDT Contract)";
``breakEvenPrice`` from https://bybit-exchange.github.io/docs/v5/position. Each symbol has one
maintenance rate: Bybit's higher risk tiers are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from live_nodes.practice.exchange.accounts import POSITION_FIELDS, PracticeAccount
from live_nodes.practice.exchange.book import MarketState
from live_nodes.practice.exchange.model import ZERO, Key
from live_nodes.practice.exchange.records import CoinBalance, OrderRow, PositionRow, WalletRow

LEAST_BREAK_EVEN_FEE = Decimal("0.00055")
COLLATERAL = ("USDT", "USDC")
"""Coins that count as margin, a dollar each; others do not."""
DOLLARS = (*COLLATERAL, "USD")
type Markets = Mapping[Key, MarketState]


def fee_to_close(value: Decimal, leverage: Decimal, taker: Decimal, long: bool) -> Decimal:
    """Return the taker fee at the bankruptcy price, value x (1 -+ 1 / leverage) x taker rate."""
    part = 1 / leverage
    return value * (1 - part if long else 1 + part) * taker


def position_margin(value: Decimal, leverage: Decimal, taker: Decimal, long: bool) -> Decimal:
    """Return a position's initial margin: value / leverage + fee to close."""
    return value / leverage + fee_to_close(value, leverage, taker, long)


def order_margin(value: Decimal, leverage: Decimal, taker: Decimal, long: bool) -> Decimal:
    """Return an order's cost: initial margin + fee to open + fee to close."""
    return position_margin(value, leverage, taker, long) + value * taker


def maintenance_margin(value: Decimal, rate: Decimal, taker: Decimal) -> Decimal:
    """Return a position's maintenance margin: value x (maintenance rate + taker fee to close)."""
    return value * (rate + taker)


def orders_margin(
    size: Decimal,
    buys: tuple[Decimal, Decimal],
    sells: tuple[Decimal, Decimal],
    leverage: Decimal,
    taker: Decimal,
) -> Decimal:
    """Return the margin of a symbol's open orders in one-way mode: the more expensive side.

    Orders that first close the position need no margin for that part. `size` is negative when
    short; `buys` and `sells` are (quantity, value) of a side's orders that are not reduce-only.
    """
    dear = ZERO
    for (qty, value), closing, long in ((buys, -size, True), (sells, size, False)):
        opening = qty - max(closing, ZERO)
        if opening > 0:
            dear = max(dear, order_margin(value * opening / qty, leverage, taker, long))
    return dear


def liquidation_price(
    size: Decimal,
    mark: Decimal,
    balance: Decimal,
    other_maintenance: Decimal,
    rate: Decimal,
    taker: Decimal,
) -> Decimal | None:
    """Return a symbol's mark price at which margin balance equals maintenance margin.

    Other prices stay the same; null when no positive price does it. `size` is negative when short,
    `balance` is the account's margin balance at this `mark`, `rate` the maintenance rate.
    """
    slope = size - abs(size) * (rate + taker)
    if not slope:
        return None
    price = (size * mark - balance + other_maintenance) / slope
    return price if price > 0 else None


def bankruptcy_price(
    size: Decimal, mark: Decimal, balance: Decimal, total_value: Decimal, taker: Decimal
) -> Decimal:
    """Return the price at which the venue takes a position over and the account has nothing left.

    Positions share the margin balance in proportion to their values (``total_value``), less the fee
    to close: ``size (b - mark) - |size| b taker = -share``.
    """
    share = balance * abs(size) * mark / total_value
    return (size * mark - share) / (size - abs(size) * taker)


def break_even(size: Decimal, entry: Decimal, realised: Decimal, taker: Decimal) -> Decimal:
    """Return Bybit's break-even price: (entry x qty - realised) / (qty - |qty| x taker rate)."""
    rate = max(taker, LEAST_BREAK_EVEN_FEE)
    return (entry * size - realised) / (size - abs(size) * rate)


@dataclass(frozen=True, slots=True)
class Margins:
    """An account's margins in dollars, and their parts by settle coin."""

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
        """Margin for new orders; negative when more is used than there is."""
        return self.balance - self.initial - self.locked_collateral


def margins_of(account: PracticeAccount, markets: Markets, plus: OrderRow | None = None) -> Margins:
    """Add up margins at the present prices; count ``plus`` as an open order."""
    position: defaultdict[str, Decimal] = defaultdict(Decimal)
    order: defaultdict[str, Decimal] = defaultdict(Decimal)
    maintenance: defaultdict[str, Decimal] = defaultdict(Decimal)
    unrealised: defaultdict[str, Decimal] = defaultdict(Decimal)
    for held in account.holdings.values():
        if not held.size:
            continue
        market = markets["linear", held.symbol]
        rules, taker = market.symbol, account.fees(market.symbol).taker
        coin, value = rules.settle, abs(held.size) * market.value_price
        position[coin] += position_margin(value, held.leverage, taker, held.size > 0)
        maintenance[coin] += maintenance_margin(value, rules.maintenance_margin, taker)
        unrealised[coin] += held.unrealised(market.value_price)
    sides: dict[str, list[Decimal]] = {}
    locked: defaultdict[str, Decimal] = defaultdict(Decimal)
    orders = [*account.open.values(), plus] if plus is not None else list(account.open.values())
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
            locked[rules.quote if o.side == "Buy" else rules.base] += amount
    for name, (bq, bv, sq, sv) in sides.items():
        rules = markets["linear", name].symbol
        held_size, leverage = account.size(name), account.leverage(name)
        cost = orders_margin(held_size, (bq, bv), (sq, sv), leverage, account.fees(rules).taker)
        order[rules.settle] += cost
    balance = pledged = ZERO
    for name in COLLATERAL:
        own = account.coins[name].balance if name in account.coins else ZERO
        balance += own + unrealised.get(name, ZERO)
        pledged += locked.get(name, ZERO)
    for name, gain in unrealised.items():
        if name not in COLLATERAL:
            balance += gain * dollar_price(markets, name)
    return Margins(balance, position, order, maintenance, unrealised, locked, pledged)


def spendable(account: PracticeAccount, coin: str, margins: Margins) -> Decimal:
    """Return how much of a coin spot orders may use: neither locked nor needed as margin."""
    own = account.coins[coin].balance if coin in account.coins else ZERO
    left = own - margins.locked.get(coin, ZERO)
    return min(left, margins.free) if coin in COLLATERAL and margins.initial else left


def position_of(
    account: PracticeAccount, symbol: str, markets: Markets, margins: Margins | None = None
) -> PositionRow:
    """Return a symbol's position at the present mark price."""
    held = account.holdings.get(symbol)
    if held is None:
        return PositionRow(account.name, symbol, leverage=account.spec.leverage)
    market = markets["linear", symbol]
    rules, taker = market.symbol, account.fees(market.symbol).taker
    mark = market.value_price
    value = abs(held.size) * mark
    liquidation = even = None
    if held.size:
        margins = margins or margins_of(account, markets)
        own = maintenance_margin(value, rules.maintenance_margin, taker)
        liquidation = liquidation_price(
            held.size, mark, margins.balance, margins.maintenance - own,
            rules.maintenance_margin, taker,
        )  # fmt: skip
        even = break_even(held.size, held.entry, held.current_realised, taker)
    kept = {name: getattr(held, name) for name in POSITION_FIELDS}
    return PositionRow(
        account=account.name, **kept | {"size": abs(held.size)},
        side="Buy" if held.size > 0 else "Sell" if held.size < 0 else "", entry=held.entry,
        mark_price=mark, value=value,
        initial_margin=position_margin(value, held.leverage, taker, held.size > 0),
        maintenance_margin=maintenance_margin(value, rules.maintenance_margin, taker),
        unrealised=held.unrealised(mark) if held.size else ZERO, break_even=even or ZERO,
        liquidation_price=liquidation,
    )  # fmt: skip


def wallet_of(account: PracticeAccount, markets: Markets) -> WalletRow:
    """Return the wallet at the present prices."""
    margins = margins_of(account, markets)
    coins = []
    equity = balance = ZERO
    for name, coin in account.coins.items():
        price = dollar_price(markets, name)
        row = CoinBalance(
            coin=name, balance=coin.balance, locked=margins.locked.get(name, ZERO),
            usd_price=price, unrealised=margins.unrealised_by_coin.get(name, ZERO),
            total_realised=coin.realised, order_margin=margins.order.get(name, ZERO),
            position_margin=margins.position.get(name, ZERO),
            maintenance_margin=margins.maintenance_by_coin.get(name, ZERO),
        )  # fmt: skip
        coins.append(row)
        equity += row.usd_value
        balance += row.balance * price
    return WalletRow(
        account=account.name, coins=tuple(coins), equity=equity,
        wallet_balance=balance, margin_balance=margins.balance, available=max(ZERO, margins.free),
        unrealised=sum(margins.unrealised_by_coin.values(), ZERO), initial_margin=margins.initial,
        maintenance_margin=margins.maintenance, updated_ms=account.updated_ms,
        seq=account.wallet_seq,
    )  # fmt: skip


def locked_by(order: OrderRow) -> Decimal:
    """Return the coins that a spot order locks: quote coin of a buy, base coin of a sell.

    Conditional orders lock nothing before their trigger, TP/SL orders do (POST /v5/order/create).
    The TP/SL pair of a fill locks nothing, because both would lock the same coins.
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
