"""Executions never pass their goals: the real broker and tactic at a small venue of chance.

The venue fills, cancels and refuses in any order, tells of it later, and others trade the same
position meanwhile. An order's end is told after its fills, as our adapter sees to live.
"""

from decimal import Decimal as D
from types import SimpleNamespace

import pytest
from hypothesis import event as met
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.common.component import TestClock as EngineClock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.events import OrderCancelRejected, OrderDenied, OrderRejected
from nautilus_trader.model.identifiers import ClientOrderId, StrategyId, TradeId, TraderId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.test_kit.stubs.events import TestEventStubs as Events

from strategies.broker import Broker, BrokerEvents
from strategies.desk_config import DeskStrategyConfig
from strategies.market_view import MarketView
from strategies.refusals import Refusal, as_reason
from strategies.tactics.execution import Execution
from tests.builders_engine import SECOND, A, perpetual

RULES = Execution(
    tactic="maker_first",
    reprice_every="2s",
    least_rest="1s",
    deadline="6s",
    max_slippage_bps=500.0,
    participation=0.5,
)
WITHDRAWN = as_reason(Refusal(code="withdrawn", text="cancelled before it left"))


class Chance:
    """An engine as the broker needs it, and the venue behind it; quantities are signed."""

    def __init__(self, before, wanted, taker=False):
        self.traded_in = perpetual(A)
        self.id = StrategyId("Hand-hand")
        self.clock, self.cache = EngineClock(), self
        self.clock.set_time(SECOND)
        self.order_factory = OrderFactory(TraderId("T-001"), self.id, self.clock)
        self.before, self.wanted, self.goal = before, wanted, before + wanted
        self.exits = before * wanted < 0 and abs(wanted) <= abs(before)
        self.there = self.held = before  # The position at the venue, and as far as we know.
        self.traded = D(0)
        self.others = False
        self.orders, self.fills = {}, 0
        self.sending, self.resting, self.cancels, self.untold = [], [], [], []
        self.done = []
        config = DeskStrategyConfig(key="hand", instruments=(A,), execution=RULES)
        events = BrokerEvents(
            lambda: None, lambda name: None, self.done.append, lambda instruments: None
        )
        self.market(0)
        self.broker = Broker(self, MarketView(self, (self.traded_in.id,), "USDT"), config, events)
        self.broker.begin_session()
        self.taker = taker
        send = self.broker.send_market if taker else self.broker.start
        send(self.traded_in.id, wanted, "test")

    # What the broker and the market view ask

    def instrument(self, _):
        return self.traded_in

    def positions_open(self, **_):
        held = SimpleNamespace(signed_decimal_qty=lambda: self.held)
        return [held] if self.held else []

    def quote_tick(self, _):
        return self.quote

    def order(self, name):
        return self.orders.get(name)

    def orders_open(self, **_):
        return []

    orders_inflight = orders_open

    def subscribe_quote_ticks(self, _):
        pass

    def submit_order(self, order):
        out = sum(o.leaves_qty.as_decimal() for o in self.orders.values() if not o.is_closed)
        sign = 1 if self.wanted > 0 else -1
        size = signed(order, order.quantity) * sign
        assert size > 0
        assert self.taker or out + size <= (self.goal - self.held) * sign, "past its goal"
        assert order.is_reduce_only or not self.exits
        self.orders[order.client_order_id] = order
        self.sending.append(order)

    def cancel_order(self, order):
        if order in self.sending:
            self.sending.remove(order)
            self.untold.append((order, refused(OrderDenied, order, WITHDRAWN)))
            return
        order.apply(Events.order_pending_cancel(order))
        self.cancels.append(order)

    # What happens

    def market(self, ticks):
        bid = Price(100 + ticks / 100, 2)
        size, now = Quantity(2, 3), self.clock.timestamp_ns()
        self.quote = QuoteTick(
            self.traded_in.id, bid, Price(bid + D("0.05"), 2), size, size, now, now
        )
        if hasattr(self, "broker"):
            self.broker.on_top_of_book(self.traded_in.id)

    def pass_time(self, milliseconds):
        for handler in self.clock.advance_time(self.clock.timestamp_ns() + milliseconds * 10**6):
            handler.handle()

    def arrive(self, refuses):
        if not self.sending:
            return
        order = self.sending.pop(0)
        if not order.is_reduce_only:
            sign = 1 if self.wanted > 0 else -1
            assert signed(order, order.quantity) * sign <= (self.goal - self.held) * sign
        order.apply(Events.order_submitted(order))
        if refuses or (order.is_reduce_only and not self.room(order)):
            self.untold.append((order, refused(OrderRejected, order, "[busy] later")))
            return
        self.untold.append((order, Events.order_accepted(order)))
        self.resting.append(SimpleNamespace(order=order, left=order.quantity.as_decimal()))
        if order.time_in_force == TimeInForce.IOC or not order.has_price:
            self.fill(-1, 2 if order.has_price else 4)
            self.end(order)

    def room(self, order):
        return abs(self.there) if self.there * signed(order, order.quantity) < 0 else D(0)

    def fill(self, which, parts):
        """Fill a half or more of a resting order; what only reduces fills no more than is held."""
        if not self.resting:
            return
        row = self.resting[which % len(self.resting)]
        size = (
            row.left if parts > 2 else min(row.left, max(row.left / 2, D("0.1")).quantize(D("0.1")))
        )
        size = min(size, self.room(row.order)) if row.order.is_reduce_only else size
        if not size:
            self.end(row.order)
            return
        row.left -= size
        moved, before = signed(row.order, size), self.there
        self.there += moved
        self.traded += moved
        assert not self.exits or before * self.there >= 0, "crosses zero"
        self.fills += 1
        told = Events.order_filled(
            row.order, self.traded_in, last_qty=Quantity(size, 3), last_px=Price(100, 2),
            trade_id=TradeId(str(self.fills)),
        )  # fmt: skip
        self.untold.append((row.order, told))
        if not row.left:
            self.resting.remove(row)

    def cut(self, size):
        """Cut the resting order, of which nothing is filled, to a size."""
        (row,) = self.resting
        row.left = size
        told = Events.order_updated(row.order, quantity=Quantity(size, 3))
        self.untold.append((row.order, told))

    def end(self, order):
        found = [row for row in self.resting if row.order is order]
        if found:
            self.resting.remove(found[0])
            self.untold.append((order, Events.order_canceled(order)))
        return bool(found)

    def cancel(self):
        if self.cancels:
            order = self.cancels.pop(0)
            if not self.end(order) and not order.is_closed:
                self.untold.append((order, refused(OrderCancelRejected, order, "too late")))

    def trade(self, quantity):
        """Others trade the same position."""
        if quantity:
            self.others = True
            self.there += quantity
            self.untold.append((None, quantity))

    def tell(self, which):
        """Tell one of the things that were not told; the end of an order after its fills.

        The answer to a cancel that came too late may overtake them.
        """
        if not self.untold:
            return
        number = which % len(self.untold)
        order, told = self.untold[number]
        if not isinstance(told, OrderCancelRejected):
            number = next(n for n, (other, _) in enumerate(self.untold) if other is order)
        order, told = self.untold.pop(number)
        if order is None:
            self.held += told
            told = self.by_others(told)
        else:
            if isinstance(told, OrderCancelRejected) and not order.is_pending_cancel:
                return
            told = type(told).from_dict(
                type(told).to_dict(told) | {"ts_init": self.clock.timestamp_ns()}
            )
            order.apply(told)
            if hasattr(told, "last_qty"):
                self.held += signed(order, told.last_qty)
        self.broker.on_order_event(told)

    def by_others(self, quantity):
        order = self.order_factory.market(
            self.traded_in.id,
            OrderSide.BUY if quantity > 0 else OrderSide.SELL,
            Quantity(abs(quantity), 3),
            client_order_id=ClientOrderId(str(UUID4())),
        )
        return Events.order_filled(order, self.traded_in, last_px=Price(100, 2))

    def stop(self):
        self.broker.stop()

    def calm_down(self):
        """Answer everything at once until it ends."""
        for _ in range(60):
            while self.sending or self.cancels or self.untold:
                self.arrive(False)
                self.cancel()
                self.tell(0)
            self.pass_time(1000)


