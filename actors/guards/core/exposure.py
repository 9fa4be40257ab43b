"""Exposure of positions, alone and with pending orders filled: values, caps, groups. Pure.

Values are in the settlement currency, signed (short is negative), at the prices of a snapshot.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from actors.guards.core.limits import ONE, Reading, exact
from actors.guards.core.params import GuardParams
from actors.guards.core.positions import Holdings
from actors.guards.core.snapshot import (
    NO_RANGES,
    ZERO,
    ExposureRange,
    FillEvent,
    OpenExposure,
    OrderRequested,
    Snapshot,
    once,
    range_between,
    ranges_of,
)

Values = Mapping[str, Decimal]
"""Signed value by instrument id."""


@once
def net_values(snapshot: Snapshot) -> Values:
    """Return the net value of each instrument over all owners, without those that net to zero.

    One-way mode: the venue has one position for each instrument.
    """
    values = {
        held.instrument: held.quantity * (held.entry if held.price is None else held.price)
        for held in snapshot.holdings
    }
    if len(values) < len(snapshot.holdings):
        values = {}
        for held in snapshot.holdings:
            name = held.instrument
            values[name] = values[name] + held.value if name in values else held.value
    if all(values.values()):
        return values
    return {name: value for name, value in values.items() if value}


class Sizes(NamedTuple):
    """Sum and largest of the instruments' absolute net values."""

    gross: Decimal
    largest: Decimal


@once
def sizes_of(snapshot: Snapshot) -> Sizes:
    """Return the sizes of a snapshot's positions."""
    held = snapshot.holdings
    if isinstance(held, Holdings) and held.positions.is_net:
        found = list(map(abs, held.values))
        return Sizes(held.money(sum(found)), held.money(max(found, default=0)))
    sizes = list(map(abs, net_values(snapshot).values()))
    return Sizes(sum(sizes, ZERO), max(sizes, default=ZERO))


def strategy_values(snapshot: Snapshot, strategy: str) -> Values:
    """Return the value of one strategy's position in each instrument."""
    return {held.instrument: held.value for held in snapshot.holdings if held.strategy == strategy}


def gross(values: Iterable[Decimal]) -> Decimal:
    """Return the sum of absolute values."""
    return sum(map(abs, values), ZERO)


def net(values: Iterable[Decimal]) -> Decimal:
    """Return the sum of signed values."""
    return sum(values, ZERO)


_QUOTES = ("USDT", "USDC", "USDE", "PERP", "USD", "EUR")
_MULTIPLE = re.compile(
    r"^(?:1000+(?P<thousands>[A-Z][A-Z0-9]*)|1M(?P<million>[A-Z]{2,})|(?P<before>[A-Z]+)1000+)$"
)


@cache
def asset_of(instrument: str) -> str:
    """Return the coin of an instrument, the same for its spot pair, perpetual and future.

    Bybit quotes cheap coins by the thousand or the million (``1000PEPEUSDT``, ``SHIB1000USDT``,
    ``1000000MOGUSDT``). Other numbers at the start, as in 1INCH, belong to the coin.

    Examples
    --------
    >>> asset_of("BTCUSDT-LINEAR.BYBIT"), asset_of("BTCUSDT-SPOT.BYBIT"), asset_of("BTCPERP")
    ('BTC', 'BTC', 'BTC')
    >>> asset_of("1000PEPEUSDT-LINEAR.BYBIT"), asset_of("1INCHUSDT-LINEAR.BYBIT")
    ('PEPE', '1INCH')
    """
    symbol = instrument.partition(".")[0].partition("-")[0]
    for quote in _QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            symbol = symbol.removesuffix(quote)
            break
    return coin_of(symbol)


def coin_of(symbol: str) -> str:
    """Return the coin of a base that counts multiples, such as ``1000PEPE``.

    Examples
    --------
    >>> coin_of("1000PEPE"), coin_of("SHIB1000"), coin_of("1MBABYDOGE"), coin_of("C98")
    ('PEPE', 'SHIB', 'BABYDOGE', 'C98')
    """
    found = _MULTIPLE.match(symbol)
    return next(filter(None, found.groups())) if found else symbol


