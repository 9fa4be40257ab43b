"""Helpers for readers of files: find files, symbols, stamps, numbers and intervals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.instruments import split_symbol
from config.durations import INTERVALS
from config.errors import InputError

VENUES = ("bybit", "binance", "okx", "bitget", "gateio", "kraken", "coinbase", "kucoin", "ftx")

# Powers of ten between the units of UNIX stamps: 1e11 s is the year 5138, 1e11 ms was 1973.
_UNIT_LIMITS = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000))


def find(paths: Sequence[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """List the given files, and those in given folders that end in one of the suffixes.

    Raises InputError when a path is missing, or nothing is found.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file())
            found += [p for p in below if p.name.endswith(suffixes)]
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"{path}: no such file or folder")
    if not found:
        places = ", ".join(str(path) for path in paths)
        raise InputError(f"{places}: no file that ends in {' or '.join(suffixes)}")
    return found


def venue_of(path: Path) -> str:
    """Guess the venue from the file's own name, else from its folders; else "unknown"."""
    words = re.split(r"[^a-z]+", path.name.lower())
    for venue in VENUES:
        if venue in words:
            return venue
    folders = [part.lower() for part in path.resolve().parts[:-1]]
    return next((part for part in reversed(folders) if part in VENUES), "unknown")


def plain_symbol(text: str) -> str:
    """Convert ``BTC/USDT:USDT``, ``BTC_USDT_USDT``, ``btc-usdt`` to ``BTCUSDT``.

    Raises ValueError for an unknown quote coin.
    """
    parts = re.split(r"[/_\-:]", text.strip().upper())
    symbol = "".join(parts[:2])
    split_symbol(symbol)
    return symbol


def column(table: pa.Table, names: Iterable[str], path: Path, what: str) -> pa.ChunkedArray:
    """Return the first existing column of several names (any case); raise InputError for none."""
    found = optional(table, names)
    if found is None:
        raise InputError(
            f"{path}: no column for {what} (one of {', '.join(names)}); "
            f"there is {', '.join(table.column_names)}"
        )
    return found


def optional(table: pa.Table, names: Iterable[str]) -> pa.ChunkedArray | None:
    """Return the first existing column of several names (any case), or None."""
    by_name = {name.lower(): name for name in reversed(table.column_names)}
    for name in names:
        if name in by_name:
            return table.column(by_name[name])
    return None


def stamps_ns(values: pa.ChunkedArray, path: Path) -> NDArray[np.int64]:
    """Convert dates to UNIX nanoseconds; dates without a zone are UTC.

    Reads timestamps, dates, ISO 8601 texts, or numbers in s, ms, us or ns (by their size). Raises
    InputError with the row of the first bad date.
    """
    if values.null_count:
        raise InputError(f"{path}: row {_first(pc.is_null(values))}: the date is empty")
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = _parse_dates(values, path)
        kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return values.cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy()
    numbers = values.to_numpy()
    size = float(np.abs(numbers).max()) if len(numbers) else 0.0
    factor = next((f for limit, f in _UNIT_LIMITS if size < limit), 1)
    if np.issubdtype(numbers.dtype, np.floating):
        return np.rint(numbers * (factor / 1e3)).astype(np.int64) * 1000
    return numbers.astype(np.int64) * factor


def _parse_dates(values: pa.ChunkedArray, path: Path) -> pa.Array:
    import pandas as pd

    parsed = pd.to_datetime(values.to_pandas(), utc=True, errors="coerce", format="ISO8601")
    if parsed.isna().any():
        row = int(np.flatnonzero(parsed.isna())[0])
        raise InputError(
            f"{path}: row {row + 1}: {values[row].as_py()!r} is no date like 2025-01-31 00:00:00"
        )
    return pa.array(parsed.astype("int64").to_numpy(), pa.timestamp("ns"))


def floats(values: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    """Convert a column to floats (nulls stay); raise InputError with row and column of bad text."""
    try:
        return values.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    for row, value in enumerate(values.to_pylist(), start=1):
        try:
            float(value)
        except (TypeError, ValueError):
            raise InputError(f"{path}: row {row}: column {name}: {value!r} is no number") from None
    return pa.chunked_array([pa.array([float(v) for v in values.to_pylist()], pa.float64())])


def infer_interval(stamps: NDArray[np.int64], path: Path) -> str:
    """Return the interval of candles: the commonest distance of their stamps.

    Raises InputError for an interval that the catalog doesn't have, or fewer than two candles.
    """
    gaps = np.diff(np.unique(stamps))
    if len(gaps):
        lengths, counts = np.unique(gaps, return_counts=True)
        commonest = int(lengths[np.argmax(counts)])
        for name, length in INTERVALS.items():
            if length == commonest:
                return name
        problem = f"are {commonest / 1e9:g} s apart, which is none of {', '.join(INTERVALS)}"
    else:
        problem = "are too few to tell the interval"
    raise InputError(f"{path}: its candles {problem}; say --interval")


def _first(mask: pa.ChunkedArray) -> int:
    return int(np.flatnonzero(mask.to_numpy())[0]) + 1
