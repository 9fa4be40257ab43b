"""Protected positions on candles: each fill at a price that a reader can work out."""

from decimal import Decimal as D

import msgspec
import pytest
from nautilus_trader.indicators import AverageTrueRange
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import OrderSide, OrderStatus

from actors.gate.gate import OrderGate
from backtests.results.recorder import _order_row
from config.durations import bar_type
from config.errors import DeskError
from strategies.base import DeskStrategyConfig
from strategies.broker import SavedExecution
from strategies.order_ids import is_protective
from strategies.rebalance.plan import Plan
from strategies.state import MemoryState
from strategies.tactics.maker_first import MakerFirstState
from strategies.tactics.protective import Protected, Protection, Target
from tests.builders_engine import SPOT, A, B, Candles, at, play, taker_fee, venue
from tests.strategies.rebalance.test_rebalance_protocol import orders, stored
from tests.strategies.rebalance.test_rebalancer import played as rebalanced
from tests.strategies.rebalance.test_rebalancer import reversal
from tests.strategies.test_verdict_follower import Holder, holding, ident

HALF = (Target(at=1.0, fraction=0.5),)


class Careful(Holder):
    """Does a plan's steps; its positions are protected."""

    def __init__(self, plan, rules, name=A):
        super().__init__(plan, (name,))
        config = DeskStrategyConfig(key="hold", instruments=(name,), protection=rules)
        super(Holder, self).__init__(config)
        self.expect_book("none")
        self.stopped = []

    def on_start(self):
        super().on_start()
        self.subscribe_bars(BarType.from_str(bar_type(self.ids[0], "1h")))

    def on_bar(self, bar):
        self.protect_on(bar)

    def on_stopped_out(self, instrument_id):
        self.stopped.append(self.clock.timestamp_ns())


def played(rules, rows, quantity="4", plan=(), **terms):
    """Enter at the open of the third candle, at 100 with an ATR of 2, and play rows from there.

    A row is open, high, low, close. Returns the strategy and its later fills as (hour in which the
    candle closes or opens, signed quantity, price).
    """
    rows = [(100, 101, 99, 100)] * 3 + rows
    columns = [[float(row[i]) for row in rows] for i in range(4)]
    candles = Candles(columns[0], closes=columns[3], lows=columns[2], highs=columns[1])
    strategy = Careful({at(3): holding(A, quantity)} | dict(plan), Protection(atr=2, **rules))
    desk = play({A: candles}, strategy, document=venue(**terms))
    entry, *later = [fill for fill, _ in desk.accountant.fills]
    assert (entry.ts, entry.price, signed(entry)) == (at(3, seconds=1), 100, D(quantity))
    return strategy, [
        (round((fill.ts - at(0)) / 3.6e12), float(signed(fill)), float(fill.price))
        for fill in later
    ]


def signed(fill):
    return fill.quantity if fill.side == "BUY" else -fill.quantity


