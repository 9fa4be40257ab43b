"""The scalper's eight signals on tables of events that a reader can check by hand."""

from math import e, exp, isnan, nan, sqrt, tanh

import numpy as np
import pytest

from strategies.signals import (
    book_imbalance,
    iceberg,
    large_trades,
    micro_momentum,
    pull_replace,
    sweep,
    volatility_regime,
    vwap_deviation,
)
from strategies.signals.compiled import SIZES, add_size, packed, size_at
from strategies.signals.scalper_parameters import (
    BookImbalance,
    FusionRules,
    Iceberg,
    LargeTrades,
    MicroMomentum,
    PullReplace,
    ScalperSignals,
    Sweep,
    Threshold,
    Thresholds,
    VolatilityRegime,
    VwapDeviation,
    Weights,
)

TICK = 1.0
BUY, SELL = 1, -1


def rows(*levels: tuple[float, float]) -> np.ndarray:
    """One side of a book, padded to three levels."""
    return np.array([*levels, *[(nan, 0.0)] * (3 - len(levels))])


def around(mid: float) -> tuple[np.ndarray, np.ndarray]:
    return rows((mid - 0.5, 1.0)), rows((mid + 0.5, 1.0))


def test_sizes_of_a_record_have_quantiles_within_a_fifth_and_are_forgotten():
    record = np.zeros(SIZES)
    for size in (1.0, 2.0, 4.0, 8.0):
        add_size(record, 0.0, size, 10.0)
    assert [size_at(record, q) for q in (0.1, 0.4, 0.6, 0.9)] == pytest.approx(
        [1, 2, 4, 8], rel=0.1
    )
    for moment in range(200):
        add_size(record, 100.0 + moment, 0.5, 10.0)
    assert size_at(record, 0.9) == pytest.approx(0.5, rel=0.1)


def test_imbalance_weighs_levels_by_depth():
    rules = packed(BookImbalance(decay=0.5, change_share=0.0, micro_share=0.0))
    state = book_imbalance.new_state()
    # 4 - 1 at the best, half of 2 - 4 behind it; 5 and half of 6 in all.
    book_imbalance.on_book(state, 0.0, rows((99, 4), (98, 2)), rows((101, 1), (102, 4)), rules)
    assert isnan(book_imbalance.score(state, 0.9, rules))
    assert book_imbalance.score(state, 1.0, rules) == pytest.approx(2 / 8)


def test_imbalance_adds_its_change_a_second_and_the_micro_price():
    rules = packed(BookImbalance(smooth_s=1, change_s=2, change_share=0.25, micro_share=0.25))
    state = book_imbalance.new_state()
    book_imbalance.on_book(state, 0.0, rows((99, 2)), rows((101, 2)), rules)
    book_imbalance.on_book(state, 5.0, rows((99, 3)), rows((101, 1)), rules)
    # From 0 to 0.5: after a second the averages are at 1 - 1/e and 1 - 1/sqrt(e) of the way.
    fast, slow = 0.5 * (1 - 1 / e), 0.5 * (1 - 1 / sqrt(e))
    wanted = 0.5 * fast + 0.25 * tanh((fast - slow) / 0.5) + 0.25 * 0.5
    assert book_imbalance.score(state, 6.0, rules) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("bought", "sold", "share"),
    [(3.0, 1.0, 0.5), (2.0, 0.0, 1.0), (1.0, 3.0, 0.0), (0.0, 0.0, 0.0)],
)
def test_momentum_needs_trades_on_its_side(bought, sold, share):
    rules = packed(MicroMomentum())
    state = micro_momentum.new_state()
    micro_momentum.on_book(state, 0.0, *around(100.0), TICK, rules)
    micro_momentum.on_book(state, 9.0, *around(110.0), TICK, rules)
    for size, side in ((bought, BUY), (sold, SELL)):
        micro_momentum.on_trade(state, 10.0, size, side, rules)
    # A second after a jump of ten: 6.32 by the fast, 1.81 by the slow average; a walk of volatility
    # 2 would have them 2 * 4 / sqrt(12) apart.
    distance = 10 * (1 - 1 / e) - 10 * (1 - exp(-0.2))
    wanted = tanh(distance / (2 * 4 / sqrt(12)) / 2) * share
    assert micro_momentum.score(state, 10.0, 2.0, 2.0, rules) == pytest.approx(wanted)
    for now in (0.4, 13.0):  # Below and above the gate of volatility.
        assert micro_momentum.score(state, 10.0, now, 2.0, rules) == 0.0
    assert isnan(micro_momentum.score(state, 4.9, 2.0, 2.0, rules))
    assert isnan(micro_momentum.score(state, 10.0, nan, nan, rules))


PULLS = PullReplace(quantile=0.5, multiple=5, least_orders=5, life_s=20)