def signed(order, quantity):
    size = quantity if isinstance(quantity, D) else quantity.as_decimal()
    return size if order.side == OrderSide.BUY else -size


def refused(kind, order, reason):
    ids = (order.trader_id, order.strategy_id, order.instrument_id, order.client_order_id)
    if kind is OrderDenied:
        return OrderDenied(*ids, reason, UUID4(), 0)
    if kind is OrderRejected:
        return OrderRejected(*ids, Events.order_submitted(order).account_id, reason, UUID4(), 0, 0)
    return OrderCancelRejected(*ids, order.venue_order_id, order.account_id, reason, UUID4(), 0, 0)


TENTHS = st.integers(-60, 60).map(lambda n: D(n) / 10)
STEP = st.one_of(
    st.tuples(st.just("pass_time"), st.integers(1, 4000)),
    st.tuples(st.just("market"), st.integers(-5, 5)),
    st.tuples(st.just("arrive"), st.integers(0, 5).map(lambda n: n == 0)),
    st.tuples(st.just("fill"), st.integers(0, 3), st.integers(1, 4)),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("tell"), st.integers(0, 5)),
    st.tuples(st.just("tell"), st.integers(0, 5)),
    st.tuples(st.just("stop")),
)
OTHERS = st.tuples(st.just("trade"), TENTHS)


