"""Stops, trailing, partial take-profits, break-even and time stop of a position. Pure.

`step` follows one position: (state, event, rules) -> state. `wanted` says which orders should rest
at the venue for it. `strategies.protector` brings them there and saves each state.

R is the distance from the entry to its first stop, so profit is counted in units of what the trade
risked, and signed by its side. A stop never loosens. Only a new best price in profit moves it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from config.durations import duration_ns
from config.parameter_types import (
    AtrMultiple,
    BasisPoints,
    PositiveFraction,
    RangeLength,
    TimeSpan,
    about,
)
from strategies.tactics.pricing import ZERO, Terms

RProfit = Annotated[float, Meta(ge=0.0, le=100.0)]
_BASIS_POINT = Decimal("0.0001")


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A take-profit for part of a position."""

    at: Annotated[float, Meta(gt=0.0, le=100.0, description="Profit in R at which it rests.")]
    fraction: Annotated[PositiveFraction, about("Part of the position that it closes.")]


class Protection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Orders that protect each position between decisions; ATR is the average true range."""

    atr: Annotated[RangeLength, about("True ranges averaged, in the strategy's candles.")] = 28
    stop: Annotated[AtrMultiple | None, about("First stop, in ATR from the entry.")] = 1.7
    catastrophic: Annotated[
        AtrMultiple,
        about(
            "Stop of last resort, in ATR from the entry: live, the exchange attaches it to the "
            "entry itself; without `stop` it is the first stop."
        ),
    ] = 3.5
    least_bps: Annotated[
        BasisPoints,
        about(
            "Least distance of the first stop from the entry, basis points: where the ATR is "
            "smaller, all that is counted in ATR grows alike."
        ),
    ] = 0.0
    trail_after: Annotated[RProfit, about("Profit in R from which the stop follows the price.")] = (
        0.0
    )
    trail_atr: Annotated[
        AtrMultiple | None, about("In profit, follow the best price by so many ATR.")
    ] = None
    trail_fraction: (
        Annotated[
            float,
            Meta(
                gt=0.0,
                lt=1.0,
                description="In profit, follow the best price by this part of it; beside "
                "trail_atr the nearer stop counts.",
            ),
        ]
        | None
    ) = None
    break_even: (
        Annotated[
            float,
            Meta(gt=0.0, le=100.0, description="Profit in R that moves the stop to the entry …"),
        ]
        | None
    ) = None
    break_even_bps: Annotated[
        BasisPoints, about("… and so many basis points into profit, for fees.")
    ] = 6.0
    take: Annotated[
        tuple[Target, ...],
        Meta(max_length=10, description="Partial take-profits, the nearest first."),
    ] = ()
    time_stop: Annotated[
        TimeSpan | None,
        about("Close at market after so long, in candles: that of the entry is the first."),
    ] = None

    @property
    def first_stop(self) -> Decimal:
        """Distance of the first stop from the entry, in ATR."""
        return Decimal(repr(self.catastrophic if self.stop is None else self.stop))

    def distance(self, multiple: Decimal, atr: Decimal, price: Decimal) -> Decimal:
        """Return a multiple of the ATR, with which the first stop is at least `least_bps` away."""
        least = price * Decimal(repr(self.least_bps)) * _BASIS_POINT
        return max(multiple * atr, multiple * least / self.first_stop)

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        problems = []
        if self.stop is not None and self.catastrophic <= self.stop:
            problems.append(("catastrophic", f"must be further than stop, which is {self.stop:g}"))
        for index, (near, far) in enumerate(zip(self.take, self.take[1:], strict=False), start=1):
            if far.at <= near.at:
                problems.append((f"take[{index}].at", f"must be above the one before, {near.at:g}"))
        whole = sum(Decimal(repr(target.fraction)) for target in self.take)
        if whole > 1:
            problems.append(("take", f"closes {whole} of the position in all; 1 is the whole"))
        return problems


class PositionSeen(NamedTuple):
    """The position as it is now: after a fill, or at a start.

    ``quantity`` is signed base coin, ``entry`` the average entry price, ``atr`` of the candles
    complete by now, None before any.
    """

    now: int
    quantity: Decimal
    entry: Decimal
    atr: Decimal | None


class TakeFilled(NamedTuple):
    """Part of a take-profit was filled; the position's new size follows."""

    quantity: Decimal


class Offered(NamedTuple):
    """All that rests in take-profits from now on, or is about to be sent."""

    quantity: Decimal


class Reattached(NamedTuple):
    """First event after a restart: signed position, and what still rests in take-profits."""

    quantity: Decimal
    resting: Decimal


class CandleClosed(NamedTuple):
    """A complete candle: UNIX nanoseconds (UTC), prices, and ATR up to it."""

    opened: int
    closed: int
    high: Decimal
    low: Decimal
    atr: Decimal


Event = PositionSeen | TakeFilled | Offered | Reattached | CandleClosed