def pulled(*, side=1, placed_s=1.0, trades=(), best=False, lost=10.0) -> float:
    """Show a bid of 10 behind the best, take it off after some seconds; trades: (seconds, size).

    Orders before it were of size 1, so it is large. Asks when side is -1.
    """
    rules, state = packed(PULLS), pull_replace.new_state(3)

    def show(now: float, big: float, near: float = 5.0) -> None:
        own = [(100 - side, near), (100 - 2 * side, 4 + big), (100 - 3 * side, 5.0)]
        own, other = rows(*own[1:] if not near else own), rows((100 + side, 5.0))
        bids, asks = (own, other) if side > 0 else (other, own)
        pull_replace.on_book(state, now, bids, asks, TICK, rules)

    for number in range(10):
        show(float(number), 0.0, near=5.0 + number)
    assert pull_replace.score(state, 9.0, rules) == 0.0
    show(10.0, 10.0, 14.0)
    if best:
        show(10.5, 10.0, 0.0)
    gone = 10.0 + placed_s
    show(gone - 0.5, 10.0, 0.0 if best else 14.0)
    for after, size in [*trades, (nan, 0.0)]:
        if not after <= 0.0:
            show(gone, 10.0 - lost, 0.0 if best else 14.0)
        if size:
            now, price = gone + after, 100.0 - 2 * side
            pull_replace.on_trade(state, now, price, size, -side, TICK, rules)
    show(gone + 0.2, 10.0 - lost, 0.0 if best else 14.0)
    return pull_replace.score(state, gone + 0.2, rules)


def test_a_large_bid_that_is_pulled_untraded_expects_a_fall():
    # Large is from five times the median of 1, so 10 counts as two.
    assert pulled() == pytest.approx(-tanh(2.0), abs=0.03)
    assert pulled(side=-1) == pytest.approx(tanh(2.0), abs=0.03)


@pytest.mark.parametrize(
    "changes",
    [
        {"trades": [(0, 10.0)]},  # It was filled: the trade came before the book …
        {"trades": [(0.05, 10.0)]},  # … or after it.
        {"trades": [(0, 4.0)]},  # Of the 10 only 6 were cancelled.
        {"best": True},  # It had become the best price.
        {"placed_s": 21.0},  # It stood for long.
        {"lost": 5.0},  # Half of it was cancelled.
    ],
)
def test_what_was_traded_stood_long_or_stayed_is_no_bluff(changes):
    assert pulled(**changes) == 0.0


def test_a_level_that_leaves_the_levels_that_are_read_is_not_pulled():
    rules, state = packed(PULLS), pull_replace.new_state(3)
    asks = rows((101, 5.0))
    for number in range(8):
        shown = rows((99, 5.0 + number), (98, 4.0), (97, 4.0))
        pull_replace.on_book(state, float(number), shown, asks, TICK, rules)
    large = rows((99, 12.0), (98, 4.0), (97, 14.0))
    # Best prices come before it, then it is within reach again, and pulled within it.
    for now, shown in (
        (8.0, large),
        (9.0, np.array([(100, 1.0), (99, 12.0), (98, 4.0)])),
        (10.0, large),
        (11.0, large),
    ):
        pull_replace.on_book(state, now, shown, asks, TICK, rules)
        assert pull_replace.score(state, now, rules) == 0.0
    for now in (12.0, 12.2):
        pull_replace.on_book(state, now, rows((99, 12.0), (98, 4.0), (97, 4.0)), asks, TICK, rules)
    assert pull_replace.score(state, 12.2, rules) < -0.9


def large_state(*orders: tuple[float, float, int]) -> tuple[np.ndarray, np.ndarray]:
    """A hundred orders of size 1, one a second, then orders: (seconds later, size, side)."""
    rules = packed(LargeTrades(quantile=0.5, least_orders=50, burst=2.0, scale=1.0))
    state = large_trades.new_state()
    for number in range(100):
        large_trades.on_trade(state, float(number), 1.0, BUY if number % 2 else SELL, rules)
    for now, size, side in orders:
        large_trades.on_trade(state, 100 + now, size, side, rules)
    return state, rules


def test_a_burst_of_large_buys_scores_and_fades():
    # Large is from four: each of the 8 counts for nearly two.
    state, rules = large_state((0, 8, BUY), (0.1, 8, BUY), (0.2, 8, BUY))
    at_once = large_trades.score(state, 100.2, rules)
    assert 0.9 < at_once < 1.0
    assert large_trades.score(state, 130.0, rules) == 0.0
    sold, _ = large_state((0, 8, SELL), (0.1, 8, SELL), (0.2, 8, SELL))
    assert large_trades.score(sold, 100.2, rules) == pytest.approx(-at_once)


