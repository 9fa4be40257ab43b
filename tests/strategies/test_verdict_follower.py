"""What a strategy does at once on a verdict: by default, and as a rebalancer."""

import re
from decimal import Decimal as D

import msgspec
import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide, OrderStatus
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Price, Quantity

from config.components import resolve, shipped_addresses
from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.broker import SavedExecution
from strategies.engine_class import engine_class
from strategies.messages import Action, Verdict
from strategies.order_ids import closers_session, is_closers, order_id, session_of
from strategies.refusals import readable
from strategies.state import MemoryState
from strategies.tactics.maker_first import MakerFirstState
from strategies.verdicts import board_of
from tests.builders_engine import SPOT, START, A, B, Candles, at, play
from tests.strategies.rebalance.test_rebalance_protocol import stored
from tests.strategies.rebalance.test_rebalancer import lines, verdict
from tests.strategies.rebalance.test_rebalancer import played as rebalanced
from tests.strategies.test_executor import RULES, Trades, buying, quotes, s
from tests.strategies.test_executor import play as quoted

FLATTEN = verdict(Action.FLATTEN)


class Holder(DeskStrategy):
    """A strategy that follows verdicts by default and does a plan's steps at their times."""

    def __init__(self, plan, instruments=(A, B)):
        super().__init__(DeskStrategyConfig(key="hold", instruments=instruments))
        self.expect_book("none")
        self.plan = plan
        self.left, self.halted = [], []

    def on_start(self):
        super().on_start()
        for ts in self.plan:
            self.clock.set_time_alert_ns(f"{ts}", ts, lambda e: self._do(self.plan[e.ts_event]))

    def _do(self, steps):
        for step in steps if isinstance(steps, list) else [steps]:
            step(self)

    def on_flatten(self, instruments, said):
        self.left.append((self.clock.timestamp_ns(), set(instruments)))
        super().on_flatten(instruments, said)

    def on_halt(self, instruments, said):
        self.halted.append(set(instruments))
        super().on_halt(instruments, said)


def held(plan, tape=None, store=None):
    """Return a `Holder` after it did a plan on a tape, flat prices of A and B by default."""
    opens = tape or dict.fromkeys((A, B), [100.0] * 8)
    strategy = Holder(plan, tuple(opens))
    if store is not None:
        strategy.attach_state(store)
    play({name: Candles(prices) for name, prices in opens.items()}, strategy)
    return strategy


def ident(name):
    return InstrumentId.from_str(name)


def holding(name, quantity):
    return lambda strategy: strategy.send_market(ident(name), D(quantity), "test")


def resting(name, side, level, *, reduce_only=False):
    def step(strategy):
        strategy.send(
            strategy.order_factory.limit(
                ident(name),
                side,
                Quantity(D(1), 3),
                Price(level, 2),
                reduce_only=reduce_only,
                client_order_id=strategy.next_order_id(),
            )
        )

    return step


def exits(strategy):
    """Return instrument, status and reduce-only flag of what was sent to leave."""
    return [
        (o.instrument_id.value, OrderStatus(o.status).name, o.is_reduce_only)
        for o in sorted(strategy.cache.orders(), key=lambda o: (o.ts_init, o.client_order_id))
        if "flatten" in (o.tags or [])
    ]


# -- leaving, by default ---------------------------------------------------------------------------

OUT_A, OUT_B = (A, "FILLED", True), (B, "FILLED", True)


