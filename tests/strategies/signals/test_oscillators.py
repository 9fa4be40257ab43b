"""RSI, Bollinger bands and VWAP by hand, and held to published tables and the engine's VWAP."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from nautilus_trader.indicators import VolumeWeightedAveragePrice

from config.durations import DAY_NS, HOUR_NS
from strategies.signals.oscillators import (
    bollinger,
    rolling_vwap,
    rows_for_rsi,
    rsi,
    session_vwap,
    utc_days,
)
from tests.builders import SHARED_DATA

NAN = np.nan
FOLDER = SHARED_DATA / "references" / "indicators_daveskender"
needs_files = pytest.mark.skipif(
    not FOLDER.exists(), reason="no ../shared/data beside the checkout"
)


def column(*values):
    return np.array(values, float)[:, None]


def walk(rows=300):
    return 100 * np.exp(np.random.default_rng(3).normal(0, 0.01, (rows, 2)).cumsum(axis=0))


@pytest.mark.parametrize(
    ("close", "expected"),
    [
        # Up 2, down 1: means 1 and 1/2. Then down 1, up 3: means 3/2 and 1/2.
        ([1, 3, 2, 5], [NAN, NAN, 100 * 2 / 3, 75]),
        ([1, 2, 3, 4], [NAN, NAN, 100, 100]),
        ([4, 3, 2, 1], [NAN, NAN, 0, 0]),
        # Neither bought nor sold too far, where charts show 100.
        ([5, 5, 5, 5], [NAN, NAN, 50, 50]),
        # A gap stays at the close before.
        ([1, 3, NAN, 4], [NAN, NAN, 100, 100]),
        ([NAN, 3, 2, 5], [NAN, NAN, NAN, 75]),
    ],
)
def test_rsi_by_hand(close, expected):
    np.testing.assert_allclose(rsi(column(*close), 2, 3)[:, 0], expected)


def test_an_rsi_of_some_candles_is_the_same_in_every_window():
    close, memory = walk(), rows_for_rsi(14)
    each = rsi(close, 14, memory)
    assert np.isnan(each[: memory - 1]).all()
    np.testing.assert_array_equal(each[150:], rsi(close[10:], 14, memory)[140:])
    np.testing.assert_allclose(each[-1], rsi(close, 14, len(close))[-1], atol=0.02)
    # A coin listed inside the window is known once it has so many candles.
    close[:100, 0] = NAN
    assert np.flatnonzero(~np.isnan(rsi(close, 14, memory)[:, 0]))[0] == 100 + memory - 1


def test_bollinger_bands_by_hand():
    # Of 1, 3: mean 2, deviation 1. Of 3, 9: mean 6, deviation 3.
    bands = bollinger(column(1, 3, 9, NAN), 2, 2.0)
    np.testing.assert_array_equal(bands.middle[:, 0], [NAN, 2, 6, 9])
    np.testing.assert_array_equal(bands.upper[:, 0], [NAN, 4, 12, 9])
    np.testing.assert_array_equal(bands.lower[:, 0], [NAN, 0, 0, 9])


def test_vwap_by_hand():
    # Typical prices 10, 20, 40 of volumes 1, 3, 0, then a gap and 30 of 2.
    high, low, close = (
        column(11, 22, 40, NAN, 30),
        column(9, 18, 40, NAN, 30),
        column(10, 20, 40, NAN, 30),
    )
    volume = column(1, 3, 0, NAN, 2)
    prices = (high, low, close, volume)
    np.testing.assert_allclose(rolling_vwap(*prices, 2)[:, 0], [NAN, 17.5, 20, NAN, 30])
    found = session_vwap(*prices, np.array([7, 7, 8, 8, 8]))
    np.testing.assert_allclose(found[:, 0], [10, 17.5, NAN, NAN, 30])
    np.testing.assert_array_equal(session_vwap(*prices, np.full(5, -1)), np.full((5, 1), NAN))


def test_a_session_is_a_utc_day_and_known_from_its_beginning():
    # The last candle closes at 01:00 of day 10; one that closes at midnight is of the day before.
    np.testing.assert_array_equal(
        utc_days(10 * DAY_NS + HOUR_NS, HOUR_NS, 26), [-1] + [9] * 24 + [10]
    )
    np.testing.assert_array_equal(utc_days(10 * DAY_NS, HOUR_NS, 24), [9] * 24)
    np.testing.assert_array_equal(utc_days(10 * DAY_NS, HOUR_NS, 23), [-1] * 23)
    np.testing.assert_array_equal(utc_days(10 * DAY_NS, DAY_NS, 2), [8, 9])


def published(name, field):
    text = gzip.decompress((FOLDER / f"{name}.standard.json.gz").read_bytes())
    return np.array([row[field] for row in json.loads(text)], float)


@needs_files
def test_published_values():
    table = pd.read_csv(FOLDER / "quotes_default_502d.csv")
    high, low, close, volume = (table[[name]].to_numpy(float) for name in table.columns[2:])
    bands = bollinger(close, 20, 2.0)
    sessions = np.zeros(len(table), dtype=np.int64)
    for found, name, field in (
        (bands.middle, "bb", "sma"),
        (bands.upper, "bb", "upperBand"),
        (bands.lower, "bb", "lowerBand"),
        (session_vwap(high, low, close, volume, sessions), "vwap", "vwap"),
    ):
        np.testing.assert_allclose(found[:, 0], published(name, field), rtol=1e-11)
    strength = rsi(close, 14, len(close))[-1, 0]
    np.testing.assert_allclose(strength, published("rsi", "rsi")[-1], rtol=1e-11)


def test_the_engine_has_the_same_vwap_of_a_utc_day():
    close, volume = walk(60), np.random.default_rng(4).uniform(1, 9, (60, 2))
    theirs, days = VolumeWeightedAveragePrice(), utc_days(20 * DAY_NS, HOUR_NS, 60)
    for row, (price, traded) in enumerate(zip(close[:, 0], volume[:, 0], strict=True)):
        opened = pd.Timestamp(20 * DAY_NS - (60 - row) * HOUR_NS, tz="UTC")
        theirs.update_raw(price, traded, opened)
    ours = session_vwap(close, close, close, volume, days)
    np.testing.assert_allclose(ours[-1, 0], theirs.value, rtol=1e-12)
    assert np.flatnonzero(np.isnan(ours[:, 0])).tolist() == list(range(12))
