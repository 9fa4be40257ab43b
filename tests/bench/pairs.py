"""What pairs cost: a candle's spreads and z-scores, and selection among 300 instruments."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from strategies.signals.pair_parameters import Hedge
from strategies.signals.spread import first_spread_state, frozen_spreads, spread_step
from tests.bench import Row, in_own_process

UNIVERSES = (5, 10, 20)
CANDLES, MEASURED = 1_441, 200
MODELS = ("ratio", "ols", "kalman")
AIM_MS = 1.0
SYMBOLS, FORMATION = 300, 2_160
AIM_S, AIM_MB = 5.0, 100

_SELECTION = f"""
import json, time
import numpy as np
from strategies.signals.cointegration import load_tests, select_pairs
from strategies.signals.pair_parameters import Selection
from tests.bench import peak_mb
moves = np.random.default_rng(0).normal(0, 0.01, ({FORMATION}, {SYMBOLS}))
prices, rules = moves.cumsum(axis=0), Selection(formation={FORMATION})
load_tests()
select_pairs(prices[:200, :5], Selection(formation=200))
before, began = peak_mb(), time.process_time()
found = select_pairs(prices, rules)
spent = time.process_time() - began
print(json.dumps({{"s": spent, "mb": peak_mb() - before, "tested": found.tested}}))
"""


def run() -> list[Row]:
    """Measure a candle of each model for 10, 45 and 190 pairs, then one selection."""
    # As in a run, which has freed larger arrays: before that, the allocator gives back each one.
    np.ones(3_000_000)
    rows = [_candle(names, model) for names in UNIVERSES for model in MODELS]
    found = in_own_process(_SELECTION)
    what = f"selection over {SYMBOLS} instruments x {FORMATION:,} candles"
    return [
        *rows,
        Row(
            f"{what}, {found['tested']:,.0f} pairs tested, CPU",
            f"{found['s']:.2f} s",
            f"<= {AIM_S:g} s",
            found["s"] <= AIM_S,
        ),
        Row(
            "memory on top of the prices",
            f"{found['mb']:.0f} MB",
            f"<= {AIM_MB} MB",
            found["mb"] <= AIM_MB,
        ),
    ]


def every_pair(names: int) -> NDArray[np.intp]:
    """Return every two columns of so many; shape (P, 2)."""
    return np.stack(np.triu_indices(names, 1), axis=1)


def _candle(names: int, model: str) -> Row:
    rules, pairs = Hedge(model=model), every_pair(names)  # type: ignore[arg-type]
    moves = np.random.default_rng(0).normal(0, 0.01, (CANDLES + MEASURED, names))
    prices = moves.cumsum(axis=0)
    state, steps, frozen = first_spread_state(names, pairs, rules), [], []
    for row in prices:
        began = time.thread_time()
        state, reading = spread_step(state, row, pairs, rules)
        between = time.thread_time()
        frozen_spreads(state, reading.beta, pairs, rules)
        steps.append(1e3 * (between - began))
        frozen.append(1e3 * (time.thread_time() - between))
    half, most = np.percentile(steps[-MEASURED:], (50, 99))
    opened = np.percentile(frozen[-MEASURED:], 50)
    what = f"a candle of {len(pairs)} pairs, {model}, {rules.z_lookback} rows: p50 / p99"
    value = f"{half:.2f} / {most:.2f} ms, with all open {half + opened:.2f} ms"
    return Row(what, value, f"<= {AIM_MS:g} ms", half <= AIM_MS)
