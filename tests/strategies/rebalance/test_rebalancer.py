"""A reversal on hand-made hourly candles in the real engine."""

from decimal import Decimal as D

import numpy as np
import pytest

from strategies.base import DeskStrategy
from strategies.engine_class import engine_class
from strategies.messages import Action, Verdict
from strategies.signals.parameters import MajorsGate
from strategies.xs_reversal import XSReversal, XSReversalConfig
from tests.builders_engine import HOUR, SPOT, Candles, at, play, trading  # noqa: F401

A, B, C = "AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT", "CCCUSDT-LINEAR.BYBIT"
NAN = None


class Heard(engine_class(XSReversal)):
    """A reversal that keeps its decisions and does a plan's steps at their times.

    Without ``timer`` it decides only when a step makes it.
    """

    def __init__(self, config, plan=None, timer=True):
        super().__init__(config)
        self.decisions, self.events = [], []
        self._plan, self._timer = plan or {}, timer

    def on_start(self):
        super().on_start()
        if not self._timer:
            self.clock.cancel_timer("rebalance.rev")
        for ts in self._plan:
            self.clock.set_time_alert_ns(f"{ts}", ts, lambda e: self._plan[e.ts_event](self))

    def publish(self, decision):
        self.decisions.append(decision)
        super().publish(decision)

    def on_order_filled(self, event):
        self.events.append(event)


def reversal(plan=None, instruments=(A, B), timer=True, **params):
    rules = {"interval": "1h", "every": "1h", "at": "00:05", "fraction": 0.5, "max_weight": 0.5}
    config = XSReversalConfig(key="rev", instruments=instruments, **(rules | params))
    return Heard(config, plan, timer)


def verdict(action, scope="desk", guard="drawdown", reason="down 20 %", **more):
    """Return a step that publishes a verdict."""
    made = Verdict(action=action, scope=scope, guard=guard, reason=reason, **more)
    return lambda strategy: strategy.msgbus.publish(f"verdicts.{guard}", made)


def played(plan=None, tape=None, store=None, **params):
    """Return the reversal after it played a tape, `TAPE` by default."""
    strategy = reversal(plan, **params)
    if store is not None:
        strategy.attach_state(store)
    play(tape or TAPE, strategy)
    return strategy


def first_of(strategy, data_ts=None):
    """Return the first decision with weights, or the one on data of that time."""
    return next(
        d for d in strategy.decisions if (d.gross if data_ts is None else d.data_ts == data_ts)
    )


def lines(decision):
    return {target.instrument: target for target in decision.targets}


# A falls, then rises; B rises, then falls. Opens are the closes before.
TAPE = {
    A: Candles(opens=[100, 100, 90, 90, 99], closes=[100, 90, 90, 99, 99]),
    B: Candles(opens=[100, 100, 110, 110, 99], closes=[100, 110, 110, 99, 99]),
}


def test_it_buys_the_loser_and_sells_the_winner():
    strategy = played()
    first = first_of(strategy)
    # After the second candle, at 02:05: A fell 10 %, B rose 10 %.
    assert (first.ts, first.data_ts) == (at(2, 300), at(2))
    loser, winner = first.targets
    assert (loser.instrument, loser.score, loser.rank) == (A, pytest.approx(0.1), 1)
    assert (winner.instrument, winner.score, winner.rank) == (B, pytest.approx(-0.1), 2)
    # Half of 10,000 each: 5,000 / 90 and 5,000 / 110, rounded toward zero to 0.001.
    assert (loser.order, winner.order) == ("55.555", "-45.454")
    assert (first.equity, first.gross, first.net) == ("10000.00000000", 1.0, 0.0)
    # Orders fill strictly after what they saw.
    assert min(event.ts_event for event in strategy.events) > at(3)


def test_it_ignores_the_unfinished_candle():
    strategy = played()
    for decision in strategy.decisions:
        assert decision.data_ts == decision.ts // HOUR * HOUR
    # At 04:05 the fourth candle is the newest: A rose 10 %, B fell 10 %: they swap.
    fourth = next(d for d in strategy.decisions if d.ts == at(4, 300))
    assert fourth.data_ts == at(4)
    assert lines(fourth)[A].rank == 2
    # Equity counts open positions at the last close: in at the opens of the fourth candle, 55.555 A
    # at 90 and -45.454 B at 110; it closes at 99, 99.
    assert D(fourth.equity) == D(10_000) + D("55.555") * 9 + D("45.454") * 11


def test_a_decision_at_the_close_sees_the_candles_of_that_very_stamp():
    strategy = played(at="00:00")
    first = first_of(strategy)
    assert (first.ts, first.data_ts) == (at(2), at(2))
    assert lines(first)[A].score == pytest.approx(0.1)


