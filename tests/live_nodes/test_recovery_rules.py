"""What a start concludes from the venue's answers."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from actors.records.journal_schema import FINAL, NEVER_ARRIVED
from actors.records.rows import OrderRow
from config.documents.watch import Policies
from live_nodes.bybit.facts import refused
from live_nodes.practice.exchange.model import FINAL_STATUSES
from live_nodes.reconcile.recovery_rules import (
    OVERLAP_NS,
    AskAgain,
    Settled,
    conclude,
    since_when,
    sort_open_orders,
)
from strategies.refusals import Refusal
from tests.live_nodes.venue_by_hand import BTC, MINE, SECOND, order


@pytest.mark.parametrize(
    ("status", "word", "final"),
    [
        ("New", "ACCEPTED", False),
        ("Untriggered", "ACCEPTED", False),
        ("Triggered", "TRIGGERED", False),
        ("PartiallyFilled", "PARTIALLY_FILLED", False),
        ("Filled", "FILLED", True),
        ("Cancelled", "CANCELED", True),
        ("PartiallyFilledCanceled", "CANCELED", True),
        ("Deactivated", "CANCELED", True),
        ("Rejected", "REJECTED", True),
    ],
)
def test_the_venues_word_for_an_order(status: str, word: str, final: bool) -> None:
    answer = order(status=status, filled=D("0.004"), reject_reason="EC_PostOnlyWillTakeLiquidity")
    said = conclude(answer, 0, None, SECOND)
    assert said == Settled(
        word, f"venue-{MINE}", D("0.004"), D("0.010"), "EC_PostOnlyWillTakeLiquidity"
    )
    assert (said.status in FINAL) is final


def test_every_final_status_of_the_exchange_is_final_here() -> None:
    for status in FINAL_STATUSES:
        assert conclude(order(status=status), 0, None, SECOND).status in FINAL


def test_an_order_never_arrived_when_it_is_missed_twice_far_enough_apart() -> None:
    first = conclude(None, 10 * SECOND, None, 6 * SECOND)
    assert first == AskAgain(10 * SECOND)
    assert conclude(None, 16 * SECOND - 1, 10 * SECOND, 6 * SECOND) == AskAgain(10 * SECOND)
    said = conclude(None, 16 * SECOND, 10 * SECOND, 6 * SECOND)
    assert said.status == NEVER_ARRIVED
    assert NEVER_ARRIVED in FINAL


def test_an_order_that_arrives_between_two_questions_is_found() -> None:
    said = conclude(order(), 12 * SECOND, 10 * SECOND, 6 * SECOND)
    assert said.status == "ACCEPTED"


ENTRY, PROTECTION = order("n1-rev-a-1"), order("n1-rev-a-2", reduce_only=True)
MANUAL = order("", order_id="m")
STOP = order("", order_id="s", stop_order_type="StopLoss", reduce_only=True)
ALL = (ENTRY, PROTECTION, MANUAL, STOP)
OWN = {o.order_link_id for o in (ENTRY, PROTECTION)}


@pytest.mark.parametrize(("policy", "cancelled"), [("ignore", ()), ("cancel", (MANUAL,))])
def test_what_becomes_of_orders_found_open_at_a_start(policy: Any, cancelled: tuple) -> None:
    found = sort_open_orders(ALL, OWN, Policies(foreign_orders=policy))
    assert found.leftovers == (ENTRY,)
    assert found.kept == (PROTECTION,)
    assert found.foreign == (MANUAL,)
    assert found.foreign_cancelled == cancelled
    assert found.attached == (STOP,)


def unsettled(created: int) -> OrderRow:
    zero = D(0)
    return OrderRow(
        MINE, "", 1, created, created, "rev", BTC, "BUY", D(1), zero, None, None, "LIMIT",
        False, False, "INTENDED", False, "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("orders", "complete", "known", "since"),
    [
        ([], None, [], None),
        ([], None, [None], None),
        ([], None, [None, 500], 500),
        ([], None, [900, 500], 500),
        ([], 800, [900, 500], 800),
        ([700], 800, [900, 500], 700),
        ([850], 800, [], 800),
        ([700], None, [], 700),
    ],
)
def test_from_when_on_executions_are_asked_for(
    orders: list[int], complete: int | None, known: list[int | None], since: int | None
) -> None:
    def later(ts: int) -> int:
        return ts * SECOND

    found = since_when(
        [unsettled(later(ts)) for ts in orders],
        None if complete is None else later(complete),
        [None if ts is None else later(ts) for ts in known],
    )
    assert found == (None if since is None else later(since) - OVERLAP_NS)


@pytest.mark.parametrize(
    ("words", "code", "transient"),
    [
        ("EC_PostOnlyWillTakeLiquidity", "post_only", False),
        ("EC_NoImmediateQtyToFill", "nothing_to_take", False),
        ("Too many visits!", "busy", True),
        ("retCode 10016: Server error", "busy", True),
        ("ab not enough for new order", "venue", False),
    ],
)
def test_bybits_words_become_codes_once(words: str, code: str, transient: bool) -> None:
    assert refused(words) == Refusal(code=code, text=words, transient=transient)  # type: ignore[arg-type]
