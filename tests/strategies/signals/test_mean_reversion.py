import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.signals.mean_reversion import (
    bollinger_marks,
    held_reversions,
    volume_multiple,
    vwap_marks,
)
from strategies.signals.oscillators import Bollinger

NAN = np.nan
BANDS = {"enter_rsi": 30, "leave_rsi": 50, "stop_width": 1.0, "least_distance": 0.001}


def bands_of(close):
    return Bollinger(*(np.full(close.shape, level) for level in (100.0, 102.0, 98.0, 1.0)))


def bollinger(candles, cooldown=0, mirror=False, **changes):
    """Return side and entry's row of one instrument, by (close, RSI, high volume) of its candles.

    The bands are 98, 100 and 102, so that a standard deviation is 1 and the stops are 97 and 103.
    """
    close, rsi, loud = (np.array(each, float)[:, None] for each in zip(*candles, strict=True))
    if mirror:
        close, rsi = 200.0 - close, 100.0 - rsi
    marks = bollinger_marks(close, bands_of(close), rsi, loud > 0, **(BANDS | changes))
    held = held_reversions(close, marks, history=99, cooldown=cooldown, stops_at_entry=False)
    return int(held.side[0]), len(close) - 1 - int(held.age[0]) if held.side[0] else None


IN, OUT, BELOW = (99.0, 40, 0), (100.0, 45, 0), (97.5, 25, 0)
BREAK, BACK = (96.9, 20, 1), (98.5, 35, 0)


@pytest.mark.parametrize(
    ("candles", "changes", "expected"),
    [
        ([IN, BELOW], {}, (1, 1)),
        # Below the band is not enough, nor is the RSI; neither is at a level.
        ([IN, (97.5, 30, 0)], {}, (0, None)),
        ([IN, (98.0, 25, 0)], {}, (0, None)),
        ([IN, (97.5, 30, 0)], {"enter_rsi": 31}, (1, 1)),
        # Held inside the band; left at the middle, or above an RSI of 50, not at it.
        ([BELOW, IN, (99.0, 50, 0)], {}, (1, 0)),
        ([BELOW, IN, OUT], {}, (0, None)),
        ([BELOW, IN, (99.0, 51, 0)], {}, (0, None)),
        ([BELOW, IN, (99.0, 55, 0)], {"leave_rsi": 60}, (1, 0)),
        # Stopped by a close of 97 or less with volume; without volume it is held.
        ([BELOW, BREAK], {}, (0, None)),
        ([BELOW, (96.9, 20, 0)], {}, (1, 0)),
        ([BELOW, (97.1, 20, 1)], {}, (1, 0)),
        ([BELOW, BREAK], {"stop_width": 1.5}, (1, 0)),
        # After the stop nothing is entered until it came back inside.
        ([BELOW, BREAK, BELOW], {}, (0, None)),
        ([BELOW, BREAK, BACK, BELOW], {}, (1, 3)),
        ([BELOW, BREAK, BACK, BELOW], {"cooldown": 2}, (0, None)),
        ([BELOW, BREAK, BACK, BACK, BELOW], {"cooldown": 2}, (1, 4)),
        # A break is not entered either, and nothing is after it, though nothing was held.
        ([IN, BREAK, BELOW], {}, (0, None)),
        ([IN, (96.9, 20, 0)], {}, (0, None)),
        # A candle may turn a position; what is not known changes nothing.
        ([BELOW, (102.5, 75, 0)], {}, (-1, 1)),
        ([BELOW, (NAN, NAN, 0)], {}, (1, 0)),
        # The first entry counts while it is held.
        ([BELOW, IN, BELOW], {}, (1, 0)),
    ],
)
def test_a_reversion_to_the_middle_band_by_hand_and_its_mirror(candles, changes, expected):
    side, row = expected
    assert bollinger(candles, **changes) == expected
    assert bollinger(candles, mirror=True, **changes) == (-side, row)


def test_the_distance_is_that_of_the_entry_from_the_stop():
    close = np.array([[97.5, 102.5, 97.04], [99.0, 101.0, 97.5]])
    rsi, quiet = np.array([[20.0, 80.0, 20.0]] * 2), np.zeros(close.shape, bool)
    marks = bollinger_marks(close, bands_of(close), rsi, quiet, **BANDS)
    held = held_reversions(close, marks, history=9, cooldown=0, stops_at_entry=False)
    # 0.5 from 97 and 103; 0.04 is less than a thousandth of 97.
    np.testing.assert_allclose(held.distance, [0.5 / 97.5, 0.5 / 102.5, 0.001])


