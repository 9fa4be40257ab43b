"""The demo market: what is planted is found again, and it looks like a market otherwise."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.demo import returns, universe
from catalog.demo.parameters import DAY_NS, HOUR_NS, DemoParams
from catalog.demo.returns import Truth, truth
from catalog.instruments import InstrumentInfo, decimals
from catalog.providers import demo
from catalog.providers.base import Import
from catalog.series import BARS, FUNDING, MARKS
from config.errors import InputError

TAKER = 5.5e-4
ROOT = Path(__file__).resolve().parents[2]
SMALL = DemoParams(days=60, perps=12, listed_share=0.2, delisted_share=0.2)


@pytest.fixture(scope="module")
def params() -> DemoParams:
    return DemoParams()


@pytest.fixture(scope="module")
def market(params: DemoParams) -> Import:
    return demo.generate(params)


@pytest.fixture(scope="module")
def closes(market: Import, params: DemoParams) -> np.ndarray:
    return daily_closes(market, params)


def perps(market: Import) -> list[InstrumentInfo]:
    return [info for info in market.instruments if info.product == "LINEAR"]


def column(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy()


def daily_closes(market: Import, params: DemoParams) -> np.ndarray:
    """Closes of the perps' daily candles, shape (days, perps), NaN where there is none."""
    closes = np.full((params.days, len(perps(market))), np.nan)
    for number, info in enumerate(perps(market)):
        bars = market.tables["bars", "1d", info.id]
        day = (column(bars, "ts") - params.start_ns) // DAY_NS - 1
        closes[day, number] = column(bars, "close")
    return closes


