"""All eight signals on an instrument: properties of any tape, and the compiled code's cache."""

from itertools import pairwise
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strategies.signals import compiled
from strategies.signals.book_scores import BookScores, new_board, score_tape
from strategies.signals.scalper_parameters import (
    SIGNALS,
    BookImbalance,
    Iceberg,
    LargeTrades,
    MicroMomentum,
    PullReplace,
    ScalperSignals,
    Sweep,
    VolatilityRegime,
    VwapDeviation,
)

TICK, START = 0.5, 1_700_000_000_123_456_789
LEVELS, READ = 5, 3
QUICK = ScalperSignals(
    levels=READ,
    book_imbalance=BookImbalance(smooth_s=0.1, change_s=0.3),
    micro_momentum=MicroMomentum(fast_s=0.2, slow_s=1.0, flow_s=1.0),
    pull_replace=PullReplace(quantile=0.8, multiple=3, least_orders=10),
    large_trades=LargeTrades(quantile=0.8, multiple=2, burst=0.5, least_orders=10),
    sweep=Sweep(levels=2, least_move=0.5),
    iceberg=Iceberg(refill_s=0.2, refills=1, beyond=0.1),
    vwap_deviation=VwapDeviation(window_s=1.0),
    volatility_regime=VolatilityRegime(sample_s=0.1, short_s=0.8, long_s=5.0, warm_s=1.0),
)
"""Every signal warms up within a second and scores often."""
Event = tuple[int, np.ndarray, np.ndarray] | tuple[int, float, float, int]
seeds = st.integers(0, 2**32 - 1)


def invented(seed: int, count: int = 400) -> list[Event]:
    """Books and trades at random: the mid wanders, some levels are large, some prices refill."""
    rng, events, ts, best = np.random.default_rng(seed), [], START, 2000
    sizes, bluff = rng.lognormal(0, 1, (2, 40)), None
    while len(events) < count:
        ts += int(rng.integers(0, 50_000_000))
        if bluff is not None:
            sizes[bluff[:2]], bluff = bluff[2], None
        elif rng.random() < 0.1:
            side = int(rng.integers(2))
            place = side, (best + (2 if side else -1)) % 40
            bluff, sizes[place] = (*place, sizes[place]), 40.0
        elif rng.random() < 0.3:
            side, price = int(rng.choice([1, -1])), best + (rng.random() < 0.5)
            steps, order = range(int(rng.integers(1, 5))), rng.lognormal(0, 1.5, 5)
            events += [(ts, (price + side * k) * TICK, float(order[k]), side) for k in steps]
        else:
            best += int(rng.choice([-1, 0, 0, 0, 1]))
            sizes[rng.integers(2), rng.integers(40)] = rng.lognormal(0, 2)
        near = (best + np.arange(40)) % 40
        bids = [((best - k) * TICK, sizes[0, near[-k]]) for k in range(LEVELS)]
        asks = [((best + 1 + k) * TICK, sizes[1, near[1 + k]]) for k in range(LEVELS)]
        events.append((ts, np.array(bids), np.array(asks)))
    return events


def scores(events: list[Event], tick: float = TICK) -> np.ndarray:
    """Scores of all signals after each event, shape (events, 8), and the regime."""
    board, found = BookScores(QUICK, tick), []
    for event in events:
        if len(event) == 3:
            board.on_book(*event)
        else:
            board.on_trade(*event)
        found.append([*board.scores(event[0]), board.regime(event[0])])
    return np.array(found)


def changed(events, book=lambda own: own, price=lambda p: p, size=lambda s: s, ts=lambda t: t):
    """The same events with other books, prices, sizes or times."""
    return [
        (ts(e[0]), book(e[1]), book(e[2]))
        if len(e) == 3
        else (ts(e[0]), price(e[1]), size(e[2]), e[3])
        for e in events
    ]


@given(seeds)
def test_scores_are_bounded_and_known_once_warm(seed):
    found = scores(invented(seed))
    known = ~np.isnan(found)
    assert np.abs(found[:, :8][known[:, :8]]).max() <= 1.0
    assert known[-1].all()
    # Once known, a score stays so: nothing here is silent for long.
    assert (np.diff(known.astype(int), axis=0) >= 0).all()


def test_each_signal_scores_on_both_sides_somewhere():
    found = np.concatenate([scores(invented(seed)) for seed in range(6)])
    for number, name in enumerate(SIGNALS[:-1]):
        assert np.nanmin(found[:, number]) < -0.1, name
        assert np.nanmax(found[:, number]) > 0.1, name


