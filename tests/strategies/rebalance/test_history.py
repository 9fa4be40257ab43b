import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.panel import Panel
from strategies.rebalance.history import CandleHistory

NAN = np.nan


def history(*candles, rows=3, count=2):
    kept = CandleHistory(count, rows, interval_ns=10)
    for index, ts, close in candles:
        kept.add(index, ts, close, close * 2)
    return kept


def test_the_window_ends_at_the_time_asked_for():
    kept = history((0, 10, 1.0), (1, 10, 5.0), (0, 20, 2.0), (1, 20, 6.0), (0, 30, 3.0))
    window = kept.window(30)
    np.testing.assert_array_equal(window.close, [[1, 5], [2, 6], [3, NAN]])
    np.testing.assert_array_equal(window.volume, window.close * 2)
    np.testing.assert_array_equal(kept.window(20).close, [[NAN, NAN], [1, 5], [2, 6]])


@pytest.mark.parametrize(
    ("candles", "until", "column", "closes"),
    [
        ([(0, 10, 1.0), (0, 30, 3.0)], 30, 0, [1, NAN, 3]),  # A gap of everyone has a row.
        ([(0, 10, 1.0)], 30, 0, [1, NAN, NAN]),  # Later candles have not come yet.
        ([(0, 10, 1.0)], 40, 0, [NAN] * 3),
        ([], 30, 0, [NAN] * 3),
        ([(0, 10, 1.0), (0, 20, 2.0), (1, 10, 5.0)], 20, 1, [NAN, 5, NAN]),  # A late candle.
    ],
)
def test_candles_take_their_own_rows(candles, until, column, closes):
    np.testing.assert_array_equal(history(*candles).window(until).close[:, column], closes)


def test_a_candle_off_the_grid_is_refused():
    with pytest.raises(ValueError, match="can't close at 15"):
        history((0, 15, 1.0))


def test_the_last_close_outlives_the_window():
    kept = history(*((0, 10 * t, float(t)) for t in range(1, 3)), (1, 900, 9.0))
    assert np.isnan(kept.window(900).close[:, 0]).all()
    assert kept.last_close(0) == 2.0
    assert history((1, 10, 1.0)).last_close(0) is None


@given(
    times=st.lists(st.integers(1, 60), min_size=1, max_size=80).map(sorted),
    rows=st.integers(1, 9),
)
def test_the_window_is_what_a_whole_table_would_show(times, rows):
    table = np.full((61 + rows, 1), NAN)
    kept = CandleHistory(1, rows, interval_ns=10)
    for price, t in enumerate(times, start=1):
        kept.add(0, 10 * t, float(price), 1.0)
        table[t + rows, 0] = price
        np.testing.assert_array_equal(kept.window(10 * t).close, table[t + 1 : t + rows + 1])


@given(
    events=st.lists(
        st.tuples(st.integers(1, 400), st.booleans()), min_size=1, max_size=80, unique=True
    ),
    rows=st.integers(1, 5),
)
def test_funding_is_summed_in_its_candle_and_counts_from_its_stamp(events, rows):
    """Candles of 10 ns close at multiples of 10; a settlement may come before its candle closes."""
    kept = CandleHistory(1, rows, interval_ns=10, funding=True)
    rates = {}
    for ts, settles in sorted(events):
        if settles:
            rates[ts] = float(ts)
            kept.add_funding(0, ts, float(ts))
            kept.add_funding(0, ts, float(ts))
        elif ts % 10 == 0:
            kept.add(0, ts, 1.0, 1.0)
        closed = ts // 10 * 10
        seen = [
            sum(rate for at, rate in rates.items() if end - 10 < at <= end) or NAN
            for end in range(closed - 10 * (rows - 1), closed + 1, 10)
        ]
        np.testing.assert_array_equal(kept.window(closed).funding[:, 0], seen)


def test_a_settlement_is_due_as_long_after_the_last_as_that_was_after_the_one_before():
    kept = CandleHistory(2, 1, interval_ns=10, funding=True)
    for ts in (8, 16):
        kept.add_funding(0, ts, 0.1)
    kept.add_funding(1, 16, 0.1)
    assert [kept.lacks_funding(ts) for ts in (23, 24)] == [[], [0]]


def test_warming_up_is_the_same_as_hearing_the_candles():
    ts = np.array([10, 20, 40])
    close = np.array([[1.0, NAN, 5.0], [2.0, 7.0, 5.5], [3.0, 8.0, NAN]])
    panel = Panel(ts, ("A", "B", "C"), close, close, close, close, close * 2)
    warm = CandleHistory(3, 4, interval_ns=10, ranges=True)
    warm.warm_up(panel, ("A", "C", "D"))
    heard = history(
        *((0, 10, 1.0), (1, 10, 5.0), (0, 20, 2.0), (1, 20, 5.5), (0, 40, 3.0)), rows=4, count=3
    )
    np.testing.assert_array_equal(warm.window(40).close, heard.window(40).close)
    np.testing.assert_array_equal(warm.window(40).volume, heard.window(40).volume)
    np.testing.assert_array_equal(warm.window(40).high, heard.window(40).close)
    assert heard.window(40).high.size == 0