NO_EQUITY = 1e9
"""Shown as the share of an equity that is gone: JSON has no infinity."""

Share = Annotated[float, Meta(gt=0, le=100)]
"""A fraction of equity: 2 is twice the equity."""


class Cap(NamedTuple):
    """A cap on an absolute value, in the settlement currency, and the unit in which it is shown."""

    money: Decimal  # not negative; a value as large is over
    clear_at: Decimal  # a value that is no larger is clear, unless it is over
    limit: float  # as in the parameters
    equity: Decimal | None = None  # values are shown as fractions of it; None: as money

    def told(self, value: Decimal) -> float:
        """Return a value in the cap's unit."""
        return float(value) if self.equity is None else share(value, self.equity)

    def words(self, value: Decimal) -> str:
        """Return value and cap as text."""
        if self.equity is None:
            return f"{value:.2f}, cap {self.limit:g}"
        return f"{self.told(value):.4g} of equity, cap {self.limit:g}"

    def clear(self, value: Decimal) -> bool:
        """Whether an absolute value is far enough below the cap; zero always is."""
        return not value or (value <= self.clear_at and value < self.money)

    def refusal(self, value: Decimal, what: str) -> str | None:
        """Return why an entry that could take a value to the cap is refused, else None."""
        return f"{what} could come to {self.words(value)}" if value >= self.money else None


def share(value: Decimal, equity: Decimal) -> float:
    """Return a value as a fraction of equity, `NO_EQUITY` for a value without equity."""
    if equity > 0:
        return float(value / equity)
    return NO_EQUITY if value else 0.0


def cap_of(fraction: float, equity: Decimal) -> Decimal:
    """Return a fraction of equity as money, zero when the equity is gone."""
    return exact(fraction) * max(equity, ZERO)


def share_cap(fraction: float, equity: Decimal, params: GuardParams) -> Cap:
    """Return a cap that is a fraction of equity."""
    money = cap_of(fraction, equity)
    return Cap(money, money * (ONE - exact(params.hysteresis)), fraction, equity)


def money_cap(amount: float, params: GuardParams) -> Cap:
    """Return a cap in the settlement currency."""
    money = exact(amount)
    return Cap(money, money * (ONE - exact(params.hysteresis)), amount)


def clear_of(params: GuardParams, *caps: float | None) -> Decimal:
    """Return below what a value is clear of all caps that are set."""
    given = [exact(cap) for cap in caps if cap is not None]
    return min(given, default=Decimal("1e30")) * (ONE - exact(params.hysteresis))


def cap_reading(
    scope: str, key: str, value: Decimal, cap: Cap, params: GuardParams, what: str
) -> Reading:
    """Return the reading of an absolute value: over at the cap, never over at zero.

    `what` names the value for the trader, such as ``gross value``.
    """
    return Reading(
        scope=scope,
        key=key,
        measured=cap.told(value),
        limit=cap.limit,
        over=value >= cap.money and value > 0,
        clear=cap.clear(value),
        action=params.asks,
        multiplier=params.multiplier,
        reason=f"{what} {cap.words(value)}",
    )


def notable_instruments(values: Values, cap: Cap) -> list[str]:
    """Return the instruments with a position that is not clear of the cap, else the largest.

    A missing reading ends a halt as a clear one does, and large books are measured often.
    """
    if not values:
        return []
    sizes = list(map(abs, values.values()))
    largest = max(sizes)
    if cap.clear(largest):
        return [list(values)[sizes.index(largest)]]
    return sorted(name for name, value in values.items() if not cap.clear(abs(value)))


class GroupCaps(NamedTuple):
    """The caps of a group on its net and its gross value, None without a cap."""

    net: Cap | None
    gross: Cap | None


