"""Candles of the mid, which size a scalper's bracket."""

from strategies.tactics.bracket import Bracket, MidCandles

SECOND = 10**9


def test_candles_hold_the_extremes_between_two_looks_and_time_passes_in_silence():
    candles = MidCandles()
    candles.see(100.0)
    assert candles.end(1 * SECOND) is None
    for mid in (100.5, 99.5, 100.0):
        candles.see(mid)
    assert candles.end(2 * SECOND) == (1 * SECOND, 2 * SECOND, 100.5, 99.5, 100.0)
    assert candles.end(3 * SECOND) == (2 * SECOND, 3 * SECOND, 100.0, 100.0, 100.0)
    candles.see(101.0)
    # From where it stood: the move between two candles is part of the second.
    assert candles.end(4 * SECOND) == (3 * SECOND, 4 * SECOND, 101.0, 100.0, 101.0)


def test_a_first_book_that_comes_after_ends_of_candles_begins_the_next():
    candles = MidCandles()
    assert candles.end(0) is None
    assert candles.end(60) is None
    for mid in (100.0, 102.0, 101.0):
        candles.see(mid)
    assert candles.end(120) == (60, 120, 102.0, 100.0, 101.0)


def test_there_is_no_candle_before_the_first_mid():
    candles = MidCandles()
    assert (candles.end(1 * SECOND), candles.end(2 * SECOND)) == (None, None)


def test_the_default_takes_all_of_a_position_and_goes_together():
    assert Bracket().check() == []
    assert sum(target.fraction for target in Bracket().take) == 1.0
