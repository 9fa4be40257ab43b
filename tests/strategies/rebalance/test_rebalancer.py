"""Stories of a reversal on hand-made hourly candles, told to the real engine."""

from decimal import Decimal as D

import numpy as np
import pytest

from strategies.base import DeskStrategy
from strategies.engine_class import engine_class
from strategies.messages import Action, Verdict
from strategies.xs_reversal import XSReversal, XSReversalConfig
from tests.builders_engine import HOUR, SPOT, Candles, at, play, trading  # noqa: F401

A, B, C = "AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT", "CCCUSDT-LINEAR.BYBIT"
NAN = None


class Heard(engine_class(XSReversal)):
    """A reversal that keeps its decisions and can be told things at given times."""

    def __init__(self, config, plan=None):
        super().__init__(config)
        self.decisions = []
        self.events = []
        self._plan = plan or {}

    def on_start(self):
        super().on_start()
        for ts in self._plan:
            self.clock.set_time_alert_ns(f"told {ts}", ts, lambda e: self._plan[e.ts_event](self))

    def publish(self, decision):
        self.decisions.append(decision)
        super().publish(decision)

    def on_order_filled(self, event):
        self.events.append(event)


def reversal(plan=None, instruments=(A, B), **params):
    rules = {"interval": "1h", "every": "1h", "at": "00:05", "fraction": 0.5, "max_weight": 0.5}
    config = XSReversalConfig(key="rev", instruments=instruments, **(rules | params))
    return Heard(config, plan)


def verdict(action, scope="desk", **more):
    def tell(strategy):
        said = Verdict(action=action, scope=scope, guard="drawdown", reason="down 20 %", **more)
        strategy.msgbus.publish("verdicts.drawdown", said)

    return tell


def lines(decision):
    return {target.instrument: target for target in decision.targets}


# A falls, then rises; B rises, then falls. Opens are the closes before.
TAPE = {
    A: Candles(opens=[100, 100, 90, 90, 99], closes=[100, 90, 90, 99, 99]),
    B: Candles(opens=[100, 100, 110, 110, 99], closes=[100, 110, 110, 99, 99]),
}


def test_it_buys_the_loser_and_sells_the_winner():
    told = reversal()
    play(TAPE, told)
    first = next(d for d in told.decisions if d.kind == "rebalance" and d.gross)
    # After the second candle, at 02:05: A fell 10 %, B rose 10 %.
    assert (first.ts, first.data_ts) == (at(2, 300), at(2))
    loser, winner = first.targets
    assert (loser.instrument, loser.score, loser.rank) == (A, pytest.approx(0.1), 1)
    assert (winner.instrument, winner.score, winner.rank) == (B, pytest.approx(-0.1), 2)
    # Half of 10,000 each: 5,000 / 90 and 5,000 / 110, rounded toward zero to 0.001.
    assert (loser.order, winner.order) == ("55.555", "-45.454")
    assert (first.equity, first.gross, first.net) == ("10000.00000000", 1.0, 0.0)


def test_it_ignores_the_unfinished_candle():
    told = reversal()
    play(TAPE, told)
    for decision in told.decisions:
        assert decision.data_ts == decision.ts // HOUR * HOUR
    # At 04:05 the fourth candle is the newest: A rose 10 %, B fell 10 %: they swap.
    fourth = next(d for d in told.decisions if d.ts == at(4, 300))
    assert fourth.data_ts == at(4)
    assert lines(fourth)[A].rank == 2


def test_a_decision_at_the_close_sees_the_candles_of_that_very_stamp():
    told = reversal(at="00:00")
    play(TAPE, told)
    first = next(d for d in told.decisions if d.gross)
    assert (first.ts, first.data_ts) == (at(2), at(2))
    assert lines(first)[A].score == pytest.approx(0.1)


def test_orders_fill_strictly_after_what_they_saw():
    told = reversal()
    play(TAPE, told)
    assert told.events
    for event in told.events:
        assert event.ts_event > at(3)