class _Measured(NamedTuple):
    """A group's value under one of its caps."""

    key: str
    held: Values
    value: Decimal
    cap: Cap

    @property
    def part(self) -> float:
        return float(self.value / self.cap.money) if self.value else 0.0

    def reading(self, instrument: str, params: GuardParams) -> Reading:
        scope = f"instrument:{instrument}"
        return cap_reading(scope, self.key, self.value, self.cap, params, self.key)


def group_readings(
    groups: Iterable[tuple[str, Values, GroupCaps]], params: GuardParams
) -> tuple[Reading, ...]:
    """Return readings on each position of the groups that are not clear of a cap.

    Where all are clear: one, on the largest position of the group that is nearest to a cap. Keys
    are such as ``BTC net``.
    """
    near: list[Reading] = []
    # The largest of the groups with the same cap is the nearest to it.
    largest: dict[int, _Measured] = {}
    for name, held, caps in groups:
        if not held:
            continue
        for cap, kind, measure in ((caps.net, "net", _net_size), (caps.gross, "gross", gross)):
            if cap is None:
                continue
            value = measure(held.values())
            if not cap.clear(value):
                found = _Measured(f"{name} {kind}", held, value, cap)
                near += [found.reading(instrument, params) for instrument in sorted(held)]
            elif id(cap) not in largest or value > largest[id(cap)].value:
                largest[id(cap)] = _Measured(f"{name} {kind}", held, value, cap)
    if near or not largest:
        return tuple(near)
    nearest = max(largest.values(), key=lambda found: found.part)
    of_nearest = nearest.held
    most = max(of_nearest, key=lambda name: (abs(of_nearest[name]), name))
    return (nearest.reading(most, params),)


def _net_size(values: Iterable[Decimal]) -> Decimal:
    return abs(net(values))


def group_refusal(name: str, way: WorstCase, caps: GroupCaps, *, net_entries: bool) -> str | None:
    """Return why an entry that could bring its group to a cap is refused, else None.

    `way` has the group's instruments only; `net_entries` is whether net counts for entries.
    """
    refusal = None
    if caps.net is not None and net_entries:
        refusal = caps.net.refusal(way.net(), f"{name} net")
    if refusal is None and caps.gross is not None and way.worsens:
        refusal = caps.gross.refusal(way.gross, f"{name} gross")
    return refusal


class WorstCase(NamedTuple):
    """The largest exposure that pending orders can lead to, with and without a new order."""

    before: Mapping[str, ExposureRange]  # by instrument id, without the order
    worst_before: Decimal  # sum of the worst of them
    name: str  # the order's instrument
    own: ExposureRange  # of that instrument, with the order
    buys: bool  # whether the order buys

    @property
    def worsens(self) -> bool:
        """Whether the order can take its instrument's position farther from flat."""
        return self.own.worst > self.before[self.name].worst

    def only(self, keep: Callable[[str], bool]) -> WorstCase:
        """Return the worst case of some instruments, the order's own among them."""
        kept = {name: reach for name, reach in self.before.items() if keep(name)}
        worst = sum((reach.worst for reach in kept.values()), ZERO)
        return self._replace(before=kept, worst_before=worst)

    @property
    def gross(self) -> Decimal:
        """Return the largest gross value, with the order."""
        return self.worst_before - self.before[self.name].worst + self.own.worst

    def net(self) -> Decimal:
        """Return the largest net value on the side of the order.

        Negative where even with all pending orders of that side the book stays on the other side.
        """
        old = self.before[self.name]
        if self.buys:
            return sum([r.high for r in self.before.values()], ZERO) - old.high + self.own.high
        return old.low - self.own.low - sum([r.low for r in self.before.values()], ZERO)

    def after(self) -> dict[str, ExposureRange]:
        """Return the range of each position, with the order."""
        return {**self.before, self.name: self.own}


def worst_case(order: OrderRequested, strategy: str | None = None) -> WorstCase:
    """Return how far positions can go when any part of pending orders fills.

    A `strategy` counts only its own positions and orders.
    """
    return _worst_case(order, strategy)