class Protected(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a protected position; saved for a restart.

    ``held`` is unsigned, ``taken`` what take-profits have closed of ``base``, the position before
    the first of them, ``offered`` what rests in them. ``candle`` is the close time of the newest
    candle that counted. ``leave`` is why it is to be closed at market, empty otherwise.
    """

    long: bool
    since: int
    entry: Decimal
    risk: Decimal
    stop: Decimal
    best: Decimal
    held: Decimal
    base: Decimal
    taken: Decimal = ZERO
    offered: Decimal = ZERO
    candle: int = 0
    reason: str = "stop"
    leave: str = ""

    @property
    def side(self) -> int:
        """1 for a long position, -1 for a short one."""
        return 1 if self.long else -1


class Wanted(NamedTuple):
    """An order that should rest: a stop's trigger or a take-profit's limit, and its quantity."""

    kind: Literal["stop", "take"]
    price: Decimal
    quantity: Decimal
    reason: str


def step(state: Protected | None, event: Event, rules: Protection) -> Protected | None:
    """Return the state after an event, None without a position, or while no ATR is known."""
    if isinstance(event, PositionSeen):
        return _seen(state, event, rules)
    if state is None:
        return None
    if isinstance(event, TakeFilled):
        offered = max(state.offered - event.quantity, ZERO)
        return replace(state, taken=state.taken + event.quantity, offered=offered)
    if isinstance(event, Offered):
        return replace(state, offered=event.quantity)
    if isinstance(event, Reattached):
        # What has gone from the take-profits explains a smaller position, as far as it goes.
        still = abs(event.quantity) if event.quantity * state.side > ZERO else ZERO
        gone = max(min(state.held - still, state.offered - event.resting), ZERO)
        return replace(state, taken=state.taken + gone, offered=event.resting)
    return _after_candle(state, event, rules)


def _seen(state: Protected | None, event: PositionSeen, rules: Protection) -> Protected | None:
    held, long = abs(event.quantity), event.quantity > ZERO
    if held == ZERO:
        return None
    if state is None or state.long != long:
        if event.atr is None:
            return None
        risk = rules.distance(rules.first_stop, event.atr, event.entry)
        if risk <= ZERO:
            return None
        return Protected(
            long=long,
            since=event.now,
            entry=event.entry,
            risk=risk,
            stop=event.entry - risk if long else event.entry + risk,
            best=event.entry,
            held=held,
            base=held,
        )
    if held > state.held:
        # A larger position has a new entry: it risks one R from there, or less.
        state = _tighter(
            replace(state, entry=event.entry), event.entry - state.side * state.risk, "stop"
        )
    return replace(state, held=held, base=state.base if state.taken else held)


def _after_candle(state: Protected, candle: CandleClosed, rules: Protection) -> Protected:
    if candle.closed <= state.candle:
        return state
    if rules.time_stop is not None:
        # Counted from the close of the candle before the entry, which came a moment after it.
        length = candle.closed - candle.opened
        age = -((state.since - candle.closed) // length) * length
        if age >= duration_ns(rules.time_stop):
            state = replace(state, leave="time stop")
    if candle.opened < state.since:
        return state
    side = state.side
    reached = max(state.best, candle.high) if state.long else min(state.best, candle.low)
    state = replace(state, best=reached, candle=candle.closed)
    profit = side * (reached - state.entry)
    if profit <= ZERO:
        return state
    if rules.break_even is not None and profit >= Decimal(repr(rules.break_even)) * state.risk:
        beyond = state.entry * Decimal(repr(rules.break_even_bps)) * _BASIS_POINT
        state = _tighter(state, state.entry + side * beyond, "break even")
    if profit < Decimal(repr(rules.trail_after)) * state.risk:
        return state
    if rules.trail_atr is not None:
        behind = rules.distance(Decimal(repr(rules.trail_atr)), candle.atr, state.entry)
        state = _tighter(state, reached - side * behind, "trailing stop")
    if rules.trail_fraction is not None:
        behind = Decimal(repr(rules.trail_fraction)) * reached
        state = _tighter(state, reached - side * behind, "trailing stop")
    return state


def _tighter(state: Protected, stop: Decimal, reason: str) -> Protected:
    if state.side * (stop - state.stop) <= ZERO:
        return state
    return replace(state, stop=stop, reason=reason)


def wanted(state: Protected, rules: Protection, terms: Terms, room: Decimal) -> list[Wanted]:
    """Return the orders that should rest: the stop first, for all that is held, then take-profits.

    ``room`` is what is held less what other orders are about to close: take-profits share it.
    """
    stop = max(state.stop // terms.tick, Decimal(1)) * terms.tick
    orders = [Wanted("stop", stop, state.held, state.reason)]
    left = min(room, state.held)
    for take in _takes(state, rules, terms):
        quantity = min(take.quantity, left)
        if quantity >= max(terms.min_quantity, terms.step) and take.price > ZERO:
            orders.append(take._replace(quantity=quantity))
            left -= quantity
    return orders


def _takes(state: Protected, rules: Protection, terms: Terms) -> list[Wanted]:
    # They fill from the nearest on, so the sum that was taken says what is left of each.
    found, before, fraction = [], ZERO, ZERO
    for target in rules.take:
        fraction += Decimal(repr(target.fraction))
        price = state.entry + state.side * Decimal(repr(target.at)) * state.risk
        price = price // terms.tick * terms.tick
        upto = state.base * fraction // terms.step * terms.step
        quantity = min(upto - before, max(upto - state.taken, ZERO))
        found.append(Wanted("take", price, quantity, f"take profit at {target.at:g} R"))
        before = upto
    return found
