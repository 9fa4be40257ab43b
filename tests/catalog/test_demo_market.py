"""The demo market: what is planted is found again; otherwise it looks like a market."""

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
from catalog.demo.parameters import DemoParams
from catalog.demo.universe import SECTORS
from catalog.instruments import decimals
from catalog.providers import demo
from catalog.series import BARS, FUNDING, MARKS
from config.durations import DAY_NS, HOUR_NS
from config.errors import InputError
from tests.catalog.market import ETH, planted_drift

TAKER = 5.5e-4
ROOT = Path(__file__).resolve().parents[2]
PARAMS = DemoParams()
SMALL = DemoParams(days=60, perps=12, listed_share=0.2, delisted_share=0.2)


@pytest.fixture(scope="module")
def made():
    """Return the default market, and how many seconds it took."""
    started = time.process_time()
    return demo.generate(PARAMS), time.process_time() - started


@pytest.fixture(scope="module")
def market(made):
    return made[0]


@pytest.fixture(scope="module")
def closes(market):
    return daily_closes(market, PARAMS)


def perps(market):
    return [info for info in market.instruments if info.product == "LINEAR"]


def columns(market, name, kind, *series):
    """Return columns of candles (``kind`` is their interval), mark prices or funding."""
    key = {"mark": ("mark", "1h", name), "funding": ("funding", "", name)}
    table = market.tables[key.get(kind, ("bars", kind, name))]
    found = [table[column].to_numpy() for column in series]
    return found if len(found) > 1 else found[0]


