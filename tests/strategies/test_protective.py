"""Orders that protect a position, and the strategy of the README's second example."""

from __future__ import annotations

import sys
from decimal import Decimal as D
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.identifiers import AccountId, ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Price, Quantity

from strategies.order_ids import LONGEST, is_closers, is_protective, order_id, owner_of, protective
from strategies.order_sender import role_of_order
from strategies.order_tags import decision_of, order_tags, reason_of, role_of
from tests.builders_engine import A, B, Candles, at, play
from tests.strategies.test_verdict_follower import Holder, holding, ident
from tests.test_readme import BLOCKS

EXAMPLE = module_from_spec(ModuleSpec("strategies.moving_average", None))
"""The README's second strategy."""
sys.modules[EXAMPLE.__name__] = EXAMPLE
exec(next(t for _, t in BLOCKS if t.startswith("# strategies/moving_average.py")), EXAMPLE.__dict__)
RISE = [100.0] * 4 + [101.0, 102.0, 103.0, 104.0]


def made(strategy):
    return [
        (o.order_type, OrderStatus(o.status).name, o.is_reduce_only)
        for o in sorted(strategy.cache.orders(), key=lambda o: (o.ts_init, o.client_order_id))
    ]


def cross(**params):
    config = {"key": "ma", "instruments": (A,), "interval": "1h", "slow": 3, "stop": 0.02} | params
    strategy = EXAMPLE.MovingAverage(EXAMPLE.CrossConfig(**config))
    strategy.expect_book("none")
    return strategy


def test_a_protective_id_says_so_and_fits():
    prefix = order_id("bt12", "abcdefgh", "z" * 9, 0)[:-1]
    name = protective(prefix, 36**3)
    assert len(name) == LONGEST
    assert (is_protective(name), is_closers(order_id("bt", "a", "1", 5))) == (True, False)
    assert owner_of(name) == ("bt12", "abcdefgh")
    assert not is_protective(order_id("bt", "a", "1", 36**11 - 1))


def test_the_cross_enters_rests_its_stop_and_leaves_by_it():
    told = cross()
    desk = play({A: Candles([*RISE, 104.0, 90.0, 90.0, 90.0])}, told)
    entry, stop, *_ = made(told)
    assert entry == (OrderType.MARKET, "FILLED", False)
    assert stop == (OrderType.STOP_MARKET, "FILLED", True)
    assert not told.holdings()
    assert not told.busy
    assert desk.accountant.ledger.quantities == {}


def test_an_exit_takes_the_stop_along():
    told = cross(stop=0.5)
    play({A: Candles([*RISE, 104.0, 100.0, 99.0, 99.0, 99.0])}, told)
    kinds = made(told)
    assert (OrderType.STOP_MARKET, "CANCELED", True) in kinds
    assert not told.holdings()
    assert told.broker.protective_orders() == []


def stop(level):
    return lambda strategy: strategy.place_stop(ident(A), D(level))


def test_a_resting_stop_makes_nobody_busy_and_a_clearing_leaves_it():
    seen = []

    def look(strategy):
        seen.append((strategy.busy, len(strategy.broker.protective_orders())))
        strategy.when_clear(lambda: seen.append("clear"), or_else=pytest.fail)
        assert not strategy.orders_under_way()

    told = Holder({at(1): holding(A, "3"), at(3): stop("80"), at(5): look}, (A,))
    play({A: Candles([100.0] * 8)}, told)
    assert seen == [(False, 1), "clear"]
    assert len(told.broker.protective_orders()) == 1


def test_a_stop_is_moved_by_a_new_one_before_the_old_goes():
    told = Holder({at(1): holding(A, "3"), at(3): stop("80"), at(5): stop("90")}, (A,))
    play({A: Candles([100.0] * 9)}, told)
    (left,) = told.broker.protective_orders()
    assert left.trigger_price == D(90)
    assert made(told)[1:] == [
        (OrderType.STOP_MARKET, "CANCELED", True),
        (OrderType.STOP_MARKET, "ACCEPTED", True),
    ]


def test_a_stop_that_the_price_has_passed_closes_the_position():
    told = Holder({at(1): holding(A, "3"), at(3): stop("110")}, (A,))
    play({A: Candles([100.0] * 7)}, told)
    assert made(told)[1:] == [
        (OrderType.STOP_MARKET, "REJECTED", True),
        (OrderType.MARKET, "FILLED", True),
    ]
    assert not told.holdings()


def test_a_rejection_of_an_earlier_sessions_stop_closes_nothing():
    def of_an_earlier_session(strategy):
        name = ClientOrderId(protective(order_id("bt", "hold", "1", 0)[:-1], 7))
        ids = (strategy.trader_id, strategy.id, ident(A), name, AccountId("BYBIT-001"))
        now = strategy.clock.timestamp_ns()
        strategy.broker.on_order_event(OrderRejected(*ids, "passed", UUID4(), now, now))

    told = Holder({at(1): holding(A, "3"), at(3): of_an_earlier_session}, (A,))
    play({A: Candles([100.0] * 7)}, told)
    assert (len(made(told)), told.holding(ident(A))) == (1, 3)


