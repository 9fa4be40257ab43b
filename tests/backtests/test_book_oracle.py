"""Fills of random book runs, worked out again from the raw rows by a program of its own.

It knows a dictionary of levels, what we took of them, and what stands before our order. Of the code
under test it uses nothing.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal as D

import pytest
from nautilus_trader.model.identifiers import InstrumentId

from config.documents import Fees, Latency, ProductFees, WayLatency
from tests.backtests.book_tapes import Book, Row, Trade, book_venue, play_book, second
from tests.builders_engine import SECOND, START, A, Script, balance, scripted

TICK, SECONDS, DELAY_MS = D("0.1"), 120, 130
MAKER, TAKER = D("0.0002"), D("0.00055")


@dataclass
class Order:
    """An order of ours; ``price`` None goes to market."""

    sent: float
    quantity: D
    price: D | None
    post_only: bool = False
    ahead: D = D(0)
    left: D = D(0)


@dataclass
class Market:
    """The raw book, what we took of each level, and our orders that rest there."""

    size: dict[tuple[int, D], D] = field(default_factory=dict)
    taken: dict[tuple[int, D], D] = field(default_factory=lambda: defaultdict(D))
    resting: list[Order] = field(default_factory=list)
    fills: list[tuple[float, D, D, str]] = field(default_factory=list)

    def best(self, side: int) -> D:
        return (max if side > 0 else min)(p for s, p in self.size if s == side)

    def change(self, message: Book) -> None:
        if message.snapshot:
            self.size.clear()
        for side, at, amount in message.levels:
            key = side, D(str(at))
            self.taken.pop(key, None)
            if amount:
                self.size[key] = D(str(amount))
                continue
            self.size.pop(key, None)
            for order in self.resting:
                if order.price == key[1] and (order.quantity > 0) == (side > 0):
                    order.ahead = D(0)

    def trade(self, at: float, trade: Trade) -> None:
        """A seller's trade at our bid works off what stands before us, then fills us."""
        price, amount = D(str(trade.price)), D(str(trade.size))
        if self.resting:
            key = -trade.side, price
            self.taken[key] += min(amount, self.size[key] - self.taken[key])
        for order in list(self.resting):
            assert order.price is not None
            through = (order.price - price) * -trade.side
            if through < 0 or (order.quantity > 0) == (trade.side > 0):
                continue
            past = amount * (not order.ahead) if through else amount - order.ahead
            order.ahead = order.ahead if through else max(order.ahead - amount, D(0))
            self.fill(at, order, order.price, min(past, order.left), "MAKER")

    def cross(self, at: float) -> None:
        """Fill what rests at or beyond the other side's prices, as far as that shows."""
        for order in list(self.resting):
            assert order.price is not None
            self.walk(at, order, order.price, "MAKER")

    def arrive(self, at: float, order: Order) -> None:
        side = 1 if order.quantity > 0 else -1
        self.resting.clear()
        order.left = abs(order.quantity)
        if order.price is None:
            self.walk(at, order, D(1_000) if side > 0 else D(0), "TAKER")
        elif (order.price - self.best(-side)) * side < 0:
            order.ahead = self.size.get((side, order.price), D(0))
            self.resting.append(order)

    def walk(self, at: float, order: Order, limit: D, liquidity: str) -> None:
        side = 1 if order.quantity > 0 else -1
        for price in sorted((p for s, p in self.size if s == -side), reverse=side < 0):
            if (limit - price) * side >= 0:
                taken = min(self.size[-side, price] - self.taken[-side, price], order.left)
                self.taken[-side, price] += taken
                self.fill(at, order, order.price or price, taken, liquidity)

    def fill(self, at: float, order: Order, price: D, amount: D, liquidity: str) -> None:
        if amount > 0:
            order.left -= amount
            signed = amount if order.quantity > 0 else -amount
            self.fills.append((at, price, signed, liquidity))
            if not order.left and order in self.resting:
                self.resting.remove(order)


