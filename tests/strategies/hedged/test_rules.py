"""Rules of pairs, by hand: entries, exits and sizes."""

import math
from decimal import Decimal as D

import msgspec
import pytest

from config.load import load
from strategies.hedged.rules import Enter, PairsMemory, judge, sized
from strategies.hedged.views import View
from strategies.pairs import PairsConfig, TimeStop
from strategies.sizing.rounding import Lot
from strategies.tactics.two_leg import NONE

PAIR = "AAAUSDT/BBBUSDT"


def rules(**params):
    names = "AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT"
    return PairsConfig(key="p", instruments=names, pairs=(names,), **params)


def view(**known):
    fields = {"beta": 1.0, "std": 0.01, "z": 2.5, "half_life": 5.0} | known
    return View(rsi=(50.0, 50.0), correlation=1.0, volatility=0.01, **fields)


@pytest.mark.parametrize("unknown", [math.inf, math.nan])
def test_an_entry_without_half_life_is_saved_and_read_again(unknown):
    entry = judge(rules(), PAIR, view(half_life=unknown), None, 0)
    memory = PairsMemory({PAIR: entry.trade})
    again = msgspec.json.decode(msgspec.json.encode(memory), type=PairsMemory)
    assert (again, entry.trade.half_life) == (memory, None)
    # A time stop by half-lives that was added since has nothing to count.
    timed = rules(time_stop=TimeStop(half_lives=1))
    assert judge(timed, PAIR, view(), again.trades[PAIR], 1e6) is None


@pytest.mark.parametrize("unknown", [math.inf, math.nan])
@pytest.mark.parametrize("field", ["beta", "std", "z"])
def test_nothing_is_entered_by_what_is_unknown(field, unknown):
    assert isinstance(judge(rules(), PAIR, view(), None, 0), Enter)
    assert judge(rules(), PAIR, view(**{field: unknown}), None, 0) is None


@pytest.mark.parametrize("strength", [(90.0, 10.0), (math.nan, 10.0), (90.0, math.nan)])
def test_no_tier_is_met_by_an_unknown_rsi(strength):
    known = not any(map(math.isnan, strength))
    seen = view()._replace(rsi=strength)
    assert (judge(rules(rules="tiers"), PAIR, seen, None, 0) is not None) == known


def size(prices=(D(100), D(50)), steps=(D("0.001"), D("0.001")), seen=None, **params):
    """Sizes of a short spread with an equity of 10,000; the stop is at 4, entry at 2."""
    config = rules(**params)
    entry = judge(config, PAIR, view(**(seen or {})), None, 0)
    lots = [Lot(step, step, D(0)) for step in steps]
    return sized(config, entry, 10_000.0, prices, lots, 1.0)


def test_what_is_risked_until_the_stop_limits_the_size():
    # 0.1 % of 10,000 over (4 - 2.5) * 0.01 is 666.67; 2 % would be more than a leg's 1,000.
    assert size(risk=0.001) == ((D("-6.666"), D("13.333")), "")
    assert size(risk=0.02) == ((D(-10), D(20)), "")


def test_no_leg_is_larger_than_its_part_of_equity():
    # 2 % of 10,000 over (4 - 2.5) * 0.0001 would be 1,333,333 USDT a leg.
    free = {"seen": {"std": 0.0001}, "max_leg": None}
    assert size(**free) == ((D(-25), D(50)), "")
    assert size(**free, max_weight=0.5) == ((D(-50), D(100)), "")
    # The larger leg, b by beta 2, has 2,500.
    free["seen"]["beta"] = 2.0
    assert size(**free, size="beta_weighted") == ((D("-12.5"), D(50)), "")


def test_nothing_is_entered_next_to_the_stop():
    assert size(seen={"z": 3.79})[1] == ""
    assert size(seen={"z": 3.81}) == (NONE, "near_stop")


@pytest.mark.parametrize(
    ("max_leg", "prices", "steps", "found"),
    [
        # 10 lots of 100 are 1,000, but 28 of 34.5 are 966; 9 are 900, and 26 of 34.5 are 897.
        (1000.0, (100_000, "34.5"), ("0.001", "1"), (("-0.009", "26"), "")),
        (1000.0, ("34.5", 100_000), ("1", "0.001"), (("-26", "0.009"), "")),
        # One lot of 70 beside 2 or 3 of 30 can't be hedged.
        (130.0, (70, 30), ("1", "1"), (("0", "0"), "lots")),
        (60.0, (70, 30), ("1", "1"), (("0", "0"), "lots")),
        # Fine lots: 70 and 70, to the fine one.
        (70.0, (70, 30), ("1", "0.01"), (("-1", "2.33"), "")),
    ],
)
def test_legs_in_coarse_lots_hedge_each_other_or_are_not_entered(max_leg, prices, steps, found):
    (first, second), skip = found
    sizes = size(tuple(map(D, prices)), tuple(map(D, steps)), max_leg=max_leg, risk=None)
    assert sizes == ((D(first), D(second)), skip)


@pytest.mark.parametrize("weighting", ["dollar_neutral", "beta_weighted"])
def test_legs_that_would_not_hedge_are_not_entered(weighting):
    for beta in (-1.0, 0.0, 0.09):
        assert size(seen={"beta": beta}, size=weighting) == (NONE, "beta")
    assert size(seen={"beta": 0.1}, size=weighting)[1] == ""


def test_a_size_of_whole_lots_stays_whole():
    # A lot of 0.001 is 50 of 3,000: sixty lots, though a sixtieth has no exact decimal.
    sizes = size((D(50_000), D(3000)), (D("0.001"), D("0.01")), max_leg=3000.0, max_weight=1.0)
    assert sizes == ((D("-0.060"), D("1.00")), "")


def test_a_second_pair_of_the_same_name_is_refused():
    here, there = "AAAUSDT-LINEAR.BYBIT", "AAAUSDT-LINEAR.OTHER"
    others = "BBBUSDT-LINEAR.BYBIT"
    config = PairsConfig(key="p", instruments=(), pairs=((here, others), (there, others)))
    assert config.check() == [
        ("pairs[1]", f"has the name of another pair, {PAIR}: give only one of them")
    ]


@pytest.mark.parametrize("name", ["pairs_sober", "pairs_zscore"])
def test_a_leg_of_two_pairs_stays_below_the_guards_limit_of_a_position(name):
    setup = load(f"config/setups/{name}.yaml").document
    most = setup.strategies["pairs"].params["max_weight"]
    assert 2 * most < setup.actors["position"].params["limit_pct"]
