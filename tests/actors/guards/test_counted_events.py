"""Rejections, errors, slippage breaches and orders: too many in a row or in a window."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.examples import desk
from actors.guards.core.snapshot import ErrorEvent, Refused
from actors.guards.core.windows import added, below_from, counted
from actors.guards.error_rate import ErrorRate
from actors.guards.order_rate import OrderRate
from actors.guards.rejections import Rejections
from actors.guards.slippage_breaches import SlippageBreaches
from config.durations import DAY_NS
from tests.actors.guards.moments import BTC, ETH, HOUR, MINUTE, NOON, SECOND
from tests.actors.guards.playing import Player, filled, requested, response

# -- times in a window ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (109, 2),  # The first is 9 old: just inside.
        (110, 1),  # Exactly as old as the window: out.
        (111, 1),
        (119, 1),
        (120, 0),
    ],
)
def test_a_stamp_as_old_as_the_window_is_out_of_it(now: int, expected: int) -> None:
    assert counted((100, 110), now, 10) == expected


def test_stamps_of_a_clock_that_goes_back_are_kept() -> None:
    stamps = added(added((), 1000, 10, 5), 400, 10, 5)
    assert stamps == (400, 1000)
    assert counted(stamps, 400, 10) == 2


def test_only_the_newest_stamps_are_kept() -> None:
    assert added((1, 2, 3), 4, 100, 3) == (2, 3, 4)
    assert added((2, 3, 4), 1, 100, 3) == (2, 3, 4)


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 20), st.integers(1, 6))
def test_stamps_agree_with_brute_force_up_to_the_limit(steps, window, most):
    now, every, stamps = 0, [], ()
    for step in steps:
        now += step % 8
        if step % 2:
            every.append(now)
            stamps = added(stamps, now, window, most)
        inside = [ts for ts in every if now - ts < window]
        assert counted(stamps, now, window) == min(len(inside), most)
        if len(inside) >= most:
            end = below_from(stamps, most, window)
            assert len([ts for ts in every if end - ts < window]) < most
            assert len([ts for ts in every if end - 1 - ts < window]) >= most


# -- rejections ------------------------------------------------------------------------------------


def rejections(**params: object) -> Player:
    return Player(Rejections, **params).observe(desk())


def test_rejections_give_the_venues_last_reason() -> None:
    guard = rejections(limit=2).observe(response(False, "no margin"), response(False, "qty"))
    verdict = guard.verdict("strategy:a")
    assert verdict.reason == "2 rejections in a row, the last: qty"
    assert (verdict.measured, verdict.limit, verdict.until) == (2, 2, None)


@pytest.mark.parametrize(("release", "action"), [("manual", "halt_entries"), ("recovered", "none")])
def test_an_acceptance_ends_a_halt_only_where_recovery_does(release: str, action: str) -> None:
    guard = rejections(limit=1, release=release).observe(response(False), response(True))
    assert guard.action("strategy:a") == action


def test_an_acceptance_ends_no_other_strategys_row() -> None:
    guard = rejections().observe(*[response(False, "no", "b")] * 4)
    assert guard.action("strategy:b") == "none"
    guard.observe(*[response(False, "no", "b"), response(False), response(True)])
    [reading] = guard.readings
    assert (reading.scope, reading.over) == ("strategy:b", True)
    assert reading.reason == "5 rejections in a row, the last: no"


def test_rejections_of_the_desk_are_counted_together() -> None:
    guard = rejections(of="desk", limit=4)
    guard.observe(*(response(False, strategy=name) for name in "aba"))
    assert guard.action() == "none"
    assert guard.observe(response(False, strategy="b")).action() == "halt_entries"


@pytest.mark.parametrize(
    "reason",
    ["EC_PostOnlyWillTakeLiquidity", "POST_ONLY LIMIT BUY order would have been a TAKER"],
)
def test_orders_that_would_have_taken_are_neither_rejected_nor_accepted(reason: str) -> None:
    guard = rejections(limit=2).observe(*(response(False, reason) for _ in range(9)))
    assert guard.readings == ()
    guard.observe(response(False), response(False, reason), response(False))
    assert guard.action("strategy:a") == "halt_entries"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab")), max_size=60))
def test_rejections_agree_with_brute_force_from_the_end_of_all_responses(tape: list) -> None:
    guard, responses = rejections(limit=3), []
    for accepted, strategy in tape:
        responses.append((accepted, strategy))
        guard.observe(response(accepted, strategy=strategy))
        expected = {}
        for name in "ab":
            own = "".join("+" if yes else "-" for yes, whose in responses if whose == name)
            row = len(own) - len(own.rstrip("-"))
            if row:
                expected[f"strategy:{name}"] = (row, row >= 3)
        assert {r.scope: (r.measured, r.over) for r in guard.readings} == expected


# -- errors ----------------------------------------------------------------------------------------


def errors(**params: object) -> Player:
    return Player(ErrorRate, **params).observe(desk())


def failure(ts: int) -> ErrorEvent:
    return ErrorEvent(ts=ts, source="sweep", text="it broke")


def test_errors_say_what_the_last_was() -> None:
    verdict = errors().observe(*(failure(NOON + n) for n in range(5))).verdict()
    assert verdict.reason == "5 errors within 1m; the last: it broke"
    assert (verdict.measured, verdict.limit, verdict.transient) == (5, 5, False)


def test_errors_pause_the_desk_for_five_minutes_and_longer_while_they_go_on() -> None:
    guard = errors().observe(*(failure(NOON) for _ in range(5)))
    assert guard.verdict().until == NOON + 5 * MINUTE
    assert guard.observe(desk(NOON + 5 * MINUTE - 1)).action() == "halt_entries"
    # Five more within the last minute of the pause.
    guard.observe(*(failure(NOON + 5 * MINUTE - SECOND) for _ in range(5)))
    assert guard.observe(desk(NOON + 5 * MINUTE)).verdict().until == NOON + 10 * MINUTE
    assert guard.observe(desk(NOON + 10 * MINUTE)).action() == "none"


def test_a_halt_that_waits_for_recovery_ends_when_the_window_is_clear() -> None:
    guard = errors(release="recovered").observe(*(failure(NOON + n * SECOND) for n in range(5)))
    # The first leaves the window a minute after it came: four are left, below 5 less 10 %.
    assert guard.verdict().until == NOON + MINUTE
    assert guard.observe(desk(NOON + MINUTE - 1)).action() == "halt_entries"
    assert guard.observe(desk(NOON + MINUTE)).action() == "none"


@given(
    st.lists(st.tuples(st.integers(0, 30 * SECOND), st.booleans()), max_size=60),
    st.integers(1, 6),
)
def test_errors_agree_with_brute_force_over_all_errors(tape: list, limit: int) -> None:
    guard, now, seen = errors(limit=limit), NOON, []
    for step, fails in tape:
        now += step
        if fails:
            seen.append(now)
        guard.observe(failure(now) if fails else desk(now))
        inside = [ts for ts in seen if now - MINUTE < ts]
        [reading] = guard.readings
        assert reading.measured == min(len(inside), limit)
        assert reading.over == (len(inside) >= limit)


# -- slippage --------------------------------------------------------------------------------------

SCOPE = f"instrument:{BTC}"


def breaches(**params: object) -> Player:
    return Player(SlippageBreaches, **params).observe(desk())


def slipped(bps: float | None, ts: int, name: str = BTC, strategy: str = "a"):
    return filled(1, ts, name, strategy, slippage=None if bps is None else bps / 10_000)


@pytest.mark.parametrize(
    ("bps", "action"),
    [
        (19.99, "none"),
        (20.01, "halt_entries"),
        (-50.0, "none"),  # Better than the price that stood.
        (None, "none"),  # Passive, or nothing to compare with.
    ],
)
def test_fills_from_the_limit_on_are_breaches(bps: float | None, action: str) -> None:
    guard = breaches().observe(*(slipped(bps, NOON + n) for n in range(3)))
    assert guard.action(SCOPE) == action


@pytest.mark.parametrize("bps", [20.0, 3.0, 7.0, 0.1, 11.3])
def test_slippage_of_just_the_limit_is_a_breach_in_floats_too(bps: float) -> None:
    guard = breaches(limit_bps=bps, count=1).observe(slipped(bps, NOON))
    assert guard.action(SCOPE) == "halt_entries"


def test_breaches_give_their_number_and_leave_other_instruments_alone() -> None:
    guard = breaches().observe(*(slipped(25, NOON + n) for n in range(3)))
    verdict = guard.verdict(SCOPE)
    assert verdict.reason == "3 entries within 1d slipped 20 bps or more"
    assert (verdict.measured, verdict.limit, verdict.until) == (3, 3, None)
    assert guard.action(f"instrument:{ETH}") == "none"


def test_exits_are_no_breaches_and_a_late_entry_is_one_against_its_decision() -> None:
    late = msgspec.structs.replace(slipped(None, NOON), decision_slippage=0.0025)
    stop = msgspec.structs.replace(slipped(900, NOON + 1), decision_slippage=0.09, entry=False)
    for against, action in (("order", "none"), ("decision", "halt_entries")):
        guard = breaches(count=1, against=against).observe(stop)
        assert guard.action(SCOPE) == "none"
        assert guard.observe(late).action(SCOPE) == action


def test_an_order_that_walks_through_the_book_breaches_once() -> None:
    guard = breaches().observe(*(slipped(25, NOON) for _ in range(5)))
    assert guard.readings[0].measured == 1


def test_accepted_breaches_are_forgotten_in_their_scope_only() -> None:
    guard = breaches(count=1).observe(slipped(25, NOON, BTC), slipped(25, NOON, ETH)).accept(SCOPE)
    guard.observe(desk(NOON + 1))
    assert guard.over() == [f"instrument:{ETH}"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10 * HOUR),
            st.sampled_from([10.0, 25.0, 40.0, None]),
            st.sampled_from([BTC, ETH]),
            st.sampled_from(["a", "b"]),
        ),
        max_size=40,
    ),
    st.sampled_from(["instrument", "strategies", "desk"]),
)
def test_breaches_agree_with_brute_force_over_all_fills(tape: list, of: str) -> None:
    guard, now, seen = breaches(of=of), NOON, []
    for step, bps, name, strategy in tape:
        now += step
        guard.observe(slipped(bps, now, name, strategy))
        scope = {"instrument": f"instrument:{name}", "strategies": f"strategy:{strategy}"}.get(of)
        if bps is not None and bps >= 20 and (now, name) not in [b[:2] for b in seen]:
            seen.append((now, name, scope or "desk"))
        guard.observe(desk(now))
        expected = {
            found: min(3, sum(b[2] == found and now - b[0] < DAY_NS for b in seen))
            for found in {b[2] for b in seen}
        }
        assert {r.scope: r.measured for r in guard.readings} == expected


# -- orders ----------------------------------------------------------------------------------------


def rate(count: int, **params: object) -> Player:
    return Player(OrderRate, count=count, **params).observe(desk())


@pytest.mark.parametrize(
    ("per_minute", "every", "later", "reason"),
    [
        (None, 0, SECOND - 1, "3 orders of a within 1s"),
        (None, 0, SECOND, None),
        (3, 2 * SECOND, MINUTE - 1, "3 orders of a within a minute"),
        (3, 2 * SECOND, MINUTE, None),
    ],
)
def test_an_order_too_many_within_a_window_is_refused(per_minute, every, later, reason):
    guard = rate(3, per_minute=per_minute)
    assert [guard.refusal(requested(ts=NOON + n * every)) for n in range(3)] == [None] * 3
    assert guard.refusal(requested(ts=NOON + later)) == reason


def test_exits_always_pass_and_count() -> None:
    guard = rate(2)
    assert [guard.refusal(requested(-1, is_exit=True)) for _ in range(5)] == [None] * 5
    assert guard.refusal(requested()) is not None


def test_a_strategy_that_keeps_exceeding_its_rate_is_halted_until_released() -> None:
    guard = rate(1, spam_after=2)
    guard.refusal(requested())
    guard.refusal(requested(ts=NOON + 1))
    assert guard.action("strategy:a") == "none"
    guard.refusal(requested(ts=NOON + 2))
    verdict = guard.observe(desk(NOON + 100 * MINUTE)).verdict("strategy:a")
    assert (verdict.transient, verdict.until) == (False, None)
    assert verdict.reason == "2 orders of a within a minute were too many for its rate"
    assert guard.action("desk") == "none"
    guard.accept("strategy:a")
    assert guard.observe(desk(NOON + SECOND)).action("strategy:a") == "none"


def test_refusals_by_others_do_not_count_against_the_rate() -> None:
    guard = rate(1, spam_after=2)
    for n in range(5):
        guard.observe(Refused(ts=NOON + n, strategy="a", instrument=BTC, reason="drawdown"))
    assert guard.action("strategy:a") == "none"


@given(
    st.lists(st.tuples(st.integers(0, 2 * SECOND), st.sampled_from("ab")), max_size=60),
    st.integers(1, 3),
    st.sampled_from([None, 3, 6]),
)
def test_the_rate_agrees_with_brute_force_over_all_that_left(tape, count, per_minute):
    guard, now, left, refused = rate(count, per_minute=per_minute, spam_after=5), NOON, [], []
    halted = set()
    for step, strategy in tape:
        now += step
        own = [ts for ts, whose in left if whose == strategy]
        too_fast = sum(now - ts < SECOND for ts in own) >= count or (
            per_minute is not None and sum(now - ts < MINUTE for ts in own) >= per_minute
        )
        found = guard.refusal(requested(ts=now, strategy=strategy))
        assert (found is not None) == too_fast
        (refused if too_fast else left).append((now, strategy))
        recent = [ts for ts, whose in refused if whose == strategy and now - ts < MINUTE]
        if len(recent) >= 5:
            halted.add(strategy)
        for name in "ab":
            assert (guard.action(f"strategy:{name}") == "halt_entries") == (name in halted)
