"""What every provider gives: an `Import`, in the catalog's own terms."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from catalog.instruments import InstrumentInfo

BARS = pa.schema(
    [
        ("ts", pa.int64()),
        ("open", pa.float64()),
        ("high", pa.float64()),
        ("low", pa.float64()),
        ("close", pa.float64()),
        ("volume", pa.float64()),
        ("turnover", pa.float64()),
    ]
)
"""`ts` is the candle's CLOSE, UNIX nanoseconds UTC; prices in quote, volume in base, turnover in
quote (null where the source has none: the store then writes volume x close)."""

MARKS = pa.schema(BARS.field(name) for name in ("ts", "open", "high", "low", "close"))
"""Mark price candles, stamped as bars."""

FUNDING = pa.schema([("ts", pa.int64()), ("rate", pa.float64())])
"""`ts` as the source gave it, UNIX nanoseconds UTC (the store snaps it to the minute and keeps the
original as ``ts_source``); `rate` is a fraction a settlement, positive when longs pay."""


@dataclass(frozen=True)
class Import:
    """One source's data (or one part of it), ready to be written.

    Parameters
    ----------
    instruments : list of InstrumentInfo
        May be empty; the writer then infers those it doesn't know yet from their candles.
    bars, marks : mapping of (interval, instrument id) to pyarrow.Table
        Tables of schema `BARS` and `MARKS`, in any order of time.
    funding : mapping of instrument id to pyarrow.Table
        Tables of schema `FUNDING`.
    source : str
        What it is, in a few words: "freqtrade files", "demo market seed 7".
    source_venue : str
        Whose prices they are: "bybit", "binance", "simulated".
    note : str
        Anything a reader of a report should know.
    files : list of Path
        Files read, for their hashes in the provenance.
    """

    source: str
    source_venue: str
    instruments: list[InstrumentInfo] = field(default_factory=list)
    bars: MutableMapping[tuple[str, str], pa.Table] = field(default_factory=dict)
    marks: MutableMapping[tuple[str, str], pa.Table] = field(default_factory=dict)
    funding: MutableMapping[str, pa.Table] = field(default_factory=dict)
    note: str = ""
    files: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class ImportOptions:
    """What the user may say about files that don't say it themselves.

    Parameters
    ----------
    interval : str, optional
        Of the candles; None infers it from names or stamps.
    product : str, optional
        ``LINEAR`` or ``SPOT``, where the files don't tell.
    source_venue : str, optional
        Whose prices; None leaves it to the reader, which guesses from names or says "unknown".
    note : str
        For the provenance.
    stamp : str
        What a candle's date in the file is: its ``open`` or its ``close``.
    """

    interval: str | None = None
    product: str | None = None
    source_venue: str | None = None
    note: str = ""
    stamp: str = "open"