def tape(draw: random.Random) -> list[Row]:
    """Return a book of five levels a side whose mid walks; sellers and buyers take from its top."""
    mid, market, rows = D("100.05"), Market(), list[Row]()

    def sizes(side: int) -> dict[D, D]:
        best = mid - TICK / 2 if side > 0 else mid + TICK / 2
        return {best - side * TICK * n: D(draw.randint(1, 40)) / 10 for n in range(5)}

    def message(at: float, levels: list[tuple[int, D, D]], *, snapshot: bool = False) -> None:
        if levels:
            plain = [(side, float(price), float(size)) for side, price, size in levels]
            rows.append(Book(at, plain, snapshot=snapshot))
            market.change(rows[-1])  # type: ignore[arg-type]

    message(0.0, [(s, p, n) for s in (1, -1) for p, n in sizes(s).items()], snapshot=True)
    for step in range(1, SECONDS * 4 - 4):
        at = step / 4
        if draw.random() < 0.5:
            side = draw.choice((1, -1))
            price = market.best(-side)
            there = market.size[-side, price]
            if there > D("0.1"):
                amount = D(draw.randint(1, int(there * 10) - 1)) / 10
                rows.append(Trade(at, float(price), float(amount), side))
                message(at, [(-side, price, there - amount)])
        elif draw.random() < 0.3:
            mid += draw.choice((TICK, -TICK))
            new = {(s, p): n for s in (1, -1) for p, n in sizes(s).items()}
            gone = [(s, p, D(0)) for s, p in market.size if (s, p) not in new]
            # What a side gives up leaves the book before the other side comes there.
            message(at, gone + [(s, p, n) for (s, p), n in new.items()])
    rows.append(Book(SECONDS - 0.5, [(1, 50.0, 1.0)]))
    return rows


def orders(draw: random.Random, rows: list[Row]) -> Iterator[Order]:
    for number in range(1, 50):
        sent = number * 2 + 0.01
        quantity = D(draw.choice((1, -1)) * draw.randint(1, 60)) / 10
        market = Market()
        for row in rows:
            if isinstance(row, Book) and row.at <= sent:
                market.change(row)
        best = market.best(1 if quantity > 0 else -1)
        yield Order(sent, quantity, draw.choice((None, best, best)), post_only=True)


def replacing(order: Order) -> Callable[[Script], None]:
    """Return a step that cancels what rests, and sends the order.

    Of several orders of ours that one message crosses, the engine fills all but the first an event
    later; so one rests at a time.
    """

    def step(script: Script) -> None:
        script.cancel_all_orders(InstrumentId.from_str(A))
        if order.price is None:
            script.trade(A, str(order.quantity))
        else:
            script.limit(A, str(order.quantity), float(order.price), post_only=True)

    return step


@pytest.mark.parametrize("seed", range(6))
def test_a_book_runs_fills_are_those_worked_out_from_the_raw_rows(seed: int) -> None:
    draw = random.Random(seed)
    rows = tape(draw)
    plan = list(orders(draw, rows))
    market = Market()
    events: list[tuple[float, int, Row | Order]] = [(row.at, 0, row) for row in rows]
    events += [(order.sent + DELAY_MS / 1000, 1, order) for order in plan]
    for at, _, event in sorted(events, key=lambda one: one[:2]):
        if isinstance(event, Book):
            market.change(event)
            market.cross(at)
        elif isinstance(event, Trade):
            market.trade(at, event)
        else:
            assert isinstance(event, Order)
            market.arrive(at, event)

    fee = Fees(maker=MAKER, taker=TAKER)
    document = book_venue(
        fees=ProductFees(linear=fee, spot=fee),
        latency=Latency(orders=WayLatency(base=D(100)), feed=WayLatency(base=D(DELAY_MS - 100))),
        starting_balance=D(100_000),
    )
    script = scripted(*[(second(order.sent), replacing(order)) for order in plan])
    desk = play_book(rows, script, seconds=SECONDS, document=document).desk
    accountant = desk.accountant
    found = [(f.ts, f.price, f.signed, f.liquidity) for f, _ in accountant.fills]
    wanted = [(START + round(at * SECOND), *fill) for at, *fill in market.fills]
    assert found == wanted
    assert {liquidity for *_, liquidity in found} == {"MAKER", "TAKER"}
    cash, fees = D(100_000), D(0)
    for _, price, signed, liquidity in market.fills:
        cash -= price * signed
        rate = MAKER if liquidity == "MAKER" else TAKER
        fees += (price * abs(signed) * rate).quantize(D("1e-8"))
    assert accountant.ledger.cash == cash - fees
    cost = sum((trip.cost for trip in accountant.ledger.open.values()), D(0))
    assert abs(balance(desk.engine) - (cash - fees + cost)) < D("0.01")
