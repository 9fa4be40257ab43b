"""Kinds of series in a catalog: one table of all that differs between them.

To add a kind, add an entry to `KINDS` with its schema and its checks, and write a provider of its
tables.

Candles and funding have one row a time and one file a series. Ticks (trades, quotes, book, tickers)
have messages: the rows of one key (ts, seq). One file holds one UTC day of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog import findings
from catalog.findings import CatalogFinding, SeriesRows
from config.durations import MINUTE_NS
from config.errors import InputError

PRICES = ("open", "high", "low", "close")


def _unchanged(table: pa.Table) -> pa.Table:
    return table


@dataclass(frozen=True, kw_only=True)
class SeriesKind:
    """Properties of one kind of series; the name is the first part of its files' paths."""

    name: str
    given: pa.Schema
    """Schema of a provider's table; ``ts`` is UNIX nanoseconds (UTC), in any order."""
    stored: pa.Schema
    """Schema on disk, sorted by ``ts``."""
    by_interval: bool
    by_day: bool = False
    """Whether each UTC day is a file of its own, with rows sorted by ``ts`` and ``seq``."""
    optional: tuple[str, ...] = ()
    """Columns that a source may lack; the store computes them."""
    may_be_nan: tuple[str, ...] = ()
    values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Values that a column of codes may have."""
    fill: Callable[[pa.Table], pa.Table] = _unchanged
    store: Callable[[pa.Table], pa.Table] = _unchanged
    """`fill` adds missing columns; `store` converts a complete table to the stored form."""
    checks: tuple[Callable[[SeriesRows], list[CatalogFinding]], ...] = ()
    import_checks: tuple[Callable[[SeriesRows], list[CatalogFinding]], ...] = ()
    """Those of the checks whose findings an import warns of."""
    cached: bool = False
    """Whether the catalog keeps the engine's own files of it, too."""

    def normalize(self, table: pa.Table, where: str) -> pa.Table:
        """Convert a provider's table to the stored form (not yet sorted), without other columns.

        Raises InputError, with ``where`` in its text, when a column is missing, or a value is null,
        not finite, or no code of its column.
        """
        names = self.given.names
        missing = [n for n in names if n not in table.column_names and n not in self.optional]
        if missing:
            raise InputError(
                f"{where}: no column {', '.join(missing)}; there is {table.column_names}"
            )
        table = self.fill(table).select(names).cast(self.given).combine_chunks()
        for name in names:
            column = table.column(name)
            finite = column.null_count == 0 and (
                column.type != pa.float64()
                or name in self.may_be_nan
                or bool(np.isfinite(column.to_numpy()).all())
            )
            if not finite:
                raise InputError(
                    f"{where}: column {name} has a null or a number that is not finite"
                )
        for name, codes in self.values.items():
            if not np.isin(table.column(name).to_numpy(), codes).all():
                raise InputError(f"{where}: column {name} has a value that is none of {codes}")
        return self.store(table)


def _with_turnover(table: pa.Table) -> pa.Table:
    worth = pc.multiply(table.column("volume"), table.column("close"))
    if "turnover" not in table.column_names:
        return table.append_column("turnover", worth)
    given = table.column("turnover").cast(pa.float64())
    index = table.column_names.index("turnover")
    return table.set_column(index, "turnover", pc.coalesce(given, worth))


