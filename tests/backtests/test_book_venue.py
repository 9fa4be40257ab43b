"""Orders that meet an order book: levels, queue, delay, forced closes, and the account's prices."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any, cast

import pytest
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderUpdated,
)
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity

from backtests.engine.feed import Settlement
from backtests.engine.latency import command_delay_ns, feed_delay_ns, is_burst
from config.documents import Bursts, Fees, Latency, ProductFees, WayLatency
from live_nodes.drill.strategy import Drill, DrillConfig
from live_nodes.drill.world import Instruction
from strategies import protector
from strategies.desk_config import DeskStrategyConfig
from strategies.on_loop import wake_in
from strategies.order_ids import is_protective
from strategies.tactics.protective import Protection, Target
from tests.backtests.book_tapes import (
    Book,
    Quote,
    Row,
    Trade,
    book_venue,
    opening,
    play_book,
    second,
)
from tests.builders_engine import START, A, Script, balance, resting, scripted, trading
from tests.strategies.test_verdict_follower import Holder, holding

END = Book(19.0, [(1, 99.0, 1.0)])
"""Far from the market; the engine's time goes as far as its data."""


def done(script: Script) -> list[tuple[float, float, float]]:
    """Return time (seconds), price and quantity of each fill."""
    return [
        ((f.ts_event - START) / 1e9, f.last_px.as_double(), f.last_qty.as_double())
        for f in script.fills
    ]


def heard(script: Script, *kinds: type) -> list[tuple[str, float]]:
    return [
        (type(e).__name__, (e.ts_event - START) / 1e9) for e in script.heard if isinstance(e, kinds)
    ]


def late(orders: float, feed: float = 0.0, **more: Any) -> Any:
    delay = WayLatency(base=D(str(orders)), **more)
    return book_venue(latency=Latency(orders=delay, feed=WayLatency(base=D(str(feed)))))


def test_a_taker_walks_the_levels_and_uses_them_up() -> None:
    script = scripted((second(1), trading(A, "1.5")), (second(2), trading(A, "1")))
    play_book([opening(), END], script)
    # 100.1 is used up and half of 100.2, until the book says otherwise.
    assert done(script) == [(1, 100.1, 1), (1, 100.2, 0.5), (2, 100.2, 0.5), (2, 100.3, 0.5)]


def test_what_a_market_order_does_not_find_is_cancelled_at_once() -> None:
    script = scripted((second(1), trading(A, "9")))
    played = play_book([opening(), Book(2.0, [(-1, 100.4, 5.0)]), END], script)
    assert [price for _, price, _ in done(script)] == [100.1, 100.2, 100.3]
    assert heard(script, OrderCanceled) == [("OrderCanceled", 1)]
    assert played.desk.accountant.position(A) == 3


@pytest.mark.parametrize(
    ("later", "mids"),
    [
        # Half a second late for the second; then silence, until the run ends before 30 s.
        ([Book(1.5, [(-1, 100.1, 0), (1, 100.1, 1)])], (100.05, 100.15, 100.15, None)),
        # A quiet second is no hole; half a minute is one.
        ([Book(4.0, [(1, 100.0, 0)]), Book(39.0, [(1, 99.0, 1)])], (100.05, 100.05, 100.0, 100.0)),
        ([Book(39.0, [(1, 99.0, 1)])], (100.05, None, None, None)),
        # The trade sets both sides of the engine's book of quotes; the quote stands.
        ([Quote(1.5, 100.2, 100.4, 1, 1), Quote(39.0, 99, 100, 1, 1)], (100.05, *[100.3] * 3)),
    ],
)
def test_mids_are_noted_at_a_fill_and_after_it(later: list[Row], mids: tuple[Any, ...]) -> None:
    quoted = isinstance(later[-1], Quote)
    first = [Quote(0.0, 100.0, 100.1, 1, 1), Trade(1.0, 100.0, 3, -1)] if quoted else [opening()]
    trade = resting(A, "1", 100.0) if quoted else trading(A, "1")
    document = book_venue("quotes" if quoted else "book")
    rows = [*first, *later]
    seconds = 40 if rows[-1].at > 30 else 20
    desk = play_book(
        rows, scripted((second(0.5 if quoted else 1), trade)), seconds=seconds, document=document
    ).desk
    assert desk.fill_mids is not None
    (row,) = desk.fill_mids.rows
    assert tuple(row.get(key) for key in ("mid", "mid_1s", "mid_5s", "mid_30s")) == mids


