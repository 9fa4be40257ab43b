"""Halts: which limits begin one, what ends it, and its verdict; against an oracle."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.desk.build import decisions_of
from actors.guards.core.decisions import Decisions, Schedule
from actors.guards.core.halts import Latch, released, step, verdicts
from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams
from strategies.messages import Action

MINUTE = 60_000_000_000
DAY = 1440 * MINUTE
NOON = 20_000 * DAY + 720 * MINUTE


def params(release: str) -> GuardParams:
    return GuardParams(release=release)


def reading(measured: float, *, limit: float = 10.0, until: int | None = None, **more) -> Reading:
    """Return a reading that is over at its limit and clear at nine tenths of it."""
    known = {
        "scope": "desk",
        "over": measured >= limit,
        "clear": measured <= 0.9 * limit,
        "action": Action.HALT_ENTRIES,
        "reason": f"{measured:g} of {limit:g}",
    }
    return Reading(measured=measured, limit=limit, until=until, **(known | more))


def tripped(release: str, now: int = NOON, **more) -> tuple[Latch, ...]:
    return step((), [reading(10.0, **more)], now, params(release))


# -- what trips ------------------------------------------------------------------------------------


def test_a_latch_keeps_what_tripped_it():
    (latch,) = tripped("30m", action=Action.SHRINK, multiplier=0.5, key="10 %")
    assert latch == Latch(
        scope="desk",
        key="10 %",
        action=int(Action.SHRINK),
        multiplier=0.5,
        release="30m",
        since=NOON,
        until=NOON + 30 * MINUTE,
        measured=10.0,
        limit=10.0,
        reason="10 of 10",
    )


@pytest.mark.parametrize("release", ["manual", "recovered", "30m", "next_day"])
def test_a_limit_that_asks_for_more_than_before_gets_it_and_never_less(release):
    latches = tripped(release, action=Action.SHRINK, multiplier=0.5)
    for action, size, stands in (
        (Action.SHRINK, 0.75, (Action.SHRINK, 0.5)),
        (Action.SHRINK, 0.25, (Action.SHRINK, 0.25)),
        (Action.FLATTEN, 1.0, (Action.FLATTEN, 1.0)),
        (Action.HALT_ENTRIES, 1.0, (Action.FLATTEN, 1.0)),
    ):
        more = reading(11, action=action, multiplier=size)
        latches = step(latches, [more], NOON + 1, params(release))
        (latch,) = latches
        assert (latch.action, latch.multiplier, latch.since) == (*stands, NOON)
    # One that is not over asks for nothing.
    milder = tripped(release, action=Action.SHRINK, multiplier=0.5)
    assert step(milder, [reading(9.5, action=Action.FLATTEN)], NOON, params(release)) == milder


def test_a_reading_may_have_a_release_of_its_own():
    latches = step((), [reading(11, release="manual")], NOON, params("30m"))
    assert [(latch.release, latch.until) for latch in latches] == [("manual", None)]


def test_several_limits_trip_apart_and_are_kept_sorted():
    found = [
        reading(12, scope="strategy:b"),
        reading(12, scope="desk", key="2"),
        reading(5, scope="strategy:a"),
        reading(12, scope="desk", key="1"),
    ]
    latches = step((), found, NOON, params("manual"))
    assert [(x.scope, x.key) for x in latches] == [("desk", "1"), ("desk", "2"), ("strategy:b", "")]


def test_nothing_changed_gives_the_very_same_object():
    latches = tripped("manual")
    assert step(latches, [reading(11.0)], NOON + 1, params("manual")) is latches
    assert step(latches, None, NOON + 1, params("manual")) is latches


# -- what it covers --------------------------------------------------------------------------------

NIGHT = NOON + 719 * MINUTE
DAILY = Schedule(DAY, 5 * MINUTE, frozenset({"BTC"}))
MIXED = Decisions({"day": DAILY, "hour": Schedule(60 * MINUTE, 0), "week": Schedule(7 * DAY, 0)})


@pytest.mark.parametrize(
    ("decisions", "scope", "since", "until"),
    [
        # Five minutes after the decision, which comes after midnight or at it.
        (Decisions({"day": DAILY}), "desk", NIGHT, 10),
        (MIXED, "strategy:day", NIGHT, 10),
        (MIXED, "instrument:BTC", NIGHT, 10),
        (MIXED, "strategy:hour", NIGHT, 5),
        # Midnight, where the decision comes before it; half a period covers minutes.
        (MIXED, "strategy:hour", NOON, 0),
        (Decisions({"fast": Schedule(2 * MINUTE, 0)}), "desk", NIGHT, 1),
        # Of several the last: the weeks begin on the days 19,999 and 20,006.
        (MIXED, "desk", NIGHT, 5 * 1440 + 5),
        # Nobody decides there.
        (MIXED, "instrument:ETH", NIGHT, 0),
        (MIXED, "strategy:other", NIGHT, 0),
    ],
)
def test_a_halt_until_the_next_day_covers_the_next_decision(decisions, scope, since, until):
    (latch,) = step((), [reading(11, scope=scope)], since, params("next_day"), decisions)
    midnight = (since // DAY + 1) * DAY
    assert latch.until == midnight + until * MINUTE
    assert step((latch,), [], latch.until - 1, params("next_day"), decisions) == (latch,)
    assert step((latch,), [], latch.until, params("next_day"), decisions) == ()
    # No decision waits for its end.
    assert verdicts((latch,), "g")[scope].covers_decision
    assert not verdicts(tripped("30m"), "g")["desk"].covers_decision


@pytest.mark.parametrize(("decided", "stands"), [(5 - 1440, True), (5, False)])
def test_a_start_that_makes_up_the_covered_decision_is_held_back(decided, stands):
    """Down until 09:00; the last decision was at 00:05 of the day before, or of this day."""
    midnight = NIGHT + MINUTE
    day = SimpleNamespace(
        schedule=lambda: (DAY, 5 * MINUTE),
        history_needed=dict,
        ids=("BTC",),
        decided=midnight + decided * MINUTE,
    )
    (latch,) = step((), [reading(11)], NIGHT, params("next_day"), Decisions({"day": DAILY}))
    start = midnight + 540 * MINUTE
    late = decisions_of({"day": day}, start)
    after = step((latch,), [], start + 1, params("next_day"), late)
    assert [each.until for each in after] == [start + 5 * MINUTE] * stands
    assert step(after, [], start + 5 * MINUTE, params("next_day"), late) == ()


# -- what ends it ----------------------------------------------------------------------------------

LATER = 3 * DAY


@pytest.mark.parametrize(
    ("release", "after", "found", "stands"),
    [
        # Manual: neither time nor recovery ends it, nor that nothing is left to measure.
        ("manual", LATER, [reading(0.0)], True),
        ("manual", LATER, [], True),
        # Recovered: at nine tenths of the limit, and not a hair above.
        ("recovered", 1, [reading(9.001)], True),
        ("recovered", 1, [reading(9.0)], False),
        ("recovered", 1, [], False),
        ("recovered", LATER, None, True),
        # A pause: when it is over, unless the limit is still reached.
        ("30m", 30 * MINUTE, [reading(0.0)], False),
        ("30m", 30 * MINUTE, [], False),
        ("30m", 30 * MINUTE, [reading(10.0)], True),
        ("30m", 30 * MINUTE, None, True),
        # The next day: noon trips it, midnight ends it.
        ("next_day", 720 * MINUTE - 1, [reading(0.0)], True),
        ("next_day", 720 * MINUTE, [reading(0.0)], False),
        ("next_day", 720 * MINUTE, [reading(10.0)], True),
    ],
)
def test_what_ends_a_halt(release, after, found, stands):
    assert bool(step(tripped(release), found, NOON + after, params(release))) is stands


@pytest.mark.parametrize(
    ("release", "first", "again"),
    [
        ("30m", 30 * MINUTE, 30 * MINUTE),
        ("next_day", 720 * MINUTE, DAY),
    ],
)
def test_a_halt_whose_limit_is_still_reached_goes_on_for_as_long_again(release, first, again):
    (latch,) = step(tripped(release), [reading(10.0)], NOON + first, params(release))
    assert latch.until == NOON + first + again
    assert latch.since == NOON


def test_a_known_end_follows_the_readings():
    latches = tripped("recovered", until=NOON + 5)
    (latch,) = step(latches, [reading(10.0, until=NOON + 9)], NOON + 1, params("recovered"))
    assert latch.until == NOON + 9


@pytest.mark.parametrize(
    ("scope", "left"),
    [(None, []), ("desk", ["strategy:a"]), ("strategy:b", ["desk", "strategy:a"])],
)
def test_the_trader_releases_one_scope_or_all(scope, left):
    found = [reading(12, scope="strategy:a"), reading(12)]
    latches = step((), found, NOON, params("manual"))
    assert [latch.scope for latch in released(latches, scope)] == left


def test_a_released_limit_that_is_still_reached_trips_anew():
    latches = step(released(tripped("manual")), [reading(10.0)], NOON + 7, params("manual"))
    assert [latch.since for latch in latches] == [NOON + 7]


# -- what follows ----------------------------------------------------------------------------------


def latch(action: Action, until: int | None, **more) -> Latch:
    known = {
        "scope": "desk",
        "key": "",
        "multiplier": 1.0,
        "release": "manual" if until is None else "30m",
        "since": NOON,
        "measured": 1.0,
        "limit": 1.0,
        "reason": "",
    }
    return Latch(action=int(action), until=until, **(known | more))


def test_each_scope_has_the_verdict_of_its_strictest_latch():
    latches = (
        latch(Action.SHRINK, None, key="5 %", multiplier=0.75),
        latch(Action.SHRINK, None, key="10 %", multiplier=0.5, reason="10 % lost"),
        latch(Action.FLATTEN, None, scope="strategy:a"),
    )
    found = verdicts(latches, "tiers")
    assert {scope: (v.action, v.multiplier) for scope, v in found.items()} == {
        "desk": (Action.SHRINK, 0.5),
        "strategy:a": (Action.FLATTEN, 1.0),
    }
    assert (found["desk"].guard, found["desk"].reason) == ("tiers", "10 % lost")


@pytest.mark.parametrize(
    ("ends", "until"), [((5, 9), 9), ((9, 5), 9), ((9, None), None), ((None, 5), None)]
)
@pytest.mark.parametrize("milder", [Action.HALT_ENTRIES, Action.SHRINK])
def test_a_verdict_may_be_over_by_time_when_the_last_of_its_halts_may(ends, until, milder):
    latches = (latch(Action.HALT_ENTRIES, ends[0], key="1"), latch(milder, ends[1], key="2"))
    assert verdicts(latches, "g")["desk"].until == until


@pytest.mark.parametrize(
    ("transient", "until", "passes"), [(True, 5, True), (True, None, False), (False, 5, False)]
)
def test_a_halt_that_waits_for_the_trader_does_not_pass_by_itself(transient, until, passes):
    found = verdicts((latch(Action.HALT_ENTRIES, until),), "g", transient=transient)
    assert found["desk"].transient is passes


# -- an oracle -------------------------------------------------------------------------------------

Moment = tuple[int, float | None, bool]
"""Time, the value (None: nothing is left to measure), and whether it is measured at all."""
MOMENTS = st.lists(
    st.tuples(
        st.integers(0, 4 * DAY // MINUTE).map(lambda minute: minute * MINUTE),
        st.one_of(st.none(), st.sampled_from([0.0, 8.9, 9.0, 9.1, 9.99, 10.0, 10.01, 20.0])),
        st.booleans(),
    ),
    max_size=40,
)


def oracle(moments: list[Moment], release: str) -> list[bool]:
    """Return for each moment whether any halt that began by then still stands."""
    return [
        any(_lasts(moments[first : last + 1], release) for first in range(last + 1))
        for last in range(len(moments))
    ]


def _lasts(moments: list[Moment], release: str) -> bool:
    start, value, measured = moments[0]
    if not measured or value is None or value < 10.0:
        return False
    if release == "manual":
        return True
    rest = [(ts, 0.0 if value is None else value) for ts, value, seen in moments[1:] if seen]
    if release == "recovered":
        return all(value > 9.0 for _, value in rest)
    length = {"90m": 90 * MINUTE, "next_day": DAY}[release]
    begun = start // DAY * DAY if release == "next_day" else start
    for ts, value in rest:
        if ts < begun + length:
            continue
        if value < 10.0:
            return False
        begun = ts // DAY * DAY if release == "next_day" else ts
    return True


@given(MOMENTS, st.sampled_from(["manual", "recovered", "90m", "next_day"]), st.booleans())
def test_halts_stand_as_long_as_an_oracle_says(moments, release, clock_goes_back):
    if not clock_goes_back:
        moments = sorted(moments, key=lambda moment: moment[0])
    latches: tuple[Latch, ...] = ()
    stood = []
    for ts, value, measured in moments:
        found = None if not measured else [] if value is None else [reading(value)]
        latches = step(latches, found, ts, params(release))
        stood.append(bool(latches))
    assert stood == oracle(moments, release)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["desk", "strategy:a"]),
            st.sampled_from(["", "x"]),
            st.integers(1, 4),
            st.sampled_from([1.0, 0.5, 0.25]),
            st.one_of(st.none(), st.integers(1, 9)),
        ),
        unique_by=lambda made: made[:2],
    )
)
def test_no_scope_is_freer_than_any_latch_on_it(made):
    latches = tuple(
        latch(Action(action), until, scope=scope, key=key, multiplier=size)
        for scope, key, action, size, until in sorted(made, key=lambda m: m[:2])
    )
    said = verdicts(latches, "g")
    for one in latches:
        verdict = said[one.scope]
        assert verdict.until is None or (one.until is not None and verdict.until >= one.until)
        assert (verdict.action, -verdict.multiplier) >= (one.action, -one.multiplier)
