"""From arrays to Parquet: bars against the engine's object path, and a day of a book."""

from __future__ import annotations

import time
from typing import Any

from tests.bench import Row, in_own_process

ROWS = 525_600
"""A year of minutes."""
BOOK_ROWS, PART = 10_000_000, 1_000_000

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


def book_day(folder: Any, given: Any) -> float:
    """Import a day of book rows in parts, 20 levels a message; return seconds of CPU."""
    import numpy as np
    import pyarrow as pa

    from catalog.series import BOOK
    from catalog.storage.writer import CatalogWriter

    info, _ = given
    rng = np.random.default_rng(1)
    message = np.repeat(np.arange(PART // 20), 20)
    side = rng.choice(np.array([1, -1], np.int8), PART)
    price = np.round(30_000 - side * rng.integers(1, 500, PART) * 0.1, 1)
    size = np.round(rng.integers(0, 5000, PART) * 0.001, 3)
    began, seconds = 1_704_067_200_000_000_000, 0.0
    with CatalogWriter(folder) as writer:
        writer.add_instruments([info])
        for first in range(0, BOOK_ROWS // 20, PART // 20):
            ts = began + (first + message) * 100_000_000 + rng.integers(10**7, size=len(message))
            ts = np.repeat(ts[::20], 20)
            columns = [ts, first + message, ts + 2_000_000, np.zeros(PART, np.int8)]
            part = pa.table([*columns, side, price, size], schema=BOOK)
            start = time.process_time()
            writer.add_rows("book", "", info.id, part)
            seconds += time.process_time() - start
        start = time.process_time()
    return seconds + time.process_time() - start


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
    day = _best("book_day")
    pace = BOOK_ROWS / day["seconds"] / 1e6
    rates = [f"{ROWS / found['seconds'] / 1e6:.2f} M rows/s" for found in (ours, theirs)]
    added = "memory on top of the start, ours / object path"
    return [
        Row(f"arrays to Parquet, {ROWS:,} minute bars", rates[0]),
        Row("the engine's object path", rates[1]),
        Row("ours / object path", f"{speed:.1f} x", ">= 16 x", speed >= 16),
        Row(added, f"{memory:.2f} x", "<= 0.25 x", memory <= 0.25),
        Row(
            f"arrays to the catalog, {BOOK_ROWS:,} book rows, by CPU time",
            f"{pace:.2f} M rows/s",
            ">= 3 M rows/s",
            pace >= 3,
        ),
        Row(
            "memory on top of the start",
            f"{day['added_mb']:.0f} MB",
            "<= 250 MB",
            day["added_mb"] <= 250,
        ),
    ]