def planted_slopes(closes: np.ndarray, loadings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regress daily log returns on yesterday's and on the mean of the twenty before.

    Each day's cross-section is projected on what is orthogonal to the factor loadings, so that
    market and sectors vanish exactly and only idiosyncratic returns remain; a linear projection
    leaves the slopes of the planted recursion as they are. Standard errors allow for any
    dependence and unequal variance within a day (clusters by day), as volatility clusters in all
    instruments at once. The rounding of closes to ticks (at most 1e-4 of the price at first)
    biases the slopes by less than 1e-4.

    Returns (reversal, momentum) and their standard errors.
    """
    returns = np.diff(np.log(closes), axis=0)
    bread, rows = np.zeros((2, 2)), []
    for t in range(21, len(returns)):
        seen = np.isfinite(returns[t - 21 : t + 1]).all(axis=0)
        exposures = loadings[seen]
        orthogonal = np.eye(seen.sum()) - exposures @ np.linalg.pinv(exposures)
        window = returns[t - 21 : t + 1, seen] @ orthogonal
        x = np.column_stack([-window[-2], window[:20].mean(axis=0)])
        bread += x.T @ x
        rows.append((x, window[-1]))
    slopes = np.linalg.solve(bread, sum(x.T @ y for x, y in rows))
    scores = np.array([x.T @ (y - x @ slopes) for x, y in rows])
    inverse = np.linalg.inv(bread)
    return slopes, np.sqrt(np.diag(inverse @ (scores.T @ scores) @ inverse))


def quintile_weights(closes: np.ndarray, days: int, sign: int) -> np.ndarray:
    """Weights after each day's close: half long, half short the outer fifths of past return.

    ``sign`` +1 buys the losers, -1 the winners. Only perps with 21 returns take part.
    """
    logs = np.log(closes)
    weights = np.zeros_like(closes)
    for t in range(21, len(closes)):
        known = np.flatnonzero(np.isfinite(logs[t - 21 : t + 1]).all(axis=0))
        order = known[np.argsort(logs[t, known] - logs[t - days, known])]
        side = round(0.2 * order.size)
        weights[t, order[:side]] = sign * 0.5 / side
        weights[t, order[-side:]] = -sign * 0.5 / side
    return weights


def profits(
    market: Import, params: DemoParams, weights: np.ndarray, fee: float
) -> tuple[np.ndarray, np.ndarray]:
    """Daily profit before and after fees, filled at the 01:00 open after each day's close."""
    fills = np.full((params.days + 1, weights.shape[1]), np.nan)
    for number, info in enumerate(perps(market)):
        bars = market.tables["bars", "1h", info.id]
        since = column(bars, "ts") - params.start_ns
        at_one = since % DAY_NS == 2 * HOUR_NS
        fills[since[at_one] // DAY_NS, number] = column(bars, "open")[at_one]
    held = np.nan_to_num(fills[2:-1] / fills[1:-2] - 1.0)
    decided = weights[: len(held)]
    drifted = np.vstack([np.zeros(weights.shape[1]), (decided * (1.0 + held))[:-1]])
    gross = (decided * held).sum(axis=1)[21:]
    return gross, gross - fee * np.abs(decided - drifted).sum(axis=1)[21:]


def sharpe(daily: np.ndarray) -> float:
    return float(daily.mean() / daily.std(ddof=1) * np.sqrt(365.0))


def fingerprint(market: Import) -> str:
    digest = hashlib.sha256(repr(market.instruments).encode())
    for key, table in market.tables.items():
        digest.update(repr(key).encode())
        for name in table.column_names:
            digest.update(column(table, name).tobytes())
    return digest.hexdigest()


# --- What is planted ---------------------------------------------------------------------------


def test_the_recursion_is_the_documented_formula() -> None:
    shocks = np.zeros(30)
    shocks[0] = 0.10
    drift, total = returns.recursion(shocks, reversal=0.5, momentum=0.0)
    # A 10 % shock gives back half the next day; half of that returns the day after, and so on.
    np.testing.assert_allclose(drift[:4], [0.0, -0.05, 0.025, -0.0125])
    drift, total = returns.recursion(shocks, reversal=0.0, momentum=0.2)
    # Nothing on day 1 (yesterday has no momentum), then a fifth of 10 % / 20 from day 2 on.
    np.testing.assert_allclose(drift[:3], [0.0, 0.0, 0.001])
    np.testing.assert_allclose(total[2], 0.001)
    # On day 22 the shock has left the 20 days before yesterday; its followers remain.
    np.testing.assert_allclose(drift[22], 0.2 * total[1:21].sum() / 20)


@pytest.mark.parametrize("seed", [12, 1, 2])
@pytest.mark.parametrize(
    ("reversal", "momentum"), [(0.06, 0.20), (0.0, 0.0), (0.20, 0.0), (0.0, 0.40)]
)
def test_regression_on_daily_closes_finds_what_was_planted(
    seed: int, reversal: float, momentum: float
) -> None:
    params = DemoParams(seed=seed, reversal=reversal, momentum=momentum)
    closes = daily_closes(demo.generate(params), params)
    slopes, errors = planted_slopes(closes, truth(params).loadings)
    # 24 slopes are looked at: a correct market leaves 3.5 errors once in 90 such tests.
    assert np.all(np.abs(slopes - [reversal, momentum]) < 3.5 * errors)
    # With E = 700 x 36 independent observations the error of a slope is 1 / sqrt(E) = 0.0063 for
    # yesterday, sqrt(20) times that for a mean of twenty days; clusters and tails less than double
    # it.
    assert errors[0] < 2 * 0.0063
    assert errors[1] < 2 * 0.0063 * np.sqrt(20.0)


def test_the_planted_reversal_stands_out_from_its_error(
    closes: np.ndarray, params: DemoParams
) -> None:
    slopes, errors = planted_slopes(closes, truth(params).loadings)
    assert slopes[0] > 4 * errors[0]
    assert slopes[1] > 2 * errors[1]


def test_the_planted_drift_flows_evenly_over_the_day() -> None:
    # All else silent: what is left of the idiosyncratic return of a day is its drift and a shock.
    # Take away one market from another that differs in nothing but what was planted.
    with_drift = DemoParams(
        days=60, perps=4, spots=0, listed_share=0.0, delisted_share=0.0, reversal=0.3
    )
    without = DemoParams(
        days=60, perps=4, spots=0, listed_share=0.0, delisted_share=0.0, reversal=0.0, momentum=0.0
    )
    known = truth(with_drift)
    one, other = demo.generate(with_drift), demo.generate(without)
    bars_one, bars_other = (m.tables["bars", "1h", "ETHUSDT-LINEAR.BYBIT"] for m in (one, other))
    difference = np.diff(
        np.log(column(bars_one, "close")) - np.log(column(bars_other, "close")), prepend=0.0
    ).reshape(60, 24)
    drift = known.drift[:, known.ids.index("ETHUSDT-LINEAR.BYBIT")]
    # Each hour's close is rounded to half a tick of 0.01 at about 1,200, in both markets.
    half_tick = 0.005 / column(bars_one, "low").min()
    np.testing.assert_allclose(
        difference, np.repeat(drift[:, None] / 24, 24, axis=1), atol=5 * half_tick
    )
    assert np.abs(drift).max() / 24 > 10 * half_tick


# --- What a strategy earns ---------------------------------------------------------------------


def test_daily_reversal_and_monthly_momentum_earn_a_believable_living(
    market: Import, params: DemoParams, closes: np.ndarray
) -> None:
    _, reversal = profits(market, params, quintile_weights(closes, 1, +1), TAKER)
    _, momentum = profits(market, params, quintile_weights(closes, 20, -1), TAKER)
    assert 1.5 < sharpe(reversal) < 2.5
    assert 0.5 < sharpe(momentum) < 2.5


def expected_profit(known: Truth, params: DemoParams, weights: np.ndarray) -> np.ndarray:
    """What weights decided at each close should earn, from 01:00 to 01:00, by what was planted."""
    share = 23.0 / 24.0
    drift = known.drift + params.market_drift * known.loadings[:, 0]
    decided = weights[:-3]
    ahead = share * drift[1 : 1 + len(decided)] + (1.0 - share) * drift[2 : 2 + len(decided)]
    return (decided * ahead).sum(axis=1)[21:]


@pytest.mark.parametrize("planted_effects", [True, False])
def test_reversal_earns_what_was_planted_before_costs(planted_effects: bool) -> None:
    surprises, expected = [], []
    for seed in (21, 22, 23, 24):
        chosen = {} if planted_effects else {"reversal": 0.0, "momentum": 0.0}
        params = DemoParams(seed=seed, **chosen)
        market = demo.generate(params)
        weights = quintile_weights(daily_closes(market, params), 1, +1)
        gross, _ = profits(market, params, weights, TAKER)
        should = expected_profit(truth(params), params, weights)
        surprises.append(gross[: len(should)] - should)
        expected.append(should)
    surprise = np.concatenate(surprises)
    error = surprise.std(ddof=1) / np.sqrt(surprise.size)
    assert abs(surprise.mean()) < 3 * error
    if planted_effects:
        assert np.concatenate(expected).mean() > 3 * error
    else:
        # Only the betas' share of the market's small drift remains: a hundredth of the costs.
        assert abs(np.concatenate(expected).mean()) < 1e-5


# --- Determinism -------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bytes_in_another_process() -> None:
    program = (
        "from tests.catalog.test_demo_market import SMALL, demo, fingerprint;"
        "print(fingerprint(demo.generate(SMALL)))"
    )
    here = fingerprint(demo.generate(SMALL))
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here


def test_no_two_instruments_share_a_name() -> None:
    specs = universe.draw(DemoParams(perps=400))
    assert len({spec.symbol for spec in specs}) == 400


def test_another_seed_gives_another_market() -> None:
    other = DemoParams(seed=13, days=60, perps=12, listed_share=0.2, delisted_share=0.2)
    assert fingerprint(demo.generate(other)) != fingerprint(demo.generate(SMALL))


def test_an_instrument_does_not_depend_on_how_many_others_there_are() -> None:
    few = demo.generate(DemoParams(days=30, perps=6, listed_share=0.0, delisted_share=0.0))
    many = demo.generate(DemoParams(days=30, perps=30, listed_share=0.0, delisted_share=0.0))
    for info in few.instruments:
        assert few.tables["bars", "1h", info.id].equals(many.tables["bars", "1h", info.id])


def test_the_default_market_is_made_within_fifteen_seconds(params: DemoParams) -> None:
    started = time.process_time()
    demo.generate(params)
    assert time.process_time() - started < 15.0


# --- Shape -------------------------------------------------------------------------------------


def test_the_default_market_is_as_large_as_promised(market: Import, params: DemoParams) -> None:
    assert len(perps(market)) == 44
    spots = [info.id for info in market.instruments if info.product == "SPOT"]
    assert spots == ["BTCUSDT-SPOT.BYBIT", "ETHUSDT-SPOT.BYBIT"]
    assert len({info.id for info in market.instruments}) == 46
    for interval, rows in (("1h", 730 * 24), ("1d", 730)):
        bars = market.tables["bars", interval, "BTCUSDT-LINEAR.BYBIT"]
        assert bars.num_rows == rows
        assert column(bars, "ts")[-1] == params.start_ns + 730 * DAY_NS
    assert market.source_venue == "simulated"
    assert "reversal 0.06" in market.note


def test_daily_candles_are_exactly_the_hourly_ones_together(market: Import) -> None:
    for info in market.instruments:
        hours, days = market.tables["bars", "1h", info.id], market.tables["bars", "1d", info.id]
        day = -(-column(hours, "ts") // DAY_NS) * DAY_NS
        for row in days.slice(0, 40).to_pylist() + days.slice(days.num_rows - 5).to_pylist():
            within = hours.filter(pa.array(day == row["ts"]))
            assert row["open"] == column(within, "open")[0]
            assert row["high"] == column(within, "high").max()
            assert row["low"] == column(within, "low").min()
            assert row["close"] == column(within, "close")[-1]
            volume = column(within, "volume").sum()
            assert row["volume"] == pytest.approx(round(volume, decimals(info.lot)), rel=1e-15)
            assert row["turnover"] == pytest.approx(
                round(column(within, "turnover").sum(), 2), rel=1e-15
            )
        missing = set(np.unique(day).tolist()) - set(column(days, "ts").tolist())
        # Only the day on which trading ceased at 09:00 has hours but no candle.
        assert len(missing) == (info.delisted_ns is not None)


def consistent(market: Import) -> None:
    """Assert that every candle of a market is possible, on its grid and without a gap."""
    for info in market.instruments:
        for key in ("1h", "1d", "mark"):
            if key == "mark" and info.product == "SPOT":
                continue
            place = ("mark", "1h") if key == "mark" else ("bars", key)
            table = market.tables[*place, info.id]
            assert table.schema == (MARKS if key == "mark" else BARS)
            step = DAY_NS if key == "1d" else HOUR_NS
            assert np.all(np.diff(column(table, "ts")) == step)
            assert np.all(column(table, "ts") % step == 0)
            opens, highs, lows, ends = (
                column(table, name) for name in ("open", "high", "low", "close")
            )
            assert np.all(lows > 0)
            assert np.all(lows <= np.minimum(opens, ends))
            assert np.all(highs >= np.maximum(opens, ends))
            np.testing.assert_array_equal(opens[1:], ends[:-1])
            for prices in (opens, highs, lows, ends):
                np.testing.assert_array_equal(np.round(prices, info.price_precision), prices)
            if key == "1h":
                lots = column(table, "volume") / float(info.lot)
                np.testing.assert_allclose(lots, np.rint(lots), rtol=1e-12)
                assert np.all(lots > 0.5)
                vwap = column(table, "turnover") / column(table, "volume")
                cent = 0.01 / column(table, "volume")
                assert np.all((lows - cent <= vwap) & (vwap <= highs + cent))


def test_candles_are_possible_on_ticks_and_lots_and_without_gaps(market: Import) -> None:
    consistent(market)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**40),
    days=st.integers(2, 40),
    count=st.integers(4, 14),
    lives=st.floats(0.0, 0.3),
    reversal=st.floats(-0.4, 0.4),
    momentum=st.floats(-0.5, 0.5),
    scale=st.floats(0.05, 3.0),
)
def test_any_market_is_possible(
    seed: int, days: int, count: int, lives: float, reversal: float, momentum: float, scale: float
) -> None:
    consistent(
        demo.generate(
            DemoParams(
                seed=seed,
                start=date(2020, 2, 28),
                days=days,
                perps=count,
                listed_share=lives,
                delisted_share=lives,
                reversal=reversal,
                momentum=momentum,
                volatility_scale=scale,
            )
        )
    )


def test_listings_and_delistings_happen_in_the_middle(market: Import, params: DemoParams) -> None:
    end_ns = params.start_ns + params.days * DAY_NS
    listed = [info for info in perps(market) if info.listed_ns > params.start_ns]
    delisted = [info for info in perps(market) if info.delisted_ns is not None]
    assert (len(listed), len(delisted)) == (6, 4)
    for info in perps(market):
        stamps = column(market.tables["bars", "1h", info.id], "ts")
        assert stamps[0] == max(info.listed_ns, params.start_ns) + HOUR_NS
        assert stamps[-1] == (info.delisted_ns or end_ns)
        assert column(market.tables["bars", "1d", info.id], "ts")[-1] <= stamps[-1]
    for moment in [i.listed_ns for i in listed] + [i.delisted_ns or 0 for i in delisted]:
        assert 0.14 < (moment - params.start_ns) / (end_ns - params.start_ns) < 0.86


def test_exchange_rules_are_plausible_for_the_price(market: Import) -> None:
    for info in market.instruments:
        price = column(market.tables["bars", "1h", info.id], "close")[0]
        assert 1e-6 < float(info.tick) / price <= 2e-4
        assert float(info.lot) * price < 25.0
        assert info.min_notional == "5"
        assert float(info.max_qty or 0) > 1000 * float(info.min_qty)
        if info.product == "LINEAR":
            half = 0.5 / float(info.max_leverage)
            assert float(info.maintenance_margin) == pytest.approx(half, abs=0.5e-4)


# --- A market like others ----------------------------------------------------------------------


def test_daily_returns_have_heavy_tails(closes: np.ndarray) -> None:
    returns = np.diff(np.log(closes), axis=0)
    centred = returns - np.nanmean(returns, axis=0)
    kurtosis = np.nanmean(centred**4, axis=0) / np.nanmean(centred**2, axis=0) ** 2 - 3.0
    # A normal sample of 729 days has excess kurtosis 0 with error sqrt(24 / 729) = 0.18.
    assert np.median(kurtosis) > 1.0
    assert np.all(kurtosis > 0.18)


def test_volatility_comes_in_clusters(closes: np.ndarray) -> None:
    full = np.diff(np.log(closes[:, np.isfinite(closes).all(axis=0)]), axis=0)
    squares = np.minimum(full**2, np.quantile(full**2, 0.99, axis=0))
    correlations = [
        float(np.corrcoef(squares[:-lag, n], squares[lag:, n])[0, 1])
        for n in range(full.shape[1])
        for lag in (1, 5)
    ]
    # Without clusters each is 0 with error 1 / sqrt(729) = 0.037.
    assert np.median(correlations) > 2 * 0.037


def test_market_and_sectors_move_instruments_together(
    closes: np.ndarray, params: DemoParams
) -> None:
    whole = np.isfinite(closes).all(axis=0)
    returns = np.diff(np.log(closes[:, whole]), axis=0)
    specs = [s for s, kept in zip(universe.draw(params), whole, strict=True) if kept]
    correlation = np.corrcoef(returns.T)
    off_diagonal = correlation[~np.eye(len(specs), dtype=bool)]
    assert 0.25 < off_diagonal.mean() < 0.8
    market = returns.mean(axis=1)
    betas = np.array([np.cov(r, market)[0, 1] for r in returns.T]) / market.var(ddof=1)
    assert np.corrcoef(betas, [s.beta for s in specs])[0, 1] > 0.7
    rest = np.corrcoef((returns - np.outer(market, betas)).T)
    same = np.array([[a.sector == b.sector for a in specs] for b in specs])
    np.fill_diagonal(rest, np.nan)
    assert np.nanmean(rest[same]) > np.nanmean(rest[~same]) + 0.03


def test_volume_rises_with_the_size_of_the_move(market: Import) -> None:
    for info in market.instruments:
        bars = market.tables["bars", "1h", info.id]
        move = np.abs(np.log(column(bars, "close") / column(bars, "open")))
        assert np.corrcoef(move, np.log(column(bars, "turnover")))[0, 1] > 0.2


def test_autoregression_has_unit_variance_and_the_given_memory() -> None:
    series = returns.autoregression(np.random.default_rng(1), 200_000, 0.9)
    # The mean square of an AR(1) with 0.9 has about 200,000 * 0.1 independent terms: error 0.01.
    assert series.var() == pytest.approx(1.0, abs=0.04)
    assert np.corrcoef(series[:-1], series[1:])[0, 1] == pytest.approx(0.9, abs=0.005)


# --- Premium, mark, funding --------------------------------------------------------------------


def test_funding_is_due_every_eight_hours_and_for_some_every_four(market: Import) -> None:
    intervals = {info.funding_minutes for info in perps(market)}
    assert intervals == {240, 480}
    for info in perps(market):
        table = market.tables["funding", "", info.id]
        assert table.schema == FUNDING
        stamps, every = column(table, "ts"), info.funding_minutes * HOUR_NS // 60
        assert np.all(stamps % every == 0)
        assert np.all(np.diff(stamps) == every)
        hours = column(market.tables["bars", "1h", info.id], "ts")
        assert stamps[0] - hours[0] < every
        assert hours[-1] - stamps[-1] < every
        rate = column(table, "rate")
        assert np.abs(rate).max() <= 0.0075
        usual = 0.0001 * info.funding_minutes / 480
        assert np.mean(rate == usual) > 0.3
        assert np.ptp(rate) > 0


def test_mark_prices_and_spot_stay_close_to_the_perp(market: Import) -> None:
    for info in perps(market):
        last = np.log(column(market.tables["bars", "1h", info.id], "close"))
        mark = np.log(column(market.tables["mark", "1h", info.id], "close"))
        assert np.array_equal(
            column(market.tables["bars", "1h", info.id], "ts"),
            column(market.tables["mark", "1h", info.id], "ts"),
        )
        assert 1e-5 < np.abs(mark - last).mean() < 3e-3
        assert np.abs(mark - last).max() < 0.02
    for base in ("BTC", "ETH"):
        spot = column(market.tables["bars", "1h", f"{base}USDT-SPOT.BYBIT"], "close")
        perp = column(market.tables["bars", "1h", f"{base}USDT-LINEAR.BYBIT"], "close")
        basis = np.log(perp / spot)
        assert 1e-5 < basis.std() < 2e-3
        assert np.corrcoef(np.diff(np.log(perp)), np.diff(np.log(spot)))[0, 1] > 0.98


# --- Wrong choices -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("days", 1),
        ("perps", 3),
        ("spots", 25),
        ("listed_share", 0.31),
        ("reversal", 0.5),
        ("momentum", float("nan")),
        ("volatility_scale", 0.0),
    ],
)
def test_a_parameter_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} must be"):
        DemoParams(**{name: value})