@pytest.mark.parametrize(
    ("plan", "sent", "left"),
    [
        pytest.param(
            {
                at(1): [holding(A, "3"), holding(B, "-2")],
                at(2): [resting(A, OrderSide.BUY, 50), resting(A, OrderSide.SELL, 900)],
                at(3, 60): FLATTEN,
            },
            [OUT_A, OUT_B],
            [(at(3, 60), {A, B})],
            id="what rests is cancelled, what is held is closed",
        ),
        pytest.param(
            # The exit of 03:01 waits for the print at 04:00; a second one would be one too many.
            {at(1): holding(A, "3")} | dict.fromkeys((at(3, 60), at(3, 61), at(5)), FLATTEN),
            [OUT_A],
            [(at(3, 60), {A, B})],
            id="the same verdict again sends nothing",
        ),
        pytest.param(
            {
                at(1): [holding(A, "3"), holding(B, "2")],
                at(3, 60): verdict(Action.FLATTEN, scope=f"instrument:{A}"),
                at(3, 61): FLATTEN,
            },
            [OUT_A, OUT_B],
            [(at(3, 60), {A}), (at(3, 61), {B})],
            id="a wider one leaves what is new",
        ),
        pytest.param(
            {at(1): holding(A, "3"), at(2, 60): verdict(Action.HALT_ENTRIES), at(3, 60): FLATTEN},
            [OUT_A],
            [(at(3, 60), {A, B})],
            id="after a halt",
        ),
        pytest.param(
            {
                at(1): holding(A, "3"),
                at(2, 60): FLATTEN,
                at(3, 60): verdict(Action.NONE),
                at(4, 60): holding(A, "1"),
                at(5, 60): FLATTEN,
            },
            [OUT_A, OUT_A],
            [(at(2, 60), {A, B}), (at(5, 60), {A, B})],
            id="one that comes back leaves again",
        ),
    ],
)
def test_a_flatten_verdict_closes_reduce_only_and_once(plan, sent, left):
    strategy = held(plan)
    assert exits(strategy) == sent
    assert strategy.left == left
    assert not strategy.holdings()
    assert strategy.cache.orders_open() == []


def test_spot_is_left_by_a_sale_of_what_is_held():
    strategy = held({at(1): holding(SPOT, "3"), at(3, 60): FLATTEN}, {SPOT: [100.0] * 8})
    assert exits(strategy) == [(SPOT, "FILLED", False)]
    assert not strategy.holdings()


# -- no more entries, by default -------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.HALT_ENTRIES, Action.REDUCE_ONLY])
def test_a_halt_cancels_entries_that_rest_or_wait(action):
    strategy = held(
        {
            at(1): holding(A, "3"),
            at(2): [
                resting(A, OrderSide.BUY, 50),
                resting(A, OrderSide.SELL, 900),
                resting(A, OrderSide.SELL, 800, reduce_only=True),
                resting(B, OrderSide.SELL, 900),
            ],
            at(3, 59): [holding(A, "1"), holding(A, "-1")],
            at(3, 60): verdict(action),
        }
    )
    statuses = {}
    for order in sorted(strategy.cache.orders(), key=lambda order: order.ts_init):
        side = "buy" if order.is_buy else "sell"
        kind = "exit" if order.is_reduce_only else "order"
        name = f"{order.instrument_id.value[0]} {side} {kind} {order.ts_init // 10**9 % 3600}"
        statuses.setdefault(name, []).append(OrderStatus(order.status).name)
    assert statuses == {
        "A buy order 0": ["FILLED", "CANCELED"],
        "A sell order 0": ["ACCEPTED"],
        "A sell exit 0": ["ACCEPTED"],
        "B sell order 0": ["CANCELED"],
        "A buy order 59": ["CANCELED"],
        "A sell exit 59": ["FILLED"],
    }
    assert strategy.halted == [{A, B}]


@pytest.mark.parametrize(
    "step",
    [
        verdict(Action.HALT_ENTRIES, transient=True),
        verdict(Action.SHRINK, multiplier=0.5),
        verdict(Action.HALT_ENTRIES, scope="strategy:other"),
    ],
)
def test_a_transient_halt_and_one_of_another_strategy_leave_entries_resting(step):
    strategy = held({at(1): resting(A, OrderSide.BUY, 50), at(3, 60): step})
    assert [OrderStatus(o.status).name for o in strategy.cache.orders()] == ["ACCEPTED"]
    assert strategy.halted == []


def test_a_halt_stops_a_tactic_that_enters_and_lets_one_that_leaves_go_on():
    strategy = Trades(
        {
            1: buying("2", B),
            20: lambda t: (buying("2")(t), t.execute(ident(B), D(-2), "test")),
            25: verdict(Action.REDUCE_ONLY),
        },
        deadline="10m",
    )
    rows = [(n, 100.0, 100.1) for n in range(200)]
    cheap = [*rows[:5], (5, 99.8, 99.9), *rows[6:]]
    quoted(strategy, quotes(*rows) + quotes(*cheap, name=B))
    open_orders = [o for o in strategy.cache.orders() if not o.is_closed]
    assert [(o.instrument_id.value, o.is_sell) for o in open_orders] == [(B, True)]
    assert [done.instrument for done in strategy.done] == [B, A]


# -- smaller entries -------------------------------------------------------------------------------

HALF = verdict(Action.SHRINK, multiplier=0.5)