def _on_the_minute(table: pa.Table) -> pa.Table:
    source = table.column("ts").to_numpy()
    snapped = (source + MINUTE_NS // 2) // MINUTE_NS * MINUTE_NS
    columns = [pa.array(snapped), pa.array(source), table.column("rate")]
    return pa.Table.from_arrays(columns, schema=_STORED_FUNDING)


def _with_receive_time(table: pa.Table) -> pa.Table:
    if "ts_recv" in table.column_names:
        return table
    return table.append_column("ts_recv", table.column("ts"))


_FLOAT, _STAMP, _CODE = pa.float64(), pa.int64(), pa.int8()
BARS = pa.schema([("ts", _STAMP), *((name, _FLOAT) for name in (*PRICES, "volume", "turnover"))])
"""`ts` is the candle's CLOSE, UNIX nanoseconds UTC; prices in quote, volume in base, turnover in
quote (null if the source has none: the store writes volume x close)."""
MARKS = pa.schema([("ts", _STAMP), *((name, _FLOAT) for name in PRICES)])
"""Mark price candles, stamped as bars."""
FUNDING = pa.schema([("ts", _STAMP), ("rate", _FLOAT)])
"""`ts` as the source gave it, UNIX nanoseconds UTC (the store rounds it to the minute and keeps the
original as ``ts_source``); `rate` is a fraction a settlement, positive when longs pay."""
_STORED_FUNDING = pa.schema([("ts", _STAMP), ("ts_source", _STAMP), ("rate", _FLOAT)])

_MESSAGE = [("ts", _STAMP), ("seq", _STAMP), ("ts_recv", _STAMP)]
"""`ts` is the exchange's time, `ts_recv` the time of receipt, UNIX nanoseconds UTC (the same where
the source has one only); `seq` is the source's id of the update or trade, else a running number
that comes out the same when the source is read again. All rows of one (ts, seq) are one message,
and keep their order."""
TRADES = pa.schema([*_MESSAGE, ("price", _FLOAT), ("size", _FLOAT), ("side", _CODE)])
"""`side` is that of the aggressor: 1 buyer, -1 seller, 0 unknown."""
QUOTES = pa.schema([*_MESSAGE, *((n, _FLOAT) for n in ("bid", "ask", "bid_size", "ask_size"))])
BOOK = pa.schema(
    [*_MESSAGE, ("flags", _CODE), ("side", _CODE), ("price", _FLOAT), ("size", _FLOAT)]
)
"""One row a level: `size` 0 removes it; `side` is 1 for bids, -1 for asks. `flags` is a sum of
`SNAPSHOT` (the message replaces the whole book) and `AFTER_LOSS`."""
SNAPSHOT = 1
AFTER_LOSS = 2
"""The source knows that messages before this one are lost."""
_TICKER = ("last", "mark", "index", "funding_rate")
TICKERS = pa.schema([*_MESSAGE, *((n, _FLOAT) for n in _TICKER), ("next_funding_ts", _STAMP)])
"""`funding_rate` is the predicted one, a fraction; what a source lacks is NaN; `next_funding_ts`
is 0 where unknown."""

_CANDLE_IMPORT = (findings.off_grid, findings.impossible, findings.jumps)
_CANDLE_CHECKS = (*_CANDLE_IMPORT, findings.gaps, findings.stale, findings.unfinished)


def _ticks(name: str, schema: pa.Schema, **more: Any) -> SeriesKind:
    return SeriesKind(
        name=name,
        given=schema,
        stored=schema,
        by_interval=False,
        by_day=True,
        optional=("ts_recv",),
        fill=_with_receive_time,
        **more,
    )


KINDS: dict[str, SeriesKind] = {
    kind.name: kind
    for kind in (
        SeriesKind(
            name="bars",
            given=BARS,
            stored=BARS,
            by_interval=True,
            optional=("turnover",),
            fill=_with_turnover,
            checks=(*_CANDLE_CHECKS, findings.off_tick),
            import_checks=_CANDLE_IMPORT,
            cached=True,
        ),
        SeriesKind(
            name="mark",
            given=MARKS,
            stored=MARKS,
            by_interval=True,
            checks=_CANDLE_CHECKS,
            import_checks=_CANDLE_IMPORT,
        ),
        SeriesKind(
            name="funding",
            given=FUNDING,
            stored=_STORED_FUNDING,
            by_interval=False,
            store=_on_the_minute,
            checks=(findings.rates, findings.repeated, findings.settlements),
            import_checks=(findings.rates, findings.repeated),
        ),
        _ticks("trades", TRADES, values={"side": (1, -1, 0)}),
        _ticks("quotes", QUOTES),
        _ticks("book", BOOK, values={"side": (1, -1), "flags": (0, 1, 2, 3)}),
        _ticks("tickers", TICKERS, may_be_nan=_TICKER),
    )
}