@pytest.mark.parametrize(
    ("orders", "scores"),
    [
        ([(0, 8, BUY)], False),  # One alone.
        ([(k / 10, 1, BUY) for k in range(20)], False),  # Many, none of them large.
        ([(0, 8, BUY), (0, 8, SELL), (0, 8, BUY), (0, 8, SELL)], False),  # Both sides.
        ([(k / 2, 1, BUY) for k in range(3) for _ in range(8)], True),  # Fills of three orders.
    ],
)
def test_only_bursts_of_large_orders_of_one_side_score(orders, scores):
    state, rules = large_state(*orders)
    assert (large_trades.score(state, 100 + orders[-1][0], rules) > 0.05) == scores


def test_fills_of_an_order_count_as_the_order():
    whole, rules = large_state(*[(k / 2, 8, BUY) for k in range(3)])
    fills, _ = large_state(*[(k / 2, 1, BUY) for k in range(3) for _ in range(8)])
    score = large_trades.score(whole, 101.0, rules)
    assert large_trades.score(fills, 101.0, rules) == pytest.approx(score)


def test_where_large_orders_are_usual_a_burst_takes_more_of_them():
    rare, rules = large_state(*[(k / 10, 8, BUY) for k in range(3)])
    usual, _ = large_state(
        *[(3 * k, 8, BUY if k % 2 else SELL) for k in range(60)],
        *[(180 + k / 10, 8, BUY) for k in range(3)],
    )
    assert large_trades.score(usual, 280.2, rules) < large_trades.score(rare, 100.2, rules) - 0.2


