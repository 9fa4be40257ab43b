"""A catalog with hourly candles, books, trades and quotes of three perpetuals, and a document.

Three hours of candles lie before the window; the books begin half an hour before it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from catalog.providers.base import Import
from catalog.series import BOOK, QUOTES, TICKERS, TRADES
from catalog.storage.writer import CatalogWriter
from tests.builders_engine import HOUR, SECOND, START, at, info

NAMES = tuple(f"{name * 3}USDT-LINEAR.BYBIT" for name in "ABC")
FIRST, LAST = 3, 5
"""Hours of the window."""
BOOKS_FROM = at(FIRST) - HOUR // 2


@cache
def ticks(seed: int, minutes: int = 150) -> dict[str, pa.Table]:
    """Return a book of five levels a side every two seconds, trades between, and what follows.

    The mid walks a tick at a time; a trade takes part of the best level.
    """
    draw = np.random.default_rng(seed)
    book, trades, quotes, tickers = [], [], [], []
    mid, before = 10_005, None
    steps = minutes * 30
    moves = draw.choice((-10, 0, 0, 0, 10), steps)
    displayed = draw.integers(50, 400, (steps, 2, 5)) / 10
    for step, (move, sizes) in enumerate(zip(moves.tolist(), displayed.tolist(), strict=True)):
        ts = BOOKS_FROM + 2 * step * SECOND
        mid += move
        new = {(1, mid - 5 - 10 * n): sizes[0][n] for n in range(5)}
        new |= {(-1, mid + 5 + 10 * n): sizes[1][n] for n in range(5)}
        gone = [] if before is None else [(*key, 0.0) for key in before if key not in new]
        rows = gone + [(*key, size) for key, size in new.items()]
        flag = 1 if before is None else 0
        book += [(ts, step, ts, flag, side, p / 100, size) for side, p, size in rows]
        best = (mid - 5) / 100, (mid + 5) / 100, sizes[0][0], sizes[1][0]
        quotes.append((ts, step, ts, *best))
        tickers.append((ts, step, ts, mid / 100, mid / 100 + 0.01, mid / 100, 0.0001, 0))
        before = new
        if step % 2:
            side = 1 if draw.random() < 0.5 else -1
            price, there = (best[1], best[3]) if side > 0 else (best[0], best[2])
            moment = ts + SECOND
            trades.append((moment, step, moment, price, round(there * draw.random(), 3), side))
    found = {}
    for kind, rows, schema in (
        ("book", book, BOOK),
        ("trades", trades, TRADES),
        ("quotes", quotes, QUOTES),
        ("tickers", tickers, TICKERS),
    ):
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        found[kind] = pa.table(columns, schema.names).cast(schema)
    return found


def candles(seed: int) -> pa.Table:
    """Return hourly candles about 100, the last of which closes with the window."""
    draw = np.random.default_rng(seed)
    close = np.round(100 + np.cumsum(draw.normal(0, 0.3, LAST)), 2)
    opened = np.r_[100.0, close[:-1]]
    high, low = np.maximum(opened, close) + 0.1, np.minimum(opened, close) - 0.1
    ts = np.array([at(hour + 1) for hour in range(LAST)])
    names = ("ts", "open", "high", "low", "close", "volume", "turnover")
    volume = np.full(LAST, 1e6)
    return pa.table([ts, opened, high, low, close, volume, volume * close], names)


def write_books(
    folder: Path,
    kinds: tuple[str, ...] = ("book", "trades"),
    spoil: Callable[[pa.Table], pa.Table] = lambda rows: rows,
) -> Path:
    """Write the catalog with these kinds of ticks, after `spoil`; return its folder."""
    tables: dict[Any, pa.Table] = {}
    for seed, name in enumerate(NAMES):
        tables["bars", "1h", name] = candles(seed)
        tables |= {(kind, "", name): spoil(ticks(seed)[kind]) for kind in kinds}
    infos = [info(name, listed_ns=START - 1000 * HOUR) for name in NAMES]
    with CatalogWriter(folder / "catalog") as writer:
        writer.add(Import("by hand", "simulated", infos, tables))
    return folder / "catalog"


def document(
    folder: Path,
    *,
    execution: dict[str, Any] | None = None,
    strategy: dict[str, Any] | None = None,
    actors: dict[str, Any] | None = None,
    **venue: Any,
) -> Path:
    """Write a document that decides on candles each half hour and executes on what `venue` says."""
    given = {
        "kind": "backtest",
        "name": "books",
        "catalog": str(folder / "catalog"),
        "window": {"start": "2023-11-15 03:00", "end": "2023-11-15 05:00"},
        "allow": ["tests"],
        "venue": {"slippage": {"model": "none"}, "starting_balance": 1_000, **venue},
        "strategies": {
            "reversal": {
                "use": "strategies.xs_reversal:XSReversal",
                "params": {
                    "interval": "1h",
                    "lookback": 1,
                    "every": "1h",
                    "at": "00:00",
                    "fraction": 0.34,
                    "max_weight": 0.5,
                    "min_age_days": 0,
                    "execution": {"tactic": "maker_first"},
                    **(strategy or {}),
                },
            }
        },
    }
    file = folder / "books.yaml"
    file.write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")
    return file
