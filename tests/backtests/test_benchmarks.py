"""The benchmarks of a run, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from backtests.engine.feed import PriceGrid
from backtests.results.curves import Benchmarks
from tests.builders import DAY, HOUR

MARKET = SimpleNamespace(ids=("A", "B"), column={"A": 0, "B": 1})
OPENING = np.array([10.0, 10.0])


def grid(
    ts: list[int], close: list[list[float]], delisted: dict[int, tuple[int, ...]]
) -> PriceGrid:
    prices = np.array(close)
    return PriceGrid(np.array(ts), prices, prices, prices, delisted)


def weights(benchmarks: Benchmarks, column: str) -> list[float]:
    return benchmarks.table().column(column).to_pylist()


def test_an_instrument_whose_data_end_at_midnight_does_not_dilute_the_next_day() -> None:
    benchmarks = Benchmarks(MARKET, "A", 0, OPENING)
    prices = [[10.0, 10.0], [11.0, 9.0], [22.0, 9.0]]
    benchmarks.extend(grid([HOUR, DAY, 2 * DAY], prices, {1: (1,)}))
    # A doubles on the second day, on which B is gone.
    assert weights(benchmarks, "equal_weight") == pytest.approx([1.0, 1.0, 1.0, 2.0])


def test_slices_change_nothing_also_without_the_benchmark_in_the_universe() -> None:
    ts, prices = [HOUR, DAY, DAY + HOUR, 2 * DAY], [[10, 10], [11, 12], [20, 3], [12, 18]]
    whole, parts = Benchmarks(MARKET, "none", 0, OPENING), Benchmarks(MARKET, "none", 0, OPENING)
    whole.extend(grid(ts, prices, {}))
    for cut in (slice(0, 2), slice(2, 4)):
        parts.extend(grid(ts[cut], prices[cut], {}))
    assert parts.table().equals(whole.table())


def test_the_first_candle_counts_from_the_price_at_the_start() -> None:
    benchmarks = Benchmarks(MARKET, "A", 0, OPENING)
    benchmarks.extend(grid([DAY], [[12.0, 10.0]], {}))
    assert weights(benchmarks, "btc") == pytest.approx([1.0, 1.2])
    assert weights(benchmarks, "equal_weight") == pytest.approx([1.0, 1.1])


def test_a_window_that_ends_within_a_day_ends_with_its_last_prices() -> None:
    benchmarks = Benchmarks(MARKET, "A", 0, OPENING)
    benchmarks.extend(grid([1, HOUR], [[10.0, 10.0], [11.0, 10.0]], {}))
    assert weights(benchmarks, "btc") == pytest.approx([1.0, 1.0, 1.1])
    assert weights(benchmarks, "equal_weight") == pytest.approx([1.0, 1.0, 1.05])
    assert weights(benchmarks, "ts") == [0, 1, HOUR]
