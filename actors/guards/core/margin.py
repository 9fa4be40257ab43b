"""Margins of a Bybit unified account in cross margin, and how far liquidation is. Pure, exact.

Sources, Bybit's help centre: "Initial Margin (USDT Contract)" and "Order Cost (USDT Contract)":
initial margin = value / leverage + fee to close at the bankruptcy price; "Maintenance Margin (USDT
Contract)": value x maintenance rate + fee to close; "Trading Terms and Formulas in Unified Trading
Account": margin balance = wallet balance + unrealised profit of perpetuals; "Liquidation Price
(USDT Contract)": liquidated when the margin balance is no longer above the maintenance margin. The
desk's backtests liquidate by the same (``backtests.engine.settlement``).

Left out: Bybit's higher risk tiers (a position beyond the first tier is nearer to liquidation than
calculated here), coins held as collateral (it is further away than calculated here), and borrowed
coins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from actors.guards.core.calm import Bounds, facts_of
from actors.guards.core.exposure import net_values
from actors.guards.core.lazy import UnpricedMarkets, unpriced_markets
from actors.guards.core.positions import Holdings
from actors.guards.core.snapshot import ZERO, Market, Snapshot, once

ONE = Decimal(1)
ABOVE = Decimal("1.000001")
UNKNOWN_RATE = Decimal("0.05")
"""Maintenance rate of a perpetual in an unknown market: above nearly all first tiers of Bybit."""


class Stake(msgspec.Struct, frozen=True, gc=False):
    """An instrument's net position for margin calculations."""

    value: Decimal  # signed, settlement currency
    rate: Decimal  # maintenance margin and fee to close, per unit of value; zero for spot
    fee: Decimal = ZERO  # taker fee per unit of value
    spot: bool = False

    @property
    def size(self) -> Decimal:
        """Return the absolute value."""
        return abs(self.value)


def stake(value: Decimal, market: Market | None, instrument: str) -> Stake:
    """Return the stake of a net position; without a market, the id shows whether it is spot."""
    if market is None:
        spot = "-SPOT" in instrument
        return Stake(value, ZERO if spot else UNKNOWN_RATE, ZERO, spot)
    if market.spot:
        return Stake(value, ZERO, market.taker_fee, spot=True)
    return Stake(value, market.maintenance_rate + market.taker_fee, market.taker_fee)


@once
def stakes(snapshot: Snapshot) -> Mapping[str, Stake]:
    """Return the stake of each held instrument; the guard must need ``markets``."""
    find, found = snapshot.markets.get, {}
    for name, value in net_values(snapshot).items():
        market = find(name)
        if market is None or market.spot:
            found[name] = stake(value, market, name)
        else:
            fee = market.taker_fee
            found[name] = Stake(value, market.maintenance_rate + fee, fee)
    return found


class TopRates(NamedTuple):
    """Rates per unit of value that no position exceeds, with a margin for rounding."""

    maintenance: Decimal  # with the fee to close
    fee: Decimal
    spot: bool  # whether one may be spot


@once
def top_rates(snapshot: Snapshot) -> TopRates:
    """Return bounds of the rates; the guard must need ``markets``."""
    markets, held = unpriced_markets(snapshot), snapshot.holdings
    names = held.positions.names if isinstance(held, Holdings) else net_values(snapshot)
    found = rates_of(markets)
    if all(map(markets.__contains__, names)):
        return found
    return TopRates(max(found.maintenance, UNKNOWN_RATE * ABOVE), found.fee, spot=True)


def bounds_of_market(snapshot: Snapshot, share: Decimal) -> Bounds:
    """Return a bound of the gross value, while markets and positions have the same `top_rates`."""
    facts = facts_of(snapshot)
    share /= ABOVE  # for what the division rounded
    return Bounds(gross_share=share, markets=facts.markets, positions=facts.positions)


