"""Decide on pairs of spot and perpetual: how much is opened, what is held back, what leaves. Pure.

Why a pair is not opened although the policy wants it is a code (`Refused`), which is counted.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from decimal import ROUND_UP, Decimal
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from config.durations import duration_ns
from strategies.account_value import FEES, Margin
from strategies.basis.edge import BPS, Edge, Funding
from strategies.basis_arbitrage import BasisConfig, pair_symbol
from strategies.hedged.book import Ended, PairBook, Plan
from strategies.hedged.planned import Planned
from strategies.messages import Action, Verdict
from strategies.sizing.rounding import Lot, whole_lots
from strategies.tactics.two_leg import NONE, Legs

ZERO = Decimal(0)
Refused = Literal["warm_up", "stale", "edge", "under_way", "pause", "halted", "too_small", "margin"]
"""Why a pair is not opened: volatility is not known yet; prices of a leg are too old; the edge is
too small; a change is under way; a pause after the last; a guard's halt; a size below lots or
minimums, or no room in a limit; no margin or cash for both legs."""
Cause = Literal["policy", "guard", "unlisted"]
COARSEST = Decimal("0.01")
"""Largest lot of coins, as a part of a leg: fees leave up to two lots of coins unhedged."""


class Trade(msgspec.Struct, frozen=True):
    """Facts of an open position's entry; ``since`` is UNIX nanoseconds (UTC), edges basis points.

    ``for_funding`` says that basis and costs alone would have lost.
    """

    since: int
    basis_bps: float
    edge_bps: float
    funding_bps: float
    for_funding: bool = False


def trade_of(edge: Edge, now: int) -> Trade:
    """Return the facts of an entry with an edge, now."""
    return Trade(now, edge.basis_bps, edge.net_bps, edge.funding_bps, edge.for_funding)


class BasisMemory(msgspec.Struct, frozen=True):
    """What decisions take over from earlier ones.

    ``trades`` has the open positions by pair, ``paused`` until when a pair is not opened again,
    ``cuts`` how many of its entries were cut since one was carried out.
    """

    trades: dict[str, Trade] = {}
    paused: dict[str, int] = {}
    cuts: dict[str, int] = {}


class Open(NamedTuple):
    """An entry that the policy wants."""

    pair: str
    trade: Trade

    @property
    def words(self) -> str:
        """What and why, for a person."""
        found = self.trade
        words = f"{self.pair}: open, basis {found.basis_bps:.1f} bps, edge {found.edge_bps:.1f} bps"
        if found.for_funding:
            without = found.edge_bps - found.funding_bps
            return f"{words}, for funding of {found.funding_bps:.1f}: {without:.1f} without it"
        return words


class Close(NamedTuple):
    """An exit at this basis, of a position that has gained so much before the exit's fees."""

    pair: str
    cause: Cause
    exit_bps: float = math.nan
    held_bps: float = math.nan

    @property
    def words(self) -> str:
        """What and why, for a person."""
        if self.cause == "policy":
            return (
                f"{self.pair}: close, basis {self.exit_bps:.1f} bps, "
                f"gained {self.held_bps:.1f} bps before fees"
            )
        why = {"guard": "guard", "unlisted": "no longer among pairs"}[self.cause]
        return f"{self.pair}: close, {why}"


# How much --------------------------------------------------------------------------------------


def size(
    rules: BasisConfig,
    equity: float,
    mid: float,
    volatility_bps: float,
    displayed: float,
    room: float,
    multiplier: float,
    lots: tuple[Lot, Lot],
    spot_fee: float,
) -> Legs:
    """Return the quantities of both legs, spot bought and perpetual sold; NONE when too small.

    Of the perpetual as much as the risk and all limits allow; of spot as much more as the fee takes
    out of the coins. ``displayed`` is base coin, ``room`` what the limit of all pairs leaves.
    """
    if math.isnan(volatility_bps) or mid <= 0.0:
        return NONE
    alone = rules.deviations * volatility_bps / BPS
    most = equity * rules.risk / alone if alone > 0.0 else math.inf
    limits = most, rules.max_position, rules.max_weight * equity, room
    wanted = min(min(limits) * multiplier / mid, displayed * rules.max_of_book)
    if wanted <= 0.0:
        return NONE
    spot, perp = lots
    sold = whole_lots(Decimal(repr(wanted)), max(spot.step, perp.step))
    least = max(spot.min_quantity, perp.min_quantity, spot.step / COARSEST)
    # Twice the minimum value, so that after a fall it can still be sold.
    value = sold * Decimal(repr(mid))
    if sold < least or value < 2 * max(spot.min_notional, perp.min_notional):
        return NONE
    bought = sold / (1 - Decimal(repr(spot_fee)))
    return (bought / spot.step).to_integral_value(ROUND_UP) * spot.step, -sold


def quantity_seen(goal: Legs, lots: tuple[Lot, Lot], mid: float) -> float:
    """Return the quantity to look at while flat: the goal's, or the smallest where it is none."""
    if goal != NONE:
        return float(-goal[1])
    spot, perp = lots
    least = max(spot.min_quantity, perp.min_quantity, spot.step, perp.step)
    return max(float(least), float(max(spot.min_notional, perp.min_notional)) / mid)


