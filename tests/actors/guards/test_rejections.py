from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.rejections import Rejections, RejectionsParams
from tests.actors.guards.trading import Gate, answered, look


def player(**params: object) -> Gate:
    return Gate(Rejections, RejectionsParams(**params)).observe(look())


def test_the_verdict_says_what_the_venue_said_last() -> None:
    verdict = (
        player(limit=2)
        .observe(answered(False, "no margin"), answered(False, "qty invalid"))
        .verdict("strategy:a")
    )
    assert verdict.reason == "2 rejections in a row, the last: qty invalid"
    assert (verdict.measured, verdict.limit, verdict.until) == (2, 2, None)


def test_an_acceptance_ends_the_row() -> None:
    guard = player().observe(*(answered(False) for _ in range(4)), answered(True))
    guard.observe(*(answered(False) for _ in range(4)))
    assert guard.action("strategy:a") == "none"
    assert guard.observe(answered(False)).action("strategy:a") == "halt_entries"


def test_an_acceptance_does_not_end_a_halt_that_waits_for_the_trader() -> None:
    guard = player(limit=1).observe(answered(False), answered(True))
    assert guard.action("strategy:a") == "halt_entries"
    assert (
        player(limit=1, release="recovered")
        .observe(answered(False), answered(True))
        .action("strategy:a")
        == "none"
    )


@pytest.mark.parametrize(
    ("of", "scope", "action"),
    [
        ("strategies", "strategy:a", "none"),
        ("strategies", "strategy:b", "none"),
        ("desk", "desk", "halt_entries"),
    ],
)
def test_rows_are_of_each_strategy_or_of_the_desk(of: str, scope: str, action: str) -> None:
    guard = player(of=of, limit=4)
    guard.observe(*(answered(False, strategy=name) for name in "abab"))
    assert guard.action(scope) == action


@pytest.mark.parametrize(
    "reason",
    ["EC_PostOnlyWillTakeLiquidity", "POST_ONLY LIMIT BUY order would have been a TAKER"],
)
def test_orders_that_would_have_taken_are_neither_rejected_nor_accepted(reason: str) -> None:
    guard = player(limit=2).observe(*(answered(False, reason) for _ in range(9)))
    assert guard.readings == ()
    guard.observe(answered(False), answered(False, reason), answered(False))
    assert guard.action("strategy:a") == "halt_entries"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.booleans()), max_size=60))
def test_counts_as_brute_force_from_the_end_of_all_answers(tape: list) -> None:
    guard, answers = player(limit=3), []
    for accepted, strategy, restart in tape:
        answers.append((accepted, strategy))
        guard.observe(answered(accepted, strategy=strategy))
        if restart:
            guard.restart().observe(look())
        expected = {}
        for name in "ab":
            own = "".join("+" if yes else "-" for yes, whose in answers if whose == name)
            row = len(own) - len(own.rstrip("-"))
            if row:
                expected[f"strategy:{name}"] = (row, row >= 3)
        assert {r.scope: (r.measured, r.over) for r in guard.readings} == expected
