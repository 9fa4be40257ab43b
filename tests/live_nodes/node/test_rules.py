"""Rules of a node without a node: gates, watch, outcome of a run, stops, alerts, funding times."""

from __future__ import annotations

import time
from decimal import Decimal as D
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from nautilus_trader.cache.cache import Cache
from nautilus_trader.model.data import MarkPriceUpdate
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price

from actors.closing.facts import ClosingState
from config.documents import Expected, Fees, Node
from config.errors import DeskError, GateRefused
from live_nodes.bybit.facts import FeeRate
from live_nodes.local.alert_pacing import Level
from live_nodes.node.feed import FeedLag, MarketReader, NodeFeed, NodeFeedConfig
from live_nodes.node.preflight import (
    account_mode_gate,
    balance_gate,
    clock_gate,
    fees_gate,
    held_gate,
    leverage_gate,
    leverage_needed,
    links_gate,
    orders_gate,
    permission_gate,
    positions_gate,
    refuse,
)
from live_nodes.node.report import Miss, RunReport, missed_since, misses, outcome_line, raise_left
from live_nodes.node.risk import NodeRisk
from live_nodes.node.risk_alerts import RiskAlerts
from live_nodes.node.watch_rules import (
    BookCrossings,
    BookLosses,
    FeedSilences,
    clock_verdict,
    feed_verdicts,
    link_verdict,
    position_verdicts,
    sweep_verdict,
    verdict_changes,
)
from live_nodes.reconcile.sweep import FindingKind, SweepFinding
from strategies.messages import Action, Decision, Target, Verdict
from strategies.verdicts import VerdictBoard
from tests.builders_engine import info as instrument_info
from tests.catalog.market import told
from tests.live_nodes.venue_by_hand import BTC, ETH, SECOND


@pytest.mark.parametrize(
    ("skew", "round_trip", "opens"),
    [
        (0.0, 0.1, True),
        (0.9, 0.1, True),
        (-0.96, 0.1, False),  # Half the round trip counts against it: 0.96 + 0.05 > 1.
        (1.2, 0.0, False),
        (0.1, 2.0, False),  # A way so long that nobody knows.
    ],
)
def test_the_clock_may_be_off_by_the_limit_and_no_more(
    skew: float, round_trip: float, opens: bool
) -> None:
    assert (clock_gate(skew, round_trip, 1.0) == []) is opens


def test_a_late_clock_is_not_called_early() -> None:
    for skew, word in ((3.0, "late"), (-3.0, "early")):
        (found,) = clock_gate(skew, 0.0, 1.0)
        assert f"3.000 s {word}" in found.measured
        assert "set the clock" in str(found)


@pytest.mark.parametrize(
    ("permissions", "products", "lacking"),
    [
        ({"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"]}, ["LINEAR", "SPOT"], 0),
        ({"ContractTrade": ["Order", "Position"]}, ["LINEAR"], 0),
        ({"ContractTrade": ["Order"]}, ["LINEAR"], 1),
        ({"ContractTrade": ["Order", "Position"]}, ["LINEAR", "SPOT"], 1),
        ({}, ["LINEAR"], 1),
    ],
)
def test_a_key_must_be_allowed_to_trade_each_product(
    permissions: dict[str, list[str]], products: list[str], lacking: int
) -> None:
    answer = {"readOnly": 0, "permissions": permissions}
    assert len(permission_gate(answer, products)) == lacking
    assert len(permission_gate(answer | {"readOnly": 1}, products)) == lacking + 1


FEES = Fees(maker=D("0.0002"), taker=D("0.00055"))


@pytest.mark.parametrize(
    ("maker", "taker", "opens"),
    [
        ("0.0002", "0.00055", True),
        ("0.0001", "0.0005", True),  # A better tier than was tested with.
        ("0.0003", "0.00055", False),
        ("0.0002", "0.00056", False),
    ],
)
def test_fees_may_be_lower_than_tested_and_not_higher(maker: str, taker: str, opens: bool) -> None:
    rates = {"LINEAR": {"BTCUSDT-LINEAR.BYBIT": FeeRate(D(maker), D(taker))}}
    assert (fees_gate({"LINEAR": FEES}, rates) == []) is opens
    assert fees_gate({"LINEAR": None}, rates) == []