CALM = (100, 101, 99, 100)
UP = (100, 110, 100, 108)
"""True range 10, so that the ATR of two candles is 6."""
FALL = (100, 101, 95, 99)


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize(
    ("rules", "rows", "fills"),
    [
        pytest.param({}, [CALM, FALL], [(5, -4, 96)], id="stop"),
        pytest.param({}, [FALL], [(4, -4, 96)], id="in the candle of the entry"),
        pytest.param({}, [CALM, (90, 91, 89, 90)], [(4, -4, 90)], id="a gap"),
        pytest.param({"stop": None}, [CALM, (100, 101, 92, 99)], [(5, -4, 93)], id="catastrophic"),
        pytest.param(
            {"take": HALF},
            [CALM, (100, 105, 99, 100), FALL],
            [(5, -2, 104), (6, -2, 96)],
            id="half at one R, the rest by the stop",
        ),
        pytest.param({"take": HALF}, [CALM, (100, 105, 95, 100)], [(5, -4, 96)], id="both"),
        pytest.param(
            {"take": (*HALF, Target(at=2.0, fraction=0.5))},
            [CALM, (100, 109, 99, 100), CALM],
            [(5, -2, 104), (5, -2, 108)],
            id="all taken",
        ),
        pytest.param({"take": HALF}, [CALM, (96.5, 103, 96.5, 97)], [], id="no target on a loss"),
        pytest.param(
            {"trail_atr": 1.0}, [CALM, UP, (108, 109, 103, 104)], [(6, -4, 104)], id="trailing"
        ),
        pytest.param({"trail_atr": 1.0}, [(100, 110, 100, 100)], [], id="not by its own candle"),
        pytest.param(
            {"trail_atr": 1.0},
            [CALM, (100, 110, 100, 101), (101, 102, 100, 101)],
            [(5, -4, 101)],
            id="a trailing stop that the price has passed",
        ),
        pytest.param(
            {"break_even": 1.0, "break_even_bps": 10.0},
            [CALM, (100, 104, 99, 103), (103, 103, 100, 101)],
            [(6, -4, 100.1)],
            id="break even",
        ),
        pytest.param({"time_stop": "2h"}, [CALM] * 3, [(5, -4, 100)], id="time"),
        pytest.param({"time_stop": "90m"}, [CALM] * 3, [(5, -4, 100)], id="time inside a candle"),
        pytest.param({"time_stop": "12h"}, [CALM] * 13, [(15, -4, 100)], id="twelve candles"),
    ],
)
def test_a_position_leaves_where_its_rules_say(rules, rows, fills, side):
    rows = [*rows, (rows[-1][3],) * 4, (rows[-1][3],) * 4]
    if side < 0:
        rows = [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in rows]
        fills = [(hour, -quantity, round(200 - price, 2)) for hour, quantity, price in fills]
    strategy, found = played({"stop": 2.0} | rules, rows, str(4 * side))
    assert found == fills
    left = 4 + sum(side * quantity for _, quantity, _ in fills)
    assert abs(strategy.holding(ident(A))) == left
    assert bool(strategy.broker.protective_orders()) == bool(left)
    assert len(strategy.stopped) == (not left)


def test_the_average_true_range_is_the_engines():
    protector, engines = Careful({}, Protection(atr=5)).broker.protector, AverageTrueRange(5)
    for n, close in enumerate([100.0, 103.0, 90.0, 95.0, 95.5, 120.0, 101.0, 99.0]):
        engines.update_raw(close + n, close - 1, close)
        protector._add(ident(A), at(n), at(n + 1), close + n, close - 1, close)
        assert float(protector._atr(ident(A))) == pytest.approx(engines.value, rel=1e-12)


def test_the_path_decides_which_of_two_fills_first():
    rows = [CALM, (100, 105, 95, 100), CALM]
    _, found = played({"stop": 2.0, "take": HALF}, rows, path="open_high_low_close")
    assert found == [(5, -2, 104), (5, -2, 96)]


def test_orders_follow_the_position_that_the_strategy_changes():
    seen = []

    def look(strategy):
        seen.append(
            sorted(
                ("take", float(o.quantity), float(o.price))
                if o.has_price
                else ("stop", float(o.quantity), float(o.trigger_price))
                for o in strategy.broker.protective_orders()
            )
        )

    plan = {
        at(4, 60): look,
        at(5): holding(A, "4"),
        at(5, 60): look,
        at(6): holding(A, "-6"),
        at(6, 60): look,
        at(7): holding(A, "-7"),
        at(7, 60): look,
    }
    rows = [CALM, CALM, (102, 103, 101, 102), *[(102, 102, 102, 102)] * 3]
    strategy, _ = played({"stop": 2.0, "take": HALF}, rows, plan=plan)
    assert seen == [
        [("stop", 4, 96), ("take", 2, 104)],
        [("stop", 8, 97), ("take", 4, 105)],
        [("stop", 2, 97), ("take", 1, 105)],
        [("stop", 5, 105), ("take", 2.5, 99)],
    ]
    assert strategy.stopped == []


def protected_state(long=True):
    risk = {"entry": D(90), "risk": D(9), "best": D(90), "held": D(3), "base": D(3)}
    return msgspec.json.encode(Protected(long=long, since=at(1), stop=D(81), **risk))


