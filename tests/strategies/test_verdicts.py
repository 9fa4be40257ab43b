"""Which verdicts stand: no engine."""

import pytest
from nautilus_trader.common.component import MessageBus, TestClock
from nautilus_trader.model.identifiers import TraderId

from strategies.messages import Action, Verdict, passes, refused_by
from strategies.verdicts import FIRST, VerdictBoard, board_of, halted_for_now

DESK = ("desk", "strategy:rev")


def halt(guard="drawdown", scope="desk", **more):
    return Verdict(action=Action.HALT_ENTRIES, scope=scope, guard=guard, **more)


def test_nothing_stands_before_anyone_spoke():
    assert VerdictBoard().strictest(DESK).action == Action.NONE


def test_the_strictest_of_several_guards_stands_until_it_is_taken_back():
    board = VerdictBoard()
    board.observe(halt())
    board.observe(Verdict(action=Action.FLATTEN, guard="volatility"))
    assert board.strictest(DESK).action == Action.FLATTEN
    board.observe(Verdict(action=Action.NONE, guard="volatility"))
    assert board.strictest(DESK) == halt()


def test_a_guards_newest_word_replaces_its_earlier_one_on_the_same_scope_alone():
    board = VerdictBoard()
    board.observe(Verdict(action=Action.FLATTEN, guard="drawdown"))
    board.observe(halt(scope="strategy:rev"))
    assert board.strictest(DESK).action == Action.FLATTEN
    board.observe(halt())
    assert board.strictest(DESK).action == Action.HALT_ENTRIES


def test_a_verdict_on_another_strategy_or_instrument_is_not_ours():
    board = VerdictBoard()
    board.observe(halt(scope="strategy:other"))
    board.observe(halt(scope="instrument:A"))
    assert board.strictest(DESK).action == Action.NONE
    assert board.strictest((*DESK, "instrument:A")).action == Action.HALT_ENTRIES


def test_no_time_ends_a_verdict_but_only_its_guard():
    board = VerdictBoard()
    board.observe(halt(until=0))
    assert board.standing() == board.on(DESK) == [halt(until=0)]
    board.observe(Verdict(action=Action.NONE, guard="drawdown"))
    assert board.standing() == []


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


def test_the_board_says_what_a_verdict_replaced():
    board = VerdictBoard()
    first, second = halt(reason="4 % lost"), Verdict(action=Action.FLATTEN, guard="drawdown")
    over = Verdict(action=Action.NONE, guard="drawdown")
    found = []
    for verdict in (first, second, over, over):
        board.observe(verdict)
        found.append(board.before(verdict))
    assert found == [None, first, second, None]
    assert board.before(halt(guard="other")) is None


def test_a_bus_has_one_board_which_observes_before_anyone_else():
    bus = MessageBus(TraderId("DESK-001"), TestClock())
    seen = []
    bus.subscribe("verdicts.*", lambda verdict: seen.append(board_of(bus).standing()), FIRST)
    board = board_of(bus)
    bus.publish("verdicts.drawdown", halt())
    assert board_of(bus) is board
    assert seen == [[halt()]]
