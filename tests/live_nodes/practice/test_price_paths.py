"""Paths inside candles touch what the candle says, and nothing beyond it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_nodes.practice.market.price_paths import candle_path, seed_of, volume_path


@st.composite
def candles(draw: st.DrawFn) -> tuple[int, int, int, int]:
    low = draw(st.integers(1, 10**9))
    high = low + draw(st.integers(0, 10**6))
    return draw(st.integers(low, high)), high, low, draw(st.integers(low, high))


@given(candle=candles(), knots=st.integers(4, 600), seed=st.integers(0, 2**64 - 1))
def test_a_path_has_exactly_its_candles_open_high_low_and_close(
    candle: tuple[int, int, int, int], knots: int, seed: int
) -> None:
    path = candle_path(*candle, knots, seed)
    assert (path[0], path.max(), path.min(), path[-1]) == candle
    assert len(path) == knots
    assert np.array_equal(path, candle_path(*candle, knots, seed))


def test_two_candles_of_one_seed_turn_at_the_same_moments() -> None:
    last = candle_path(1000, 1500, 900, 1200, 600, seed=5)
    mark = candle_path(1010, 1510, 910, 1210, 600, seed=5)
    assert np.array_equal(mark, last + 10)


def test_impossible_candles_are_refused() -> None:
    with pytest.raises(ValueError, match="no such candle"):
        candle_path(10, 9, 8, 9, 60, 1)
    with pytest.raises(ValueError, match="knots"):
        candle_path(10, 10, 10, 10, 3, 1)


@given(lots=st.integers(0, 10**12), knots=st.integers(1, 600), seed=st.integers(0, 2**64 - 1))
def test_volume_never_falls_and_is_all_there_at_the_end(lots: int, knots: int, seed: int) -> None:
    done = volume_path(lots, knots, seed)
    assert done[-1] == lots
    assert (np.diff(done, prepend=0) >= 0).all()


def test_seeds_depend_on_their_parts_alone() -> None:
    assert seed_of(1, "path", "linear", "BTCUSDT", 7) == seed_of(1, "path", "linear", "BTCUSDT", 7)
    assert seed_of("ab", "c") != seed_of("a", "bc")