def daily_closes(market, params):
    """Closes of the perps' daily candles, shape (days, perps), NaN where there is none."""
    closes = np.full((params.days, len(perps(market))), np.nan)
    for number, info in enumerate(perps(market)):
        ts, close = columns(market, info.id, "1d", "ts", "close")
        closes[(ts - params.start_ns) // DAY_NS - 1, number] = close
    return closes


def planted_slopes(closes, loadings):
    """Regress daily log returns on yesterday's and on the mean of the twenty before.

    Each day's cross-section is projected on what is orthogonal to the factor loadings: only
    idiosyncratic returns remain, and the slopes of the planted recursion stay as they are. Standard
    errors are clustered by day, as volatility clusters in all instruments at once. The rounding of
    closes to ticks (at most 1e-4 of the price at first) biases the slopes by less than 1e-4.

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


def quintile_weights(closes, days, sign):
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


def sharpe(market, weights, fee=TAKER):
    """Return the Sharpe ratio after fees, filled at the 01:00 open after each day's close."""
    fills = np.full((PARAMS.days + 1, weights.shape[1]), np.nan)
    for number, info in enumerate(perps(market)):
        ts, opens = columns(market, info.id, "1h", "ts", "open")
        at_one = (ts - PARAMS.start_ns) % DAY_NS == 2 * HOUR_NS
        fills[(ts[at_one] - PARAMS.start_ns) // DAY_NS, number] = opens[at_one]
    held = np.nan_to_num(fills[2:-1] / fills[1:-2] - 1.0)
    decided = weights[: len(held)]
    drifted = np.vstack([np.zeros(weights.shape[1]), (decided * (1.0 + held))[:-1]])
    daily = (decided * held - fee * np.abs(decided - drifted)).sum(axis=1)[21:]
    return daily.mean() / daily.std(ddof=1) * np.sqrt(365.0)


def fingerprint(market):
    digest = hashlib.sha256(repr(market.instruments).encode())
    for key, table in market.tables.items():
        digest.update(repr(key).encode())
        for name in table.column_names:
            digest.update(table[name].to_numpy().tobytes())
    return digest.hexdigest()


# --- What is planted ---------------------------------------------------------------------------


def test_the_recursion_is_the_documented_formula():
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


@pytest.mark.parametrize("seed", [12, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
@pytest.mark.parametrize(
    ("reversal", "momentum"), [(0.06, 0.20), (0.0, 0.0), (0.20, 0.0), (0.0, 0.40)]
)
def test_regression_on_daily_closes_finds_what_was_planted(seed, reversal, momentum):
    params = DemoParams(seed=seed, reversal=reversal, momentum=momentum)
    closes = daily_closes(demo.generate(params), params)
    loadings = [
        [spec.beta, *(spec.loading * (spec.sector == number) for number in range(len(SECTORS)))]
        for spec in universe.draw(params)
    ]
    slopes, errors = planted_slopes(closes, np.array(loadings))
    # 24 slopes are looked at: a correct market leaves 3.5 errors once in 90 such tests.
    assert np.all(np.abs(slopes - [reversal, momentum]) < 3.5 * errors)
    # With E = 700 x 36 independent observations the error of a slope is 1 / sqrt(E) = 0.0063 for
    # yesterday, sqrt(20) times that for a mean of twenty days; clusters and tails less than double
    # it.
    assert errors[0] < 2 * 0.0063
    assert errors[1] < 2 * 0.0063 * np.sqrt(20.0)


def test_the_planted_drift_flows_evenly_over_the_day():
    # All else silent: what is left of the idiosyncratic return of a day is its drift and a shock.
    # Take away one market from another that differs in nothing but what was planted.
    small = {"days": 60, "perps": 4, "spots": 0, "listed_share": 0.0, "delisted_share": 0.0}
    planted = DemoParams(**small, reversal=0.3)
    drift = planted_drift(planted)[ETH]
    markets = map(demo.generate, (planted, DemoParams(**small, reversal=0.0, momentum=0.0)))
    one, other = (columns(market, ETH, "1h", "close") for market in markets)
    difference = np.diff(np.log(one) - np.log(other), prepend=0.0).reshape(60, 24)
    # Each hour's close is rounded to half a tick of 0.01 at about 1,200, in both markets.
    half_tick = 0.005 / (one.min() * 0.9)
    np.testing.assert_allclose(
        difference, np.repeat(drift[:, None] / 24, 24, axis=1), atol=5 * half_tick
    )
    assert np.abs(drift).max() / 24 > 10 * half_tick


# --- What a strategy earns ---------------------------------------------------------------------


def test_daily_reversal_and_monthly_momentum_earn_a_believable_living(market, closes):
    assert 1.5 < sharpe(market, quintile_weights(closes, 1, +1)) < 2.5
    assert 0.5 < sharpe(market, quintile_weights(closes, 20, -1)) < 2.5


def test_without_planted_effects_reversal_earns_nothing_before_costs():
    ratios = []
    for seed in (21, 22, 23, 24):
        market = demo.generate(DemoParams(seed=seed, reversal=0.0, momentum=0.0))
        weights = quintile_weights(daily_closes(market, PARAMS), 1, +1)
        ratios.append(sharpe(market, weights, fee=0.0))
    # The ratio of two years is 0 with error 1 / sqrt(2) = 0.71, the mean of four half of that.
    assert abs(np.mean(ratios)) < 3 * 0.36


# --- Determinism -------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bytes_in_another_process():
    program = (
        "from tests.catalog.test_demo_market import SMALL, demo, fingerprint;"
        "print(fingerprint(demo.generate(SMALL)))"
    )
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    there = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == fingerprint(demo.generate(SMALL))


def test_no_two_instruments_share_a_name():
    specs = universe.draw(DemoParams(perps=400))
    assert len({spec.symbol for spec in specs}) == 400


def test_another_seed_gives_another_market():
    other = DemoParams(seed=13, days=60, perps=12, listed_share=0.2, delisted_share=0.2)
    assert fingerprint(demo.generate(other)) != fingerprint(demo.generate(SMALL))


def test_an_instrument_does_not_depend_on_how_many_others_there_are():
    few = demo.generate(DemoParams(days=30, perps=6, listed_share=0.0, delisted_share=0.0))
    many = demo.generate(DemoParams(days=30, perps=30, listed_share=0.0, delisted_share=0.0))
    for info in few.instruments:
        assert few.tables["bars", "1h", info.id].equals(many.tables["bars", "1h", info.id])


def test_the_default_market_is_made_within_fifteen_seconds(made):
    assert made[1] < 15.0


# --- Shape -------------------------------------------------------------------------------------


def test_the_default_market_is_as_large_as_promised(market):
    assert len(perps(market)) == 44
    spots = [info.id for info in market.instruments if info.product == "SPOT"]
    assert spots == ["BTCUSDT-SPOT.BYBIT", "ETHUSDT-SPOT.BYBIT"]
    assert len({info.id for info in market.instruments}) == 46
    for interval, rows in (("1h", 730 * 24), ("1d", 730)):
        ts = columns(market, "BTCUSDT-LINEAR.BYBIT", interval, "ts")
        assert (len(ts), ts[-1]) == (rows, PARAMS.start_ns + 730 * DAY_NS)
    assert market.source_venue == "simulated"
    assert "reversal 0.06" in market.note


def test_daily_candles_are_exactly_the_hourly_ones_together(market):
    for info in market.instruments:
        hours, days = market.tables["bars", "1h", info.id], market.tables["bars", "1d", info.id]
        day = -(-hours["ts"].to_numpy() // DAY_NS) * DAY_NS
        for row in days.slice(0, 40).to_pylist() + days.slice(days.num_rows - 5).to_pylist():
            within = hours.filter(pa.array(day == row["ts"]))
            inside = {name: within[name].to_numpy() for name in within.column_names}
            volume = round(inside["volume"].sum(), decimals(info.lot))
            assert row == {
                "ts": row["ts"],
                "open": inside["open"][0],
                "high": inside["high"].max(),
                "low": inside["low"].min(),
                "close": inside["close"][-1],
                "volume": pytest.approx(volume, rel=1e-15),
                "turnover": pytest.approx(round(inside["turnover"].sum(), 2), rel=1e-15),
            }
        missing = set(day.tolist()) - set(days["ts"].to_pylist())
        # Only the day on which trading ceased at 09:00 has hours but no candle.
        assert len(missing) == (info.delisted_ns is not None)


def consistent(market):
    """Assert that every candle of a market is possible, on its grid and without a gap."""
    for info in market.instruments:
        for kind in ("1h", "1d", "mark") if info.product == "LINEAR" else ("1h", "1d"):
            key = ("mark", "1h", info.id) if kind == "mark" else ("bars", kind, info.id)
            assert market.tables[key].schema == (MARKS if kind == "mark" else BARS)
            ts, *prices = columns(market, info.id, kind, "ts", "open", "high", "low", "close")
            opens, highs, lows, ends = prices
            step = DAY_NS if kind == "1d" else HOUR_NS
            assert np.all(np.diff(ts) == step)
            assert np.all(ts % step == 0)
            assert np.all(lows > 0)
            assert np.all(lows <= np.minimum(opens, ends))
            assert np.all(highs >= np.maximum(opens, ends))
            np.testing.assert_array_equal(opens[1:], ends[:-1])
            np.testing.assert_array_equal(np.round(prices, info.price_precision), prices)
            if kind == "1h":
                volume, turnover = columns(market, info.id, kind, "volume", "turnover")
                lots = volume / float(info.lot)
                np.testing.assert_allclose(lots, np.rint(lots), rtol=1e-12)
                assert np.all(lots > 0.5)
                vwap, cent = turnover / volume, 0.01 / volume
                assert np.all((lows - cent <= vwap) & (vwap <= highs + cent))


def test_candles_are_possible_on_ticks_and_lots_and_without_gaps(market):
    consistent(market)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**40),
    days=st.integers(2, 40),
    perps=st.integers(4, 14),
    lives=st.floats(0.0, 0.3),
    reversal=st.floats(-0.4, 0.4),
    momentum=st.floats(-0.5, 0.5),
    volatility_scale=st.floats(0.05, 3.0),
)
def test_any_market_is_possible(lives, **params):
    shares = {"listed_share": lives, "delisted_share": lives}
    consistent(demo.generate(DemoParams(start=date(2020, 2, 28), **shares, **params)))


def test_listings_and_delistings_happen_in_the_middle(market):
    end_ns = PARAMS.start_ns + PARAMS.days * DAY_NS
    listed = [info for info in perps(market) if info.listed_ns > PARAMS.start_ns]
    delisted = [info for info in perps(market) if info.delisted_ns is not None]
    assert (len(listed), len(delisted)) == (6, 4)
    for info in perps(market):
        stamps = columns(market, info.id, "1h", "ts")
        assert stamps[0] == max(info.listed_ns, PARAMS.start_ns) + HOUR_NS
        assert stamps[-1] == (info.delisted_ns or end_ns)
        assert columns(market, info.id, "1d", "ts")[-1] <= stamps[-1]
    for moment in [i.listed_ns for i in listed] + [i.delisted_ns or 0 for i in delisted]:
        assert 0.14 < (moment - PARAMS.start_ns) / (end_ns - PARAMS.start_ns) < 0.86


def test_exchange_rules_are_plausible_for_the_price(market):
    for info in market.instruments:
        price = columns(market, info.id, "1h", "close")[0]
        assert 1e-6 < float(info.tick) / price <= 2e-4
        assert float(info.lot) * price < 25.0
        assert info.min_notional == "5"
        assert float(info.max_qty or 0) > 1000 * float(info.min_qty)
        if info.product == "LINEAR":
            half = 0.5 / float(info.max_leverage)
            assert float(info.maintenance_margin) == pytest.approx(half, abs=0.5e-4)


# --- A market like others ----------------------------------------------------------------------


def test_daily_returns_have_heavy_tails(closes):
    returns = np.diff(np.log(closes), axis=0)
    centred = returns - np.nanmean(returns, axis=0)
    kurtosis = np.nanmean(centred**4, axis=0) / np.nanmean(centred**2, axis=0) ** 2 - 3.0
    # A normal sample of 729 days has excess kurtosis 0 with error sqrt(24 / 729) = 0.18.
    assert np.median(kurtosis) > 1.0
    assert np.all(kurtosis > 0.18)


def test_volatility_comes_in_clusters(closes):
    full = np.diff(np.log(closes[:, np.isfinite(closes).all(axis=0)]), axis=0)
    squares = np.minimum(full**2, np.quantile(full**2, 0.99, axis=0))
    correlations = [
        float(np.corrcoef(squares[:-lag, n], squares[lag:, n])[0, 1])
        for n in range(full.shape[1])
        for lag in (1, 5)
    ]
    # Without clusters each is 0 with error 1 / sqrt(729) = 0.037.
    assert np.median(correlations) > 2 * 0.037


def test_market_and_sectors_move_instruments_together(closes):
    whole = np.isfinite(closes).all(axis=0)
    returns = np.diff(np.log(closes[:, whole]), axis=0)
    specs = [s for s, kept in zip(universe.draw(PARAMS), whole, strict=True) if kept]
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


def test_volume_rises_with_the_size_of_the_move(market):
    for info in market.instruments:
        opens, ends, turnover = columns(market, info.id, "1h", "open", "close", "turnover")
        assert np.corrcoef(np.abs(np.log(ends / opens)), np.log(turnover))[0, 1] > 0.2


def test_autoregression_has_unit_variance_and_the_given_memory():
    series = returns.autoregression(np.random.default_rng(1), 200_000, 0.9)
    # The mean square of an AR(1) with 0.9 has about 200,000 * 0.1 independent terms: error 0.01.
    assert series.var() == pytest.approx(1.0, abs=0.04)
    assert np.corrcoef(series[:-1], series[1:])[0, 1] == pytest.approx(0.9, abs=0.005)


# --- Premium, mark, funding --------------------------------------------------------------------


def test_funding_is_due_every_eight_hours_and_for_some_every_four(market):
    intervals = {info.funding_minutes for info in perps(market)}
    assert intervals == {240, 480}
    for info in perps(market):
        assert market.tables["funding", "", info.id].schema == FUNDING
        stamps, rate = columns(market, info.id, "funding", "ts", "rate")
        every = info.funding_minutes * HOUR_NS // 60
        assert np.all(stamps % every == 0)
        assert np.all(np.diff(stamps) == every)
        hours = columns(market, info.id, "1h", "ts")
        assert stamps[0] - hours[0] < every
        assert hours[-1] - stamps[-1] < every
        assert np.abs(rate).max() <= 0.0075
        usual = 0.0001 * info.funding_minutes / 480
        assert np.mean(rate == usual) > 0.3
        assert np.ptp(rate) > 0


def test_mark_prices_and_spot_stay_close_to_the_perp(market):
    for info in perps(market):
        ts, last = columns(market, info.id, "1h", "ts", "close")
        mark_ts, mark = columns(market, info.id, "mark", "ts", "close")
        assert np.array_equal(ts, mark_ts)
        away = np.abs(np.log(mark / last))
        assert 1e-5 < away.mean() < 3e-3
        assert away.max() < 0.02
    for base in ("BTC", "ETH"):
        spot, perp = (
            columns(market, f"{base}USDT-{product}.BYBIT", "1h", "close")
            for product in ("SPOT", "LINEAR")
        )
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
def test_a_parameter_out_of_range_is_named(name, value):
    with pytest.raises(InputError, match=f"{name} must be"):
        DemoParams(**{name: value})