def sizes(strategy):
    """Return the signed quantities of the orders, in the order in which they were made."""
    made = sorted(strategy.cache.orders(), key=lambda o: (o.ts_init, o.client_order_id))
    return [o.quantity.as_decimal() * (1 if o.is_buy else -1) for o in made]


@pytest.mark.parametrize(
    ("plan", "sent"),
    [
        pytest.param([HALF, holding(A, "3")], ["1.5"], id="an entry at market"),
        pytest.param([HALF, holding(A, "-0.005")], ["-0.002"], id="whole lots, toward zero"),
        pytest.param([HALF, holding(A, "0.001")], [], id="nothing of less than a lot"),
        pytest.param([HALF, resting(A, OrderSide.BUY, 50)], ["0.5"], id="an order of its own"),
        pytest.param(
            [verdict(Action.SHRINK, "strategy:hold", multiplier=0.5), holding(A, "3")],
            ["1.5"],
            id="by a verdict on the strategy",
        ),
        pytest.param(
            [verdict(Action.SHRINK, f"instrument:{B}", multiplier=0.5), holding(A, "3")],
            ["3"],
            id="not by one on another instrument",
        ),
        pytest.param(
            [HALF, verdict(Action.SHRINK, guard="loss", multiplier=0.2), holding(A, "3")],
            ["0.6"],
            id="the smallest of several",
        ),
    ],
)
def test_a_shrink_makes_entries_smaller_without_the_strategys_doing(plan, sent):
    assert sizes(held({at(1): plan})) == [D(size) for size in sent]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("-4", "-4"),  # Exits stay whole.
        ("-1", "-1"),
        ("-10", "-7"),  # From 4 to -6: half of that, -3.
        ("6", "1"),  # From 4 to 10: half of that, 5.
        ("2", None),  # Half of 6 is less than is held: no entry, and no exit either.
    ],
)
def test_a_shrink_bounds_the_position_that_an_entry_leads_to(asked, sent):
    strategy = held({at(1): holding(A, "4"), at(3): [HALF, holding(A, asked)]})
    assert sizes(strategy)[1:] == ([] if sent is None else [D(sent)])


def test_an_order_made_by_the_strategy_stays_its_own_where_it_shrinks():
    order = []

    def rests(strategy):
        HALF(strategy)
        terms = ident(A), OrderSide.BUY, Quantity(D(3), 3), Price(50, 2)
        name = strategy.next_order_id()
        order.append(strategy.order_factory.limit(*terms, client_order_id=name))
        strategy.send(*order)

    strategy = held({at(1): rests, at(3): lambda strategy: strategy.cancel_order(*order)})
    assert [o.quantity for o in strategy.cache.orders()] == [D("1.5")]
    assert (order[0].is_canceled, order[0].init_event.quantity) == (True, D("1.5"))


def test_a_tactic_gets_the_smaller_quantity_and_its_rest_is_not_made_smaller_again():
    store = MemoryState()
    plan = {1: HALF, 2: buying("2"), 3: lambda strategy: strategy.resume()}
    strategy = Trades(plan, deadline="10m")
    quoted(strategy, quotes(*[(n, 100.0, 100.2) for n in range(20)], (20, 99.8, 99.9)), store=store)
    assert [(done.wanted, done.filled) for done in strategy.done][-1] == ("1.0", "1")


class Waiter(Holder):
    """A `Holder` that keeps what it is told."""

    def __init__(self, plan):
        super().__init__(plan)
        self.told, self.kept = [], []

    def on_start(self):
        super().on_start()
        self.msgbus.subscribe("decisions.hold", self.kept.append)

    def on_order_denied(self, event):
        self.told.append((event.instrument_id.value, readable(event.reason)))

    def on_order_ended(self):
        self.told.append("ended")


def waiting(plan):
    """Return a `Waiter` after it did a plan on flat prices."""
    strategy = Waiter(plan)
    play(dict.fromkeys((A, B), Candles([100.0] * 5)), strategy)
    return strategy


