import numpy as np
import pytest

from strategies.signals.filters import (
    adx_passes,
    funding_a_day,
    funding_sides,
    in_hours,
    rows_for_funding,
    slope_sides,
)
from strategies.signals.parameters import (
    AdxFilter,
    FundingFilter,
    HoursFilter,
    SlopeFilter,
    SymbolRecord,
)
from strategies.signals.symbol_record import paused

NAN = np.nan
HOUR = 3600 * 10**9


def test_adx_between_its_limits():
    rules, adx = AdxFilter(least=20, most=40), np.array([19.9, 20.0, 40.0, 40.1, NAN])
    assert adx_passes(rules, adx).tolist() == [False, True, True, False, False]
    assert AdxFilter(least=30, most=20).check() == [
        ("most", "must not be below least, which is 30")
    ]


@pytest.mark.parametrize(
    ("sides", "longs", "shorts"),
    [
        ("both", [1, 1, 0, 0], [1, 1, 0, 0]),
        ("with_trend", [1, 0, 0, 0], [0, 1, 0, 0]),
        ("against_trend", [0, 1, 0, 0], [1, 0, 0, 0]),
    ],
)
def test_slopes_by_side(sides, longs, shorts):
    rules = SlopeFilter(least_bps=3.5, sides=sides)
    got = slope_sides(rules, np.array([3.5, -4.0, 3.4, NAN]))
    assert (got.long.tolist(), got.short.tolist()) == (longs, shorts)


def test_hours_are_of_utc():
    rules = HoursFilter(hours=(0, 13))
    passed = [hour for hour in range(48) if in_hours(rules, hour * HOUR + HOUR - 1)]
    assert passed == [0, 13, 24, 37]


def test_funding_of_a_day_counts_each_instruments_own_settlements():
    # Every eight hours 1 bp; every hour 1 bp; every four hours -2 bp; a spot pair.
    funding = np.full((30, 4), NAN)
    funding[5::8, 0] = 1e-4
    funding[:, 1] = 1e-4
    funding[1::4, 2] = -2e-4
    paid = funding_a_day(funding, HOUR)
    np.testing.assert_allclose(paid * 1e4, [3, 24, -12, NAN])
    got = funding_sides(FundingFilter(most_bps=3.6), paid)
    # Who pays too much is left; who receives it stays.
    assert got.long.tolist() == [True, False, True, False]
    assert got.short.tolist() == [True, True, False, False]
    # Candles of two days hold two days of it, candles of five hours five in 25.
    np.testing.assert_allclose(funding_a_day(np.array([[6e-4]]), 48 * HOUR), [3e-4])
    assert rows_for_funding(5 * HOUR) == 5
    np.testing.assert_allclose(funding_a_day(np.array([[1e-4]] * 5), 5 * HOUR), [5e-4 * 24 / 25])


RULES = SymbolRecord(trades=4, hit_rate=0.4, profit_factor=1.2, prior=2, pause="24h")


def pauses(results, hours=(0,), rules=RULES):
    since = np.array([hours[i % len(hours)] * HOUR for i in range(len(results))], float)
    return paused(rules, results, since).tolist()


def test_a_poor_record_pauses_for_a_day_and_a_short_or_perfect_one_never():
    bad, short, perfect = (-1, -1, -1, 1), (-1, -1, -1), (1, 1, 1, 1)
    # Of all 11 trades 5 won: gains 5, losses 6. Of bad: (1 + 10/11) / 6 won, below 0.4.
    trades = [bad, short, perfect, ()]
    assert pauses(trades, (23.9,)) == [True, False, False, False]
    assert pauses(trades, (24,)) == [False] * 4
    assert pauses([(), ()]) == [False, False]
    # Nobody has ever lost: there is nothing to shrink to, and nobody rests.
    assert pauses([perfect, ()]) == [False, False]


def test_the_record_is_shrunk_towards_that_of_all():
    # 1 of 4 won, 3 gained and 3 lost; with two of the usual trade (2/3 won, 5/6 gained, 1/3 lost),
    # as of 12 trades 8 won, gains were 10 and losses 4: won (1 + 4/3) / 6 = 0.39, and gained
    # 14/3 for 11/3 lost, a factor of 1.27.
    mixed, good = (3, -1, -1, -1), (1, 1, 1, 1, 1, 1, 1, -1)
    for hit_rate, factor, rests in ((0.4, 1.2, True), (0.38, 1.27, False), (0.38, 1.28, True)):
        rules = SymbolRecord(trades=4, hit_rate=hit_rate, profit_factor=factor, prior=2)
        assert pauses([mixed, good], rules=rules) == [rests, False]
