import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.durations import duration_ns, offset_ns
from strategies.schedule import last_close, last_fire, next_fire

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        *[(duration_ns, "30s", 30 * 10**9), (duration_ns, "5m", 5 * MINUTE)],
        *[(duration_ns, "4h", 4 * HOUR), (duration_ns, "7d", 7 * DAY)],
        *[(offset_ns, "00:00", 0), (offset_ns, "00:05", 5 * MINUTE)],
        (offset_ns, "23:59:30", DAY - 30 * 10**9),
    ],
)
def test_durations_and_clock_times_are_read(read, text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("read", "words", "texts"),
    [
        (duration_ns, "a duration", ["", "5", "m", "0m", "-1d", "1.5h", "1w", "1 d"]),
        (offset_ns, "a clock time", ["24:00", "0:05", "00:60", "00:05:60", "noon"]),
    ],
)
def test_what_is_no_duration_or_clock_time_is_refused(read, words, texts):
    for text in texts:
        with pytest.raises(ValueError, match=f"expected {words}"):
            read(text)


@pytest.mark.parametrize(
    ("now", "every", "at", "expected"),
    [
        (0, DAY, 5 * MINUTE, 5 * MINUTE),  # Midnight: five minutes to go.
        (5 * MINUTE, DAY, 5 * MINUTE, DAY + 5 * MINUTE),  # It fires now: the next is tomorrow.
        (6 * MINUTE, DAY, 5 * MINUTE, DAY + 5 * MINUTE),
        (0, 5 * MINUTE, 0, 5 * MINUTE),
        (7 * MINUTE, 5 * MINUTE, MINUTE, 11 * MINUTE),
    ],
)
def test_the_next_firing_is_strictly_later(now, every, at, expected):
    assert next_fire(now, every, at) == expected


@given(
    now=st.integers(0, 2 * 10**18),
    every=st.sampled_from([MINUTE, HOUR, DAY, 7 * DAY]),
    share=st.floats(0, 0.999),
)
def test_firings_are_one_period_apart_and_on_the_offset(now, every, share):
    at = int(every * share)
    fire = next_fire(now, every, at)
    assert now < fire <= now + every
    assert (fire - at) % every == 0
    assert next_fire(fire, every, at) == fire + every


def test_a_candle_that_closes_now_is_complete():
    assert last_close(2 * HOUR, HOUR) == 2 * HOUR
    assert last_close(2 * HOUR - 1, HOUR) == HOUR
    assert last_close(DAY + 5 * MINUTE, DAY) == DAY


@given(st.integers(0, 10**19), st.sampled_from(["7s", "5m", "8h", "1d"]), st.integers(0, 6))
def test_the_last_moment_of_a_schedule_is_the_one_before_the_next(now, every, offset):
    period, at_ns = duration_ns(every), offset * 10**9
    last = last_fire(now, period, at_ns)
    assert last <= now < next_fire(now, period, at_ns) == last + period