def test_an_instrument_in_a_gap_leaves_and_its_position_is_closed():
    tape = {
        A: Candles(opens=[100, 100, 90, 90, 90, 99], closes=[100, 90, 90, 90, 99, 99]),
        B: Candles(opens=[100, 100, 110, 120, NAN, 99], closes=[100, 110, 120, 130, NAN, 99]),
        C: Candles(opens=[10, 10, 10, 10, 10, 10]),
    }
    told = reversal(instruments=(A, B, C))
    play(tape, told)
    gap = next(d for d in told.decisions if d.data_ts == at(5))
    line = lines(gap)[B]
    assert (line.price, line.rank, line.weight) == (None, None, 0.0)
    assert line.reason == "left out: no candle closed at the decision's data time"
    assert D(line.current) < 0
    assert (line.target, D(line.order)) == ("0.000", -D(line.current))


def test_without_any_new_candle_it_waits():
    told = reversal()
    silent = {A: Candles(opens=[100, 90, NAN, 80]), B: Candles(opens=[100, 110, NAN, 120])}
    play(silent, told)
    quiet = next(d for d in told.decisions if d.data_ts == at(3))
    assert (quiet.kind, quiet.note) == ("wait", "no candle has closed at the data time")
    assert all(D(target.order) == 0 for target in quiet.targets)


@pytest.mark.parametrize(("flatten", "kind"), [(True, "rebalance"), (False, "wait")])
def test_with_nothing_to_hold_it_flattens_or_keeps(flatten, kind):
    # Everyone falls below the lowest price that the document allows.
    tape = {
        A: Candles(opens=[100, 100, 90, 9, 9], closes=[100, 90, 9, 9, 9]),
        B: Candles(opens=[100, 100, 110, 9, 9], closes=[100, 110, 9, 9, 9]),
    }
    told = reversal(min_price=50, flatten_on_empty_targets=flatten)
    play(tape, told)
    # The orders of 02:05 fill at 03:00; at 03:05 both have closed at 9.
    empty = next(d for d in told.decisions if d.data_ts == at(3))
    assert empty.kind == kind
    assert lines(empty)[A].reason == "left out: price 9 is below 50"
    orders = {D(target.order) for target in empty.targets}
    assert (orders == {D(0)}) is not flatten


def test_equity_counts_open_positions_at_the_last_close():
    told = reversal()
    play(TAPE, told)
    after = next(d for d in told.decisions if d.data_ts == at(4))
    # In at the opens of the fourth candle: 55.555 A at 90, -45.454 B at 110. It closes at 99, 99.
    gained = D("55.555") * 9 + D("45.454") * 11
    assert D(after.equity) == D(10_000) + gained


def test_a_flatten_verdict_is_obeyed_at_once_and_until_it_is_taken_back():
    told = reversal(
        {at(3, 600): verdict(Action.FLATTEN), at(4, 600): verdict(Action.NONE)},
    )
    play(TAPE, told)
    flat = next(d for d in told.decisions if d.kind == "flatten")
    assert (flat.ts, flat.note) == (at(3, 600), "down 20 %")
    assert {D(t.target) for t in flat.targets} == {D(0)}
    assert [d.kind for d in told.decisions if d.ts == at(4, 300)] == ["flatten"]


def test_a_flatten_verdict_on_one_instrument_leaves_the_others():
    told = reversal({at(3, 600): verdict(Action.FLATTEN, scope=f"instrument:{A}")})
    play(TAPE, told)
    flat = next(d for d in told.decisions if d.kind == "flatten")
    assert D(lines(flat)[A].target) == 0
    assert D(lines(flat)[B].order) == 0


def test_a_verdict_on_another_strategy_is_none_of_its_business():
    told = reversal({at(0, 60): verdict(Action.FLATTEN, scope="strategy:other")})
    play(TAPE, told)
    assert {d.kind for d in told.decisions} <= {"rebalance", "wait"}


