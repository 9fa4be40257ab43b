"""Orders that protect a position, and the strategy of the README's second example."""

import sys
from decimal import Decimal as D
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.identifiers import AccountId, ClientOrderId
from nautilus_trader.model.objects import Price, Quantity

from strategies.messages import Action
from strategies.order_ids import LONGEST, is_closers, is_protective, order_id, owner_of, protective
from strategies.order_sender import role_of_order
from strategies.order_tags import decision_of, order_tags, reason_of, role_of
from tests.builders_engine import A, B, Candles, at, play, venue
from tests.strategies.rebalance.test_rebalancer import verdict
from tests.strategies.test_verdict_follower import Holder, holding, ident, resting
from tests.strategies.test_verdict_follower import held as played
from tests.test_readme import BLOCKS

EXAMPLE = module_from_spec(ModuleSpec("strategies.moving_average", None))
"""The README's second strategy."""
sys.modules[EXAMPLE.__name__] = EXAMPLE
exec(next(t for _, t in BLOCKS if t.startswith("# strategies/moving_average.py")), EXAMPLE.__dict__)
RISE = [100.0] * 4 + [101.0, 102.0, 103.0, 104.0]


def sent(strategy):
    return sorted(strategy.cache.orders(), key=lambda o: (o.ts_init, o.client_order_id))


def made(strategy):
    return [(o.order_type, OrderStatus(o.status).name, o.is_reduce_only) for o in sent(strategy)]


STOP_FILLED, STOP_CANCELED, STOP_ACCEPTED, STOP_REJECTED = (
    (OrderType.STOP_MARKET, status, True)
    for status in ("FILLED", "CANCELED", "ACCEPTED", "REJECTED")
)


def held(plan, opens):
    """Return a strategy that bought 3 A at the second candle, then did a plan's steps."""
    return played({at(1): holding(A, "3")} | plan, {A: opens})


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
    strategy = cross()
    desk = play({A: Candles([*RISE, 104.0, 90.0, 90.0, 90.0])}, strategy)
    entry, stop, *_ = made(strategy)
    assert entry == (OrderType.MARKET, "FILLED", False)
    assert stop == STOP_FILLED
    assert not strategy.holdings()
    assert not strategy.busy
    assert desk.accountant.ledger.quantities == {}


def test_an_exit_takes_the_stop_along():
    strategy = cross(stop=0.5)
    play({A: Candles([*RISE, 104.0, 100.0, 99.0, 99.0, 99.0])}, strategy)
    assert STOP_CANCELED in made(strategy)
    assert not strategy.holdings()
    assert strategy.broker.protective_orders() == []


def stop(level):
    return lambda strategy: strategy.place_stop(ident(A), D(level))


def test_a_resting_stop_makes_nobody_busy_and_a_clearing_leaves_it():
    seen = []

    def look(strategy):
        seen.append((strategy.busy, len(strategy.broker.protective_orders())))
        strategy.when_clear(lambda: seen.append("clear"), or_else=pytest.fail)
        assert not strategy.orders_under_way()

    plan = {at(3): stop("80"), at(5): look, at(6): look, at(7): holding(A, "-3")}
    strategy = held(plan, [100.0] * 9)
    assert seen == [(False, 1), "clear"] * 2
    assert [role_of_order(order) for order in sent(strategy)] == ["entry", "protective", "exit"]
    decisions = [decision_of(order.tags) for order in sent(strategy)]
    assert decisions == [f"hold@{at(hour)}" for hour in (1, 3, 7)]


def test_a_stop_is_moved_by_a_new_one_before_the_old_goes():
    strategy = held({at(3): stop("80"), at(5): stop("90")}, [100.0] * 9)
    (left,) = strategy.broker.protective_orders()
    assert left.trigger_price == D(90)
    assert made(strategy)[1:] == [STOP_CANCELED, STOP_ACCEPTED]


def test_a_stop_that_the_price_has_passed_closes_the_position():
    strategy = held({at(3): stop("110")}, [100.0] * 7)
    assert made(strategy)[1:] == [STOP_REJECTED, (OrderType.MARKET, "FILLED", True)]
    assert not strategy.holdings()


@pytest.mark.parametrize(("quantity", "level"), [("3", "99"), ("-3", "91")])
def test_the_exit_after_a_refused_stop_fills_at_the_open_that_refused_it(quantity, level):
    """Bought or sold at 100; the price has passed the stop when it leaves, at the open of 95."""
    if quantity == "3":
        opens = [100.0, 100.0, 100.0, 95.0, 60.0, 60.0]
    else:
        opens = [100.0, 100.0, 90.0, 95.0, 140.0, 140.0]
    strategy = Holder({at(1): holding(A, quantity), at(3): stop(level)}, (A,))
    slippage = venue(slippage={"model": "fixed_bps", "bps": 100})
    desk = play({A: Candles(opens)}, strategy, document=slippage)
    assert made(strategy)[1] == STOP_REJECTED
    _, (leaving, _) = desk.accountant.fills
    assert leaving.ts == at(3, seconds=1)
    assert leaving.reference_price == 95
    assert leaving.price == (D("94.05") if quantity == "3" else D("95.95"))