@once
def _worst_case(order: OrderRequested, strategy: str | None) -> WorstCase:
    rows, before = order.open_exposure, order.ranges
    if strategy is not None or before is NO_RANGES:
        before = ranges_of(row for row in rows if strategy in (None, row.strategy))
    old = before.by_instrument[order.instrument]
    own = own_standing(order)
    assert own is not None, "the order's own row is always there"
    value = order.quantity * own.price
    low, high = (old.low, old.high + value) if value > 0 else (old.low + value, old.high)
    return WorstCase(*before, order.instrument, range_between(low, high), order.quantity > 0)


class Held(msgspec.Struct, frozen=True):
    """A strategy's open position, signed base coin, never zero."""

    strategy: str
    instrument: str
    quantity: Decimal


Holds = tuple[Held, ...]
"""Sorted by instrument, then strategy."""


def held_of(snapshot: Snapshot, before: Holds = ()) -> Holds:
    """Return the strategies' positions in a snapshot, the same object where nothing changed."""
    own = [holding for holding in snapshot.holdings if holding.strategy]
    if len(own) == len(before):
        for held, holding in zip(before, own, strict=True):
            if (
                held.quantity != holding.quantity
                or held.instrument != holding.instrument
                or held.strategy != holding.strategy
            ):
                break
        else:
            return before
    return tuple(Held(h.strategy, h.instrument, h.quantity) for h in own)


def after_fill(holds: Holds, fill: FillEvent) -> Holds:
    """Return the positions after a fill."""
    name = (fill.instrument, fill.strategy)
    found = {(held.instrument, held.strategy): held.quantity for held in holds}
    left = found.pop(name, ZERO) + fill.quantity
    if left:
        found[name] = left
    return tuple(
        Held(strategy, instrument, found[instrument, strategy])
        for instrument, strategy in sorted(found)
    )


def is_flat(holds: Holds, scope: str) -> bool:
    """Whether a scope has no position."""
    return not any(
        scope in ("desk", f"strategy:{held.strategy}", f"instrument:{held.instrument}")
        for held in holds
    )


row_key = attrgetter("instrument", "strategy")
"""Returns what rows of `OrderRequested.open_exposure` are sorted by."""


def own_standing(asked: OrderRequested) -> OpenExposure | None:
    """Return the row of the order's own strategy and instrument."""
    rows, own = asked.open_exposure, (asked.instrument, asked.strategy)
    place = bisect_left(rows, own, key=row_key)
    return rows[place] if place < len(rows) and row_key(rows[place]) == own else None


def adds(asked: OrderRequested) -> bool:
    """Whether the order adds to an open position."""
    own = own_standing(asked)
    return own is not None and own.held * asked.quantity > 0


def could_open(asked: OrderRequested) -> int:
    """Return how many trades an order and the pending ones could open, in any order of fills.

    Each way through zero opens one: buys and sells can fill in turns, first the side that turns the
    position. Reduce-only orders open nothing. Not counted: a reduce-only order closes the position
    before an order fills that was to add to it.

    Examples
    --------
    >>> from decimal import Decimal as D
    >>> row = OpenExposure(strategy="a", instrument="B", held=D(0), buy_orders=1, price=D(100))
    >>> buy = OrderRequested(
    ...     ts=0, strategy="a", instrument="B", quantity=D(1), price=None, is_exit=False
    ... )
    >>> could_open(buy), could_open(msgspec.structs.replace(buy, open_exposure=(row,)))
    (1, 1)
    >>> could_open(msgspec.structs.replace(buy, quantity=D(-1), open_exposure=(row,)))
    2
    """
    own = own_standing(asked)
    held, buys, sells = (own.held, own.buy_orders, own.sell_orders) if own else (ZERO, 0, 0)
    if asked.quantity > 0:
        buys += 1
    else:
        sells += 1
    if held > 0:
        return min(2 * sells, 2 * buys + 1)
    if held < 0:
        return min(2 * buys, 2 * sells + 1)
    return 2 * min(buys, sells) + (buys != sells)
