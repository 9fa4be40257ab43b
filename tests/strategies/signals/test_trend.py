"""Indicators by hand, and held to published values and to the engine's own."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.indicators import (
    DirectionalMovement,
    ExponentialMovingAverage,
    MovingAverageType,
)

from strategies.signals.trend import (
    adx,
    ema,
    ema_slope,
    filled,
    rows_for_adx,
    rows_for_ema,
    rows_for_slope,
)
from tests.builders import SHARED_DATA

NAN = np.nan
FOLDER = SHARED_DATA / "references" / "indicators_daveskender"


def column(*values):
    return np.array(values, float)[:, None]


@pytest.mark.parametrize(
    ("close", "length", "expected"),
    [
        # Begins at (1 + 2 + 3) / 3 = 2; half of 4 and half of 2 is 3; half of 7 and of 3 is 5.
        ([1, 2, 3, 4, 7], 3, 5.0),
        ([1, 2, 6], 3, 3.0),
        ([1, 2, 9], 1, 9.0),
        # The gap counts as the 4 before it: 3, then 3.5.
        ([1, 2, 3, 4, NAN], 3, 3.5),
        ([NAN, 2, 3, 4], 3, NAN),
    ],
)
def test_ema_by_hand(close, length, expected):
    np.testing.assert_allclose(ema(column(*close), length), [expected])


def test_the_slope_is_in_basis_points_a_day():
    # Average over 4 candles (two fifths the newest), over the last candle: from 100 to 100.2.
    close = column(100, 100, 100, 100, 100, 100.5)
    expected = 0.2 / 100.5 * 1e4
    np.testing.assert_allclose(ema_slope(close, 4, 1.0), [expected])
    np.testing.assert_allclose(ema_slope(close, 4, 24.0), [expected * 24])
    np.testing.assert_allclose(ema_slope(close[::-1], 4, 1.0)[0] < 0, True)


def test_prices_that_rise_steadily_have_their_rise_as_slope():
    close = column(*(1000 + 0.1 * np.arange(rows_for_slope(200))))
    np.testing.assert_allclose(ema_slope(close, 200, 24), 0.1 * 24 / close[-1] * 1e4, rtol=0.004)


def test_adx_by_hand():
    # Up 2, up 1, down 3 (the high 1): smoothed by 2, rises 1.5 and 0.75, falls 0 and 1.5.
    high, low, close = column(11, 13, 14, 13), column(9, 11, 12, 9), column(10, 12, 13, 10)
    # Indices 100 and 100 · 0.75 / 2.25, of mean 200 / 3.
    np.testing.assert_allclose(adx(high, low, close, 2), [200 / 3])
    np.testing.assert_allclose(adx(*[column(5, 5, 5, 5)] * 3, 2), [0.0])
    assert np.isnan(adx(*[column(NAN, 5, 6, 7)] * 3, 2))
    # A gap is a candle that stays at the close before.
    gap, still = (np.insert(np.stack([high, low, close]), 2, at, axis=1) for at in (NAN, 12))
    np.testing.assert_array_equal(adx(*gap, 2), adx(*still, 2))


def published(name, field):
    text = gzip.decompress((FOLDER / f"{name}.standard.json.gz").read_bytes())
    return [row[field] for row in json.loads(text)]


@pytest.mark.skipif(not FOLDER.exists(), reason="no ../shared/data beside the checkout")
def test_the_indicators_are_those_published():
    quotes = pd.read_csv(FOLDER / "quotes_default_502d.csv")
    high, low, close = (column(*quotes[name]) for name in ("high", "low", "close"))
    expected = {name: published(name, name) for name in ("ema", "adx")}
    compared = 0
    for end in range(1, len(close) + 1):
        upto = high[:end], low[:end], close[:end]
        for name, got in (
            ("ema", ema(close[:end], 20) if end >= 20 else None),
            ("adx", adx(*upto, 14) if end > 27 else None),
        ):
            wanted = expected[name][end - 1]
            assert (got is None) == (wanted is None), (name, end)
            if got is not None:
                np.testing.assert_allclose(got, [wanted], rtol=1e-9)
                compared += 1
    assert compared > 900


def market(seed, rows):
    random = np.random.default_rng(seed)
    close = 100 * np.exp(random.normal(0, 0.01, (rows, 3)).cumsum(axis=0))
    spread = 1 + np.abs(random.normal(0, 0.005, (2, rows, 3)))
    return close * spread[0], close / spread[1], close


def test_the_indicators_are_the_engines_once_the_beginning_is_forgotten():
    high, low, close = market(3, 1500)
    for i in range(3):
        average = ExponentialMovingAverage(20)
        moves = DirectionalMovement(14, MovingAverageType.WILDER)
        index = 0.0
        for row in zip(high[:, i], low[:, i], close[:, i], strict=True):
            average.update_raw(row[2])
            moves.update_raw(*row[:2])
            both = moves.pos + moves.neg
            index += (100 * abs(moves.pos - moves.neg) / both - index) / 14 if both else 0.0
        np.testing.assert_allclose(ema(close, 20)[i], average.value, rtol=1e-9)
        np.testing.assert_allclose(adx(high, low, close, 14)[i], index, rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_window_of_the_rows_asked_for_is_settled(seed):
    high, low, close = market(seed, 1200)

    def last(rows):
        return [array[-rows:] for array in (high, low, close)]

    np.testing.assert_allclose(ema(close[-rows_for_ema(50) :], 50), ema(close, 50), rtol=0.003)
    np.testing.assert_allclose(adx(*last(rows_for_adx(14)), 14), adx(*last(1200), 14), rtol=0.02)


@given(seed=st.integers(0, 999), scale=st.floats(1e-6, 1e6))
def test_indicators_do_not_depend_on_the_unit_of_price(seed, scale):
    high, low, close = market(seed, 60)
    scaled = high * scale, low * scale, close * scale
    np.testing.assert_allclose(adx(*scaled, 5), adx(high, low, close, 5), rtol=1e-6)
    np.testing.assert_allclose(
        ema_slope(close * scale, 9, 24), ema_slope(close, 9, 24), rtol=1e-6, atol=1e-6
    )


def test_gaps_take_the_close_before():
    close = np.array([[NAN, 1.0], [2.0, NAN], [NAN, NAN], [3.0, 5.0]])
    np.testing.assert_array_equal(filled(close), [[NAN, 1], [2, 1], [2, 1], [3, 5]])