def test_what_a_shrink_leaves_of_an_entry_is_recorded_with_the_guard_that_asked_for_it():
    strategy = waiting({at(1): [HALF, holding(A, "3"), holding(B, "0.001"), holding(A, "-1")]})
    assert [(d.id, d.kind, d.multiplier, d.note) for d in strategy.kept] == [
        (f"hold@{at(1)}", "shrink", 0.5, f"{left} is entered: shrink by drawdown: down 20 %")
        for left in (f"1.5 of 3 {A}", f"0 of 0.001 {B}", f"-0.5 of -1 {A}")
    ]
    (whole,), (none,), _ = [decision.targets for decision in strategy.kept]
    assert (whole.instrument, whole.order, whole.wanted) == (A, "1.5", "3")
    assert (none.instrument, none.order, none.wanted) == (B, "0", "0.001")
    assert {whole.held_back_by, none.held_back_by} == {"drawdown"}
    # Wanted at 100, of 10,000 USDT.
    sizes = [(d.gross, d.net, d.targets[0].weight) for d in strategy.kept]
    assert sizes == [(abs(weight), weight, weight) for weight in (0.03, 0.00001, -0.01)]


def executing(quantity):
    return lambda strategy: strategy.execute(ident(A), D(quantity), "test")


@pytest.mark.parametrize(
    ("hard", "words"),
    [(HALF, "shrink by drawdown: down 20 %"), (verdict(Action.HALT_ENTRIES), "halt_entries by")],
)
@pytest.mark.parametrize("way", [holding(A, "2"), executing("2"), "order"])
def test_an_entry_of_which_a_shrink_leaves_nothing_ends_as_one_that_a_halt_refuses(
    way, hard, words
):
    made = []

    def order(strategy):
        terms = ident(A), OrderSide.BUY, Quantity(D(2), 3)
        name = strategy.next_order_id()
        made.append(strategy.order_factory.market(*terms, client_order_id=name))
        strategy.send(*made)

    strategy = waiting({at(1): holding(A, "4"), at(3): [hard, order if way == "order" else way]})
    filled, (name, why), ended = strategy.told
    assert (filled, name, ended) == ("ended", A, "ended")
    assert why.startswith(f"order gate: {words}")
    assert [OrderStatus(o.status).name for o in made] == ["DENIED"] * len(made)


def test_a_strategy_that_tries_again_when_a_shrink_leaves_nothing_does_so_once_a_second():
    class Stubborn(Waiter):
        def on_order_ended(self):
            if len(self.kept) < 3:
                holding(A, "0.001")(self)

    strategy = Stubborn({at(1): [HALF, holding(A, "0.001")]})
    play(dict.fromkeys((A, B), Candles([100.0] * 5)), strategy)
    assert [decision.ts for decision in strategy.kept] == [at(1), at(1, 1), at(1, 2)]


def test_a_tactic_of_which_a_shrink_leaves_nothing_ends_with_the_reason():
    strategy = Trades({1: HALF, 2: buying("0.001")})
    quoted(strategy, quotes(*[(n, 100.0, 100.2) for n in range(9)]))
    assert [(done.ts, done.wanted, done.filled, done.reason) for done in strategy.done] == [
        (s(3), "0.001", "0", "shrink by drawdown: down 20 %")
    ]


@pytest.mark.parametrize(
    "address", [name for name in shipped_addresses() if name.startswith("strategies.")]
)
def test_strategies_of_the_desk_size_by_verdicts_themselves(address):
    assert engine_class(resolve(address)).sizes_by_verdicts


# -- wrong sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["0", "0.0009", "-0.0004", "NaN"])
@pytest.mark.parametrize("way", ["execute", "send_market"])
def test_an_order_of_less_than_a_lot_is_an_error_that_names_instrument_quantity_and_lot(
    way, quantity
):
    said = []

    def order(strategy):
        with pytest.raises(ValueError, match="at least its lot") as caught:
            getattr(strategy, way)(ident(A), D(quantity), "test")
        said.append(str(caught.value))

    held({at(1): order})
    text = f"strategy hold: an order of {quantity} {A} must be a number, at least its lot of 0.001"
    assert said == [text]


@pytest.mark.parametrize("quantity", [0.5, 1, "1", None])
@pytest.mark.parametrize("way", ["execute", "send_market", "start", "place_stop"])
def test_what_is_no_decimal_is_an_error_that_names_strategy_and_the_right_type(way, quantity):
    def order(strategy):
        what = "a stop at" if way == "place_stop" else "an order of"
        kind = type(quantity).__name__
        text = f"strategy hold: {what} {quantity!r} {A} must be a Decimal, not a {kind}"
        call = getattr(strategy.broker, way)
        with pytest.raises(TypeError, match=re.escape(text)):
            call(ident(A), quantity, "test")

    held({at(1): holding(A, "3"), at(3): [order, HALF, order]})


