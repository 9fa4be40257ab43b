"""Any candles, with any gaps: fills come after their decision, and no money is made or lost.

Every open is another number, and closes lie a quarter beside opens, so a price tells its candle.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR
from decimal import Decimal as D

from hypothesis import event, given
from hypothesis import strategies as st

from backtests.engine.build import BacktestDesk
from backtests.engine.feed import Settlement
from config.documents import BasePlusSizeSlippage, FixedBpsSlippage, NoSlippage
from tests.builders_engine import (
    A,
    B,
    Candles,
    Script,
    at,
    balance,
    play,
    taker_fee,
    trading,
    venue,
)

NAMES = (A, B)
ROWS = 10
FEE = D("0.001")
BEFORE = 100.0
"""The newest close before the window, of both."""

FACTS = {
    A: {"tick": "0.01", "lot": "0.001", "min_qty": "0.001"},
    B: {"tick": "0.05", "lot": "0.5", "min_qty": "0.5"},
}
SLIPPAGES = {
    "none": (NoSlippage(), lambda worth: D(0)),
    "bps": (FixedBpsSlippage(bps=D("7")), lambda worth: D("0.0007")),
    "size": (
        BasePlusSizeSlippage(base=D("0.0005"), per=D(50_000), cap=D("0.01")),
        lambda worth: D("0.0005") + min(worth / 50_000, D("0.01")),
    ),
}


@dataclass(frozen=True)
class Order:
    """What a story wants: ``lots`` of half a coin, ``seconds`` into a candle."""

    name: str
    row: int
    seconds: int
    lots: int

    @property
    def sent(self) -> int:
        return at(self.row, self.seconds)

    @property
    def quantity(self) -> D:
        return D(self.lots) / 2


@dataclass(frozen=True)
class Story:
    opens: dict[str, list[float | None]]
    delisted: dict[str, int]
    orders: list[Order]
    settlements: list[Settlement]
    slippage: str
    per_slice: int
    prints_to_wait: int

    def close(self, name: str, row: int) -> D:
        known = [value for value in self.opens[name][: row + 1] if value is not None]
        return D(repr(known[-1])) + D("0.25") if known else D(repr(BEFORE))

    def fill(self, order: Order) -> tuple[int, D] | None:
        """Return when and at which open the order meets the market, None if never."""
        later = [
            (at(row, 1), D(repr(value)))
            for row, value in enumerate(self.opens[order.name])
            if value is not None and at(row) >= order.sent
        ]
        return later[self.prints_to_wait - 1] if len(later) >= self.prints_to_wait else None


@st.composite
def stories(draw: st.DrawFn) -> Story:
    prices = draw(st.lists(st.integers(60, 140), min_size=20, max_size=20, unique=True))
    opens: dict[str, list[float | None]] = {}
    delisted = {}
    for place, name in enumerate(NAMES):
        # The first candle is there, so that the gate knows a price to value an order at.
        gaps = [False, *draw(st.lists(st.booleans(), min_size=ROWS - 1, max_size=ROWS - 1))]
        row_prices = prices[place * ROWS : (place + 1) * ROWS]
        opens[name] = [None if gap else float(p) for gap, p in zip(gaps, row_prices, strict=True)]
        last = max(row for row in range(ROWS) if not gaps[row])
        if last < ROWS - 1:
            delisted[name] = last
    orders = draw(
        st.lists(
            st.builds(
                Order,
                st.sampled_from(NAMES),
                st.integers(0, ROWS - 1),
                st.sampled_from([0, 1, 60, 1800, 3599]),
                st.integers(-40, 40).filter(lambda lots: lots != 0),
            ),
            min_size=1,
            max_size=8,
            unique_by=lambda order: order.sent,
        )
    )
    stamps = st.tuples(
        st.sampled_from(NAMES),
        st.integers(1, ROWS * 4),
        st.integers(-300, 300),
        st.integers(5_000_000, 15_000_000),
    )
    charges = draw(st.lists(stamps, max_size=12, unique_by=lambda s: s[:2]))
    return Story(
        opens,
        delisted,
        orders,
        sorted(
            (
                Settlement(at(quarter / 4), n, D(rate) / 100_000, D(mark) / 100_000)
                for n, quarter, rate, mark in charges
            ),
            key=lambda s: (s.ts, s.instrument),
        ),
        draw(st.sampled_from(sorted(SLIPPAGES))),
        draw(st.sampled_from([1, 3, ROWS])),
        draw(st.sampled_from([1, 2])),
    )


def played(story: Story) -> BacktestDesk:
    script = Script({o.sent: trading(o.name, str(o.quantity)) for o in story.orders})
    tape = {
        name: Candles(values, closes=[None if v is None else v + 0.25 for v in values])
        for name, values in story.opens.items()
    }
    desk = play(
        tape,
        script,
        document=venue(fees=taker_fee(str(FEE)), slippage=SLIPPAGES[story.slippage][0]),
        facts=FACTS,
        before=dict.fromkeys(NAMES, BEFORE),
        prints_to_wait=story.prints_to_wait,
        settlements=story.settlements,
        delisted=story.delisted,
        per_slice=story.per_slice,
    )
    assert script.denials == []
    return desk


@given(stories())
def test_every_fill_is_the_next_open_and_the_money_adds_up(story: Story) -> None:
    desk = played(story)
    money, held = D(10_000), dict.fromkeys(NAMES, D(0))
    expected: list[tuple[int, str, D, D]] = []
    payments: list[tuple[int, str, D]] = []
    moments: list[tuple[int, int, object]] = [(s.ts, 0, s) for s in story.settlements]
    moments += [(at(row + 1), 1, name) for name, row in story.delisted.items()]
    moments += [(f[0], 2, (o, f[1])) for o in story.orders if (f := story.fill(o)) is not None]
    for ts, _, what in sorted(moments, key=lambda m: m[:2]):
        if isinstance(what, Settlement):
            amount = -held[what.instrument] * what.mark_price * what.rate
            if held[what.instrument]:
                payments.append((ts, what.instrument, amount.quantize(D("1e-8"))))
                money += payments[-1][2]
            continue
        if isinstance(what, str):
            name, quantity, when = what, -held[what], ts - 1
            price = story.close(name, story.delisted[name])
        else:
            assert isinstance(what, tuple)
            order, open_ = what
            name, quantity, when = order.name, order.quantity, ts
            price = slipped(story, name, quantity, open_)
        if quantity:
            expected.append((when, name, quantity, price))
            held[name] += quantity
            money -= quantity * price + abs(quantity) * price * FEE
    fills = [fill for fill, _ in desk.accountant.fills]
    event(f"{min(len(fills), 3)} or more fills of {min(len(story.orders), 3)} or more orders")
    # The first opening that is not before the decision: an older price never fills it.
    got = [(fill.ts, fill.instrument, fill.signed, fill.price) for fill in fills]
    assert sorted(got) == sorted(expected)
    assert {n: desk.accountant.position(n) for n in NAMES} == held
    paid = [(p.ts, p.instrument, p.amount) for p in desk.accountant.payments]
    assert paid == payments

    # The cash identity: by hand, by our ledger, by the engine.
    prices = {name: story.close(name, ROWS - 1) for name in NAMES}
    ending = money + sum(held[name] * prices[name] for name in NAMES)
    ledger = desk.accountant.ledger
    identity = ledger.starting + ledger.gross_pnl(prices) - ledger.fees + ledger.funding
    assert ledger.equity(prices) == identity
    assert abs(identity - ending) < D("1e-6")
    trips = [*ledger.closed, *ledger.open.values()]
    net = sum(t.gross(prices[t.instrument]) - t.fees + t.funding for t in trips)
    assert abs(ledger.starting + net - identity) < D("1e-6")
    assert abs(engine_equity(desk, prices) - ending) < D("0.01")


def slipped(story: Story, name: str, quantity: D, reference: D) -> D:
    fraction, tick = SLIPPAGES[story.slippage][1](abs(quantity) * reference), D(FACTS[name]["tick"])
    if quantity > 0:
        return (reference * (1 + fraction) / tick).to_integral_value(ROUND_CEILING) * tick
    return (reference * (1 - fraction) / tick).to_integral_value(ROUND_FLOOR) * tick


def engine_equity(desk: BacktestDesk, prices: dict[str, D]) -> D:
    cache, total = desk.engine.kernel.cache, balance(desk.engine)
    for position in cache.positions_open():
        name = position.instrument_id.value
        price = cache.instrument(position.instrument_id).make_price(prices[name])
        total += position.unrealized_pnl(price).as_decimal()
    return total
