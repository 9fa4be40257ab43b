"""Maker first in the engine, on quotes and books made by hand."""

from decimal import Decimal as D
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, QuoteTick
from nautilus_trader.model.enums import (
    BookAction,
    BookType,
    OrderSide,
    OrderStatus,
    RecordFlag,
    TimeInForce,
)
from nautilus_trader.model.objects import Price, Quantity

from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.broker import SavedExecution
from strategies.order_ids import owner_of
from strategies.state import MemoryState
from strategies.tactics.execution import Execution
from strategies.tactics.maker_first import MakerFirstState
from strategies.tactics.tactic import (
    BookChanged,
    Ended,
    Filled,
    GiveUp,
    PlaceIOC,
    PlacePostOnly,
    Refused,
    Tactic,
    TacticState,
    TimePassed,
)
from tests.builders_engine import SECOND, START, A, B, bare_engine, perpetual

RULES = {
    "tactic": "maker_first",
    "reprice_every": "10s",
    "least_rest": "2s",
    "deadline": "1m",
    "max_slippage_bps": 50.0,
}


def s(second):
    return START + round(second * SECOND)


class Trades(DeskStrategy):
    """Does a plan's steps at their seconds and keeps what came of them."""

    def __init__(self, plan, source="quotes", **rules):
        super().__init__(
            DeskStrategyConfig(
                key="hand",
                instruments=(A, B),
                execution=Execution(**(RULES | rules)),
            )
        )
        self.expect_book(source)
        self.plan = {s(second): step for second, step in plan.items()}
        self.done, self.fills = [], []

    def on_start(self):
        super().on_start()
        for ts in self.plan:
            self.clock.set_time_alert_ns(f"{ts}", ts, lambda e: self.plan[e.ts_event](self))

    def on_executed(self, done):
        self.done.append(done)

    def on_order_filled(self, event):
        self.fills.append(event)


def buying(quantity, name=A):
    return lambda strategy: strategy.execute(perpetual(name).id, D(quantity), "test")


def quotes(*rows, name=A, size="1000"):
    """Rows of (second, bid, ask)."""
    ident, sizes = perpetual(name).id, [Quantity.from_str(f"{D(size):.3f}")] * 2
    return [
        QuoteTick(ident, Price(bid, 2), Price(ask, 2), *sizes, s(second), s(second))
        for second, bid, ask in rows
    ]


def level(seconds, bid=100.0, ask=100.2):
    """Rows of the same prices each second."""
    return [(n, bid, ask) for n in seconds]


def books(*rows, name=A):
    """Rows of (second, bids, asks), each level (price, size): a snapshot each."""
    instrument = perpetual(name)
    found = []
    for second, bids, asks in rows:
        ts = s(second)
        deltas = [OrderBookDelta.clear(instrument.id, 0, ts, ts)]
        levels = [(OrderSide.BUY, *level) for level in bids]
        levels += [(OrderSide.SELL, *level) for level in asks]
        for number, (side, price, size) in enumerate(levels):
            flags = RecordFlag.F_SNAPSHOT.value
            flags |= RecordFlag.F_LAST.value if number == len(levels) - 1 else 0
            order = BookOrder(side, Price(price, 2), Quantity(size, 3), 0)
            deltas.append(OrderBookDelta(instrument.id, BookAction.ADD, order, flags, 0, ts, ts))
        found.append(OrderBookDeltas(instrument.id, deltas))
    return found


def play(strategy, data, until=200, store=None, **settings):
    if store is not None:
        strategy.attach_state(store)
    engine = bare_engine(perpetual(A), perpetual(B), **settings)
    engine.add_strategy(strategy)
    engine.add_data(data, sort=True)
    engine.run(start=s(0), end=s(until))
    return strategy


def orders(strategy):
    return sorted(strategy.cache.orders(), key=lambda o: (o.ts_init, o.client_order_id.value))


