"""What the watch concludes: verdicts just inside and just outside each limit."""

from __future__ import annotations

from live_nodes.node.watch_rules import (
    BookCrossings,
    FeedSilences,
    clock_verdict,
    feed_verdicts,
    link_verdict,
    position_verdicts,
    sweep_verdict,
    verdict_changes,
)
from live_nodes.reconcile.sweep import FindingKind, SweepFinding
from strategies.messages import Action, Verdict
from tests.live_nodes.venue_by_hand import BTC, ETH, SECOND

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
        SweepFinding(
            FindingKind.EXTERNAL_POSITION, "b", BTC, "the venue holds 1, our orders made 0"
        ),
        SweepFinding(
            FindingKind.EXTERNAL_POSITION, "c", ETH, "the venue holds 2, our orders made 0"
        ),
    ]
    halts = position_verdicts(findings)
    assert [halt.scope for halt in halts] == [f"instrument:{BTC}", f"instrument:{ETH}"]
    assert not any(halt.transient for halt in halts)
    assert halts[0].reason == "the venue holds 1, our books hold 0"


def test_a_verdict_is_published_when_it_begins_and_when_it_ends() -> None:
    halt, moved = clock_verdict(2.0, 1.0), clock_verdict(3.0, 1.0)
    assert halt is not None
    assert moved is not None
    of_a_guard = Verdict(action=Action.FLATTEN, guard="daily", scope="desk")
    assert verdict_changes([of_a_guard], []) == []
    assert verdict_changes([of_a_guard], [halt]) == [halt]
    assert verdict_changes([halt], [moved]) == []
    (over,) = verdict_changes([of_a_guard, halt], [])
    assert (over.action, over.guard, over.scope) == (Action.NONE, "node.clock", "desk")


def test_one_cause_that_ends_leaves_the_other_standing() -> None:
    link, clock = link_verdict({"trade": False}), clock_verdict(2.0, 1.0)
    assert link is not None
    assert clock is not None
    assert verdict_changes([], [link, clock]) == [link, clock]
    (over,) = verdict_changes([link, clock], [clock])
    assert (over.action, over.guard) == (Action.NONE, "node.links")


def test_silence_counts_from_the_newest_word() -> None:
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
