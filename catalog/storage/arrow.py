"""Candles as Nautilus Parquet, straight from arrays.

Nautilus's own path makes one Python object a row; this one multiplies columns, and gives equal
files (a test compares row for row). Layout of 1.231.0, high precision: prices and sizes are
little-endian 128-bit integers scaled by 1e16, stamps are uint64, the schema's metadata names the
bar type and the precisions.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from nautilus_trader.model.objects import FIXED_PRECISION, FIXED_PRECISION_BYTES
from nautilus_trader.persistence.catalog.parquet import _timestamps_to_filename
from numpy.typing import NDArray

from catalog.instruments import InstrumentInfo

ROW_GROUP = 8192
"""Rows a row group: a slice of the window then decodes little more than it needs."""

PRICES = ("open", "high", "low", "close")
_RAW = pa.binary(FIXED_PRECISION_BYTES)
_LARGEST_EXACT = float(2**63)


def fixed_point(values: NDArray[np.float64], precision: int) -> pa.Array:
    """Turn floats into Nautilus's raw fixed-point column.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Not below zero, finite; values x 10^precision must stay below 2^63.
    precision : int
        Decimals kept; halves round away from zero, as the engine's own constructor does.

    Returns
    -------
    pyarrow.FixedSizeBinaryArray
        n little-endian 128-bit integers, value x 1e16.

    Raises
    ------
    ValueError
        When a value is negative, not finite or too large.
    """
    scaled = values * 10.0**precision
    if scaled.size and not (float(scaled.min()) >= 0.0 and float(scaled.max()) < _LARGEST_EXACT):
        raise ValueError(f"a value is negative, not finite or too large for {precision} decimals")
    whole = np.floor(scaled)
    ticks = pa.array((whole + (scaled - whole >= 0.5)).astype(np.int64)).cast(pa.decimal128(19, 0))
    factor = pa.scalar(Decimal(10) ** (FIXED_PRECISION - precision), pa.decimal128(17, 0))
    raw = pc.multiply(ticks, factor)
    return pa.FixedSizeBinaryArray.from_buffers(_RAW, len(values), [None, raw.buffers()[1]])


def bar_table(candles: pa.Table, info: InstrumentInfo, bar_type: str) -> pa.Table:
    """Make the table that Nautilus would write for these candles.

    Parameters
    ----------
    candles : pyarrow.Table
        Columns ts (close, ns), open, high, low, close, volume; sorted by ts.
    info : InstrumentInfo
        Gives the precisions.
    bar_type : str
        Such as ``BTCUSDT-LINEAR.BYBIT-1-HOUR-LAST-EXTERNAL``.
    """
    columns = [
        fixed_point(_numpy(candles, name), info.price_precision if name in PRICES else size)
        for name, size in (*((p, 0) for p in PRICES), ("volume", info.size_precision))
    ]
    stamp = pa.array(candles.column("ts").to_numpy().astype(np.uint64))
    fields = [pa.field(name, _RAW, nullable=False) for name in (*PRICES, "volume")]
    fields += [pa.field(name, pa.uint64(), nullable=False) for name in ("ts_event", "ts_init")]
    metadata = {
        "bar_type": bar_type,
        "instrument_id": info.id,
        "price_precision": str(info.price_precision),
        "size_precision": str(info.size_precision),
    }
    return pa.Table.from_arrays(
        [*columns, stamp, stamp], schema=pa.schema(fields, metadata=metadata)
    )


def write_bars(
    root: Path, candles: pa.Table, info: InstrumentInfo, bar_type: str, compression: str = "lz4"
) -> Path:
    """Write one instrument's candles of one interval into a Nautilus catalog.

    Parameters
    ----------
    root : Path
        The Nautilus catalog's folder (the one that holds ``data``).
    candles, info, bar_type
        As for `bar_table`; at least one row.

    Returns
    -------
    Path
        The file; its name tells the first and last stamp, as Nautilus expects.
    """
    table = bar_table(candles, info, bar_type)
    stamps = candles.column("ts")
    folder = root / "data" / "bar" / bar_type
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _timestamps_to_filename(stamps[0].as_py(), stamps[-1].as_py())
    pq.write_table(
        table,
        path,
        row_group_size=ROW_GROUP,
        compression=compression,
        use_dictionary=False,
        column_encoding={
            **dict.fromkeys((*PRICES, "volume"), "BYTE_STREAM_SPLIT"),
            **dict.fromkeys(("ts_event", "ts_init"), "DELTA_BINARY_PACKED"),
        },
    )
    return path


def _numpy(table: pa.Table, name: str) -> NDArray[np.float64]:
    return table.column(name).to_numpy().astype(np.float64, copy=False)
