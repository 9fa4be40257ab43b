"""Kinds of series in a catalog: one table of all that differs between them.

To add a kind (trades, quotes), add an entry to `KINDS` with its schema, its checks and a function
of `catalog.engine`, and write a provider of its tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    optional: tuple[str, ...] = ()
    """Columns that a source may lack; the store computes them."""
    fill: Callable[[pa.Table], pa.Table] = _unchanged
    store: Callable[[pa.Table], pa.Table] = _unchanged
    """`fill` adds missing columns; `store` converts a complete table to the stored form."""
    checks: tuple[Callable[[SeriesRows], list[CatalogFinding]], ...] = ()
    import_checks: tuple[Callable[[SeriesRows], list[CatalogFinding]], ...] = ()
    """Those of the checks whose findings an import warns of."""
    engine: str = ""
    """Address of the function that converts a stored table, its instrument and the interval to the
    engine's data; empty where there is none."""

    def normalize(self, table: pa.Table, where: str) -> pa.Table:
        """Convert a provider's table to the stored form (not yet sorted), without other columns.

        Raises InputError, with ``where`` in its text, when a column is missing, or a value is null
        or not finite.
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
                column.type != pa.float64() or bool(np.isfinite(column.to_numpy()).all())
            )
            if not finite:
                raise InputError(
                    f"{where}: column {name} has a null or a number that is not finite"
                )
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


_FLOAT, _STAMP = pa.float64(), pa.int64()
BARS = pa.schema([("ts", _STAMP), *((name, _FLOAT) for name in (*PRICES, "volume", "turnover"))])
"""`ts` is the candle's CLOSE, UNIX nanoseconds UTC; prices in quote, volume in base, turnover in
quote (null if the source has none: the store writes volume x close)."""
MARKS = pa.schema([("ts", _STAMP), *((name, _FLOAT) for name in PRICES)])
"""Mark price candles, stamped as bars."""
FUNDING = pa.schema([("ts", _STAMP), ("rate", _FLOAT)])
"""`ts` as the source gave it, UNIX nanoseconds UTC (the store rounds it to the minute and keeps the
original as ``ts_source``); `rate` is a fraction a settlement, positive when longs pay."""
_STORED_FUNDING = pa.schema([("ts", _STAMP), ("ts_source", _STAMP), ("rate", _FLOAT)])

_CANDLE_IMPORT = (findings.off_grid, findings.impossible, findings.jumps)
_CANDLE_CHECKS = (*_CANDLE_IMPORT, findings.gaps, findings.stale, findings.unfinished)

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
            engine="catalog.engine:bars",
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
    )
}
