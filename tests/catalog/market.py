"""Small hand-made markets for the catalog's tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.demo import universe
from catalog.demo.parameters import DemoParams
from catalog.demo.returns import draw_factors, draw_path
from catalog.instruments import InstrumentInfo, instrument_id, instrument_info
from catalog.providers.base import Import, ImportOptions, read_files
from catalog.series import BARS, FUNDING, MARKS
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.durations import interval_ns
from tests.builders import SHARED_DATA

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
START = 1_704_067_200_000_000_000
"""2024-01-01 00:00 UTC."""
FOREVER = 2**62
BTC, ETH = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"


def planted_drift(params: DemoParams) -> dict[str, NDArray[np.float64]]:
    """Return the planted idiosyncratic log return of each day by perp, also while not listed."""
    shared, specs = draw_factors(params), universe.draw(params)
    return {instrument_id(s.symbol, "LINEAR"): draw_path(params, s, shared).drift for s in specs}


def candles(
    count: int, interval: str = "1h", start: int = START, seed: int = 0, decimals: int = 2
) -> pa.Table:
    """Candles of a random walk about 100, the first one opening at start."""
    rng = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    opens = np.concatenate(([100.0], closes[:-1]))
    spread = np.abs(rng.normal(0, 0.003, (2, count)))
    high = np.maximum(opens, closes) * (1 + spread[0])
    low = np.minimum(opens, closes) * (1 - spread[1])
    prices = [np.round(values, decimals) for values in (opens, high, low, closes)]
    volume = np.round(rng.lognormal(3, 1, count) + 0.001, 3)
    length = interval_ns(interval)
    ts = start + length * np.arange(1, count + 1)
    return pa.table([ts, *prices, volume, np.round(volume * prices[3], 4)], schema=BARS)


def marks(count: int, interval: str = "1h", start: int = START, seed: int = 0) -> pa.Table:
    """Mark price candles."""
    return candles(count, interval, start, seed).select(MARKS.names)


def funding(count: int, hours: int = 8, start: int = START, jitter_ms: int = 0) -> pa.Table:
    """Settlements every so many hours, the first at start."""
    ts = start + hours * HOUR * np.arange(count) + jitter_ms * 1_000_000
    return pa.table([ts, np.full(count, 0.0001)], schema=FUNDING)


def told(symbol: str = "BTCUSDT", product: str = "LINEAR", **changes: object) -> InstrumentInfo:
    """Facts of an instrument as a venue would tell them."""
    facts: dict[str, Any] = {"tick": "0.01", "lot": "0.001", "source": "hand", **changes}
    return instrument_info(symbol, product, **facts)


def write(path: Path, **series: pa.Table) -> Catalog:
    """Write hourly candles by symbol into a catalog and open it."""
    with CatalogWriter(path) as writer:
        for symbol, table in series.items():
            writer.add_rows("bars", "1h", instrument_id(symbol, "LINEAR"), table)
        writer.provenance("hand", "simulated")
    return Catalog(path)


def parts(name: str, *paths: Path, **options: Any) -> list[Import]:
    """Read files of a format to the end."""
    return list(read_files(name, paths, ImportOptions(**options)))


def imported(folder: Path, name: str, *paths: Path, **options: Any) -> Catalog:
    """Import files at once into a new catalog."""
    with CatalogWriter(folder) as writer:
        for part in read_files(name, paths, ImportOptions(**options)):
            writer.add(part)
    return Catalog(folder)


def shared(*parts: str) -> Path:
    """Path of a file of the shared market data."""
    return SHARED_DATA.joinpath(*parts)