def test_a_refused_move_of_a_stop_leaves_the_stop_before():
    told = Holder({at(1): holding(A, "3"), at(3): stop("80"), at(5): stop("110")}, (A,))
    play({A: Candles([100.0] * 9)}, told)
    (left,) = told.broker.protective_orders()
    assert (left.trigger_price, told.holding(ident(A))) == (D(80), 3)


def test_the_cross_trades_all_instruments_of_one_candle():
    told = cross(instruments=(A, B), weight=0.2)
    play({A: Candles([*RISE, 105.0, 106.0]), B: Candles([*RISE, 105.0, 106.0])}, told)
    entries = [o for o in told.cache.orders() if o.order_type == OrderType.MARKET]
    assert len({o.ts_init for o in entries}) == 1
    assert {o.instrument_id.value for o in entries} == {A, B}


def test_a_stop_needs_a_position():
    def early(strategy):
        with pytest.raises(ValueError, match="no position"):
            strategy.place_stop(InstrumentId.from_str(A), D(80))

    play({A: Candles([100.0] * 4)}, Holder({at(1): early}, (A,)))


def test_a_stop_at_the_venue_makes_no_room_for_entries():
    """Gross 40,000 of 50,000: were the stop taken for a sale, 20,000 more would pass."""
    plan = {at(1): holding(A, "400"), at(3): stop("80"), at(5): holding(A, "200")}
    told = Holder(plan, (A,))
    play({A: Candles([100.0] * 8)}, told)
    assert made(told)[-1] == (OrderType.MARKET, "DENIED", False)
    assert told.holding(ident(A)) == 400


def take_profit(strategy):
    """Rest the stop's sibling: together they could sell twice what is held."""
    prefix = strategy.next_order_id().value.rpartition("-")[0]
    strategy.submit_order(
        strategy.order_factory.limit(
            ident(A),
            OrderSide.SELL,
            Quantity(400, 3),
            Price(150, 2),
            reduce_only=True,
            tags=order_tags("profit", role="protective"),
            client_order_id=ClientOrderId(protective(f"{prefix}-", 99)),
        )
    )


def test_two_siblings_make_no_more_room_than_one_and_go_together():
    """Counted as sales they would leave room for 40,000 more: the worst case is all of it held."""
    seen = []

    def look(strategy):
        seen.extend(role_of_order(order) for order in strategy.broker.protective_orders())

    plan = {at(1): holding(A, "400"), at(3): [stop("80"), take_profit], at(5): holding(A, "200")}
    told = Holder(plan | {at(6): look}, (A,))
    play({A: Candles([100.0] * 8 + [70.0] * 3)}, told)
    assert seen == ["protective", "protective"]
    assert (OrderType.MARKET, "DENIED", False) in made(told)
    assert made(told)[1:3] == [
        (OrderType.STOP_MARKET, "FILLED", True),
        (OrderType.LIMIT, "CANCELED", True),
    ]
    assert not told.holdings()
    assert told.broker.protective_orders() == []


@pytest.mark.parametrize(
    ("name", "role", "reduce_only", "known", "after_a_restart"),
    [
        ("bt-a-1-5", "entry", False, "entry", "entry"),
        ("bt-a-1-5", "exit", True, "exit", "exit"),
        ("bt-a-1-5", "exit", False, "exit", "entry"),  # Spot, which has no reduce-only orders.
        (protective("bt-a-1-", 5), "protective", True, "protective", "protective"),
        ("bt-a-1-5", None, True, "exit", "exit"),
    ],
)
def test_an_order_s_role_is_in_its_tags_and_what_survives_a_restart(
    name, role, reduce_only, known, after_a_restart
):
    tags = order_tags("why", "d@1", role)
    assert role_of(name, tags, reduce_only) == known
    assert role_of(name, None, reduce_only) == after_a_restart
    assert (reason_of(tags), decision_of(tags)) == ("why", "d@1")


def test_what_is_sent_carries_its_role():
    told = Holder({at(1): holding(A, "3"), at(3): stop("80"), at(5): holding(A, "-3")}, (A,))
    play({A: Candles([100.0] * 9)}, told)
    found = sorted(told.cache.orders(), key=lambda o: (o.ts_init, o.client_order_id))
    assert [role_of_order(o) for o in found] == ["entry", "protective", "exit"]
    key = told.config.key
    assert [decision_of(o.tags) for o in found] == [f"{key}@{at(hour)}" for hour in (1, 3, 5)]