def test_margin_and_position_mode_must_be_as_written() -> None:
    expected = Expected()
    assert account_mode_gate(expected, "cross", {"A": "one_way"}) == []
    assert account_mode_gate(expected, "cross", {}) == []
    (margin,) = account_mode_gate(expected, "isolated", {"A": "one_way"})
    assert (margin.measured, margin.limit) == ("isolated", "cross")
    (mode,) = account_mode_gate(expected, "cross", {"A": "one_way", "B": "hedge"})
    assert (mode.gate, mode.measured) == ("position mode", "B hedge")
    assert account_mode_gate(Expected(margin_mode=None), "portfolio", {"A": "one_way"}) == []


@pytest.mark.parametrize(
    ("params", "limit", "needed"),
    [
        ({"gross_leverage": 2.7}, 5, "2.84"),  # 2.7 x 1.05 = 2.835
        ({"gross_leverage": 4, "allocation": 0.5}, 5, "2.10"),
        ({"gross_leverage": 4}, 3, "3.15"),  # The order gate holds to three times equity.
        ({"gross_leverage": 0.5}, 5, "1"),
    ],
)
def test_leverage_must_carry_what_the_strategies_may_hold(
    params: dict[str, float], limit: int, needed: str
) -> None:
    reversal = {"use": "strategies.xs_reversal:XSReversal", "params": params}
    node = Node.model_validate(
        {
            "name": "n", "environment": "practice", "tag": "n", "account": {"name": "main"},
            "strategies": {"r": reversal}, "limits": {"leverage": limit},
        }
    )  # fmt: skip
    assert leverage_needed(node) == D(needed)


def test_a_leverage_too_low_is_named_with_the_right_one() -> None:
    most = dict.fromkeys("ABCD", D(25)) | {"D": D(2)}
    enough = {"A": D(3), "B": D("2.84"), "C": D(0)}
    assert leverage_gate(D("2.84"), enough, most) == []
    (failure,) = leverage_gate(D("2.84"), enough | {"B": D(1), "D": D(2)}, most)
    assert failure.measured == "B 1; D 2 (the venue's most is 2)"
    assert failure.limit.startswith("at least 2.84")
    assert "account.leverage: set" in failure.remedy


def test_an_order_that_only_one_side_knows_keeps_the_gate_shut() -> None:
    assert orders_gate({"a": D(1)}, {"a": D(1)}) == []
    (lost,) = orders_gate({"a": D(1), "b": D(2)}, {"a": D(1)})
    assert "b: 2 at the venue, none here" in lost.measured
    (other,) = orders_gate({"a": D(1)}, {"a": D("0.5")})
    assert "a: 1 at the venue, 0.5 here" in other.measured


def test_positions_are_compared_net_and_flat_ones_need_no_row() -> None:
    assert positions_gate({"X": D("1.50")}, {"X": D("1.5"), "Y": D(0)}) == []
    (found,) = positions_gate({"X": D(1)}, {"X": D(-1)})
    assert "X: 1 at the venue, -1 here" in found.measured


def test_a_position_that_the_books_can_not_have_is_named_but_no_dated_future_of_others() -> None:
    btc, coin = told(), "ETHUSDT-LINEAR.BYBIT"
    positions = {"BTCUSDT-25DEC26-LINEAR.BYBIT": D(1), coin: D(2), btc.id: D("0.00001")}
    (found,) = held_gate(positions, {btc.id: btc})
    assert f"{coin} 2, and it takes no new positions" in found.measured
    assert f"{btc.id} 0.00001, no whole number of its lots" in found.measured
    assert "25DEC26" not in found.measured


def test_many_differences_are_shown_in_part() -> None:
    (found,) = positions_gate({name: D(1) for name in "abcde"}, {})
    assert found.measured.endswith("and 2 more")


@pytest.mark.parametrize(("books", "opens"), [("100.01", True), ("100.011", False), (None, False)])
def test_the_balance_may_differ_by_the_tolerance(books: str | None, opens: bool) -> None:
    here = None if books is None else D(books)
    assert (balance_gate(D(100), here, D("0.01")) == []) is opens


def test_a_refusal_names_every_failure() -> None:
    refuse("mine", [])
    failures = [*links_gate({"trade": "not connected"}), *clock_gate(9.0, 0.0, 1.0)]
    with pytest.raises(GateRefused) as refused:
        refuse("mine", failures)
    text = str(refused.value)
    assert "mine: gate links: trade: not connected" in text
    assert "mine: gate clock: " in text


SPOT = "BTCUSDT-SPOT.BYBIT"