def test_a_shrinking_verdict_halves_what_is_sent_and_is_written_down():
    told = reversal({at(0, 60): verdict(Action.SHRINK, multiplier=0.5)})
    play(TAPE, told)
    first = next(d for d in told.decisions if d.gross)
    assert first.multiplier == 0.5
    assert lines(first)[A].weight == 0.5
    assert lines(first)[A].order == "27.777"


def test_a_guard_takes_its_verdict_back():
    told = reversal(
        {at(0, 60): verdict(Action.REDUCE_ONLY), at(1, 60): verdict(Action.NONE)},
    )
    play(TAPE, told)
    assert told.verdicts.strictest.action == Action.NONE
    assert D(lines(next(d for d in told.decisions if d.gross))[A].order) > 0


def test_an_order_that_still_waits_is_cancelled_before_the_next_decision():
    # B stops trading as its order waits for the next print: the order must not fill hours later.
    tape = {
        A: Candles(opens=[100, 100, 90, 90, 99, 99], closes=[100, 90, 90, 99, 99, 99]),
        B: Candles(opens=[100, 100, NAN, NAN, NAN, 99], closes=[100, 110, NAN, NAN, NAN, 99]),
        C: Candles(opens=[10, 10, 10, 10, 10, 10]),
    }
    told = reversal(instruments=(A, B, C))
    play(tape, told)
    assert all(event.instrument_id.value != B for event in told.events)
    assert {D(lines(d)[B].current) for d in told.decisions if B in lines(d)} == {D(0)}


def test_exits_leave_before_entries():
    sent = []

    class Sends(Heard):
        def send_market(self, instrument_id, quantity, reason):
            held = self.holding(instrument_id)
            sent.append((self.clock.timestamp_ns(), abs(held + quantity) > abs(held)))
            super().send_market(instrument_id, quantity, reason)

    random = np.random.default_rng(2)
    tape = {
        name: Candles(opens=np.round(50 * np.exp(random.normal(0, 0.1, 30).cumsum()), 2))
        for name in (A, B, C)
    }
    rules = {"interval": "1h", "every": "1h", "at": "00:05", "fraction": 0.4, "max_weight": 0.5}
    config = XSReversalConfig(key="rev", instruments=(A, B, C), **rules)
    play(tape, Sends(config))
    assert {entry for _, entry in sent} == {True, False}
    assert sent == sorted(sent)


def test_an_instrument_that_is_not_listed_yet_is_not_spoken_of():
    tape = dict(TAPE) | {C: Candles(opens=[NAN, NAN, NAN, 10, 11])}
    told = reversal(instruments=(A, B, C))
    play(tape, told)
    assert {C in lines(d) for d in told.decisions if d.data_ts < at(4)} == {False}
    newly = next(d for d in told.decisions if d.data_ts == at(4))
    assert lines(newly)[C].reason == "left out: not enough history for a score"


def test_spot_can_not_be_sold_short():
    told = reversal(instruments=(A, SPOT))
    with pytest.raises(ValueError, match="spot can't be sold short"):
        play({A: TAPE[A], SPOT: TAPE[B]}, told)


def test_only_the_builders_fields_are_closed_to_the_document():
    assert XSReversalConfig.desk_fields == {"key", "instruments", "settlement", "node", "claims"}
    assert DeskStrategy.Config.desk_fields == XSReversal.Config.desk_fields


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"interval": "7m"}, "interval"),
        ({"every": "1h", "at": "01:00"}, "at"),
        ({"fraction": 0.6}, "fraction"),
    ],
)
def test_parameters_that_do_not_go_together_are_named(params, field):
    config = XSReversalConfig(key="rev", instruments=(A,), **params)
    assert [name for name, _ in config.check()] == [field]


def test_parameters_that_go_together_pass():
    assert XSReversalConfig(key="rev", instruments=(A,)).check() == []
    long_only = {"side": "long_only", "fraction": 1.0}
    assert XSReversalConfig(key="rev", instruments=(A,), **long_only).check() == []
