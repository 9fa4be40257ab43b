"""Which of the guards' words stand: no engine."""

import pytest

from strategies.messages import Action, Verdict, passes, refused_by
from strategies.verdicts import Verdicts, halted_for_now

DESK = ("desk", "strategy:rev")


def halt(guard="drawdown", scope="desk", **more):
    return Verdict(action=Action.HALT_ENTRIES, scope=scope, guard=guard, **more)


def test_nothing_stands_before_anyone_spoke():
    assert Verdicts().strictest(DESK).action == Action.NONE


def test_the_strictest_of_several_guards_stands_until_it_is_taken_back():
    heard = Verdicts()
    heard.hear(halt())
    heard.hear(Verdict(action=Action.FLATTEN, guard="volatility"))
    assert heard.strictest(DESK).action == Action.FLATTEN
    heard.hear(Verdict(action=Action.NONE, guard="volatility"))
    assert heard.strictest(DESK) == halt()


def test_a_guards_newest_word_replaces_its_earlier_one_on_the_same_scope_alone():
    heard = Verdicts()
    heard.hear(Verdict(action=Action.FLATTEN, guard="drawdown"))
    heard.hear(halt(scope="strategy:rev"))
    assert heard.strictest(DESK).action == Action.FLATTEN
    heard.hear(halt())
    assert heard.strictest(DESK).action == Action.HALT_ENTRIES


def test_a_word_on_another_strategy_or_instrument_is_not_ours():
    heard = Verdicts()
    heard.hear(halt(scope="strategy:other"))
    heard.hear(halt(scope="instrument:A"))
    assert heard.strictest(DESK).action == Action.NONE
    assert heard.strictest((*DESK, "instrument:A")).action == Action.HALT_ENTRIES


def test_no_time_ends_a_verdict_but_only_its_guard():
    heard = Verdicts()
    heard.hear(halt(until=0))
    assert heard.standing() == heard.on(DESK) == [halt(until=0)]
    heard.hear(Verdict(action=Action.NONE, guard="drawdown"))
    assert heard.standing() == []


@pytest.mark.parametrize(
    ("verdict", "for_now"),
    [
        (halt(guard="node.links"), True),
        (halt(guard="drawdown"), False),
        (halt(guard="funding", passing=True), True),
        (Verdict(action=Action.SHRINK, guard="spread", passing=True), False),
        (Verdict(action=Action.SHRINK, multiplier=0.5, guard="node.links"), False),
    ],
)
def test_only_a_halt_that_says_so_or_is_of_the_node_itself_passes(verdict, for_now):
    assert halted_for_now([Verdict(action=Action.NONE), verdict]) is for_now


@pytest.mark.parametrize(
    ("verdict", "again"),
    [
        (halt(guard="node.feed", reason="silent"), True),
        (halt(guard="funding", reason="settles in 2 min", passing=True), True),
        (halt(guard="funding", reason="settles in 2 min"), False),
        # Words of a reason are the guard's own and promise nothing.
        (halt(guard="drawdown", reason="stays out for now by choice"), False),
        (halt(guard="drawdown", reason="stays: out for now by choice"), False),
    ],
)
def test_a_refusal_says_whether_it_may_be_tried_again(verdict, again):
    assert passes(f"order gate: {refused_by(verdict)}") is again