def vwap(candles, mirror=False, **changes):
    """Return side and entry's row by (close, VWAP, high volume); at 2 % it enters, at 3 % stops."""
    close, average, loud = (np.array(each, float)[:, None] for each in zip(*candles, strict=True))
    if mirror:
        close, average = 200.0 - close, 200.0 - average
    marks = vwap_marks(close, average, loud > 0, deviation=0.02, stop=0.03)
    held = held_reversions(
        close, marks, history=9, stops_at_entry=True, **({"cooldown": 0} | changes)
    )
    return int(held.side[0]), len(close) - 1 - int(held.age[0]) if held.side[0] else None


@pytest.mark.parametrize(
    ("candles", "changes", "expected"),
    [
        ([(97.9, 100, 1)], {}, (1, 0)),
        ([(97.9, 100, 0)], {}, (0, None)),
        ([(98.0, 100, 1)], {}, (0, None)),
        ([(97.9, NAN, 1)], {}, (0, None)),
        # Left at the VWAP, wherever that has gone to.
        ([(97.9, 100, 1), (98.9, 99, 0)], {}, (1, 0)),
        ([(97.9, 100, 1), (98.9, 98.9, 0)], {}, (0, None)),
        # 3 % below 97.9 is 94.963; a lower VWAP does not move that stop.
        ([(97.9, 100, 1), (95.0, 99, 1)], {}, (1, 0)),
        ([(97.9, 100, 1), (94.9, 96, 0)], {}, (0, None)),
        # What was stopped inside must be seen inside once more.
        ([(97.9, 100, 1), (94.9, 96, 0), (93.0, 96, 1)], {}, (0, None)),
        ([(97.9, 100, 1), (94.9, 96, 0), (95.0, 96, 0), (93.0, 96, 1)], {}, (1, 3)),
        ([(97.9, 100, 1), (94.9, 96, 0), (95.0, 96, 0), (93.0, 96, 1)], {"cooldown": 2},
         (0, None)),
    ],
)  # fmt: skip
def test_a_reversion_to_the_vwap_by_hand(candles, changes, expected):
    assert vwap(candles, **changes) == expected


@pytest.mark.parametrize(
    ("candles", "expected"),
    [
        ([(97.9, 100, 1)], (-1, 0)),
        ([(98.1, 100, 1)], (0, None)),
        # 3 % above 102.1 is 105.163.
        ([(97.9, 100, 1), (94.9, 99, 1)], (-1, 0)),
        ([(97.9, 100, 1), (94.8, 99, 1)], (0, None)),
    ],
)
def test_a_short_of_the_vwap_is_its_mirror(candles, expected):
    assert vwap(candles, mirror=True) == expected


def test_a_volume_is_compared_with_the_mean_of_those_before():
    volume = np.array([[2.0, 0.0], [4.0, 0.0], [9.0, 5.0], [NAN, 5.0], [9.0, 5.0]])
    expected = [[NAN, NAN], [NAN, NAN], [3.0, NAN], [0.0, 2.0], [2.0, 1.0]]
    np.testing.assert_allclose(volume_multiple(volume, 2), expected)


@given(seed=st.integers(0, 9999), cooldown=st.integers(0, 4))
def test_instruments_are_walked_alone_and_mirrored_prices_give_the_other_side(seed, cooldown):
    random = np.random.default_rng(seed)
    close = 100.0 + random.normal(0, 2.0, (40, 6))
    rsi, loud = random.uniform(0, 100, close.shape), random.random(close.shape) < 0.5

    def held(close, rsi, columns=slice(None)):
        close, rsi, loudly = (array[:, columns] for array in (close, rsi, loud))
        marks = bollinger_marks(close, bands_of(close), rsi, loudly, **BANDS)
        return held_reversions(close, marks, history=99, cooldown=cooldown, stops_at_entry=False)

    together, mirrored = held(close, rsi), held(200.0 - close, 100.0 - rsi)
    assert list(mirrored.side) == list(-together.side)
    for i in range(6):
        alone = held(close, rsi, [i])
        assert (alone.side[0], alone.age[0]) == (together.side[i], together.age[i])
