"""What a strategy of the desk does at once when a guard speaks, by default and in its own way."""

from decimal import Decimal as D

import msgspec
import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide, OrderStatus
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.objects import Price, Quantity

from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.broker import SavedExecution
from strategies.messages import Action, Verdict
from strategies.order_ids import closers_session, is_closers, order_id, session_of
from strategies.state import MemoryState
from strategies.tactics.maker_first import MakerFirstState
from strategies.verdicts import board_of
from tests.builders_engine import SPOT, START, A, B, Candles, at, perpetual
from tests.builders_engine import play as played
from tests.strategies.rebalance.test_rebalance_protocol import stored
from tests.strategies.rebalance.test_rebalancer import TAPE, lines, reversal, verdict
from tests.strategies.test_executor import RULES, Trades, buying, quotes, s
from tests.strategies.test_executor import play as quoted

LEVEL = Candles([100.0] * 8)
BOTH = {A: LEVEL, B: LEVEL}


class Holder(DeskStrategy):
    """A strategy that has nothing of its own to say to a guard."""

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


def ident(name):
    return perpetual(name).id if name != SPOT else SPOT_ID


SPOT_ID = type(perpetual().id).from_str(SPOT)


def sent(strategy, tag="flatten"):
    return [
        (o.instrument_id.value, OrderStatus(o.status).name, o.is_reduce_only)
        for o in sorted(strategy.cache.orders(), key=lambda o: (o.ts_init, o.client_order_id))
        if tag in (o.tags or [])
    ]


# -- leaving, by default ---------------------------------------------------------------------------


def test_told_to_leave_it_cancels_and_closes_reduce_only():
    told = Holder(
        {
            at(1): [holding(A, "3"), holding(B, "-2")],
            at(2): [resting(A, OrderSide.BUY, 50), resting(A, OrderSide.SELL, 900)],
            at(3, 60): verdict(Action.FLATTEN),
        }
    )
    desk = played(BOTH, told)
    assert sent(told) == [(A, "FILLED", True), (B, "FILLED", True)]
    assert desk.engine.kernel.cache.orders_open() == []
    assert not told.holdings()
    assert told.left == [(at(3, 60), {A, B})]


def test_spot_is_left_by_a_sale_of_what_is_held():
    told = Holder({at(1): holding(SPOT, "3"), at(3, 60): verdict(Action.FLATTEN)}, (SPOT,))
    played({SPOT: LEVEL}, told)
    assert sent(told) == [(SPOT, "FILLED", False)]
    assert not told.holdings()


def test_a_flatten_that_is_said_again_sends_nothing_again():
    """The exit of 03:01 waits for the print at 04:00; a second one would be one too many."""
    again = verdict(Action.FLATTEN)
    told = Holder(
        {at(1): holding(A, "3"), at(3, 60): again, at(3, 61): again, at(3, 62): again, at(5): again}
    )
    played(BOTH, told)
    assert sent(told) == [(A, "FILLED", True)]
    assert len(told.left) == 1


def test_a_wider_one_leaves_what_is_new_and_keeps_the_exits_under_way():
    told = Holder(
        {
            at(1): [holding(A, "3"), holding(B, "2")],
            at(3, 60): verdict(Action.FLATTEN, scope=f"instrument:{A}"),
            at(3, 61): verdict(Action.FLATTEN),
        }
    )
    played(BOTH, told)
    assert sent(told) == [(A, "FILLED", True), (B, "FILLED", True)]
    assert [left for _, left in told.left] == [{A, B} - {B}, {B}]


def test_a_stricter_one_leaves_after_a_halt():
    told = Holder(
        {
            at(1): holding(A, "3"),
            at(2, 60): verdict(Action.HALT_ENTRIES),
            at(3, 60): verdict(Action.FLATTEN),
        }
    )
    played(BOTH, told)
    assert sent(told) == [(A, "FILLED", True)]


def test_one_that_comes_back_after_it_ended_leaves_again():
    told = Holder(
        {
            at(1): holding(A, "3"),
            at(2, 60): verdict(Action.FLATTEN),
            at(3, 60): verdict(Action.NONE),
            at(4, 60): holding(A, "1"),
            at(5, 60): verdict(Action.FLATTEN),
        }
    )
    played(BOTH, told)
    assert sent(told) == [(A, "FILLED", True), (A, "FILLED", True)]
    assert not told.holdings()


# -- no more entries, by default -------------------------------------------------------------------