@pytest.mark.parametrize("others", [False, True], ids=["alone", "among others"])
@given(st.data(), TENTHS, TENTHS.filter(bool))
def test_no_execution_passes_its_goal_or_crosses_zero_on_its_way_out(others, data, before, wanted):
    """At each order: what is out and it together go from what is held to the goal at most."""
    chance = Chance(before, wanted)
    steps = data.draw(st.lists(STEP | OTHERS if others else STEP, min_size=5, max_size=80))
    for what, *how in steps:
        getattr(chance, what)(*how)
    chance.calm_down()
    (done,) = chance.done
    assert not chance.broker.trading
    assert chance.held == chance.there
    assert D(done.filled) == chance.traded
    assert abs(chance.traded) <= abs(wanted)
    assert (done.reason == "") == (chance.traded == wanted)
    met(f"others {chance.others}, exit {chance.exits}, whole {not done.reason}")
    if not chance.others:
        assert chance.there == before + chance.traded


def test_an_order_is_withdrawn_at_a_fill_of_others_that_is_older_than_it():
    """The venue was busy for the first; the second waits for its turn as the fill is heard of."""
    chance = Chance(D(0), D("0.1"))
    chance.arrive(True)
    chance.tell(0)
    chance.pass_time(1000)
    assert len(chance.sending) == 1
    chance.trade(D("0.1"))
    chance.tell(0)
    assert chance.sending == []


@given(st.data(), TENTHS, TENTHS.filter(bool))
def test_a_market_order_leaves_no_larger_than_the_way_to_its_goal(data, before, wanted):
    """It waits for its turn while others trade; they may trade once more as it is on its way."""
    chance = Chance(before, wanted, taker=True)
    for what, *how in data.draw(st.lists(STEP | OTHERS, max_size=20)):
        if what != "stop":
            getattr(chance, what)(*how)
    chance.calm_down()
    assert not chance.broker.trading
    if not chance.others:
        assert chance.there == before + chance.traded


def test_what_others_trade_is_taken_off_a_market_order_that_waits():
    """6 of 10 on the way from -4 to 6: others buy 7, so 3 are left."""
    chance = Chance(D(-4), D(10), taker=True)
    chance.trade(D(7))
    chance.tell(0)
    chance.calm_down()
    assert (chance.traded, chance.there) == (D(3), D(6))
    assert [order.quantity for order in chance.orders.values()] == [10, 3]


def test_an_exit_that_the_venue_cuts_goes_on_with_its_rest():
    """Reduce-only: what take-profits may close is cut off, and what is left is a filled order."""
    chance = Chance(D(5), D(-1))
    chance.arrive(False)
    chance.cut(D("0.4"))
    chance.fill(0, 4)
    for _ in range(3):
        chance.tell(0)
    (order,) = chance.orders.values()
    assert (order.is_closed, order.quantity) == (True, D("0.4"))
    chance.calm_down()
    (done,) = chance.done
    assert (done.filled, done.reason, chance.there) == ("-1.0", "", D(4))
    assert not chance.broker.trading
