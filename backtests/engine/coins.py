"""Spot at a simulated venue, which has one margin account: fees in coins, coins paid in cash.

Engine-specific. The engine books a spot pair like a perpetual: it takes nothing from the wallet for
a buy and adds a profit at a sale (see tests/backtests/test_engine_traps.py). With these, its wallet
and its positions are as Bybit's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.models import FeeModel, MakerTakerFeeModel
from nautilus_trader.model.enums import LiquiditySide, OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.model.orders import Order

from actors.records.coins import WholeLots
from actors.records.rows import FillRow


class CoinFeeModel(FeeModel):
    """Takes the fee of a spot buy out of the coins, so that whole lots are left (`WholeLots`).

    With ``books`` it also books them, where nobody else does.
    """

    def __init__(self, lots: WholeLots, *, books: bool = False) -> None:
        super().__init__()
        self._count = lots.take if books else lots.bought
        self._others = MakerTakerFeeModel()

    def get_commission(
        self, order: Order, fill_qty: Quantity, fill_px: Price, instrument: Instrument
    ) -> Money:
        """Return the fee of a fill."""
        rate = fee_rate(instrument, order.liquidity_side)
        if not (isinstance(instrument, CurrencyPair) and order.side == OrderSide.BUY and rate > 0):
            return self._others.get_commission(order, fill_qty, fill_px, instrument)
        bought = fill_qty.as_decimal()
        owner, name = order.strategy_id.get_tag(), instrument.id.value
        whole = self._count(owner, name, bought - bought * rate)
        return Money(bought - whole, instrument.base_currency)


def fee_rate(instrument: Instrument, side: LiquiditySide) -> Decimal:
    """Return the rate of a maker's or a taker's fee."""
    rate: Decimal = instrument.maker_fee if side == LiquiditySide.MAKER else instrument.taker_fee
    return rate


def exact_fee(fill: FillRow, instrument: Instrument, side: LiquiditySide) -> FillRow:
    """Return the fill with the fee that the wallet paid, in place of the engine's whole lots."""
    if fill.fee_coin == instrument.quote_currency.code:
        return fill
    return replace(fill, fee=fill.quantity * fee_rate(instrument, side))


def pay_in_cash(exchange: Any, cache: Any, event: OrderFilled) -> None:
    """Move the wallet by what a spot fill cost and brought, in place of its profit."""
    instrument = cache.instrument(event.instrument_id)
    if not isinstance(instrument, CurrencyPair):
        return
    quantity, price = event.last_qty.as_decimal(), event.last_px.as_decimal()
    moved = -quantity * price
    if event.order_side == OrderSide.SELL:
        # The engine has booked the profit on the average entry price.
        moved = quantity * Decimal(repr(cache.position(event.position_id).avg_px_open))
    coins = quantity if event.order_side == OrderSide.BUY else -quantity
    exchange.adjust_account(Money(moved, instrument.quote_currency))
    exchange.adjust_account(Money(coins, instrument.base_currency))


def no_coins(instruments: Iterable[Instrument]) -> list[Money]:
    """Return a wallet without coins, in which the engine can book them."""
    coins = {i.base_currency for i in instruments if isinstance(i, CurrencyPair)}
    return [Money(0, coin) for coin in sorted(coins, key=str)]