def test_an_absurd_quantity_is_refused_once_and_whole():
    strategy = Holder({at(1): holding(A, "99999999")}, (A,))
    play({A: Candles([100.0] * 4)}, strategy, facts={A: {"max_qty": "10"}})
    (order,) = strategy.cache.orders()
    assert (
        "quantity 99999999.000 invalid (> maximum trade size of 10.000)" in order.last_event.reason
    )


# -- the closer's orders ---------------------------------------------------------------------------


def test_the_closers_ids_differ_from_a_strategys():
    ours = order_id("bt", "rev", session_of(START), 1)
    closers = order_id("bt", "rev", closers_session(START), 1)
    assert (is_closers(ours), is_closers(closers), is_closers("O-2023-1")) == (False, True, False)
    assert ours != closers


def test_a_rejected_order_of_the_closer_does_not_hold_a_plan_back():
    """It would cancel what is under way, the closer's close included, and send its own again."""

    def rejected(strategy):
        name = ClientOrderId(order_id("bt", "rev", closers_session(START), 1))
        ids = (strategy.trader_id, strategy.id, ident(A), name, strategy.cache.accounts()[0].id)
        reason = "[busy transient] 10006 Too many visits"
        strategy.handle_event(OrderRejected(*ids, reason, UUID4(), 0, 0))

    busy = []
    rebalanced({at(2, 400): rejected, at(3, 200): lambda s: busy.append(s.busy)})
    assert busy == [False]


# -- a rebalancer leaves in its own way ------------------------------------------------------------


def flattens(strategy):
    return [d for d in strategy.decisions if d.kind == "flatten" and d.ts < at(4)]


def test_a_rebalancer_decides_once_to_leave_and_again_on_schedule():
    plan = dict.fromkeys((at(3, 600), at(3, 601), at(3, 602)), FLATTEN)
    strategy = rebalanced(plan | {at(4, 600): verdict(Action.NONE)})
    (flat,) = flattens(strategy)
    assert (flat.ts, flat.note) == (at(3, 600), "down 20 %")
    assert {D(t.target) for t in flat.targets} == {D(0)}
    assert [d.kind for d in strategy.decisions if d.ts == at(4, 300)] == ["flatten"]


def test_a_rebalancer_adds_what_a_wider_verdict_leaves():
    plan = {at(3, 600): verdict(Action.FLATTEN, scope=f"instrument:{A}"), at(3, 601): FLATTEN}
    strategy = rebalanced(plan)
    first, second = flattens(strategy)
    assert D(lines(first)[A].target) == 0
    # A's exit is under way and stays so.
    orders = [{name: D(lines(d)[name].order) != 0 for name in (A, B)} for d in (first, second)]
    assert orders == [{A: True, B: False}, {A: False, B: True}]
    assert not strategy.holdings()


def test_a_halt_cancels_a_rebalancers_waiting_entries_and_it_goes_on_reducing():
    strategy = rebalanced({at(2, 400): verdict(Action.REDUCE_ONLY)})
    assert strategy.events == []
    assert [o for o in strategy.cache.orders() if not o.is_closed] == []
    assert not strategy.busy


# -- after a restart -------------------------------------------------------------------------------


def restart(strategy):
    """Resume with a flatten verdict on the board, published before the strategy started."""
    verdict = Verdict(action=Action.FLATTEN, guard="drawdown", reason="20 % lost")
    board_of(strategy.msgbus).observe(verdict)
    strategy.resumed = strategy.resume()


def test_after_a_restart_what_is_held_is_left():
    strategy = held({at(1): holding(A, "3"), at(3): restart}, store=MemoryState())
    assert strategy.resumed
    assert exits(strategy) == [OUT_A]


def test_after_a_restart_an_entry_that_a_crash_interrupted_is_forgotten():
    store = MemoryState()
    strategy = Trades({10: restart}, **RULES)
    state = MakerFirstState(quantity=D(2), started=s(0))
    saved = SavedExecution(state=state, goal=D(2), reason="x")
    store.save(f"tactic.{A}", msgspec.json.encode(saved))
    strategy.attach_state(store)
    quoted(strategy, quotes(*[(n, 100.0, 100.1) for n in range(60)]))
    assert strategy.cache.orders() == []
    assert store.load(f"tactic.{A}") == b""


def test_after_a_restart_a_rebalancer_without_a_plan_leaves_too():
    strategy = rebalanced({at(3, 600): restart}, store=stored(done=at(3, 300)))
    assert not strategy.holdings()