def test_a_restart_does_not_open_again_what_a_stop_closed_meanwhile():
    plan = Plan(stamp=at(2, 300), made=at(2, 300), kind="rebalance", targets={A: D(3), B: D(-2)})
    store = stored(done=at(1, 300), plan=plan)
    store.save(f"protective.{A}", protected_state())
    steps = {at(2, 600): lambda strategy: strategy.resume()}
    strategy = rebalanced(steps, store=store, timer=False, protection=Protection(atr=2))
    assert orders(strategy, at(2, 600)) == {B: D(-2)}
    assert store.values[f"protective.{A}"] == b""
    # Bought back at 110 + 1.7 ATR; the true ranges were 10 and 0.
    (stop,) = strategy.broker.protective_orders()
    assert (stop.instrument_id.value, stop.trigger_price, stop.quantity) == (B, D("118.5"), 2)
    assert (
        Protection(atr=200).atr + 1
        == reversal(protection=Protection(atr=200)).history_needed()["1h"]
    )


def unfinished(store):
    """Save an execution that a crash kept from buying up to 4."""
    state = MakerFirstState(quantity=D(4), started=at(1))
    store.save(
        f"tactic.{A}", msgspec.json.encode(SavedExecution(state=state, goal=D(4), reason=""))
    )


def test_a_restart_does_not_resume_what_would_open_again_what_a_stop_closed():
    store, resumed = MemoryState(), []
    go_on = {at(1): lambda strategy: resumed.append((strategy.resume(), strategy.broker.live))}
    strategy = Careful(go_on, Protection(atr=2))
    strategy.attach_state(store)
    store.save(f"protective.{A}", protected_state())
    unfinished(store)
    play({A: Candles([100.0] * 3)}, strategy)
    assert (resumed, store.values[f"tactic.{A}"]) == ([(False, ())], b"")


@pytest.mark.parametrize(("goal_passed", "resumes"), [(False, False), (True, True)])
def test_a_restart_does_not_resume_what_would_buy_back_what_a_take_profit_closed(
    goal_passed, resumes
):
    store, seen = MemoryState(), []

    def restart(strategy):
        strategy.attach_state(store)
        unfinished(store)
        if goal_passed:
            holding(A, "3")(strategy)

    rows = [CALM, (100, 105, 99, 100), *[CALM] * 4]
    plan = {
        at(6): restart,
        at(7): [lambda strategy: strategy.resume(), lambda s: seen.append(bool(s.broker.live))],
    }
    _, found = played({"stop": 2.0, "take": HALF}, rows, plan=plan.items())
    assert found[0] == (5, -2, 104)
    assert seen == [resumes]


def test_a_saved_state_that_cannot_be_read_stops_the_start():
    strategy = Careful({}, Protection())
    strategy.attach_state(MemoryState())
    strategy.broker.store.save(f"protective.{A}", b"{}")
    with pytest.raises(DeskError, match=rf"protective.{A}' can't be read"):
        strategy.broker.protector.reattach((ident(A),))


def test_a_session_without_protection_forgets_the_positions_of_earlier_ones():
    """Those that it leaves are others: their stops would close them at once."""
    strategy = Careful({}, None)
    strategy.attach_state(MemoryState())
    strategy.broker.store.save(f"protective.{A}", protected_state())
    play({A: Candles([100.0] * 3)}, strategy)
    assert strategy.broker.store.values[f"protective.{A}"] == b""


def test_on_spot_a_stop_is_a_sale_of_what_is_held_and_nothing_takes_profit():
    """Of 4 bought, 0.004 are the fee; the stop is 1.7 ATR of 2 below 100, a candle opens at 90.

    A stop and the exit that comes before it are alternatives: neither is refused as a short sale.
    """
    strategy = Careful({}, Protection(take=HALF), SPOT)
    with pytest.raises(ValueError, match=f"leave out {SPOT}"):
        play({SPOT: Candles([100.0] * 3)}, strategy)
    opens, low = [100.0] * 4 + [90.0] * 2, [99.0] * 4 + [90.0] * 2
    candles = {name: Candles(opens, lows=low, highs=[101.0] * 4 + [90.0] * 2) for name in (A, SPOT)}
    for exits in (False, True):
        plan = {at(2): lambda s: s.send_market(ident(SPOT), D("4"), "enter")}
        if exits:
            plan[at(3)] = lambda s: s.send_market(ident(SPOT), D("-3.996"), "exit")
        strategy = Careful(plan, Protection(atr=2), SPOT)
        desk = play(candles, strategy, document=venue(fees=taker_fee("0.001")))
        fills = [(signed(fill), fill.price) for fill, _ in desk.accountant.fills]
        assert fills == [(D("3.996"), 100), (D("-3.996"), 100 if exits else 90)]
        assert not strategy.broker.all_open()
        assert desk.gate.refusals == 0


