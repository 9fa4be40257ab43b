"""The published reference through the engine: the same weights, event by event.

The screen reproduces the published figures to the printed digits (test_screen_reference.py). Here
its weights are traded by the engine, filled at the close that gave the signal as the reference
does, on prices that move by the reference's clipped returns. What may differ, day by day:

- drift: the reference pays for the change of wanted weights; an account pays for the way from what
  the old weights have drifted to. The way differs by at most ``D = sum |w| |r - p| / (1 + p)``
  (w old weights, r their returns, p the portfolio's return), and so does the cost by ``c D``.
- order: the fee is paid first and what is left is invested, so the day's profit is that of weights
  smaller by the fee: at most ``c (turnover + D) |gross|``, and the fee's own share of the day.
- rounding: a position is off by at most one lot, and by less than the minimum notional where an
  order too small was skipped: ``N (lot price + minimum) / equity`` in weight, times the largest
  return, and its fee when it is made up for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from actors.measures import sharpe
from backtests.run import RunOutcome, prepare, run
from catalog.instruments import InstrumentInfo, instrument_info
from catalog.providers.base import Import
from catalog.storage.writer import CatalogWriter
from config.documents import Backtest
from tests.backtests.test_screen_reference import (
    COST,
    PUBLISHED,
    STRATEGIES,
    reference_weights,
    table,
)

pytestmark = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="no ../shared/data beside the checkout"
)

DAY = 86_400_000_000_000
FIRST = pd.Timestamp("2020-01-01", tz="UTC").value
EQUITY = 10_000_000.0
MINIMUM = 5.0
LOT = 1e-6


def perpetual(name: str) -> InstrumentInfo:
    facts = {"tick": "0.00000001", "lot": "0.000001", "source": "reference"}
    return instrument_info(f"{name}USDT", "LINEAR", **facts)


def candles(close: np.ndarray) -> pa.Table:
    there = ~np.isnan(close)
    ts = FIRST + np.arange(len(close), dtype=np.int64) * DAY
    price = close[there]
    return pa.table(
        {
            "ts": ts[there],
            **dict.fromkeys(("open", "high", "low", "close"), price),
            "volume": np.ones(len(price)),
            "turnover": price,
        }
    )


def traded(folder: Path, strategy: str, rows: slice) -> tuple[RunOutcome, np.ndarray, np.ndarray]:
    """Run the rows' weights; return the outcome, the weights and the returns they are held over."""
    weights, returns = (values[rows] for values in reference_weights(strategy))
    # Prices from the clipped returns; a coin begins where its first return does.
    growth = np.vstack([np.zeros(returns.shape[1]), np.nan_to_num(returns)])
    close = np.round(100.0 * np.cumprod(1.0 + growth, axis=0), 8)
    known = ~np.isnan(returns)
    alive = np.vstack([known[:1], known]) | np.vstack([known, known[-1:]])
    close[~alive] = np.nan
    names = [f"{name.replace('USDT', '')}" for name in table("px").columns]
    infos = [perpetual(name) for name in names]
    with CatalogWriter(folder / "catalog") as writer:
        writer.add(
            Import(
                source="reference",
                source_venue="binance",
                instruments=infos,
                tables={
                    ("bars", "1d", info.id): candles(close[:, column])
                    for column, info in enumerate(infos)
                    if not np.isnan(close[:, column]).all()
                },
            )
        )
    file = folder / "weights.npz"
    ts = FIRST + np.arange(len(weights), dtype=np.int64) * DAY
    np.savez(file, ts=ts, ids=np.array([info.id for info in infos]), weights=weights)
    document = Backtest.model_validate(
        {
            "kind": "backtest",
            "name": "reference",
            "catalog": str(folder / "catalog"),
            "window": {
                "start": str(pd.Timestamp(FIRST - DAY).date()),
                "end": str(pd.Timestamp(FIRST + len(weights) * DAY).date()),
            },
            "allow": ["tests"],
            "venue": {
                "starting_balance": EQUITY,
                "fees": {"linear": {"maker": COST, "taker": COST}},
                "slippage": {"model": "none"},
                "fills": "signal_close",
                "funding": False,
            },
            "strategies": {
                "given": {
                    "use": "tests.backtests.given_weights:GivenWeights",
                    "params": {"file": str(file)},
                }
            },
        }
    )
    return run(prepare(document)), weights, returns


