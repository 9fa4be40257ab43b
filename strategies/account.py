"""What a strategy's account is worth and what it holds. Engine-specific, and without a memory."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Currency

from strategies.account_value import Account, Contract
from strategies.sizing.rounding import ZERO

if TYPE_CHECKING:
    from strategies.base import DeskStrategy

_MONEY = Decimal("0.00000001")


Price = Callable[[InstrumentId], Decimal | None]


def equity_of(strategy: DeskStrategy, price_of: Price) -> Decimal:
    """Return the account's balance plus what open positions have gained, settlement currency.

    A position without any price counts as even.
    """
    account = strategy.portfolio.account(strategy.instrument_ids[0].venue)
    total = account.balance_total(Currency.from_str(strategy.config.settlement))
    contracts = [
        Contract(
            position.instrument_id.value,
            position.signed_decimal_qty(),
            Decimal(repr(position.avg_px_open)),
            price_of(position.instrument_id),
        )
        for position in strategy.cache.positions_open()
    ]
    coin = strategy.config.settlement
    cash = {} if total is None else {coin: total.as_decimal()}
    return Account(cash, contracts, coin=coin).equity.quantize(_MONEY)


def holdings_of(strategy: DeskStrategy) -> dict[str, Decimal]:
    """Return the strategy's open positions, signed base coin by instrument id."""
    held: dict[str, Decimal] = {}
    for position in strategy.cache.positions_open(strategy_id=strategy.id):
        name = position.instrument_id.value
        held[name] = held.get(name, ZERO) + position.signed_decimal_qty()
    return held


def holding_of(strategy: DeskStrategy, instrument_id: InstrumentId) -> Decimal:
    """Return the strategy's open position in one instrument, signed base coin."""
    positions = strategy.cache.positions_open(instrument_id=instrument_id, strategy_id=strategy.id)
    return sum((position.signed_decimal_qty() for position in positions), ZERO)