def swept(
    *trades: tuple[float, float, int], volatility: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    rules, state = packed(Sweep(levels=3, least_move=2.0, scale=2.0)), sweep.new_state()
    for now, price, side in trades:
        sweep.on_trade(state, now, price, side, TICK, volatility, rules)
    return state, rules


def test_one_order_through_four_prices_is_a_sweep():
    state, rules = swept(*[(5.0, 100.0 + step, BUY) for step in range(4)])
    # It cleared three prices and went three ticks, one volatility more than it has to.
    wanted = 0.5 + 0.5 * (1 - exp(-1 / 2))
    assert sweep.score(state, 5.0, 1.0, rules) == pytest.approx(wanted)
    assert sweep.score(state, 7.0, 1.0, rules) == pytest.approx(wanted / e)
    state, rules = swept(*[(5.0, 100.0 - step, SELL) for step in range(4)])
    assert sweep.score(state, 5.0, 1.0, rules) == pytest.approx(-wanted)
    assert isnan(sweep.score(state, 5.0, nan, rules))
    state, rules = swept(*[(5.0, 100.0 + step, BUY) for step in range(4)], volatility=1.6)
    assert sweep.score(state, 5.0, 1.6, rules) == 0.0  # Three ticks are less than two of them.


@pytest.mark.parametrize(
    "trades",
    [
        [(5.0, 100.0, BUY)] * 9,
        [(5.0, 100.0 + step, BUY) for step in range(3)],
        [(5.0 + step / 1000, 100.0 + step, BUY) for step in range(9)],
        [(5.0, 100.0 + step, BUY if step % 2 else SELL) for step in range(9)],
        [(5.0, 100.0 - step, BUY) for step in range(9)],
    ],
    ids=["one price", "three prices", "several orders", "both sides", "against its way"],
)
def test_what_is_no_sweep(trades):
    state, rules = swept(*trades)
    assert sweep.score(state, 5.0, 1.0, rules) == 0.0


def refilled(*, times=3, traded=5.0, after=0.01, side=1) -> tuple[float, np.ndarray]:
    """A price that shows 5 is sold, and bought up again each second; asks when side is -1."""
    rules, state = packed(Iceberg()), iceberg.new_state()
    other = rows((100.0 + side, 5.0))

    def show(now: float, *own: tuple[float, float]) -> None:
        bids, asks = (rows(*own), other) if side > 0 else (other, rows(*own))
        iceberg.on_book(state, now, bids, asks, TICK, rules)

    price = 100.0 - side
    show(0.0, (price, 5.0), (price - side, 9.0))
    for second in range(times):
        iceberg.on_trade(state, second + 0.5, price, traded, -side, TICK)
        show(second + 0.5, (price - side, 9.0))
        show(second + 0.5 + after, (price, 5.0), (price - side, 9.0))
    return iceberg.score(state, times - 0.5 + after, rules), state


def test_a_price_that_is_refilled_three_times_is_an_iceberg():
    score, state = refilled()
    assert score == pytest.approx(1 - exp(-1 / 2))
    assert refilled(side=-1)[0] == pytest.approx(-score)
    rules = packed(Iceberg())
    assert iceberg.score(state, 2.51 + 10, rules) == pytest.approx(score / e)
    # Taken without a refill, it is gone.
    iceberg.on_trade(state, 3.0, 99.0, 5.0, SELL, TICK)
    for now in (3.0, 3.1):
        iceberg.on_book(state, now, rows((98.0, 9.0)), rows((101.0, 5.0)), TICK, rules)
    assert iceberg.score(state, 3.1, rules) == 0.0


def test_a_price_that_shows_more_than_was_traded_there_hides_nothing():
    _, state = refilled()
    # Ten were sold since it was first taken.
    for shown, hides in ((6.0, True), (7.0, False)):
        iceberg.on_book(
            state, 2.6, rows((99.0, shown)), rows((101.0, 5.0)), TICK, packed(Iceberg())
        )
        assert (iceberg.score(state, 2.6, packed(Iceberg())) > 0.0) == hides


@pytest.mark.parametrize("changes", [{"times": 2}, {"traded": 0.0}, {"traded": 3}, {"after": 0.3}])
def test_few_late_or_cancelled_refills_are_no_iceberg(changes):
    assert refilled(**changes)[0] == 0.0


def test_a_mid_above_the_average_price_expects_a_fall():
    rules, state = packed(VwapDeviation(window_s=2.0, scale=2.0)), vwap_deviation.new_state()
    for price, size in ((97.0, 1e-12), (100.0, 2.0 * e)):
        vwap_deviation.on_trade(state, 0.0, price, size, TICK, rules)
    vwap_deviation.on_book(state, *around(105.0), TICK)
    assert isnan(vwap_deviation.score(state, 1.9, 1.0, rules))
    vwap_deviation.on_trade(state, 2.0, 103.0, 1.0, TICK, rules)
    # Of the older ones 2 are left: 101 on average; a walk of volatility 1 is 1 from its average
    # of two seconds.
    assert vwap_deviation.score(state, 2.0, 1.0, rules) == pytest.approx(-tanh(4 / 2))


REGIME = packed(VolatilityRegime(short_s=10, long_s=1000, warm_s=30))


def walked(steps: list[float]) -> tuple[np.ndarray, float]:
    """A mid that goes so many ticks each second, up and down in turns."""
    state, mid = volatility_regime.new_state(), 1000.0
    for second, step in enumerate(steps):
        mid += step if second % 2 else -step
        volatility_regime.on_book(state, float(second), *around(mid), TICK, REGIME)
    return state, float(len(steps) - 1)


def test_volatility_is_in_ticks_a_root_second_and_regimes_in_multiples_of_the_usual():
    state, now = walked([2.0] * 40)
    assert volatility_regime.volatility(state, now, REGIME) == pytest.approx(2.0, rel=0.01)
    assert volatility_regime.regime(state, now, REGIME) == 1
    assert volatility_regime.score(state, now, REGIME) == 0.0
    for after, regime in ((0.5, 0), (5.0, 2), (20.0, 3)):
        state, now = walked([2.0] * 400 + [after] * 15)
        assert volatility_regime.regime(state, now, REGIME) == regime
    # A price that stands still has the least volatility, not none.
    state, now = walked([0.0] * 40)
    assert volatility_regime.volatility(state, now, REGIME) == pytest.approx(0.1)


def test_the_regime_is_unknown_while_it_warms_up_and_after_a_silence():
    for steps, later in (([2.0] * 30, 0.0), ([2.0] * 100, 10.1)):
        state, now = walked(steps)
        assert volatility_regime.regime(state, now + later, REGIME) == -1
        assert isnan(volatility_regime.score(state, now + later, REGIME))


def test_parameters_that_do_not_go_together_are_named():
    signals = ScalperSignals(
        book_imbalance=BookImbalance(smooth_s=2, change_share=0.6, micro_share=0.6),
        micro_momentum=MicroMomentum(fast_s=5.0),
        volatility_regime=VolatilityRegime(low=2.0),
    )
    fusion = FusionRules(
        weights=Weights(**dict.fromkeys(Weights.__struct_fields__[:-1], 0.0)),
        by_symbol={"ETHUSDT": Thresholds(low=Threshold(entry=0.1, exit=0.2))},
        horizons_s=(5.0, 1.0),
        sample_s=0.001,
    )
    assert [field for field, _ in signals.check()] == [
        "book_imbalance.smooth_s",
        "book_imbalance.micro_share",
        "micro_momentum.fast_s",
        "volatility_regime.low",
    ]
    assert [field for field, _ in fusion.check()] == [
        "weights.book_imbalance",
        "by_symbol.ETHUSDT.low.exit",
        "horizons_s",
        "horizon_s",
        "sample_s",
    ]
    assert ScalperSignals().check() == FusionRules().check() == []
