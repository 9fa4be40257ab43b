"""What an account's books add up to at the present prices: margins, positions, the wallet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from live_nodes.practice.exchange.accounts import Account
from live_nodes.practice.exchange.margin import (
    break_even,
    liquidation_price,
    maintenance_margin,
    orders_margin,
    position_margin,
)
from live_nodes.practice.exchange.market import Market
from live_nodes.practice.exchange.model import ZERO, CoinBalance, Key, Order, Position, Wallet

DOLLARS = ("USDT", "USDC", "USD")

type Markets = Mapping[Key, Market]


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


def margins_of(account: Account, markets: Markets, plus: Order | None = None) -> Margins:
    """Add up margins at the present prices, as if ``plus`` were one of the open orders."""
    position: dict[str, Decimal] = {}
    order: dict[str, Decimal] = {}
    maintenance: dict[str, Decimal] = {}
    unrealised: dict[str, Decimal] = {}
    for held in account.holdings.values():
        if not held.size:
            continue
        market = markets["linear", held.symbol]
        rules, taker = market.symbol, account.fees(market.symbol).taker
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
            coin = rules.quote if o.side == "Buy" else rules.base
            locked[coin] = locked.get(coin, ZERO) + amount
    for name, (bq, bv, sq, sv) in sides.items():
        rules = markets["linear", name].symbol
        held_size, leverage = account.size(name), account.leverage(name)
        cost = orders_margin(held_size, (bq, bv), (sq, sv), leverage, account.fees(rules).taker)
        order[rules.settle] = order.get(rules.settle, ZERO) + cost
    balance = pledged = ZERO
    for name, part in account.collateral.items():
        own = account.coins[name].balance if name in account.coins else ZERO
        price = dollar_price(markets, name)
        balance += (own + unrealised.get(name, ZERO)) * price * part
        pledged += locked.get(name, ZERO) * price * part
    for name, gain in unrealised.items():
        if name not in account.collateral:
            balance += gain * dollar_price(markets, name)
    return Margins(balance, position, order, maintenance, unrealised, locked, pledged)


def spendable(account: Account, coin: str, margins: Margins, markets: Markets) -> Decimal:
    """Give how much of a coin spot orders may still use: not locked, not needed as margin."""
    own = account.coins[coin].balance if coin in account.coins else ZERO
    left = own - margins.locked.get(coin, ZERO)
    part = account.collateral.get(coin, ZERO)
    if part and margins.initial:
        left = min(left, margins.free / (part * dollar_price(markets, coin)))
    return left


def position_of(
    account: Account, symbol: str, markets: Markets, margins: Margins | None = None
) -> Position:
    """Give a symbol's position at the present mark."""
    held = account.holdings.get(symbol)
    if held is None:
        return Position(account.name, symbol, leverage=account.spec.leverage)
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
    return Position(
        account=account.name,
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


def wallet_of(account: Account, markets: Markets) -> Wallet:
    """Give the wallet at the present prices."""
    margins = margins_of(account, markets)
    coins = []
    equity = balance = ZERO
    for name, coin in account.coins.items():
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
            collateral=account.collateral.get(name, ZERO),
        )
        coins.append(row)
        equity += row.usd_value
        balance += row.balance * price
    return Wallet(
        account=account.name,
        margin_mode="REGULAR_MARGIN",
        coins=tuple(coins),
        equity=equity,
        wallet_balance=balance,
        margin_balance=margins.balance,
        available=max(ZERO, margins.free),
        unrealised=sum(margins.unrealised_by_coin.values(), ZERO),
        initial_margin=margins.initial,
        maintenance_margin=margins.maintenance,
        updated_ms=account.updated_ms,
        seq=account.wallet_seq,
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