class Told(Drill):
    """A drill's strategy that is told in its first second to hold 5."""

    def on_start(self) -> None:
        super().on_start()
        told = Instruction(number=1, hold={A: "5"})
        self.clock.set_time_alert_ns("told", second(1), lambda _: self.obey(told))


def test_a_drill_sends_again_what_a_thin_book_left_of_its_position() -> None:
    strategy = Told(DrillConfig(key="drill", instruments=(A,)))
    strategy.expect_book("none")
    more = Book(1.4, [(-1, 100.4, 0.5)]), Book(1.9, [(-1, 100.5, 9.0)])
    desk = play_book([opening(), *more, END], cast(Any, strategy)).desk
    assert [fill.quantity for fill, _ in desk.accountant.fills] == [1, 1, 1, D("0.5"), D("1.5")]
    sent = [round((o.ts_init - START) / 1e9, 3) for o in desk.engine.kernel.cache.orders()]
    assert sorted(sent) == [1, 1.5, 2]


class Insistent(Holder):
    """Rests a stop above the market again whenever an order has ended, which the venue refuses."""

    def on_order_ended(self) -> None:
        name = InstrumentId.from_str(A)
        if self.holding(name) and not self.busy_in(name):
            self.place_stop(name, D(200))


def test_where_nobody_buys_a_position_without_a_stop_is_closed_again_each_second() -> None:
    strategy = Insistent({second(1): holding(A, "1")}, (A,))
    bids = [Book(0.0, [(1, 100.0, 0.5), (-1, 100.1, 1.0)], snapshot=True), Book(4.5, [(1, 99, 1)])]
    desk = play_book([*bids, END], cast(Any, strategy)).desk
    sales = [
        (round((f.ts - START) / 1e9, 3), f.quantity, f.price) for f, _ in desk.accountant.fills
    ]
    assert sales[1:] == [(1, D("0.5"), 100), (5, D("0.5"), 99)]
    sent = [round((o.ts_init - START) / 1e9, 3) for o in desk.engine.kernel.cache.orders()]
    # The buy, a stop that is refused, and an exit each second.
    assert sorted(sent) == [1, 1, 1, 2, 3, 4, 5]


class Bracketed(Holder):
    """Buys 1 with a limit order at 100, which fills in parts, under a stop and a take-profit."""

    def __init__(self) -> None:
        super().__init__({second(1): _buy}, (A,))
        rules = Protection(atr=2, take=(Target(at=20.0, fraction=1.0),))
        config = DeskStrategyConfig(key="hold", instruments=(A,), protection=rules)
        super(Holder, self).__init__(config)
        self.expect_book("none")
        self.short: list[float] = []

    def on_start(self) -> None:
        super().on_start()
        self.broker.protector.on_candle(InstrumentId.from_str(A), 0, START, 100.2, 100, 100.1)

    def on_order_book_deltas(self, deltas: Any) -> None:
        super().on_order_book_deltas(deltas)
        name = InstrumentId.from_str(A)
        stops = [o for o in self.broker.protective_orders() if o.has_trigger_price and o.is_open]
        covered = max((float(o.leaves_qty) for o in stops), default=0.0)
        if covered < float(self.holding(name)):
            self.short.append((self.clock.timestamp_ns() - START) / 1e9)


def _buy(strategy: Any) -> None:
    found = strategy.cache.instrument(InstrumentId.from_str(A))
    limit = strategy.order_factory.limit
    sizes = found.make_qty(1), found.make_price(100)
    order = limit(found.id, OrderSide.BUY, *sizes, client_order_id=strategy.broker.next_order_id())
    strategy.broker.send(order)