def test_a_book_that_stays_crossed_is_fetched_anew_and_again_where_that_did_not_help() -> None:
    crossings = BookCrossings()
    assert crossings.lasting([BTC], 10 * SECOND) == []
    # It was whole for a moment: the time counts from the beginning.
    assert crossings.lasting([], 10 * SECOND + SECOND // 2) == []
    assert crossings.lasting([BTC], 11 * SECOND) == []
    assert crossings.lasting([BTC], 12 * SECOND) == [BTC]
    assert crossings.lasting([BTC], 12 * SECOND + SECOND // 4) == []
    assert crossings.lasting([BTC], 13 * SECOND) == [BTC]


def test_a_book_that_lost_a_message_is_fetched_at_once_and_then_ever_more_seldom() -> None:
    losses, now = BookLosses(), 100 * SECOND
    for update in (7, 8, 9):
        losses.see(BTC, update, whole=False)
    assert losses.due(now) == []
    losses.see(BTC, 11, whole=False)
    assert losses.due(now) == [BTC]
    assert losses.due(now + 59 * SECOND) == []
    losses.see(BTC, 20, whole=True)
    assert losses.due(now + 60 * SECOND) == []
    losses.see(BTC, 22, whole=False)
    assert losses.due(now + 60 * SECOND) == [BTC]
    # Ids that begin anew, or are none, are no loss; the pause has doubled.
    for update in (1, 2, 0, 5):
        losses.see(SPOT, update, whole=False)
    assert losses.due(now + 179 * SECOND) == []
    assert losses.due(now + 180 * SECOND) == [BTC]
    # It doubles up to an hour.
    later = [now + hours * 3600 * SECOND for hours in range(1, 9)]
    assert [losses.due(moment) for moment in later] == [[BTC]] * 8


def test_entries_halt_while_a_link_of_the_account_is_down() -> None:
    assert link_verdict({"private": True, "trade": True}) is None
    halt = link_verdict({"private": True, "trade": False})
    assert (halt.action, halt.scope, halt.guard) == (Action.HALT_ENTRIES, "desk", "node.links")
    assert halt.reason == "trade link down"
    assert halt.transient
    both = link_verdict({"private": False, "trade": False})
    assert both.reason == "private and trade link down"


def test_the_clock_may_be_off_by_the_limit_and_no_more_either_way() -> None:
    for skew in (0.0, 1.0, -1.0):
        assert clock_verdict(skew, 1.0) is None
    for skew in (1.001, -1.001):
        halt = clock_verdict(skew, 1.0)
        assert (halt.measured, halt.limit) == (1.001, 1.0)


def test_sweeps_may_fail_a_few_times() -> None:
    assert sweep_verdict(2, 3, "no answer") is None
    halt = sweep_verdict(3, 3, "no answer")
    assert "no answer" in halt.reason


def test_an_instrument_nobody_explains_halts_alone_and_once() -> None:
    findings = [
        SweepFinding(FindingKind.POSITION_DIFFERS, "a", BTC, "the venue holds 1, our books hold 0"),
        SweepFinding(FindingKind.EXTERNAL_POSITION, "b", BTC, "the venue holds 1, our orders 0"),
        SweepFinding(FindingKind.EXTERNAL_POSITION, "c", ETH, "the venue holds 2, our orders 0"),
    ]
    halts = position_verdicts(findings)
    assert [halt.scope for halt in halts] == [f"instrument:{BTC}", f"instrument:{ETH}"]
    assert not any(halt.transient for halt in halts)
    assert halts[0].reason == "the venue holds 1, our books hold 0"


def test_a_verdict_is_published_when_it_begins_and_when_it_ends() -> None:
    halt: Any = clock_verdict(2.0, 1.0)
    moved: Any = clock_verdict(3.0, 1.0)
    of_a_guard = Verdict(action=Action.FLATTEN, guard="daily", scope="desk")
    assert verdict_changes([of_a_guard], []) == []
    assert verdict_changes([of_a_guard], [halt]) == [halt]
    assert verdict_changes([halt], [moved]) == []
    # One cause that ends leaves the other standing.
    link: Any = link_verdict({"trade": False})
    assert verdict_changes([], [link, halt]) == [link, halt]
    (over,) = verdict_changes([of_a_guard, link, halt], [link])
    assert (over.action, over.guard, over.scope) == (Action.NONE, "node.clock", "desk")
    both: Any = link_verdict({"trade": False, "private": False})
    assert verdict_changes([link], [both]) == [both]
    assert both.reason == "private and trade link down"


def test_silence_counts_from_the_newest_data() -> None:
    feeds = FeedSilences([BTC, ETH], 30.0, now_ns=0)
    feeds.note(BTC, 10 * SECOND)
    feeds.note(BTC, 5 * SECOND)
    assert feeds.silent(30 * SECOND - 1) == {}
    assert feeds.silent(30 * SECOND) == {ETH: 30.0}
    assert feeds.silent(40 * SECOND) == {BTC: 30.0, ETH: 40.0}
    (halt, _) = feed_verdicts(feeds.silent(40 * SECOND), 30.0)
    assert halt.scope == f"instrument:{BTC}"


def test_a_silent_link_is_connected_anew_and_then_given_time() -> None:
    feeds = FeedSilences([BTC, ETH, SPOT], 30.0, now_ns=0)
    feeds.note(SPOT, 20 * SECOND)
    assert feeds.to_renew(29 * SECOND) == []
    assert feeds.to_renew(30 * SECOND) == ["public linear"]
    assert feeds.to_renew(31 * SECOND) == []
    assert feeds.to_renew(50 * SECOND) == ["public spot"]
    assert feeds.to_renew(60 * SECOND) == ["public linear"]
    feeds.note(BTC, 61 * SECOND)
    feeds.note(ETH, 61 * SECOND)
    # It took two tries, so that what brought it back is not known: once more, for the whole book.
    assert feeds.to_renew(62 * SECOND) == ["public linear"]
    assert feeds.to_renew(79 * SECOND) == []
    assert feeds.to_renew(80 * SECOND) == ["public spot"]


def test_a_feed_that_speaks_again_by_itself_is_subscribed_to_anew_for_the_whole_book() -> None:
    feeds = FeedSilences([BTC], 30.0, now_ns=0)
    assert feeds.to_renew(30 * SECOND) == ["public linear"]
    # Nothing came with the new subscription; ten seconds later changes of the book come again.
    feeds.note(BTC, 40 * SECOND)
    assert feeds.to_renew(40 * SECOND) == ["public linear"]
    feeds.note(BTC, 41 * SECOND)
    assert feeds.to_renew(41 * SECOND) == []


def test_a_feed_that_a_new_subscription_did_not_bring_back_is_subscribed_to_once_more() -> None:
    feeds = FeedSilences([BTC], 30.0, now_ns=0)
    assert feeds.to_renew(30 * SECOND) == ["public linear"]
    assert feeds.to_renew(60 * SECOND) == ["public linear"]
    # It speaks within a moment of the second try, which the first shows to be chance.
    feeds.note(BTC, 60 * SECOND + SECOND // 2)
    assert feeds.to_renew(61 * SECOND) == ["public linear"]
    feeds.note(BTC, 62 * SECOND)
    assert feeds.to_renew(62 * SECOND) == []


A, B, C = "A-LINEAR.BYBIT", "B-LINEAR.BYBIT", "C-LINEAR.BYBIT"


def decision(*targets: Target) -> Decision:
    return Decision(
        strategy="rev", ts=1, data_ts=0, kind="rebalance", equity="100", targets=targets
    )


@pytest.mark.parametrize(
    ("target", "order", "held", "missed"),
    [
        ("10", "10", "10", False),
        ("10", "10", "4", True),
        ("-10", "-10", "0", True),
        # Less than the smallest order (2) apart: nothing could be sent for it.
        ("10", "10", "9", False),
        # A position that should be gone is one, however small.
        ("0", "-10", "1", True),
        # No order was wanted: what others did is not this decision's.
        ("10", "0", "4", False),
    ],
)
def test_a_position_is_missed_when_another_order_could_mend_it(
    target: str, order: str, held: str, missed: bool
) -> None:
    wanted = decision(Target(instrument=A, target=target, order=order))
    found = misses(wanted, {A: D(held)}, lambda name: D(2), {}, {})
    assert bool(found) is missed


@pytest.mark.parametrize(("held", "missed"), [("99.8", False), ("99.79", True), ("100.1", True)])
def test_a_fee_that_was_paid_in_coins_is_no_miss(held: str, missed: bool) -> None:
    """Up to 0.2 % and less than the smallest order; more than was wanted is another matter."""
    name = "AUSDT-SPOT.BYBIT"
    wanted = decision(Target(instrument=name, target="100", order="100"))
    found = misses(wanted, {name: D(held)}, lambda name: D("0.01"), {}, {name: D(100)})
    assert bool(found) is missed


def test_an_addition_to_coins_that_did_not_fill_is_missed_however_small() -> None:
    """1.623 held, 1.627 wanted: 0.004 is near 0.2 % of all that is held, but nothing was bought."""
    name = "AUSDT-SPOT.BYBIT"
    wanted = decision(Target(instrument=name, current="1.623", target="1.627", order="0.004"))
    (miss,) = misses(wanted, {name: D("1.623")}, lambda name: D("0.001"), {}, {})
    assert str(miss) == f"{name} holds 1.623, wanted 1.627"


def test_an_entry_that_a_halt_holds_back_is_missed() -> None:
    why = "halt_entries by loss: 3 % lost"
    held_back = Target(instrument=A, wanted="10", held_back_by="loss", reason=why)
    found = misses(decision(held_back), {}, lambda name: D(2), {}, {})
    assert [str(miss) for miss in found] == [f"{A} holds 0, wanted 10 ({why})"]
    assert outcome_line(decision(held_back), found) == (
        f"rev: rebalance carried out, 0 of 1 position where wanted; {found[0]}; loss holds back 1"
    )


def test_a_flatten_reaches_no_target_of_the_rebalance_before_it() -> None:
    """Or `--run-once` would end with 0 where a guard closed all that it was to open."""
    before, stuck = [Miss(A, D(10), D(0), "flatten"), Miss(B, D(3), D(0))], Miss(B, D(0), D(1))
    closing = decision(Target(instrument=B, target="0", order="-1"))
    assert missed_since(before, closing, []) == []
    closing = msgspec.structs.replace(closing, kind="flatten")
    assert missed_since(before, closing, []) == before
    assert missed_since(before, closing, [stuck]) == [before[0], stuck]


def test_the_line_names_what_is_missing_and_why() -> None:
    wanted = decision(
        Target(instrument=A, target="10", order="10"),
        Target(instrument=B, target="-3", order="-3"),
        Target(instrument=C),
    )
    found = misses(wanted, {B: D(-3)}, lambda name: D(1), {A: "ab not enough for new order"}, {})
    assert outcome_line(wanted, found) == (
        "rev: rebalance carried out, 1 of 2 positions where wanted; "
        "A-LINEAR.BYBIT holds 0, wanted 10 (ab not enough for new order)"
    )


def test_the_result_of_a_decision_says_what_guards_hold_back() -> None:
    wanted = decision(*[Target(instrument=name, held_back_by="mismatch") for name in (A, B)])
    assert outcome_line(wanted, []) == (
        "rev: rebalance carried out, 0 of 0 positions where wanted; mismatch holds back 2"
    )


def test_a_run_that_did_not_do_what_it_was_to_fails_the_command() -> None:
    raise_left(RunReport(outcome="ran once"))
    with pytest.raises(DeskError, match="not where the decision wanted it: A holds 0, wanted 1"):
        raise_left(RunReport(outcome="ran once", missed=["A holds 0, wanted 1"]))
    with pytest.raises(DeskError, match=r"A holds 0, wanted 1 \(--force decides again\)"):
        raise_left(RunReport(outcome="nothing due", missed=["A holds 0, wanted 1"]))
    with pytest.raises(DeskError, match="nothing was decided: no candle"):
        raise_left(RunReport(outcome="waits", reason="no candle has closed at the data time"))
    with pytest.raises(DeskError, match="after the stop: order x is still open"):
        raise_left(RunReport(left=["order x is still open"]))
    # A node that was stopped in between goes on at the next start.
    raise_left(RunReport(outcome="stopped", missed=["A holds 0, wanted 1"]))
    with pytest.raises(DeskError, match=r"by SIGTERM .* next start continues: A holds 0, wanted 1"):
        raise_left(
            RunReport(outcome="interrupted", reason="SIGTERM", missed=["A holds 0, wanted 1"])
        )
    with pytest.raises(DeskError, match=r"stopped by SIGTERM before its work was done$"):
        raise_left(RunReport(outcome="interrupted", reason="SIGTERM"))


@pytest.mark.parametrize(
    ("said", "memory", "closing"),
    [
        ((), ClosingState(), False),
        ((("desk", Action.HALT_ENTRIES),), ClosingState(halts={"desk": 1}), False),
        # Said, and the closer has not looked yet.
        ((("desk", Action.FLATTEN),), ClosingState(), True),
        ((("desk", Action.FLATTEN),), ClosingState(flatten={"desk": 1}), True),
        ((("desk", Action.FLATTEN),), ClosingState(flatten={"desk": 1}, flat=True), False),
        (
            (("desk", Action.FLATTEN), ("strategy:a", Action.FLATTEN)),
            ClosingState(flatten={"desk": 1}, flat=True),
            True,
        ),
        # Taken back, and the closer has not looked yet.
        ((), ClosingState(flatten={"desk": 1}), False),
    ],
)
def test_a_stop_waits_for_a_flatten_that_stands_and_is_not_done(
    said: tuple[tuple[str, Action], ...], memory: ClosingState, closing: bool
) -> None:
    board = VerdictBoard()
    for scope, action in said:
        board.observe(Verdict(action=action, scope=scope, guard="g"))
    closing_is: Any = NodeRisk.closing
    closer = SimpleNamespace(memory=memory)
    node = SimpleNamespace(closer=closer, desk=SimpleNamespace(verdicts=board))
    assert closing_is.fget(node) is closing
    node.closer = None
    assert closing_is.fget(node) is False


class Person:
    def __init__(self) -> None:
        self.alerts: list[tuple[str, str, str]] = []
        self.standing: list[str] = []
        self.notes: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.board = VerdictBoard()
        self.made = RiskAlerts(
            self.board, self.tell, lambda *note: self.notes.append(note), self.said.append
        )

    def tell(
        self, text: str, level: Level, kind: str, *, about: str = "", over: bool = False
    ) -> None:
        self.alerts.append((level, kind, text))
        if about:
            self.standing.append(f"{'-' if over else '+'} {about}")

    def verdict(self, action: Action, guard: str = "daily", **more: Any) -> None:
        self.on(Verdict(action=action, guard=guard, **more))

    def on(self, verdict: Verdict) -> None:
        self.board.observe(verdict)
        self.made.on_verdict(verdict)


def test_an_alert_is_sent_when_a_halt_begins_gets_stricter_and_ends() -> None:
    person = Person()
    person.verdict(Action.HALT_ENTRIES, reason="4 % lost")
    person.verdict(Action.HALT_ENTRIES, reason="4.1 % lost")
    person.verdict(Action.FLATTEN, reason="5 % lost")
    person.verdict(Action.NONE, reason="released: cause found")
    person.verdict(Action.NONE, reason="released: cause found")
    assert person.alerts == [
        ("warning", "guard", "halt_entries on desk by daily: 4 % lost"),
        ("critical", "guard", "flatten on desk by daily: 5 % lost"),
        ("info", "guard", "flatten on desk by daily is over: released: cause found"),
    ]
    assert person.standing == ["+ daily on desk", "+ daily on desk", "- daily on desk"]
    assert person.said == [text for _, _, text in person.alerts]
    assert [text for _, text in person.notes] == person.said

    # Each scope has alerts of its own.
    person = Person()
    person.verdict(Action.FLATTEN, scope="instrument:A", reason="a")
    person.verdict(Action.FLATTEN, scope="instrument:B", reason="b")
    person.verdict(Action.NONE, scope="instrument:A", reason="over")
    assert [text for _, _, text in person.alerts] == [
        "flatten on instrument:A by daily: a",
        "flatten on instrument:B by daily: b",
        "flatten on instrument:A by daily is over",
    ]


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(action=Action.SHRINK, guard="tiers", multiplier=0.5),
        Verdict(action=Action.HALT_ENTRIES, guard="funding", transient=True),
        Verdict(action=Action.HALT_ENTRIES, guard="node.links", transient=True),
        Verdict(action=Action.HALT_ENTRIES, guard="node.position", reason="differs"),
        Verdict(action=Action.NONE, guard="daily"),
    ],
)
def test_transient_halts_and_shrinks_send_no_alert(verdict: Verdict) -> None:
    person = Person()
    person.on(verdict)
    assert person.alerts == []


def test_a_flatten_is_reported_and_not_flat_is_critical() -> None:
    person = Person()
    for kind in ("closing", "flat", "not_flat", "resting", "dust", "off"):
        person.made.report(kind, kind)
    assert [(level, text) for level, _, text in person.alerts] == [
        ("warning", "closing"),
        ("warning", "flat"),
        ("critical", "not_flat"),
        ("critical", "resting"),
        ("warning", "dust"),
        ("info", "off"),
    ]
    assert person.standing == ["- not flat", "+ not flat", "- not flat"]
    assert person.notes[0] == ("flatten", "closing")


def test_a_silent_guard_is_reported_once_and_when_it_is_back() -> None:
    person = Person()
    for silent in ([], ["daily"], ["daily"], ["daily", "late"], ["late"], []):
        person.made.silences(silent)
    assert [text for _, _, text in person.alerts] == [
        "guard daily is silent: no entries until it measures again",
        "guard late is silent: no entries until it measures again",
        "guard daily measures again",
        "guard late measures again",
    ]


HOUR = 3600 * 10**9
EIGHT = 8 * HOUR
MIDNIGHT = 1_767_225_600 * 10**9  # 2026-01-01


def markets(told: int | None, minutes: int = 480) -> MarketReader:
    info = instrument_info(BTC, funding_minutes=minutes)
    made = MarketReader(Cache(), {BTC: info}, [BTC])
    feed: Any = SimpleNamespace(
        updated_ns={},
        delays_ns={},
        next_funding_ns={} if told is None else {BTC: told},
        lag=FeedLag(),
    )
    made.feed = feed
    return made


@pytest.mark.parametrize(
    ("told", "now", "expected"),
    [
        (MIDNIGHT + EIGHT, MIDNIGHT + HOUR, MIDNIGHT + EIGHT),
        # At the settlement, and after it, the next one is an interval later: the venue says nothing
        # of it while the rate stays as it is.
        (MIDNIGHT + EIGHT, MIDNIGHT + EIGHT, MIDNIGHT + 2 * EIGHT),
        (MIDNIGHT + EIGHT, MIDNIGHT + 17 * HOUR, MIDNIGHT + 3 * EIGHT),
        # Never told: once an interval from midnight on.
        (None, MIDNIGHT + HOUR, MIDNIGHT + EIGHT),
        (None, MIDNIGHT + EIGHT - 1, MIDNIGHT + EIGHT),
    ],
)
def test_the_next_settlement_is_known_without_news_from_the_venue(
    told: int | None, now: int, expected: int
) -> None:
    assert markets(told)(now)[BTC].next_funding_ns == expected
    assert markets(None, minutes=0)(now)[BTC].next_funding_ns is None


def test_the_largest_lag_of_a_clock_that_is_behind_is_negative_and_what_waits_is_seen() -> None:
    lag, waited = FeedLag(), list[int]()
    lag.limit_ns, lag.too_late = 2 * SECOND, waited.append
    now = time.time_ns()
    name, price = InstrumentId.from_str(BTC), Price.from_str("1.0")
    lag.measured(lambda data: None)(
        MarkPriceUpdate(name, price, now + 9 * SECOND, now - 3 * SECOND)
    )
    lag.end_second()
    assert lag.newest_ns == lag.worst_ns() < -8 * SECOND
    assert waited


def test_what_waited_in_the_node_is_in_the_delay_of_the_market() -> None:
    lag, made = FeedLag(), markets(None)
    feed: Any = SimpleNamespace(updated_ns={}, delays_ns={BTC: SECOND}, next_funding_ns={}, lag=lag)
    made.feed, now = feed, time.time_ns()
    name, price = InstrumentId.from_str(BTC), Price.from_str("1.0")
    handle = lag.measured(lambda data: None)
    handle(MarkPriceUpdate(name, price, now - 5 * SECOND, now - 3 * SECOND))
    delay = made(now)[BTC].delay_ns
    assert delay is not None
    assert 4 * SECOND <= delay < 5 * SECOND
    handle(MarkPriceUpdate(name, price, now - 5 * SECOND, time.time_ns()))
    made.lag_ns = SECOND // 2  # Nothing has come through since.
    assert made(now)[BTC].delay_ns == SECOND * 3 // 2


@pytest.mark.parametrize(("paper", "without"), [(True, [BTC]), (False, [])])
def test_on_paper_a_price_is_there_with_the_first_quote_which_alone_fills_orders(
    paper: bool, without: list[str]
) -> None:
    """Else the first order of a start meets no market, and is not sent again."""
    feed = NodeFeed(NodeFeedConfig(instruments=(BTC,), quotes=paper))
    feed.see_price(BTC)
    assert feed.missing([BTC]) == without
    feed.see_price(BTC, is_quote=True)
    assert feed.missing([BTC]) == []
