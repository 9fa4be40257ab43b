"""Markets and accounts as they are set up."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from live_nodes.practice.exchange.terms import Category, Key


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
