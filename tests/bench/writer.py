"""From arrays to Nautilus's Parquet: our Arrow writer against the engine's object path."""

from __future__ import annotations

import time
from typing import Any

from tests.bench import Row, in_own_process

ROWS = 525_600
"""A year of minutes."""

CODE = """
import json, tempfile
from pathlib import Path
from tests.bench import peak_mb
from tests.bench.writer import {name}, prepare
given = prepare({rows})
with tempfile.TemporaryDirectory() as folder:
    before = peak_mb()
    seconds = {name}(Path(folder), given)
    print(json.dumps({{"seconds": seconds, "added_mb": peak_mb() - before}}))
"""


def by_arrow(folder: Any, given: Any) -> float:
    """Write with our writer; return seconds."""
    from catalog.engine import write_bars

    info, table = given
    began = time.perf_counter()
    write_bars(folder, table, info, "1m")
    return time.perf_counter() - began


def by_objects(folder: Any, given: Any) -> float:
    """Write through Bar objects and the engine's catalog; return seconds."""
    import numpy as np
    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.persistence.catalog import ParquetDataCatalog

    from config.durations import bar_type

    info, table = given
    began = time.perf_counter()
    columns = [table.column(name).to_numpy() for name in ("open", "high", "low", "close", "volume")]
    stamps = table.column("ts").to_numpy().astype(np.uint64)
    bars = Bar.from_raw_arrays_to_list(
        BarType.from_str(bar_type(info.id, "1m")),
        info.price_precision,
        info.size_precision,
        *[np.array(column) for column in columns],
        stamps,
        stamps,
    )
    ParquetDataCatalog(str(folder)).write_data(bars)
    return time.perf_counter() - began


def prepare(rows: int) -> Any:
    """Make the instrument and its candles, and import what both ways need."""
    import nautilus_trader.persistence.catalog  # noqa: F401
    import numpy as np
    import pyarrow as pa

    from catalog.instruments import InstrumentInfo

    rng = np.random.default_rng(1)
    close = np.round(30_000 + np.cumsum(rng.normal(0, 5, rows)), 1)
    start = 1_704_067_200_000_000_000
    info = InstrumentInfo(
        id="BTCUSDT-LINEAR.BYBIT", symbol="BTCUSDT", product="LINEAR", base="BTC", quote="USDT",
        settle="USDT", tick="0.1", lot="0.001", min_qty="0.001", min_notional="5",
    )  # fmt: skip
    volume = np.round(rng.uniform(1, 100, rows), 3)
    stamps = start + (np.arange(rows, dtype=np.int64) + 1) * 60_000_000_000
    columns = {"ts": stamps, "open": close, "high": close + 5, "low": close - 5, "close": close}
    return info, pa.table({**columns, "volume": volume, "turnover": volume * close})


def _best(name: str) -> dict[str, float]:
    code = CODE.format(name=name, rows=ROWS)
    return min((in_own_process(code) for _ in range(3)), key=lambda found: found["seconds"])


def run() -> list[Row]:
    """Return the table's rows; each way runs in a process of its own, best of three."""
    ours = _best("by_arrow")
    theirs = _best("by_objects")
    speed = theirs["seconds"] / ours["seconds"]
    memory = ours["added_mb"] / theirs["added_mb"]
    rates = [f"{ROWS / found['seconds'] / 1e6:.2f} M rows/s" for found in (ours, theirs)]
    added = "memory on top of the start, ours / object path"
    return [
        Row(f"arrays to Parquet, {ROWS:,} minute bars", rates[0]),
        Row("the engine's object path", rates[1]),
        Row("ours / object path", f"{speed:.1f} x", ">= 16 x", speed >= 16),
        Row(added, f"{memory:.2f} x", "<= 0.25 x", memory <= 0.25),
    ]