def room(rules: BasisConfig, equity: float, cash: float, values: Iterable[float]) -> float:
    """Return what the limit of all pairs leaves beside the values of their spot legs.

    At most what ``cash`` buys: a spot leg that can't be paid would leave the perpetual alone.
    """
    return min(rules.max_gross * equity - sum(values), cash / (1.0 + float(FEES)))


# What is held back -----------------------------------------------------------------------------


def pays(rules: BasisConfig, edge: Edge) -> bool:
    """Whether the edge is large enough: never at a loss locked in, unless funding is the reason."""
    return edge.net_bps > rules.min_edge_bps and (rules.funding_alone or not edge.for_funding)


def held_back(
    rules: BasisConfig,
    edge: Edge,
    volatility_bps: float,
    goal: Legs,
    verdicts: Iterable[Verdict],
    *,
    under_way: bool,
    paused: bool,
    carried: bool,
) -> Refused | None:
    """Return why a pair is not opened though the policy wants it, None where it is.

    ``verdicts`` are those on both legs; ``carried`` says that margin and cash carry the goal.
    """
    if under_way:
        return "under_way"
    if math.isnan(volatility_bps):
        return "warm_up"
    if not pays(rules, edge):
        return "edge"
    if paused:
        return "pause"
    if any(verdict.action >= Action.HALT_ENTRIES for verdict in verdicts):
        return "halted"
    if goal == NONE:
        return "too_small"
    return None if carried else "margin"


def awaits_funding(rules: BasisConfig, trade: Trade | None, funding: Funding, now: int) -> bool:
    """Whether the policy may not close yet: opened for funding of which some is still expected.

    Expected is what is settled within ``horizon`` of the entry, at the rate predicted now.
    """
    if trade is None or not trade.for_funding:
        return False
    return trade.since >= funding.awaited_since(now, duration_ns(rules.horizon))


def carries(margin: Margin | None, legs: tuple[str, str], goal: Legs, price: Decimal) -> bool:
    """Whether free margin carries the perpetual beside the coins, which cost cash in full."""
    if margin is None:
        return True
    spot, perp = (abs(quantity) * price for quantity in goal)
    return margin.free >= spot * (1 + FEES) + margin.used(legs[1], perp)


# What is opened and closed ---------------------------------------------------------------------


def open_pair(
    rules: BasisConfig,
    memory: BasisMemory,
    legs: tuple[str, str],
    goal: Legs,
    prices: Legs,
    edge: Edge,
    now: int,
    lead: int | None,
) -> Planned[BasisMemory]:
    """Return the plan of an entry."""
    name = pair_symbol(legs)
    trade = trade_of(edge, now)
    found = Planned(replace(memory, trades={**memory.trades, name: trade}))
    found.add(Open(name, trade), Plan(name, legs, goal, prices, lead))
    return found


def close_pairs(
    book: PairBook, memory: BasisMemory, closes: Iterable[Close]
) -> Planned[BasisMemory]:
    """Return the plans of exits; what is not the policy's goes at market."""
    found = Planned(memory)
    for close in closes:
        legs = book.pairs[close.pair].legs
        found.add(close, Plan(close.pair, legs, forced=close.cause != "policy"))
    return found


def flatten(
    book: PairBook, memory: BasisMemory, instruments: Container[str]
) -> Planned[BasisMemory]:
    """Return plans by which pairs with a leg in the instruments leave, whole and at market."""
    held = book.pairs.items()
    names = [name for name, pair in held if any(leg in instruments for leg in pair.legs)]
    found = close_pairs(book, memory, [Close(name, "guard") for name in names])
    found.reasons = dict.fromkeys(found.reasons, "flatten")
    return found


def leave_unlisted(rules: BasisConfig, book: PairBook, memory: BasisMemory) -> Planned[BasisMemory]:
    """Return plans by which pairs leave that are not among those given any more."""
    names = [name for name, pair in book.pairs.items() if pair.legs not in rules.pairs]
    return close_pairs(book, memory, [Close(name, "unlisted") for name in names])


def after(rules: BasisConfig, memory: BasisMemory, end: Ended, now: int) -> BasisMemory:
    """Return the memory after a change of a pair has ended: closed or cut, it pauses."""
    if end.held != NONE and not end.cut:
        return replace(memory, cuts={n: cuts for n, cuts in memory.cuts.items() if n != end.pair})
    trades = {n: trade for n, trade in memory.trades.items() if n != end.pair or end.held != NONE}
    pause, cuts = duration_ns(rules.pause), memory.cuts
    if end.cut:
        before = cuts.get(end.pair, 0)
        pause = min(duration_ns(rules.cut_pause) << before, duration_ns(rules.longest_pause))
        cuts = {**cuts, end.pair: before + 1}
    until = max(now + pause, memory.paused.get(end.pair, 0))
    return BasisMemory(trades, {**memory.paused, end.pair: until}, cuts)