def test_a_position_leaves_even_if_the_order_that_closes_it_is_cancelled():
    cancel = {at(5, 0): lambda strategy: strategy.cancel_waiting()}
    rows = [*[CALM] * 3, *[(100,) * 4] * 2]
    strategy, found = played({"time_stop": "2h"}, rows, plan=cancel)
    assert [quantity for _, quantity, _ in found] == [-4]
    assert strategy.holding(ident(A)) == 0


def test_an_exit_of_the_strategy_that_begins_where_the_position_leaves_anyway_gives_way():
    """The order of the time stop was cancelled, and comes again a second later."""

    def leave(strategy):
        strategy.cancel_waiting()
        strategy.broker.start(ident(A), D(-4), "exit")

    rows = [*[CALM] * 3, *[(100,) * 4] * 2]
    strategy, found = played({"time_stop": "2h"}, rows, plan={at(5, 0): leave})
    assert [quantity for _, quantity, _ in found] == [-4]
    assert not strategy.broker.live


def test_a_stop_that_is_withdrawn_before_it_left_comes_again_and_closes_nothing(monkeypatch):
    early, arrive = [], OrderGate._arrive

    def cancelled_first(gate, orders):
        name = orders[0].client_order_id
        if is_protective(name.value) and not early:
            early.extend(orders)
            gate._cancelled_early.add(name)
        return arrive(gate, orders)

    monkeypatch.setattr(OrderGate, "_arrive", cancelled_first)
    strategy, found = played({}, [CALM] * 3)
    assert early[0].status == OrderStatus.DENIED
    assert found == []
    assert [stop.quantity for stop in strategy.broker.protective_orders()] == [4]


def test_an_attached_stop_counts_from_the_market_where_a_limit_may_fill_far_from_it():
    seen = []

    def ask(strategy):
        instrument = strategy.cache.instrument(ident(A))
        for price in (90, 104):
            order = strategy.order_factory.limit(
                ident(A), OrderSide.SELL, instrument.make_qty(1), instrument.make_price(price)
            )
            seen.append(strategy.broker.protector.attached_stop(order)["stop_loss"])

    # 100 stands and the ATR is 2: a sale that may go down to 90 is stopped 7 above 100, not at 97.
    played({}, [CALM] * 3, plan={at(5): ask}.items())
    assert [D(stop) for stop in seen] == [107, 111]


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
def test_a_flip_is_not_closed_by_the_refusal_of_a_stop_of_the_position_before(side):
    """The order that flips was sent first; the moved stop of the old position comes after it."""
    rows = [CALM, UP, *[(108,) * 4] * 3]
    if side < 0:
        rows = [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in rows]
    flip = {at(4, 300): holding(A, str(-10 * side))}
    rules = {"stop": 2.0, "trail_atr": 1.0}
    strategy, found = played(rules, rows, str(4 * side), plan=flip)
    assert found == [(5, -10 * side, 100 + 8 * side)]
    (stop,) = strategy.broker.protective_orders()
    # Two ATR of 6 from the flip's price.
    assert (stop.quantity, stop.trigger_price) == (6, 100 + 20 * side)
    assert strategy.stopped == []
    # Its cancel, which came too late, is not what became of it.
    (row,) = [row for row in map(_order_row, strategy.cache.orders()) if row["refusal"]]
    assert row["status"] == "REJECTED"
    assert row["reason"].startswith("REDUCE_ONLY STOP_MARKET")


def test_a_bracket_is_whole_only_while_just_its_orders_rest():
    seen = []

    def look(strategy):
        protector = strategy.broker.protector
        seen.append((protector.is_whole(ident(A)), protector.first_stop(ident(A), D(100))))

    def drop(strategy):
        (take,) = [o for o in strategy.broker.protective_orders() if not o.has_trigger_price]
        strategy.broker.cancel(take)
        look(strategy)

    plan = {at(1, 60): look, at(2, 60): look, at(3, 60): look, at(4, 60): drop, at(5, 60): look}
    strategy, _ = played({"take": HALF, "least_bps": 600}, [CALM] * 3, plan=plan)
    assert strategy.holding(ident(A)) == 4
    # The range of one candle, of both; then without the take-profit, until the next candle.
    assert seen == [(True, None), (True, 6), (True, 6), (False, 6), (True, 6)]
