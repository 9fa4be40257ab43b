"""Which verdicts are in force: no engine."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.common.component import MessageBus, TestClock
from nautilus_trader.model.identifiers import TraderId

from strategies.messages import Action, Verdict, encode
from strategies.refusals import Code, Refusal, as_reason, readable, refusal_of
from strategies.verdicts import FIRST, VerdictBoard, board_of, halted_for_now

DESK = ("desk", "strategy:rev")


def halt(guard="drawdown", scope="desk", **more):
    return Verdict(action=Action.HALT_ENTRIES, scope=scope, guard=guard, **more)


FLATTEN = Verdict(action=Action.FLATTEN, guard="drawdown")
OTHER = Verdict(action=Action.FLATTEN, guard="volatility")


@pytest.mark.parametrize(
    ("verdicts", "scopes", "strictest"),
    [
        ([], DESK, Action.NONE),
        ([halt(), OTHER], DESK, Action.FLATTEN),
        (
            [halt(), OTHER, Verdict(action=Action.NONE, guard="volatility")],
            DESK,
            Action.HALT_ENTRIES,
        ),
        # A guard's newest verdict replaces its earlier one on the same scope alone.
        ([FLATTEN, halt(scope="strategy:rev")], DESK, Action.FLATTEN),
        ([FLATTEN, halt()], DESK, Action.HALT_ENTRIES),
        # Those of other strategies and instruments don't count.
        ([halt(scope="strategy:other"), halt(scope="instrument:A")], DESK, Action.NONE),
        ([halt(scope="instrument:A")], (*DESK, "instrument:A"), Action.HALT_ENTRIES),
    ],
)
def test_the_strictest_verdict_of_a_scope_is_in_force(verdicts, scopes, strictest):
    board = VerdictBoard()
    for verdict in verdicts:
        board.observe(verdict)
    assert board.strictest(scopes).action == strictest


def test_no_time_ends_a_verdict_but_only_its_guard():
    board = VerdictBoard()
    board.observe(halt(until=0))
    assert board.standing() == board.on(DESK) == [halt(until=0)]
    board.observe(Verdict(action=Action.NONE, guard="drawdown"))
    assert board.standing() == []


@pytest.mark.parametrize(
    ("verdict", "for_now"),
    [
        (halt(guard="node.links"), False),
        (halt(guard="drawdown"), False),
        (halt(guard="funding", transient=True), True),
        (Verdict(action=Action.SHRINK, guard="spread", transient=True), False),
    ],
)
def test_only_a_halt_that_says_so_is_transient(verdict, for_now):
    assert halted_for_now([Verdict(action=Action.NONE), verdict]) is for_now


def test_a_verdict_keeps_its_name_in_journals_of_earlier_versions():
    old = b'{"action":2,"guard":"funding","passing":true}'
    assert msgspec.json.decode(old, type=Verdict) == halt(guard="funding", transient=True)
    assert b'"passing":true' in encode(halt(guard="funding", transient=True))


REFUSALS = st.builds(
    Refusal,
    code=st.sampled_from(get_args(Code)),
    text=st.text(),
    guard=st.from_regex(r"[a-z0-9.]{0,12}", fullmatch=True),
    transient=st.booleans(),
)


@given(REFUSALS)
def test_a_refusal_comes_back_from_an_events_reason(refusal):
    assert refusal_of(as_reason(refusal)) == refusal
    assert readable(as_reason(refusal)) == refusal.words


@pytest.mark.parametrize(
    ("reason", "how", "code"),
    [
        ("UNKNOWN", {}, "no_answer"),
        ("insufficient balance", {}, "venue"),
        ("[made up] by the venue", {}, "venue"),
        ("[unheard guard=x transient] of", {}, "venue"),
        # Words promise nothing.
        ("order gate: halt_entries for now by funding: soon", {}, "venue"),
        ("POST_ONLY LIMIT BUY order would have been a TAKER", {"post_only": True}, "post_only"),
        ("Exceeded MAX_ORDER_SUBMIT_RATE", {"denied": True}, "engine"),
    ],
)
def test_what_has_no_header_is_the_engines_or_the_venues(reason, how, code):
    assert refusal_of(reason, **how) == Refusal(code=code, text=reason)
    assert readable(reason) == reason


def test_the_board_keeps_what_a_verdict_replaced():
    board, found = VerdictBoard(), []
    first, over = halt(reason="4 % lost"), Verdict(action=Action.NONE, guard="drawdown")
    for verdict in (first, FLATTEN, over, over):
        board.observe(verdict)
        found.append(board.before(verdict))
    assert found == [None, first, FLATTEN, None]
    assert board.before(halt(guard="other")) is None


def test_a_bus_has_one_board_which_observes_before_anyone_else():
    bus = MessageBus(TraderId("DESK-001"), TestClock())
    seen = []
    bus.subscribe("verdicts.*", lambda verdict: seen.append(board_of(bus).standing()), FIRST)
    board = board_of(bus)
    bus.publish("verdicts.drawdown", halt())
    assert board_of(bus) is board
    assert seen == [[halt()]]
