"""Margins of a Bybit unified account in cross margin, and how far liquidation is. Pure, exact.

Sources, Bybit's help centre: "Initial Margin (USDT Contract)" and "Order Cost (USDT Contract)":
initial margin = value / leverage + fee to close at the bankruptcy price; "Maintenance Margin (USDT
Contract)": value x maintenance rate + fee to close; "Trading Terms and Formulas in Unified Trading
Account": margin balance = wallet balance + unrealised profit of perpetuals; "Liquidation Price
(USDT Contract)": liquidated when the margin balance is no longer above the maintenance margin. The
desk's backtests liquidate by the same (``backtests.engine.settlement``).

Left out: Bybit's higher risk tiers (a position beyond the first tier is nearer to liquidation than
is said here), haircuts on coins held as collateral, and borrowed coins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from actors.guards.core.exposure import net_values
from actors.guards.core.snapshot import ZERO, Market, Snapshot, once

ONE = Decimal(1)
UNKNOWN_RATE = Decimal("0.05")
"""Maintenance rate taken for a perpetual whose market is not known, such as an external position in
another one: above the first tier of nearly all of Bybit's."""


class Stake(msgspec.Struct, frozen=True, gc=False):
    """One instrument's net position as margins see it.

    Parameters
    ----------
    value : Decimal
        Signed, at the price that is known, settlement currency.
    rate : Decimal
        Maintenance margin per unit of value, fee to close included; zero for spot.
    fee : Decimal
        Taker fee per unit of value.
    spot : bool
        Whether it is coins rather than a contract.
    """

    value: Decimal
    rate: Decimal
    fee: Decimal = ZERO
    spot: bool = False

    @property
    def size(self) -> Decimal:
        """Return the absolute value."""
        return abs(self.value)


def stake(value: Decimal, market: Market | None, instrument: str) -> Stake:
    """Return the stake of a net position in a market, None where it is not known.

    Parameters
    ----------
    value : Decimal
        Signed.
    market : Market or None
        What is known of it.
    instrument : str
        Its id, which tells spot from contracts where nothing is known.
    """
    if market is None:
        spot = "-SPOT" in instrument
        return Stake(value, ZERO if spot else UNKNOWN_RATE, ZERO, spot)
    if market.spot:
        return Stake(value, ZERO, market.taker_fee, spot=True)
    return Stake(value, market.maintenance_rate + market.taker_fee, market.taker_fee)


@once
def stakes(snapshot: Snapshot) -> Mapping[str, Stake]:
    """Return the stake of each instrument that is held; the guard must need ``markets``."""
    find, found = snapshot.markets.get, {}
    for name, value in net_values(snapshot).items():
        market = find(name)
        if market is None or market.spot:
            found[name] = stake(value, market, name)
        else:
            fee = market.taker_fee
            found[name] = Stake(value, market.maintenance_rate + fee, fee)
    return found


def initial_margin(held: Stake, leverage: Decimal) -> Decimal:
    """Return what a position holds of the margin balance; coins hold all that they are worth.

    A contract's is value / leverage + value x (1 -+ 1 / leverage) x taker fee, minus for longs: the
    fee to close at the bankruptcy price.
    """
    return initial_margins((held,), leverage)


def initial_margins(held: Iterable[Stake], leverage: Decimal) -> Decimal:
    """Return what positions hold together, each as `initial_margin`."""
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
    """Return the maintenance margin of positions, fees to close included."""
    return sum((one.size * one.rate for one in held), ZERO)


# -- the smallest move that liquidates -------------------------------------------------------------
#
# With equity E, long value L, short value S, and maintenance rates r, a move m liquidates at
# margin balance(m) <= maintenance margin(m), both of them linear in m while no price is below zero.


def against(equity: Decimal, held: Iterable[Stake]) -> Decimal | None:
    """Return the move that liquidates when every position moves against the account by as much.

    Longs fall and shorts rise by the same fraction of their prices: hedges help nothing.

    Parameters
    ----------
    equity : Decimal
        Margin balance.
    held : iterable of Stake
        All positions.

    Returns
    -------
    Decimal or None
        A fraction of the prices; 0 when liquidation is due, None when no such move liquidates.

    Notes
    -----
    E - m (L + S) = sum of longs' r L (1 - m) + sum of shorts' r S (1 + m). Beyond m = 1 longs are
    worth nothing and lose no more.
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
    """Return the size of the move of all prices alike, up or down, that liquidates.

    A market that moves as one: longs and shorts hedge each other.

    Notes
    -----
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
    """Return the adverse move of one instrument that liquidates, all other prices standing still.

    Parameters
    ----------
    equity : Decimal
        Margin balance.
    margin : Decimal
        Maintenance margin of all positions, this one included.
    one : Stake
        The position.

    Notes
    -----
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
