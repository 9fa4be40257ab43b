"""Books of a run kept by hand: brute force, in Decimal, from raw candles and decisions alone.

What is done here follows the README's words, not our code; nothing of ours is imported but the
reader of raw files. Decisions' quantities are taken as given; whether the weights and quantities
themselves are right, `wanted_weights` and `whole_lots` say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any

from tests.backtests.raw_truth import DAY, HOUR, Raw, newest

SECOND = 1_000_000_000
ZERO = Decimal(0)
Slip = Callable[[Decimal], Decimal]
"""From an order's notional to the fraction of the price that it loses."""


@dataclass(frozen=True)
class Booked:
    """A fill; ``quantity`` is signed."""

    ts: int
    instrument: str
    quantity: Decimal
    price: Decimal
    reference: Decimal
    kind: str = "order"

    def fee(self, rate: Decimal) -> Decimal:
        return abs(self.quantity) * self.price * rate


@dataclass(frozen=True)
class Paid:
    """A funding settlement; ``amount`` is what came in."""

    ts: int
    instrument: str
    rate: Decimal
    mark: Decimal
    quantity: Decimal
    amount: Decimal


@dataclass
class Trip:
    """A position from flat to flat; ``changes`` are its signed quantities and their prices."""

    instrument: str
    opened: int
    long: bool
    closed: int | None = None
    peak: Decimal = ZERO
    held: Decimal = ZERO
    changes: list[tuple[Decimal, Decimal]] = field(default_factory=list)
    fees: Decimal = ZERO
    funding: Decimal = ZERO

    def change(self, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        self.changes.append((quantity, price))
        self.held += quantity
        self.peak = max(self.peak, abs(self.held))
        self.fees += fee

    def gross(self, last: Decimal) -> Decimal:
        return self.held * last - sum((q * p for q, p in self.changes), ZERO)

    def average(self, *, entries: bool) -> float | None:
        parts = [(q, p) for q, p in self.changes if (q > 0) is (self.long is entries)]
        return float(sum(q * p for q, p in parts) / sum(q for q, _ in parts)) if parts else None

    def open_cost(self) -> Decimal:
        """Return what the open quantity cost at the running average of its entries."""
        held, price = ZERO, ZERO
        for quantity, at in self.changes:
            if (quantity > 0) is self.long:
                price = (held * price + quantity * at) / (held + quantity)
            held += quantity
        return held * price


@dataclass
class Books:
    """What a run should have booked."""

    fills: list[Booked]
    payments: list[Paid]
    unfilled: int


def slipped(raw: Raw, reference: Decimal, quantity: Decimal, slip: Slip) -> Decimal:
    """Return the fill price: worse by the fraction, then on to the tick that is no better."""
    fraction = slip(abs(quantity) * reference)
    if not fraction:
        return reference
    worse = reference * (1 + fraction if quantity > 0 else 1 - fraction)
    steps = (worse / raw.tick).to_integral_value(ROUND_CEILING if quantity > 0 else ROUND_FLOOR)
    return max(steps, Decimal(1)) * raw.tick


def keep(
    market: dict[str, Raw], decisions: list[dict[str, Any]], slip: Slip, start: int, end: int
) -> Books:
    """Walk through every moment of a window (UNIX nanoseconds) at which something is booked."""
    # At one moment, funding comes before a delisting; both come before the candle opens.
    moments: list[tuple[int, int, str, Any]] = []
    unfilled = 0
    # What still waits when the next decision comes is taken back.
    until = [decision["ts"] for decision in decisions[1:]] + [end]
    for decision, last in zip(decisions, until, strict=True):
        for line in decision["targets"]:
            quantity = Decimal(line["order"])
            if not quantity:
                continue
            name = line["instrument"]
            opened = market[name].next_open(decision["ts"])
            if opened is None or opened[0] >= last:
                unfilled += 1
            else:
                moments.append((opened[0] + SECOND, 2, name, (quantity, opened[1])))
    for name, raw in market.items():
        moments += [(ts, 0, name, rate) for ts, rate in raw.rates.items() if start < ts <= end]
        if start < raw.ends <= end and raw.ends < end:
            moments.append((raw.ends, 1, name, None))
    held: dict[str, Decimal] = defaultdict(Decimal)
    books = Books([], [], unfilled)
    for ts, what, name, fact in sorted(moments, key=lambda m: m[:3]):
        raw = market[name]
        if what == 0 and held[name]:
            mark = raw.mark_closes.get(ts) or newest(raw.hour_closes, ts)
            assert mark is not None
            amount = (-held[name] * mark * fact).quantize(Decimal("1e-8"))
            books.payments.append(Paid(ts, name, fact, mark, held[name], amount))
        elif what == 1 and held[name]:
            last = raw.hour_closes[raw.ends]
            # The account is settled just before the stamp.
            books.fills.append(Booked(ts - 1, name, -held[name], last, last, "delisting"))
            held[name] = ZERO
        elif what == 2:
            quantity, reference = fact
            price = slipped(raw, reference, quantity, slip)
            books.fills.append(Booked(ts, name, quantity, price, reference))
            held[name] += quantity
    return books


def round_trips(books: Books, fee: Decimal) -> list[Trip]:
    """Cut the books into positions from flat to flat; a fill through zero ends one and opens one.

    Its fee is split by quantity.
    """
    events = [(b.ts, 1, b) for b in books.fills] + [(p.ts - 1, 0, p) for p in books.payments]
    running: dict[str, Trip] = {}
    trips: list[Trip] = []
    for _, _, event in sorted(events, key=lambda e: e[:2]):
        name = event.instrument
        if isinstance(event, Paid):
            running[name].funding += event.amount
            continue
        left, cost = event.quantity, event.fee(fee)
        trip = running.get(name)
        if trip is not None and trip.held * left < 0 and abs(left) >= abs(trip.held):
            part = cost * abs(trip.held) / abs(left)
            left += trip.held
            trip.change(-trip.held, event.price, part)
            trip.closed = event.ts
            cost -= part
            del running[name]
        if left:
            if name not in running:
                running[name] = Trip(name, event.ts, left > 0)
                trips.append(running[name])
            running[name].change(left, event.price, cost)
    return trips


def curve(
    market: dict[str, Raw], books: Books, fee: Decimal, opening: Decimal, start: int, end: int
) -> list[tuple[int, Decimal, Decimal, Decimal]]:
    points = [(start, opening, ZERO, ZERO)]
    fills, payments = sorted(books.fills, key=lambda b: b.ts), books.payments
    money, held, done, paid = opening, defaultdict[str, Decimal](Decimal), 0, 0
    for ts in [*range(start // HOUR * HOUR + HOUR, end, HOUR), end]:
        while done < len(fills) and fills[done].ts <= ts:
            fill = fills[done]
            money -= fill.quantity * fill.price + fill.fee(fee)
            held[fill.instrument] += fill.quantity
            done += 1
        while paid < len(payments) and payments[paid].ts <= ts:
            money += payments[paid].amount
            paid += 1
        worth = {name: q * _close(market[name], ts) for name, q in held.items() if q}
        net = sum(worth.values(), ZERO)
        points.append((ts, money + net, sum(map(abs, worth.values()), ZERO), net))
    return points


def _close(raw: Raw, ts: int) -> Decimal:
    price = raw.hour_closes.get(ts) or newest(raw.hour_closes, ts)
    assert price is not None
    return price


def wanted_weights(market: dict[str, Raw], data_ts: int, fraction: float) -> dict[str, float]:
    moves = {}
    for name, raw in market.items():
        now, before = raw.day_closes.get(data_ts), raw.day_closes.get(data_ts - DAY)
        if now is not None and before is not None:
            moves[name] = now / before - 1
    ranked = sorted(moves, key=lambda name: (moves[name], name))
    side = max(1, int(fraction * len(ranked) + 1e-9))
    longs, shorts = ranked[:side], ranked[len(ranked) - side :]
    return dict.fromkeys(longs, 0.5 / side) | dict.fromkeys(shorts, -0.5 / side)


def whole_lots(raw: Raw, weight: float, equity: Decimal, price: Decimal) -> Decimal:
    """Return the position that a weight asks for, cut down to whole lots."""
    wanted = Decimal(repr(weight)) * equity / price
    return (wanted / raw.lot).to_integral_value(ROUND_DOWN) * raw.lot