def daily(outcome: RunOutcome, days: int) -> np.ndarray:
    curve = outcome.tables["equity"]
    equity = dict(
        zip(curve.column("ts").to_pylist(), curve.column("equity").to_pylist(), strict=True)
    )
    fees: dict[int, float] = {}
    for row in outcome.tables["fills"].to_pylist():
        # A coin that ends is closed by the venue a nanosecond before its last stamp.
        midnight = -(-row["ts"] // DAY) * DAY
        fees[midnight] = fees.get(midnight, 0.0) + float(row["fee"])
    stamps = [FIRST + day * DAY for day in range(days + 1)]
    before = np.array([equity[ts] + fees.get(ts, 0.0) for ts in stamps])
    return before[1:] / before[:-1] - 1.0


def bound(weights: np.ndarray, returns: np.ndarray, equity: float) -> np.ndarray:
    """Return the largest difference of each day that the module's docstring derives."""
    moves = np.nan_to_num(returns)
    gross = (weights * moves).sum(axis=1)
    old = np.vstack([np.zeros(weights.shape[1]), weights[:-1]])
    old_moves = np.vstack([np.zeros(weights.shape[1]), moves[:-1]])
    turnover = np.abs(weights - old).sum(axis=1)
    cost = COST * np.concatenate([[0.0], turnover[:-1]])
    portfolio = (old * old_moves).sum(axis=1) - cost
    drift = (np.abs(old) * np.abs(old_moves - portfolio[:, None])).sum(axis=1) / (1 + portfolio)
    prices = 100.0 * np.cumprod(1.0 + moves, axis=0).max(axis=1)
    coins = weights.shape[1]
    off = coins * (LOT * prices + MINIMUM) / equity
    rounding = off * (np.abs(moves).max(axis=1) + 2 * COST)
    order = COST * (turnover + drift) * (np.abs(gross) + COST * (turnover + drift))
    return COST * drift + order + rounding


def check(tmp_path: Path, strategy: str, rows: slice) -> None:
    outcome, weights, returns = traded(tmp_path, strategy, rows)
    moves = np.nan_to_num(returns)
    old = np.vstack([np.zeros(weights.shape[1]), weights[:-1]])
    expected = (weights * moves).sum(axis=1) - COST * np.abs(weights - old).sum(axis=1)
    found = daily(outcome, len(weights))
    lowest = float(outcome.tables["equity"].column("equity").to_numpy().min())
    allowed = bound(weights, returns, lowest)
    difference = np.abs(found - expected)
    worst = int(np.argmax(difference - allowed))
    assert (difference <= allowed).all(), (worst, difference[worst], allowed[worst])
    # The bound is of use only if it is small beside what it bounds.
    assert allowed.mean() < 0.25 * np.abs(expected).mean()
    shift = np.sqrt(365) * allowed.mean() / expected.std(ddof=1)
    assert abs(sharpe(found) - sharpe(expected)) <= 1.1 * shift
    late = np.abs(found[1:] - expected[:-1])
    assert not (late <= allowed[1:]).all(), "a run a day late would pass"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_engine_earns_what_the_reference_says_within_the_bound(
    tmp_path: Path, strategy: str
) -> None:
    check(tmp_path, strategy, slice(-50, None))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_engine_earns_what_the_reference_says_over_all_six_years(
    tmp_path: Path, strategy: str
) -> None:
    check(tmp_path, strategy, slice(None))