def test_an_entry_that_fills_in_many_parts_takes_few_requests_and_its_stop_covers_it() -> None:
    strategy = Bracketed()
    parts = [Trade(2 + 0.1 * n, 100.0, 0.1, -1) for n in range(10)]
    looks = [Book(2.05 + 0.1 * n, [(1, 99.0, 1.0 + n)]) for n in range(12)]
    tape = [opening(), *sorted([*parts, *looks], key=lambda row: row.at), END]
    delay = Latency(orders=WayLatency(base=D("0.02")))
    played = play_book(
        tape, cast(Any, strategy), document=book_venue(queue="optimistic", latency=delay)
    )
    assert len(played.desk.accountant.fills) == 10
    resting = {o.has_trigger_price: float(o.quantity) for o in strategy.broker.protective_orders()}
    assert resting == {True: 1.0, False: 1.0}
    # Each part takes a stop, and a cancel of the one before; take-profits follow twice a second.
    made = [o for o in strategy.cache.orders() if is_protective(o.client_order_id.value)]
    takes = [o for o in made if not o.has_trigger_price]
    assert (len(made) - len(takes), len(takes)) == (10, 2)
    assert strategy.short == []


def test_take_profits_grow_with_an_entry_of_which_a_part_still_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A live clock may still list a timer while its callback runs."""

    def still_listed(clock: Any, pause_ns: int, name: str, then: Any) -> None:
        def fire(event: Any) -> None:
            clock.set_time_alert_ns(name, clock.timestamp_ns() + 1, lambda _: None)
            then(event)

        wake_in(clock, pause_ns, name, fire)

    monkeypatch.setattr(protector, "wake_in", still_listed)
    strategy, parts = Bracketed(), [Trade(2 + 0.1 * n, 100.0, 0.1, -1) for n in range(3)]
    document = book_venue(queue="optimistic")
    play_book([opening(), *parts, END], cast(Any, strategy), document=document)
    resting = {o.has_trigger_price: float(o.quantity) for o in strategy.broker.protective_orders()}
    assert resting == pytest.approx({True: 0.3, False: 0.3})


QUEUE: list[Row] = [
    opening(),
    Trade(3.0, 100.0, 0.6, -1),
    Book(3.0, [(1, 100.0, 0.4)]),
    Trade(5.0, 100.0, 0.7, -1),
    Book(5.0, [(1, 100.0, 2.0)]),
    Trade(7.0, 100.0, 1.0, -1),
    Trade(9.0, 99.9, 0.5, -1),
    END,
]


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ("optimistic", [(3, 100.0, 0.6), (5, 100.0, 0.4)]),
        # One coin stands before it: 0.6 trade, then 0.4 of 0.7, so that 0.3 are left for it.
        ("realistic", [(5, 100.0, 0.3), (7, 100.0, 0.7)]),
        ("pessimistic", [(9, 100.0, 0.5)]),
    ],
)
def test_a_maker_fills_in_its_turn(queue: str, expected: list[tuple[float, float, float]]) -> None:
    script = scripted((second(1), resting(A, "1", 100.0, post_only=True)))
    play_book(QUEUE, script, document=book_venue(queue=queue))
    assert done(script) == expected


def test_a_post_only_order_that_would_take_is_rejected() -> None:
    script = scripted((second(1), resting(A, "1", 100.1, post_only=True)))
    play_book([opening(), END], script)
    (rejected,) = [event for event in script.heard if isinstance(event, OrderRejected)]
    assert rejected.due_post_only
    assert not script.fills


def test_an_order_meets_the_book_of_its_arrival() -> None:
    moved = Book(1.2, [(-1, 100.1, 0.0), (-1, 100.2, 0.7)])
    script = scripted((second(1), trading(A, "1")))
    play_book([opening(), moved, END], script, document=late(150, feed=100))
    assert done(script) == [(1.25, 100.2, 0.7), (1.25, 100.3, 0.3)]
    # A tenth of a second earlier it would have met the old one.
    script = scripted((second(1), trading(A, "1")))
    play_book([opening(), moved, END], script, document=late(150))
    assert done(script) == [(1.15, 100.1, 1.0)]


def test_cancels_and_amends_are_late_as_well_and_nothing_overtakes() -> None:
    def place(script: Script) -> None:
        script.kept = script.limit(A, "1", 99.5)  # type: ignore[attr-defined]

    def amend(script: Script) -> None:
        order = script.kept  # type: ignore[attr-defined]
        script.modify_order(order, Quantity.from_str("1.000"), Price.from_str("100.00"))
        script.cancel_order(order)

    script = scripted((second(1), place), (second(1.001), amend))
    play_book([opening(), END], script, document=late(500))
    assert heard(script, OrderAccepted, OrderUpdated, OrderCanceled) == [
        ("OrderAccepted", 1.5),
        ("OrderUpdated", 1.501),
        ("OrderCanceled", 1.501),
    ]


def test_a_cancel_that_comes_too_late_meets_a_fill() -> None:
    def cancel(script: Script) -> None:
        script.cancel_all_orders(InstrumentId.from_str(A))

    crossing = Book(2.1, [(1, 100.0, 0.0), (-1, 100.0, 3.0)])
    steps = (second(1), resting(A, "1", 100.0)), (second(2), cancel)
    for delay, filled in ((50, 0), (200, 1)):
        script = scripted(*steps)
        play_book([opening(), crossing, END], script, document=late(delay))
        assert len(script.fills) == filled


def test_delays_follow_from_seed_and_moment() -> None:
    jittery = Latency(orders=WayLatency(base=D(5), jitter=D(2)), feed=WayLatency(base=D(1)))
    draws = [command_delay_ns(jittery, START + n) for n in range(4_000)]
    assert draws == [command_delay_ns(jittery, START + n) for n in range(4_000)]
    assert min(draws) >= 6_000_000
    assert sum(draws) / len(draws) == pytest.approx(8_000_000, rel=0.03)
    assert feed_delay_ns(jittery, START) == 1_000_000
    other = jittery.model_copy(update={"orders": WayLatency(base=D(5), jitter=D(2), seed=1)})
    assert command_delay_ns(other, START) != draws[0]


def test_bursts_last_as_long_as_they_say_in_each_period() -> None:
    bursts = Bursts(every=D(60), length=D(6), delay=D(500))
    slow = [is_burst(bursts, 7, START + n * 10**8) for n in range(6_000)]
    assert sum(slow) == pytest.approx(600, abs=12)
    for minute in range(10):
        assert 59 <= sum(slow[minute * 600 : minute * 600 + 600]) <= 61
    first = START + slow.index(True) * 10**8
    latency = Latency(orders=WayLatency(base=D(1), seed=7, bursts=bursts))
    assert command_delay_ns(latency, first) == 501_000_000


def test_fees_are_the_makers_and_the_takers_and_the_cash_adds_up_to_the_cent() -> None:
    fee = Fees(maker=D("-0.0001"), taker=D("0.00055"))
    document = book_venue(fees=ProductFees(linear=fee, spot=fee))
    script = scripted(
        (second(1), resting(A, "1", 100.0)),
        (second(8), trading(A, "-1.4")),
        (second(10), trading(A, "0.4")),
    )
    played = play_book(QUEUE, script, document=document)
    accountant = played.desk.accountant
    rows = [(f.liquidity, f.price, f.quantity, f.fee) for f, _ in accountant.fills]
    assert rows == [
        ("MAKER", D("100.00"), D("0.3"), D("-0.003")),
        ("MAKER", D("100.00"), D("0.7"), D("-0.007")),
        ("TAKER", D("100.00"), D("1"), D("0.055")),
        ("TAKER", D("99.90"), D("0.4"), D("0.021978")),
        ("TAKER", D("100.10"), D("0.4"), D("0.022022")),
    ]
    cash = D(10_000) - D(100) + D("0.01") + D(100) + D("39.96") - D("0.076978")
    cash -= D("40.04") + D("0.022022")
    assert accountant.ledger.cash == cash
    assert balance(played.desk.engine) == pytest.approx(cash, abs=D("0.0000001"))


def test_a_slice_begins_with_the_book_as_it_stands() -> None:
    steps = [(second(1), resting(A, "1", 100.0)), (second(8), trading(A, "-2.5"))]
    whole, cut = scripted(*steps), scripted(*steps)
    one = play_book(QUEUE, whole)
    other = play_book(QUEUE, cut, cuts=(2, 4, 8))
    assert done(whole) == done(cut)
    assert one.equity == other.equity


def test_the_account_is_valued_each_second_at_the_mid_or_the_mark() -> None:
    moved = Book(2.5, [(-1, 100.1, 0.0), (-1, 100.2, 0.0)])
    script = scripted((second(1), trading(A, "1")))
    played = play_book([opening(), moved, Book(4.0, [(1, 100.2, 1.0)]), END], script, seconds=6)
    # The row of a second shows the book just before it.
    assert played.equity[:4] == [100.05, 100.05, 100.15, 100.15]
    assert played.desk.accountant.worth() == D(10_000) - D("100.1") + D("100.25")
    marked = play_book([opening(), END], seconds=6, marks=lambda n: 90.0 + n)
    assert marked.equity[:3] == [91.0, 92.0, 93.0]


def test_funding_without_a_mark_price_is_settled_at_the_mid_of_its_moment() -> None:
    script = scripted((second(1), trading(A, "1")))
    due = [Settlement(second(4), A, D("0.01"), None)]
    moved = Book(2.5, [(-1, 100.1, 0.0), (-1, 100.2, 0.0)])
    played = play_book([opening(), moved, END], script, settlements=due)
    assert [payment.amount for payment in played.desk.accountant.payments] == [D("-1.0015")]


def test_a_liquidation_takes_the_position_over_whole_whatever_the_book_shows() -> None:
    thin = Book(3.5, [(1, 100.0, 0.0), (1, 99.9, 0.0), (1, 99.8, 0.0), (1, 80.0, 0.1)])
    thin = thin._replace(levels=[*thin.levels, (-1, 100.1, 0.0), (-1, 100.2, 0.0), (-1, 80.2, 1.0)])
    script = scripted((second(1), trading(A, "3")), (second(2), resting(A, "1", 70.0)))
    document = book_venue(starting_balance=D(61), leverage=D(100))
    played = play_book([opening(), thin, END], script, document=document)
    accountant = played.desk.accountant
    assert accountant.liquidated_at == second(4)
    assert [f.kind for f, _ in accountant.fills][-1] == "liquidation"
    assert accountant.position(A) == 0
    assert D(0) <= accountant.worth() < D("0.05")
    assert heard(script, OrderCanceled) == [("OrderCanceled", 4 - 1e-9)]


def test_a_delisted_market_closes_the_position_at_its_last_price_and_takes_no_more_orders() -> None:
    script = scripted(
        (second(1), trading(A, "1")),
        (second(2), resting(A, "1", 99.0)),
        (second(6), trading(A, "1")),
    )
    played = play_book([opening(), END], script, delisted={4: (0,)})
    kinds = [(f.kind, f.price) for f, _ in played.desk.accountant.fills]
    assert kinds == [("order", D("100.10")), ("delisting", D("100.05"))]
    assert heard(script, OrderCanceled, OrderRejected) == [
        ("OrderCanceled", 4 - 1e-9),
        ("OrderRejected", 6),
    ]


def test_the_rest_of_a_stop_that_found_too_little_is_cancelled() -> None:
    def stop(script: Script) -> None:
        script.submit_order(
            script.order_factory.stop_market(
                InstrumentId.from_str(A),
                script.order(A, "-2").side,
                Quantity.from_str("2.000"),
                Price.from_str("99.90"),
                reduce_only=True,
            )
        )

    down = [(1, 100.0, 0.0), (1, 99.9, 0.5), (1, 99.8, 0.0)]
    script = scripted((second(1), trading(A, "2")), (second(2), stop))
    played = play_book([opening(), Book(3.0, down), Book(4.0, [(1, 99.9, 5.0)]), END], script)
    assert done(script)[-1] == (3, 99.9, 0.5)
    assert played.desk.accountant.position(A) == D("1.5")
    assert heard(script, OrderCanceled) == [("OrderCanceled", 3)]


def test_quotes_fill_at_the_best_prices() -> None:
    tape: list[Row] = [
        Quote(0.0, 100.0, 100.1, 2.0, 2.0),
        Quote(2.0, 100.2, 100.3, 2.0, 2.0),
        Quote(19.0, 100.0, 100.1, 2.0, 2.0),
    ]
    script = scripted((second(1), trading(A, "1")), (second(3), trading(A, "-1")))
    played = play_book(tape, script, document=book_venue("quotes"))
    assert done(script) == [(1, 100.1, 1), (3, 100.2, 1)]
    assert played.equity[0] == 100.05
    assert played.equity[2] == 100.25
    assert played.desk.accountant.worth() == D("10000.1")
    assert [f.reference_price for f, _ in played.desk.accountant.fills] == [
        D("100.05"),
        D("100.25"),
    ]


def test_fills_are_timed_by_the_venue() -> None:
    script = scripted((second(1), resting(A, "1", 100.0)))
    play_book(QUEUE, script, document=late(200))
    assert heard(script, OrderAccepted, OrderFilled)[0] == ("OrderAccepted", 1.2)