def test_an_instrument_in_a_gap_leaves_and_its_position_is_closed():
    tape = {
        A: Candles(opens=[100, 100, 90, 90, 90, 99], closes=[100, 90, 90, 90, 99, 99]),
        B: Candles(opens=[100, 100, 110, 120, NAN, 99], closes=[100, 110, 120, 130, NAN, 99]),
        C: Candles(opens=[10, 10, 10, 10, 10, 10]),
    }
    strategy = played(instruments=(A, B, C), tape=tape)
    gap = first_of(strategy, at(5))
    line = lines(gap)[B]
    assert (line.price, line.rank, line.weight) == (None, None, 0.0)
    assert line.reason == "left out: no candle closed at the decision's data time"
    assert D(line.current) < 0
    assert (line.target, D(line.order)) == ("0.000", -D(line.current))


def test_without_any_new_candle_it_waits():
    silent = {A: Candles(opens=[100, 90, NAN, 80]), B: Candles(opens=[100, 110, NAN, 120])}
    quiet = first_of(played(tape=silent), at(3))
    assert (quiet.kind, quiet.note) == ("wait", "no candle has closed at the data time")
    assert all(D(target.order) == 0 for target in quiet.targets)


@pytest.mark.parametrize(("flatten", "kind"), [(True, "rebalance"), (False, "wait")])
def test_with_nothing_to_hold_it_flattens_or_keeps(flatten, kind):
    # Everyone falls below the lowest price that the document allows.
    tape = {
        A: Candles(opens=[100, 100, 90, 9, 9], closes=[100, 90, 9, 9, 9]),
        B: Candles(opens=[100, 100, 110, 9, 9], closes=[100, 110, 9, 9, 9]),
    }
    strategy = played(min_price=50, flatten_on_empty_targets=flatten, tape=tape)
    # The orders of 02:05 fill at 03:00; at 03:05 both have closed at 9.
    empty = first_of(strategy, at(3))
    assert empty.kind == kind
    assert lines(empty)[A].reason == "left out: price 9 is below 50"
    orders = {D(target.order) for target in empty.targets}
    assert (orders == {D(0)}) is not flatten


def test_a_shrinking_verdict_halves_what_is_sent_and_is_written_down():
    strategy = played({at(0, 60): verdict(Action.SHRINK, multiplier=0.5)})
    first = first_of(strategy)
    assert first.multiplier == 0.5
    assert lines(first)[A].weight == 0.5
    assert lines(first)[A].order == "27.777"


def test_an_order_that_still_waits_is_cancelled_before_the_next_decision():
    # B stops trading as its order waits for the next print: the order must not fill hours later.
    tape = {
        A: Candles(opens=[100, 100, 90, 90, 99, 99], closes=[100, 90, 90, 99, 99, 99]),
        B: Candles(opens=[100, 100, NAN, NAN, NAN, 99], closes=[100, 110, NAN, NAN, NAN, 99]),
        C: Candles(opens=[10, 10, 10, 10, 10, 10]),
    }
    strategy = played(instruments=(A, B, C), tape=tape)
    assert all(event.instrument_id.value != B for event in strategy.events)
    assert {D(lines(d)[B].current) for d in strategy.decisions if B in lines(d)} == {D(0)}


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
    play(tape, Sends(reversal(instruments=(A, B, C), fraction=0.4).config))
    assert {entry for _, entry in sent} == {True, False}
    assert sent == sorted(sent)


def test_a_decision_leaves_out_an_instrument_that_is_not_listed_yet():
    tape = dict(TAPE) | {C: Candles(opens=[NAN, NAN, NAN, 10, 11])}
    strategy = played(instruments=(A, B, C), tape=tape)
    assert {C in lines(d) for d in strategy.decisions if d.data_ts < at(4)} == {False}
    newly = first_of(strategy, at(4))
    assert (
        lines(newly)[C].reason
        == "left out: no score: too little history, or the strategy gives none"
    )


def test_spot_can_not_be_sold_short():
    strategy = reversal(instruments=(A, SPOT))
    with pytest.raises(ValueError, match="spot can't be sold short"):
        play({A: TAPE[A], SPOT: TAPE[B]}, strategy)


def test_majors_that_are_not_there_are_named_at_the_start():
    with pytest.raises(ValueError, match="BYBIT must be among its instruments"):
        played(majors_gate=MajorsGate(instruments=(A, "BTCUSDT-LINEAR.BYBIT")))


def test_only_the_builders_fields_are_closed_to_the_document():
    assert XSReversalConfig.desk_fields == {"key", "instruments", "settlement", "node", "claims"}
    assert DeskStrategy.Config.desk_fields == XSReversal.Config.desk_fields


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({"every": "1h", "at": "01:00"}, ["at"]),
        ({"fraction": 0.6}, ["fraction"]),
        ({}, []),
        ({"side": "long_only", "fraction": 1.0}, []),
    ],
)
def test_parameters_that_do_not_go_together_are_named(params, fields):
    config = XSReversalConfig(key="rev", instruments=(A,), **params)
    assert [name for name, _ in config.check()] == fields
