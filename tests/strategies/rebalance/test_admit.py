"""Filters, regimes and the choice of sides, from rules to weights, on windows made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from strategies.rebalance.blocks import LossExit
from strategies.rebalance.history import Window
from strategies.rebalance.memory import Memory, Remembered
from strategies.rebalance.propose import (
    Listings,
    explain,
    in_words,
    propose,
    reason_to_wait,
    remembered,
    rows_needed,
)
from strategies.signals.parameters import (
    AdxFilter,
    Bands,
    FundingFilter,
    HoursFilter,
    MajorsGate,
    MarketTrend,
    Names,
    Regime,
    SlopeFilter,
    SymbolRecord,
)
from strategies.signals.universe import Standing
from strategies.sizing.parameters import Neutral
from strategies.xs_reversal import XSReversalConfig

NAN = np.nan
IDS = tuple("ABCDEF")
NOON = 1_704_067_200_000_000_000 + 12 * 3600 * 10**9
PLAIN = XSReversalConfig(
    key="r", instruments=IDS, interval="1h", every="1h", fraction=0.34, max_weight=1.0
)
SCORE = np.array([3.0, 2.0, 1.0, -1.0, -2.0, -3.0])
"""Mean 0; standard deviation sqrt(28 / 6) = 2.16, so that z are 1.39, 0.93, 0.46 and the like."""
ROWS = 60


def steady(*steps):
    """Return prices from 100 that move by so many basis points of 100 an hour."""
    return 100.0 + np.arange(ROWS)[:, None] * np.array(steps) / 100.0


def zigzag(close, *columns):
    close = close.copy()
    close[::2, list(columns)] += 1.0
    return close


def decide(rules, close=None, *, funding=None, memory=None, score=SCORE, ids=IDS):
    rules = replace(PLAIN, **rules)
    close = np.full((ROWS, 6), 100.0) if close is None else close
    rows = rows_needed(rules, 1)
    assert rows <= ROWS
    close = np.ascontiguousarray(close[-rows:])
    nothing = np.full(close.shape, NAN)
    paid = nothing if funding is None else np.tile(np.array(funding) / 24e4, (rows, 1))
    window = Window(NOON, close, close, close, close, close, paid)
    given = Memory() if memory is None else memory
    proposal = propose(rules, Listings(ids, np.full(6, NAN)), window, score, memory=given)
    return proposal, rules, given


def weights(*args, **more):
    return np.round(decide(*args, **more)[0].weight, 4).tolist()


def standings(*args, **more):
    return [Standing(int(one)).name for one in decide(*args, **more)[0].standing]


def holding(**weight):
    known = {name: Remembered(weight=w, since=NOON, price=100.0) for name, w in weight.items()}
    return Memory(instruments=known)


def test_without_any_block_two_are_held_a_side():
    assert weights({}) == [0.25, 0.25, 0, 0, -0.25, -0.25]


def test_outside_the_hours_nothing_is_held_or_all_is_kept():
    assert weights({"hours_filter": HoursFilter(hours=(12,))}) == weights({})
    rules = {"hours_filter": HoursFilter(hours=(11, 13))}
    assert weights(rules) == [0] * 6
    assert standings(rules) == ["OUT_OF_HOURS"] * 6
    kept = holding(C=0.1)
    assert weights(rules | {"dropped": "keep"}, memory=kept) == [0, 0, 0.1, 0, 0, 0]


def test_with_nothing_to_hold_what_is_held_is_kept_unless_a_rule_closes_it():
    held = Memory(instruments={"A": Remembered(weight=0.2, since=NOON, price=110.0, entry=110.0)})
    rules = {"flatten_on_empty_targets": False, "hours_filter": HoursFilter(hours=(11,))}
    proposal, used, _ = decide(rules, memory=held)
    assert reason_to_wait(used, proposal) == "nothing to hold; keeping what is held"
    # A lost 1.8 % of equity; it was the only position.
    proposal, used, _ = decide(rules | {"loss_exit": LossExit(loss=0.01)}, memory=held)
    assert explain(proposal, 0, used) == "left out: lost 0.01 of equity or more since its entry"
    assert reason_to_wait(used, proposal) == ""


def test_the_adx_filter_makes_room_for_the_next():
    # A and F go to and fro: ADX 11. The others climb: ADX 100.
    close = zigzag(steady(0, 1, 1, 1, 1, 0), 0, 5)
    rules = {"adx_filter": AdxFilter(length=5, least=25)}
    # A third of four is one: the best and the worst of those left.
    assert weights(rules, close) == [0, 0.5, 0, 0, -0.5, 0]
    assert standings(rules, close)[0] == "ADX_OUTSIDE"
    proposal, used, _ = decide(rules, close)
    assert explain(proposal, 0, used) == "left out: adx 11.1 is outside 25 to 100"


def test_the_slope_filter_knows_sides():
    rules = {"slope_filter": SlopeFilter(length=8, least_bps=10, sides="with_trend")}
    # 24 basis points a day up, or down; B and E go nowhere.
    close = steady(1, 0, 1, -1, 0, -1)
    assert weights(rules, close) == [0.5, 0, 0, 0, 0, -0.5]
    # The best falls and the worst rises: neither has a side; the next ones have.
    assert weights(rules, steady(-1, 1, 1, -1, -1, 1)) == [0, 0.25, 0.25, -0.25, -0.25, 0]
    # Nobody may be sold: a book of two sides holds nothing.
    assert weights(rules, steady(1, 1, 1, 1, 1, 1)) == [0] * 6


def test_funding_bars_the_side_that_pays():
    rules = {"funding_filter": FundingFilter(most_bps=3.6)}
    # Longs of A pay too much, shorts of E too; C is unknown.
    funding = [4.0, 3.0, NAN, 3.0, -4.0, 9.0]
    assert weights(rules, funding=funding) == [0, 0.5, 0, 0, 0, -0.5]
    # A is held long: it is dropped for its funding, and said so.
    proposal, used, _ = decide(rules | {"dropped": "keep"}, funding=funding, memory=holding(A=0.1))
    assert proposal.weight[0] == 0.1
    assert explain(proposal, 0, used) == (
        "kept: funding 4.0 bps a day, paid by longs, exceeds 3.6 for its side"
    )
    assert explain(proposal, 2, used) == "left out: funding is unknown"


def test_a_poor_record_keeps_out_what_is_not_held():
    poor = Remembered(left=NOON, results=(-0.1,) * 8)
    memory = Memory(instruments={"A": poor, "B": replace(poor, weight=0.2, price=100.0)})
    rules = {"symbol_record": SymbolRecord()}
    assert weights(rules, memory=memory) == [0, 0.5, 0, 0, 0, -0.5]
    assert standings(rules, memory=memory)[:2] == ["POOR_RECORD", "IN"]


GATE = {"instruments": ("C", "D"), "length": 8, "least_bps": 10}


@pytest.mark.parametrize(
    ("steps", "action", "part", "words"),
    [
        ((1, 1), "skip", 1, ""),
        ((-1, -1), "skip", 1, ""),
        ((1, -1), "skip", 0, "left out: the majors' slope, -0.1 bps a day, is within 10"),
        ((0, NAN), "skip", 0, "left out: majors_slope is unknown"),
        ((0, 0), "scale", 0.6, "scaled by 0.6 (market_trend or majors_gate)"),
    ],
)
def test_quiet_majors_stop_or_scale_all(steps, action, part, words):
    gate = MajorsGate(**GATE, action=action)
    expected = [part * 0.25, part * 0.25, 0, 0, -part * 0.25, -part * 0.25]
    proposal, used, _ = decide({"majors_gate": gate}, steady(0, 0, *steps, 0, 0))
    assert np.round(proposal.weight, 4).tolist() == expected
    assert explain(proposal, 0, used) == words


MARKET = {"instruments": ("C",), "length": 5}


@pytest.mark.parametrize(
    ("flat", "action", "expected"),
    [
        # The market, C, trends: all do, and are scaled once, though each trends by itself too.
        ("", "skip", [0] * 6),
        ("", "scale", [0.0625, 0.0625, 0, 0, -0.0625, -0.0625]),
        ("", "flip", [-0.25, -0.25, 0, 0, 0.25, 0.25]),
        # The market does not, but A and E do.
        ("BCDF", "skip", [0, 0.5, 0, 0, 0, -0.5]),
        ("BCDF", "scale", [0.0625, 0.25, 0, 0, -0.0625, -0.25]),
        # A's 3 becomes -3, E's -2 becomes 2.
        ("BCDF", "flip", [-0.25, 0.25, 0, 0, 0.25, -0.25]),
    ],
)
def test_trends_of_market_and_names(flat, action, expected):
    close = zigzag(steady(*(0 if name in flat else 1 for name in IDS)), *map(IDS.index, flat))
    rules = {"market_trend": MarketTrend(**MARKET, action=action)}
    assert weights(rules, close) == expected
    proposal, used, _ = decide(rules, close)
    said = {"skip": "", "scale": "scaled by 0.25", "flip": "its score is mirrored"}[action]
    assert expected[0] == 0 or explain(proposal, 0, used).startswith(said)


def test_a_book_stays_neutral_where_a_trend_scales_one_name():
    close = zigzag(steady(1, 0, 0, 0, 0, 0), 1, 2, 3, 4, 5)
    rules = {"market_trend": MarketTrend(**MARKET, action="scale"), "neutral": Neutral()}
    assert weights(rules, close) == [0.0625, 0.25, 0, 0, -0.1562, -0.1562]


def test_by_sign_the_opposite_side_has_the_opposite_sign():
    trend = MarketTrend(**MARKET, action="flip")
    score = np.array([3.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    found = weights({"market_trend": trend, "side": "by_sign"}, steady(*[1] * 6), score=score)
    assert found == [-0.25, -0.25, 0, 0, 0, 0]


def test_own_trends_are_held_while_all_move_together():
    # All rise alike, with the same wobble: their correlation is 1, and they hardly differ.
    close = zigzag(steady(3, 3, 3, 3, 3, 3), *range(6))
    close[-1, 5] = 99.0
    regime = Regime(
        majors=("A",),
        slope_length=8,
        correlation_lookback=20,
        dispersion_lookback=4,
        trend_lookback=10,
        low_dispersion_bps=0.1,
    )
    rules = {"regime": regime, "fraction": 0.5}
    proposal, used, memory = decide(rules, close)
    # Five rise and one falls: each has a sixth of the gross.
    np.testing.assert_allclose(proposal.weight, [1 / 6] * 5 + [-1 / 6])
    assert remembered(used, IDS, NOON, memory, proposal).regime == "own_trend"
    assert in_words(proposal) == "own trends are held in place of scores"
    calm = replace(regime, high_slope_bps=1e9)
    assert weights(rules | {"regime": calm}, close) == weights({"fraction": 0.5})


def test_the_number_of_names_follows_dispersion():
    names = Names(least=1, most=3, lookback=24, low_bps=0, high_bps=100)
    assert weights({"names": names}) == [0.5, 0, 0, 0, 0, -0.5]
    # Returns of about +2.4 % and -2.4 % over a day: as far apart as 238 bps.
    apart = steady(10, 10, 10, -10, -10, -10)
    assert weights({"names": names}, apart) == [0.1667] * 3 + [-0.1667] * 3


def test_bands_hold_on_to_what_is_held():
    rules = {"bands": Bands(entry=1.0, exit=0.45), "fraction": 0.5}
    assert weights(rules) == [0.5, 0, 0, 0, 0, -0.5]
    memory = holding(C=0.2, E=-0.2)
    assert weights(rules, memory=memory) == [0.25, 0, 0.25, 0, -0.25, -0.25]
    # Of one a side, what is held stays.
    assert weights(rules | {"fraction": 0.2}, memory=memory) == [0, 0, 0.5, 0, -0.5, 0]


def test_an_instrument_that_is_named_and_not_there_is_an_error():
    with pytest.raises(ValueError, match="not among the strategy's instruments: ETH"):
        decide({"majors_gate": MajorsGate(instruments=("A", "ETH"), length=8)})


EVERYTHING = {
    "names": Names(least=1, most=3, lookback=10, low_bps=0, high_bps=600),
    "bands": Bands(entry=0.3, exit=0.1),
    "regime": Regime(
        majors=("A", "B"),
        slope_length=8,
        correlation_lookback=20,
        dispersion_lookback=10,
        trend_lookback=20,
        low_dispersion_bps=300,
        high_slope_bps=100,
        high_correlation=0.2,
    ),
    "majors_gate": MajorsGate(**GATE, action="scale"),
    "market_trend": MarketTrend(instruments=("B",), length=5, above=60, action="flip"),
    "adx_filter": AdxFilter(length=5, least=10),
    "slope_filter": SlopeFilter(length=8, least_bps=20),
    "funding_filter": FundingFilter(),
    "symbol_record": SymbolRecord(trades=2),
    "dropped": "keep",
}


@given(seed=st.integers(0, 9999))
def test_no_order_of_instruments_and_no_unit_of_price_changes_a_decision(seed):
    random = np.random.default_rng(seed)
    common = random.normal(0, 0.01, (ROWS, 1)) * random.random()
    close = 100 * np.exp((common + random.normal(0, 0.01, (ROWS, 6))).cumsum(axis=0))
    missing = random.integers(6)
    close[-1, missing] = NAN
    close[random.integers(ROWS - 1), random.integers(6)] = NAN
    memory = Memory(
        regime=random.choice(["", "own_trend"]),
        instruments={
            name: Remembered(
                weight=random.choice([-0.1, 0.0, 0.1]),
                price=100.0,
                left=NOON,
                results=tuple(random.normal(size=3)),
            )
            for name in "ABCDEF"
        },
    )
    score, funding = random.normal(size=6), random.normal(0, 3, 6)
    got, rules, _ = decide(EVERYTHING, close, funding=funding, memory=memory, score=score)
    assert got.weight[missing] == 0.0
    assert np.abs(got.weight).sum() <= rules.gross_leverage * (1 + 1e-9)
    order = random.permutation(6)
    scaled = (close * 10.0 ** np.arange(6))[:, order]
    ids = tuple(np.array(IDS)[order])
    for name, one in memory.instruments.items():
        memory.instruments[name] = replace(one, price=one.price * 10.0 ** IDS.index(name))
    moved, *_ = decide(
        EVERYTHING, scaled, funding=funding[order], memory=memory, score=score[order], ids=ids
    )
    np.testing.assert_allclose(moved.weight, got.weight[order], rtol=1e-6, atol=1e-12)
    assert moved.standing.tolist() == got.standing[order].tolist()
    assert moved.regime == got.regime