def test_it_rests_at_the_bid_and_is_filled_as_a_maker_when_the_market_comes():
    # Quotes once a second; at 20 the ask falls through the resting bid.
    data = quotes(*level(range(20)), (20, 99.8, 99.9))
    strategy = play(Trades({1: buying("2")}), data)
    (fill,) = strategy.fills
    assert (fill.last_px, fill.last_qty, fill.ts_event) == (Price(100, 2), Quantity(2, 3), s(20))
    (order,) = orders(strategy)
    assert order.is_post_only
    assert owner_of(order.client_order_id.value) == ("bt", "hand")
    (done,) = strategy.done
    assert (done.wanted, done.filled, done.notional, done.reason) == ("2", "2", "200", "")
    assert not strategy.busy


def test_it_follows_the_bid_and_takes_at_the_deadline_within_its_cap():
    rising = [(n, 100 + 0.05 * (n // 20), 100.2 + 0.05 * (n // 20)) for n in range(70)]
    strategy = play(Trades({1: buying("2")}), quotes(*rising))
    made = orders(strategy)
    assert [o.price for o in made if o.is_post_only] == [
        Price(p, 2) for p in (100, 100.05, 100.1, 100.15)
    ]
    assert made[-1].time_in_force == TimeInForce.IOC
    # 50 bps from the mid at arrival, 100.10, is 100.6005.
    assert made[-1].price == Price(100.6, 2)
    (fill,) = strategy.fills
    assert fill.last_px == Price(100.35, 2)
    (done,) = strategy.done
    assert (done.filled, done.reprices, done.takes) == ("2", 3, 1)
    assert [o.status for o in made[:-1]] == [OrderStatus.CANCELED] * 4


def test_on_a_book_it_takes_level_by_level_up_to_the_cap():
    bids, asks = [(100.0, 3)], [(100.2, 2), (100.5, 2), (101.0, 9)]
    data = books(*[(n, bids, asks) for n in range(30)])
    strategy = Trades({1: buying("5")}, "book", deadline="10s", reprice_every="5s")
    play(strategy, data, book_type=BookType.L2_MBP)
    # 2 at 100.20 and 2 at 100.50, and the same again a second later; 101.00 is past 100.6005.
    assert [(f.last_px, f.last_qty) for f in strategy.fills] == [
        (Price(100.2, 2), Quantity(2, 3)),
        (Price(100.5, 2), Quantity(2, 3)),
        (Price(100.2, 2), Quantity(1, 3)),
    ]
    assert strategy.done[0].filled == "5"


def test_a_second_execution_in_the_instrument_is_refused_until_the_first_is_stopped():
    found = []

    def twice(strategy):
        with pytest.raises(ValueError, match="is under way: stop it first"):
            strategy.execute(perpetual(A).id, D(1), "test")
        strategy.when_clear(
            lambda: found.append(strategy.clock.timestamp_ns()), or_else=pytest.fail
        )

    strategy = play(Trades({1: buying("2"), 5: twice}), quotes(*level(range(20))))
    assert len(found) == 1
    assert strategy.done[0].reason == "stopped"
    assert not strategy.busy


def test_an_order_that_crosses_in_the_meantime_is_placed_again():
    """The venue is faster than we are: with latency the bid has become the ask."""
    data = quotes((0, 100.0, 100.2), (1.05, 99.6, 99.8), *level(range(2, 20), 99.6, 99.8))
    data += quotes((20, 99.4, 99.5))
    latency = LatencyModel(base_latency_nanos=SECOND // 10)
    strategy = play(Trades({1: buying("2")}), data, latency_model=latency)
    first, second = orders(strategy)
    assert (first.status, first.price) == (OrderStatus.REJECTED, Price(100, 2))
    assert (second.status, second.price) == (OrderStatus.FILLED, Price(99.6, 2))
    assert strategy.done[0].reprices == 1


def test_a_way_out_is_reduce_only():
    data = quotes((0, 100.0, 100.2), (10, 99.8, 99.9), *level(range(11, 40), 99.8, 99.9))
    data += quotes((45, 100.1, 100.3))
    strategy = play(Trades({1: buying("2"), 30: buying("-2")}), data)
    entry, out = orders(strategy)
    assert (entry.is_reduce_only, out.is_reduce_only) == (False, True)
    assert strategy.holding(perpetual(A).id) == 0


def by_hand(quantity):
    """Trade what the execution knows nothing of, as by hand or by a stop."""
    return lambda strategy: strategy.send_market(perpetual(A).id, D(quantity), "by hand")


@pytest.mark.parametrize(
    ("first", "wanted", "others", "held", "filled"),
    [
        ("2", "-2", "-2", "0", "0"),  # The position went away: nothing is left to close.
        ("2", "-2", "-1.5", "0", "-0.5"),
        ("2", "-2", "-5", "-3", "0"),  # Others opened the other side.
        ("2", "-1.5", "-1", "0.5", "-0.5"),
        ("-2", "2", "2", "0", "0"),
        ("2", "3", "2", "5", "1"),
        ("2", "3", "4", "6", "0"),
        ("2", "-5", "-1", "-3", "-4"),  # Its goal is on the other side.
        ("2", "-2", "1", "1", "-2"),  # It trades no more than was wanted of it.
    ],
)
def test_it_trades_no_further_than_its_goal_when_others_move_the_position(
    first, wanted, others, held, filled
):
    """The order rests until the deadline; others trade meanwhile."""
    plan = {1: by_hand(first), 5: buying(wanted), 20: by_hand(others)}
    strategy = play(Trades(plan), quotes(*level(range(90))))
    assert strategy.holding(perpetual(A).id) == D(held)
    (done,) = strategy.done
    assert (done.wanted, D(done.filled)) == (wanted, D(filled))
    assert bool(done.reason) == (D(wanted) != D(filled))
    assert not strategy.busy


def test_the_state_is_saved_before_an_order_leaves_and_cleared_in_the_end():
    seen = []

    class Watching(MemoryState):
        def save(self, name, value):
            super().save(name, value)
            sent = sum(o.ts_init == strategy.clock.timestamp_ns() for o in strategy.cache.orders())
            seen.append((name, bool(value), sent))

    strategy = Trades({1: buying("2")})
    play(strategy, quotes(*level(range(20)), (20, 99.8, 99.9)), store=Watching())
    name = f"tactic.{A}"
    assert seen == [(name, True, 0), (name, False, 0)]


def test_after_a_crash_only_what_the_position_lacks_is_traded():
    store = MemoryState()
    first = Trades({1: buying("2")})
    first.attach_state(store)
    play(first, quotes(*level(range(20))), until=15)
    assert first.busy
    saved = msgspec.json.decode(store.load(f"tactic.{A}"), type=SavedExecution[MakerFirstState])
    # Of its 2, 0.5 were filled while it was down, as the venue says.
    store.save(f"tactic.{A}", msgspec.json.encode(msgspec.structs.replace(saved, goal=D("1.5"))))
    found = []
    again = Trades({20: lambda strategy: found.append(strategy.resume())})
    again.attach_state(store)
    play(again, quotes(*level(range(20, 40), 100.1, 100.3), (40, 99.8, 99.9)))
    assert found == [True]
    (order,) = orders(again)
    assert (order.quantity, order.price) == (Quantity(1.5, 3), Price(100.1, 2))
    assert again.done[0].filled == "1.5"
    assert store.load(f"tactic.{A}") == b""


def test_an_exit_that_others_went_further_than_while_it_was_down_is_over():
    """2 held, 1 wanted, all closed by hand: nothing is bought back."""
    store = MemoryState()
    first = Trades({1: by_hand("2"), 5: buying("-1")})
    play(first, quotes(*level(range(20))), until=15, store=store)
    again = Trades({20: lambda strategy: strategy.resume()})
    play(again, quotes(*level(range(20, 100))), store=store)
    assert (again.holdings(), orders(again), store.load(f"tactic.{A}")) == ({}, [], b"")


def test_nothing_to_resume_is_nothing():
    found = []
    resumed = Trades({1: lambda strategy: found.append(strategy.resume())})
    play(resumed, quotes((0, 100.0, 100.2), (10, 100.0, 100.2)), store=MemoryState())
    assert found == [False]


# -- a tactic that loses count ---------------------------------------------------------------------


class GreedyState(TacticState, frozen=True, kw_only=True):
    """What was placed, and what came of it but fills."""

    placed: int = 0
    heard: tuple[str, ...] = ()


def greedy(state, event, sizes, terms):
    """Place the next of the sizes with each book, whatever is left, at prices that rest or take."""
    if isinstance(event, Filled):
        state = replace(state, filled=state.filled + event.quantity)
    elif isinstance(event, Ended | Refused):
        state = replace(state, heard=(*state.heard, type(event).__name__))
    elif isinstance(event, BookChanged) and state.placed < len(sizes):
        size, rests = sizes[state.placed]
        state = replace(state, placed=state.placed + 1)
        place = PlacePostOnly if rests else PlaceIOC
        return state, (place(f"o{state.placed}", D(size), D(90 if rests else 110)),)
    elif isinstance(event, TimePassed) and state.placed == len(sizes):
        state = replace(state, ended=" ".join(state.heard))
        return state, (GiveUp(state.ended),)
    return state, ()


@pytest.mark.parametrize(
    ("sizes", "sent", "heard"),
    [
        # The whole of 2 takes one order, cut to it, which ends as its rest is not there.
        ([("4", False)], ["2"], "Ended"),
        # What rests counts, too: 1.5 is out, so 0.5 may follow, and then nothing.
        ([("1.5", True), ("1.5", False), ("1", False)], ["1.5", "0.5"], "Ended Refused"),
        ([("2", False), ("2", False)], ["2"], "Refused"),
        # It was asked to buy.
        ([("-1", False)], [], "Refused"),
        ([("1", False), ("1", False)], ["1", "1"], ""),
    ],
)
def test_a_tactic_trades_no_more_than_was_asked(sizes, sent, heard):
    def start(strategy):
        strategy.broker.host(Tactic("greedy", GreedyState, greedy, timer_ns=20 * SECOND), sizes)
        strategy.broker.start(perpetual(A).id, D(2), "test", tactic="greedy")

    rising = [(n, 100 + n / 100, 100.2 + n / 100) for n in range(60)]
    strategy = play(Trades({1: start}), quotes(*rising))
    assert [o.quantity for o in orders(strategy)] == [D(size) for size in sent]
    assert strategy.done[0].reason == heard


def test_a_tactic_that_repeats_a_refused_order_does_so_no_faster_than_its_timer():
    repeats = []

    def stubborn(state, event, rules, terms):
        if not isinstance(event, BookChanged | Refused):
            return state, ()
        repeats.append(type(event).__name__)
        return state, (PlaceIOC(f"o{len(repeats)}", D(-1), D(90)),)

    def start(strategy):
        strategy.broker.host(Tactic("stubborn", GreedyState, stubborn), ())
        strategy.broker.start(perpetual(A).id, D(2), "test", tactic="stubborn")

    strategy = play(Trades({1: start}), quotes(*level(range(9))), until=9)
    assert orders(strategy) == []
    assert 5 <= repeats.count("Refused") <= 9 * repeats.count("BookChanged")


def test_a_tactic_that_wants_more_than_was_asked_is_an_error_in_the_log():
    said = []

    class Logged(Trades):
        log = SimpleNamespace(error=said.append, warning=lambda text: None)

    def start(strategy):
        strategy.broker.host(Tactic("greedy", GreedyState, greedy), [("4", False)])
        strategy.broker.start(perpetual(A).id, D(2), "test", tactic="greedy")

    play(Logged({1: start}), quotes(*level(range(9))))
    assert said == [f"{A}: the tactic greedy orders 4, and 2 of 2 is left to it"]