def test_the_exit_after_a_stop_refused_inside_a_candle_fills_there():
    """A limit buys at 98 inside the third candle, and its stop at 99 comes too late."""

    class Late(Holder):
        def on_order_ended(self):
            if self.holding(ident(A)) and not made(self)[1:]:
                self.place_stop(ident(A), D(99))

    strategy = Late({at(1): resting(A, OrderSide.BUY, 98)}, (A,))
    candles = Candles([100.0] * 3 + [60.0] * 3, lows=[100.0, 100.0, 97.0] + [60.0] * 3)
    desk = play({A: candles}, strategy)
    assert STOP_REJECTED in made(strategy)
    assert [(fill.ts, fill.price) for fill, _ in desk.accountant.fills] == [
        (at(3) - 1, D(98)),
        (at(3) - 1, D("97.99")),
    ]


def test_a_rejection_of_an_earlier_sessions_stop_closes_nothing():
    def of_an_earlier_session(strategy):
        name = ClientOrderId(protective(order_id("bt", "hold", "1", 0)[:-1], 7))
        ids = (strategy.trader_id, strategy.id, ident(A), name, AccountId("BYBIT-001"))
        now = strategy.clock.timestamp_ns()
        strategy.broker.on_order_event(OrderRejected(*ids, "passed", UUID4(), now, now))

    strategy = held({at(3): of_an_earlier_session}, [100.0] * 7)
    assert (len(made(strategy)), strategy.holding(ident(A))) == (1, 3)


def test_a_refused_move_of_a_stop_leaves_the_stop_before():
    strategy = held({at(3): stop("80"), at(5): stop("110")}, [100.0] * 9)
    (left,) = strategy.broker.protective_orders()
    assert (left.trigger_price, strategy.holding(ident(A))) == (D(80), 3)


def test_the_refusal_of_a_stop_of_the_position_before_does_not_close_a_flip():
    """The sale of 10 was sent first, so that the stop for the 3 comes to a short of 7."""
    strategy = held({at(3, 60): holding(A, "-10"), at(3, 120): stop("80")}, [100.0] * 9)
    assert made(strategy)[1:] == [(OrderType.MARKET, "FILLED", False), STOP_REJECTED]
    assert strategy.holding(ident(A)) == -7


def test_the_cross_trades_all_instruments_of_one_candle():
    strategy = cross(instruments=(A, B), weight=0.2)
    play({A: Candles([*RISE, 105.0, 106.0]), B: Candles([*RISE, 105.0, 106.0])}, strategy)
    entries = [o for o in strategy.cache.orders() if o.order_type == OrderType.MARKET]
    assert len({o.ts_init for o in entries}) == 1
    assert {o.instrument_id.value for o in entries} == {A, B}


def test_a_stop_needs_a_position_and_makes_no_room_for_entries():
    """Gross 40,000 of 50,000: were the stop taken for a sale, 20,000 more would pass."""

    def early(strategy):
        with pytest.raises(ValueError, match="no position"):
            strategy.place_stop(ident(A), D(80))

    plan = {at(0, 60): early, at(1): holding(A, "400"), at(3): stop("80"), at(5): holding(A, "200")}
    strategy = held(plan, [100.0] * 8)
    assert made(strategy)[-1] == (OrderType.MARKET, "DENIED", False)
    assert strategy.holding(ident(A)) == 400


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
    strategy = held(plan | {at(6): look}, [100.0] * 8 + [70.0] * 3)
    assert seen == ["protective", "protective"]
    assert (OrderType.MARKET, "DENIED", False) in made(strategy)
    assert made(strategy)[1:3] == [STOP_FILLED, (OrderType.LIMIT, "CANCELED", True)]
    assert not strategy.holdings()
    assert strategy.broker.protective_orders() == []


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


def test_the_cross_enters_smaller_under_a_shrink_and_not_at_all_under_a_halt():
    """Half of 10000 at 101 is 49.504; a tenth less, 44.553."""

    def bought(*standing):
        strategy = cross()
        start = strategy.on_start
        strategy.on_start = lambda: [start(), *(step(strategy) for step in standing)]
        play({A: Candles([*RISE, 104.0])}, strategy)
        return [order.quantity for order in sent(strategy) if not order.is_reduce_only]

    assert bought() == [D("49.504")]
    assert bought(verdict(Action.SHRINK, multiplier=0.9)) == [D("44.553")]
    assert bought(verdict(Action.HALT_ENTRIES)) == []
