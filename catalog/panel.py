"""The panel: many instruments' candles side by side, as plain arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.storage.store import Catalog, settlements


@dataclass(frozen=True)
class Panel:
    """Candles of N instruments (ids sorted) at T times; strategies share the read-only arrays."""

    ts: NDArray[np.int64]
    """Close time of each candle, UNIX nanoseconds (UTC), strictly increasing; shape (T,)."""
    ids: tuple[str, ...]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    """Prices in the settlement currency; NaN where the instrument has no candle; shape (T, N)."""
    volume: NDArray[np.float64]
    """Traded base coin; NaN where there is no candle; shape (T, N)."""


COLUMNS = ("open", "high", "low", "close", "volume")


def panel(
    catalog: Catalog,
    interval: str,
    ids: Iterable[str],
    start_ns: int,
    end_ns: int,
    *,
    kind: str = "bars",
) -> Panel:
    """Read candles that close at start < ts <= end (UNIX nanoseconds, UTC) side by side.

    An instrument without candles gets a column of NaN. Kind ``mark`` has volume NaN.
    """
    return side_by_side(
        {name: catalog.series(kind, interval, name, start_ns, end_ns) for name in set(ids)}
    )


def one_below_another(funding: Mapping[str, pa.Table], start_ns: int) -> pa.Table:
    """Join funding settlements after ``start_ns`` as `Catalog.funding` does."""
    joined = settlements(funding)
    return joined.filter(pc.greater(joined["ts"], start_ns)).combine_chunks()


def side_by_side(candles: Mapping[str, pa.Table]) -> Panel:
    """Put candles side by side, by increasing close time ``ts``; an empty table gives NaN."""
    names = tuple(sorted(candles))
    tables = [candles[name] for name in names]
    stamps = [table.column("ts").to_numpy() for table in tables]
    times = np.unique(np.concatenate(stamps)) if stamps else np.empty(0, np.int64)
    rows = [np.searchsorted(times, own) for own in stamps]
    arrays = {}
    for column in COLUMNS:
        values = np.full((len(times), len(names)), np.nan)
        for index, (table, own) in enumerate(zip(tables, rows, strict=True)):
            if column in table.column_names:
                values[own, index] = table.column(column).to_numpy()
        values.flags.writeable = False
        arrays[column] = values
    return Panel(ts=times.astype(np.int64), ids=names, **arrays)
