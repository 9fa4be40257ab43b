"""The tactic protocol, by a tactic with two orders at once and a timer of five milliseconds."""

from decimal import Decimal as D

import msgspec
import pytest
from msgspec.structs import replace
from nautilus_trader.model.enums import OrderStatus

from config.errors import DeskError
from strategies.order_tags import role_of
from strategies.state import MemoryState
from strategies.tactics import tactic as t
from tests.builders_engine import A, perpetual
from tests.strategies.test_executor import Trades, level, orders, play, quotes, s

PACE_NS = 5 * 10**6
ID = perpetual(A).id


class LadderState(t.TacticState, frozen=True, kw_only=True):
    """``out`` has what each order may still fill; ``looks`` counts the timer."""

    out: dict[str, D] = msgspec.field(default_factory=dict)
    names: int = 0
    looks: int = 0
    stopping: bool = False


def work_ladder(state, event, rules, terms):
    """Rest half at the bid and half a number of ticks below it, until both are filled."""
    out = dict(state.out)
    match event:
        case t.TimePassed():
            state = replace(state, looks=state.looks + 1)
        case t.Stop():
            state = replace(state, stopping=True)
            if out:
                return state, tuple(map(t.Cancel, out))
        case t.Resumed():
            state, out = replace(state, quantity=event.left, filled=D(0), stopping=False), {}
        case t.Filled():
            out[event.order] -= event.quantity
            state = replace(state, filled=state.filled + event.quantity)
            if not out[event.order]:
                del out[event.order]
        case t.Ended() | t.Refused():
            out.pop(event.order, None)
        case t.BookChanged() if not out:
            half, names = state.left / 2, [str(state.names), str(state.names + 1)]
            prices = event.top.bid, event.top.bid - rules["ticks"] * terms.tick
            state = replace(state, out=dict.fromkeys(names, half), names=state.names + 2)
            sign = 1 if state.buy else -1
            return state, tuple(
                t.PlacePostOnly(name, sign * half, price)
                for name, price in zip(names, prices, strict=True)
            )
    state = replace(state, out=out)
    if state.left == 0:
        return replace(state, ended=""), (t.Done(),)
    if state.stopping and not out:
        return replace(state, ended="stopped"), (t.GiveUp("stopped"),)
    return state, ()


LADDER = t.Tactic("ladder", LadderState, work_ladder, PACE_NS)


def ladder(plan):
    strategy = Trades(plan)
    strategy.broker.host(LADDER, {"ticks": 10})
    return strategy


FLAT = quotes(*level(range(8)))


def start(strategy):
    strategy.broker.start(ID, D(2), "ladder", tactic="ladder")


def states(strategy):
    found = sorted(orders(strategy), key=lambda o: -o.price)
    return [(str(o.price), str(o.quantity), OrderStatus(o.status).name) for o in found]


def test_two_orders_of_one_execution_rest_at_once_and_fill_one_by_one():
    seen = []
    plan = {1: start, 5: lambda x: seen.append((x.busy, states(x)))}
    strategy = play(ladder(plan), FLAT + quotes((8, 99.8, 99.95), (12, 99.7, 99.8)))
    assert seen == [(True, [("100.00", "1.000", "ACCEPTED"), ("99.90", "1.000", "ACCEPTED")])]
    assert [status for *_, status in states(strategy)] == ["FILLED", "FILLED"]
    (done,) = strategy.done
    assert (done.filled, done.notional, done.reason) == ("2", "199.9", "")
    assert not strategy.busy
    assert strategy.clock.timer_names == []
    assert {role_of(o.client_order_id.value, o.tags, False) for o in orders(strategy)} == {"entry"}


def test_its_timer_is_as_fine_as_it_wants():
    seen = []
    looking = ladder({1: start, 2: lambda x: seen.append(x.broker._live[ID].state.looks)})
    play(looking, FLAT)
    # The first event of the execution, and 200 of the timer, which starts at once.
    assert seen[0] in range(200, 203)
    with pytest.raises(ValueError, match="below 1 ms"):
        t.Tactic("nervous", LadderState, work_ladder, 999_999)


def test_a_stop_cancels_both_orders():
    strategy = play(ladder({1: start, 3: lambda x: x.stop_executing()}), FLAT)
    assert [status for *_, status in states(strategy)] == ["CANCELED", "CANCELED"]
    assert strategy.done[0].reason == "stopped"


def test_after_a_crash_it_goes_on_under_its_own_name():
    store = MemoryState()
    play(ladder({1: start}), FLAT, until=6, store=store)
    saved = msgspec.json.decode(store.load(f"tactic.{A}"))
    assert (saved["tactic"], saved["state"]["names"]) == ("ladder", 2)
    falling = quotes((19, 100.0, 100.2), (25, 99.8, 99.95), (30, 99.7, 99.8))
    again = play(ladder({20: lambda strategy: strategy.resume()}), falling, store=store)
    assert [status for *_, status in states(again)] == ["FILLED", "FILLED"]
    assert store.load(f"tactic.{A}") == b""


def test_a_saved_state_of_a_tactic_that_is_not_hosted_is_a_clear_error():
    store = MemoryState()
    play(ladder({1: start}), FLAT, until=4, store=store)
    other = Trades({})
    other.attach_state(store)
    with pytest.raises(DeskError, match=r"'tactic\.\S+' can't be read .*no tactic 'ladder'"):
        other.resume()


OLDER = (
    b'{"state":{"quantity":"2","started":%d,"filled":"0.5","touch":{"bid":"100.0","ask":"100.2",'
    b'"bid_size":"5","ask_size":"5"},"arrival":"100.1","order":{"quantity":"2","price":"100.0",'
    b'"sent":%d,"takes":false,"filled":"0.5","accepted":true,"cancelling":false},"reprices":1,'
    b'"takes":0,"busy":0,"spent":false,"not_before":0,"stopping":false,"ended":null},"goal":"2",'
    b'"reason":"rebalance","decision_id":"hand@1"}'
)
"""As journals held it before tactics and their orders had names."""


def test_a_state_that_an_older_version_saved_is_taken_up():
    store = MemoryState()
    store.save(f"tactic.{A}", OLDER % (s(1), s(1)))
    data = quotes(*level(range(19, 30)), (30, 99.8, 99.9))
    strategy = play(Trades({20: lambda strategy: strategy.resume()}), data, store=store)
    assert (strategy.done[0].reprices, strategy.done[0].filled) == (1, "2")
    assert [o.tags[:2] for o in orders(strategy)] == [["rebalance", "decision=hand@1"]]