@given(seeds)
@example(416)  # The first growth is a bid's.
def test_a_mirrored_market_has_opposite_scores(seed):
    events, about = invented(seed), 4000 * TICK

    def mirrored(own: np.ndarray) -> np.ndarray:
        return np.column_stack([about - own[:, 0], own[:, 1]])

    turned = [
        (e[0], mirrored(e[2]), mirrored(e[1])) if len(e) == 3 else (e[0], about - e[1], e[2], -e[3])
        for e in events
    ]
    ours, theirs = scores(events), scores(turned)
    np.testing.assert_allclose(ours[:, :8], -theirs[:, :8], atol=1e-9)
    np.testing.assert_array_equal(ours[:, 8], theirs[:, 8])


@given(seeds)
def test_levels_beyond_those_that_are_read_change_nothing(seed):
    events = invented(seed)

    def cut(own: np.ndarray) -> np.ndarray:
        return np.vstack([own[:READ], [[nan, 0.0]] * 3])

    np.testing.assert_array_equal(scores(events), scores(changed(events, book=cut)))


@given(seeds)
def test_units_of_price_size_and_clock_change_nothing(seed):
    events = invented(seed)
    plain = scores(events)
    other = changed(
        events,
        book=lambda own: own * [8.0, 4.0],
        price=lambda p: 8.0 * p,
        size=lambda s: 4.0 * s,
        ts=lambda t: t - START + 77,
    )
    np.testing.assert_allclose(scores(other, 8 * TICK), plain, atol=1e-9)


@given(seeds)
def test_messages_that_repeat_the_book_change_nothing(seed):
    """Time counts, not messages."""
    events, often, places = invented(seed, 200), [], []
    for before, event in pairwise([*events, (1 << 62,)]):
        often.append(before)
        places.append(len(often) - 1)
        if len(before) == 3 and event[0] > before[0] + 2:
            often.append((before[0] + min(event[0] - before[0], 10**8) // 2, *before[1:]))
    # An iceberg looks for a refill at each book after a trade: it may see the old one once more.
    kept = [number for number in range(9) if SIGNALS[number : number + 1] != ("iceberg",)]
    many, once = scores(often)[places], scores(events)
    np.testing.assert_allclose(many[:, kept], once[:, kept], atol=1e-9)


@given(seeds)
def test_a_tape_gives_the_bits_of_its_events(seed):
    events = invented(seed)
    books = [event for event in events if len(event) == 3]
    trades = np.array([event[1:] for event in events if len(event) == 4])
    kinds = np.array([len(event) == 3 for event in events])
    places = np.where(kinds, np.cumsum(kinds) - 1, -np.cumsum(~kinds))
    seconds = np.array([(event[0] - events[0][0]) * 1e-9 for event in events])
    bids, asks = (np.array([event[side] for event in books]) for side in (1, 2))
    board, found = new_board(QUICK, TICK), np.empty((len(events), 8))
    regimes = np.empty(len(events), np.int64)
    for part in (slice(0, 150), slice(150, None)):
        score_tape(
            board, seconds[part], places[part], bids, asks, trades, found[part], regimes[part]
        )
    np.testing.assert_array_equal(np.column_stack([found, regimes]), scores(events))


def test_a_book_without_a_side_and_a_trade_without_a_size_are_passed_over():
    events = invented(1, 100)
    board, whole = BookScores(QUICK, TICK), scores(events)
    for event in events:
        board.on_book(*event) if len(event) == 3 else board.on_trade(*event)
    now = events[-1][0]
    board.on_trade(now, 0.0, 1.0, 1)
    board.on_trade(now, 1000.0, 0.0, 1)
    board.on_trade(now, 1000.0, 9.0, 0)
    np.testing.assert_array_equal(board.scores(now), whole[-1, :8])
    assert board.volatility_bps(now) > 0.0
    board.on_book(now, np.full((LEVELS, 2), [nan, 0.0]), events[-1][2])
    assert isnan(board.scores(now)[SIGNALS.index("vwap_deviation")])
    assert isnan(board.volatility_bps(now))
    with pytest.raises(ValueError, match="fewer rows than the levels"):
        board.on_book(now, np.zeros((READ - 1, 2)), np.zeros((READ - 1, 2)))


def test_cached_code_belongs_to_the_sources_of_all_steps():
    """Numba's cache looks at one file: without this, a change of another one would be ignored."""
    key = score_tape._cache._index_key(None, score_tape.targetctx.codegen())
    assert key[-1] == compiled._SOURCES
    assert key[:-1] == super(type(score_tape._cache), score_tape._cache)._index_key(
        None, score_tape.targetctx.codegen()
    )