@once
def rates_of(markets: UnpricedMarkets) -> TopRates:
    """Return bounds of the rates of these markets alone."""
    fee = max([market.taker_fee for market in markets.values()], default=ZERO)
    rate = max([market.maintenance_rate for market in markets.values()], default=ZERO) + fee
    spot = any(market.spot for market in markets.values())
    return TopRates(rate * ABOVE, fee * ABOVE, spot)


def initial_margin(held: Iterable[Stake], leverage: Decimal) -> Decimal:
    """Return the initial margin of positions; coins count with their full value.

    A contract's is value / leverage + value x (1 -+ 1 / leverage) x taker fee, minus for longs: the
    fee to close at the bankruptcy price.
    """
    part = ONE / leverage
    bankrupt_long, bankrupt_short = ONE - part, ONE + part
    total = long = short = ZERO
    known: Decimal | None = None
    for one in held:
        value, fee = one.value, one.fee
        if one.spot:
            total += abs(value)
            continue
        if fee is not known and fee != known:
            # One fee is usually that of all.
            known, long, short = fee, part + bankrupt_long * fee, part + bankrupt_short * fee
        if value > 0:
            total += value * long
        else:
            total -= value * short
    return total


def maintenance_margin(held: Iterable[Stake]) -> Decimal:
    """Return the maintenance margin of positions, with the fees to close."""
    return sum((one.size * one.rate for one in held), ZERO)


# -- the smallest move that liquidates -------------------------------------------------------------
#
# With equity E, long value L, short value S, and maintenance rates r, a move m liquidates at
# margin balance(m) <= maintenance margin(m), both of them linear in m while no price is below zero.


def against(equity: Decimal, held: Iterable[Stake]) -> Decimal | None:
    """Return the fraction by which all prices must move against the account to liquidate it.

    Longs fall and shorts rise by the same fraction, so hedges do not help. 0 when liquidation is
    due, None when no such move liquidates. `equity` is the margin balance.

    A move m: E - m (L + S) = sum of longs' r L (1 - m) + sum of shorts' r S (1 + m). Beyond m = 1
    longs are worth nothing and lose no more.
    """
    long = short = long_margin = short_margin = ZERO
    for one in held:
        value = one.value
        if value > 0:
            long += value
            long_margin += value * one.rate
        else:
            short -= value
            short_margin -= value * one.rate
    if not long and not short:
        return None
    spare = equity - long_margin - short_margin
    if spare <= 0:
        return ZERO
    loses = long - long_margin + short + short_margin
    if spare <= loses:
        return spare / loses
    if not short:
        return None
    return (equity - long - short_margin) / (short + short_margin)


def together(equity: Decimal, held: Iterable[Stake]) -> Decimal | None:
    """Return the common move of all prices, up or down, that liquidates; 0 and None as `against`.

    Longs and shorts hedge each other.

    E + m N = (1 + m) R with net value N = L - S and maintenance margin R: the move is down where
    N > R, at most by all, and up where N < R. There is never a root on both sides.
    """
    held = tuple(held)
    if not held:
        return None
    margin = maintenance_margin(held)
    spare = equity - margin
    if spare <= 0:
        return ZERO
    slope = sum((one.value for one in held), ZERO) - margin
    if not slope:
        return None
    move = spare / abs(slope)
    return move if slope < 0 or move <= 1 else None


def alone(equity: Decimal, margin: Decimal, one: Stake) -> Decimal | None:
    """Return the adverse move of one instrument that liquidates while other prices stand still.

    `margin` is the maintenance margin R of all positions, this one included. 0 and None as
    `against`.

    A long: E - m V = R - m r V. A short: E - m V = R + m r V.
    """
    spare = equity - margin
    if spare <= 0:
        return ZERO
    long = one.value > 0
    loses = one.size * (ONE - one.rate if long else ONE + one.rate)
    if not loses:
        return None
    move = spare / loses
    return None if long and move > 1 else move