@pytest.mark.parametrize("action", [Action.HALT_ENTRIES, Action.REDUCE_ONLY])
def test_under_a_halt_entries_that_rest_or_wait_are_taken_back_at_once(action):
    told = Holder(
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
    played(BOTH, told)
    statuses = {}
    for order in sorted(told.cache.orders(), key=lambda order: order.ts_init):
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
    assert told.halted == [{A, B}]


@pytest.mark.parametrize(
    "step",
    [
        verdict(Action.HALT_ENTRIES, transient=True),
        verdict(Action.SHRINK, multiplier=0.5),
        verdict(Action.HALT_ENTRIES, scope="strategy:other"),
    ],
)
def test_what_passes_or_is_no_halt_of_its_own_leaves_entries_resting(step):
    told = Holder({at(1): resting(A, OrderSide.BUY, 50), at(3, 60): step})
    played(BOTH, told)
    assert [OrderStatus(o.status).name for o in told.cache.orders()] == ["ACCEPTED"]
    assert told.halted == []


def test_a_halt_stops_a_tactic_that_enters_and_lets_one_that_leaves_go_on():
    told = Trades(
        {
            1: buying("2", B),
            20: lambda t: (buying("2")(t), t.execute(perpetual(B).id, D(-2), "test")),
            25: lambda t: verdict(Action.REDUCE_ONLY)(t),
        },
        deadline="10m",
    )
    rows = [(n, 100.0, 100.1) for n in range(200)]
    cheap = [(n, 100.0, 99.9 if n == 5 else 100.1) for n in range(200)]
    cheap[5] = (5, 99.8, 99.9)
    quoted(told, quotes(*rows) + quotes(*cheap, name=B))
    resting_now = [o for o in told.cache.orders() if not o.is_closed]
    assert [(o.instrument_id.value, o.is_sell) for o in resting_now] == [(B, True)]
    assert [done.instrument for done in told.done] == [B, A]


# -- the closer's orders ---------------------------------------------------------------------------


def test_the_closers_ids_are_told_from_a_strategys():
    now = START
    ours = order_id("bt", "rev", session_of(now), 1)
    closers = order_id("bt", "rev", closers_session(now), 1)
    assert (is_closers(ours), is_closers(closers), is_closers("O-2023-1")) == (False, True, False)
    assert ours != closers


def test_a_rejected_order_of_the_closer_does_not_hold_a_plan_back():
    """It would cancel what is under way, the closer's close included, and send its own again."""

    def rejected(strategy):
        strategy.handle_event(
            OrderRejected(
                strategy.trader_id,
                strategy.id,
                perpetual(A).id,
                type(strategy.cache.orders()[0].client_order_id)(
                    order_id("bt", "rev", closers_session(START), 1)
                ),
                strategy.cache.accounts()[0].id,
                "[busy transient] 10006 Too many visits",
                UUID4(),
                0,
                0,
            )
        )

    busy = []
    told = reversal({at(2, 400): rejected, at(3, 200): lambda strategy: busy.append(strategy.busy)})
    played(TAPE, told)
    assert busy == [False]


# -- a rebalancer leaves in its own way ------------------------------------------------------------


def flattens(told):
    return [d for d in told.decisions if d.kind == "flatten"]


def test_a_rebalancer_decides_once_to_leave():
    again = verdict(Action.FLATTEN)
    told = reversal({at(3, 600): again, at(3, 601): again, at(3, 602): again})
    played(TAPE, told)
    assert [d.ts for d in flattens(told) if d.ts < at(4)] == [at(3, 600)]


def test_a_rebalancer_adds_what_a_wider_verdict_says_to_leave():
    told = reversal(
        {
            at(3, 600): verdict(Action.FLATTEN, scope=f"instrument:{A}"),
            at(3, 601): verdict(Action.FLATTEN),
        }
    )
    played(TAPE, told)
    first, second = [d for d in flattens(told) if d.ts < at(4)]
    assert D(lines(first)[A].order) != 0
    assert D(lines(first)[B].order) == 0
    # A's exit is under way and stays so.
    assert D(lines(second)[A].order) == 0
    assert D(lines(second)[B].order) != 0
    assert not told.holdings()


def test_a_halt_takes_a_rebalancers_waiting_entries_back_and_it_goes_on_reducing():
    told = reversal({at(2, 400): verdict(Action.REDUCE_ONLY)})
    played(TAPE, told)
    assert told.events == []
    assert [o for o in told.cache.orders() if not o.is_closed] == []
    assert not told.busy


# -- after a restart -------------------------------------------------------------------------------


def standing(strategy):
    """Put it on the board, as if the strategy had started after it was published."""
    board_of(strategy.msgbus).observe(
        Verdict(action=Action.FLATTEN, guard="drawdown", reason="20 % lost")
    )


def test_after_a_restart_what_is_held_is_left_and_no_tactic_is_resumed():
    store = MemoryState()
    began = []

    def restart(strategy):
        standing(strategy)
        began.append(strategy.resume())

    told = Holder({at(1): holding(A, "3"), at(3): restart})
    told.attach_state(store)
    played(BOTH, told)
    assert began == [True]
    assert sent(told) == [(A, "FILLED", True)]


def test_an_entry_that_a_crash_interrupted_is_forgotten_when_it_must_be_left():
    store = MemoryState()
    told = Trades({10: lambda t: (standing(t), t.resume())}, **RULES)
    store.save(
        f"tactic.{A}",
        msgspec.json.encode(
            SavedExecution(
                state=MakerFirstState(quantity=D(2), started=s(0)), goal=D(2), reason="x"
            )
        ),
    )
    told.attach_state(store)
    quoted(told, quotes(*[(n, 100.0, 100.1) for n in range(60)]))
    assert told.cache.orders() == []
    assert store.load(f"tactic.{A}") == b""


def test_a_rebalancer_without_a_plan_leaves_after_a_restart_too():
    told = reversal({at(3, 600): lambda strategy: (standing(strategy), strategy.resume())})
    told.attach_state(stored(done=at(3, 300)))
    played(TAPE, told)
    assert not told.holdings()
