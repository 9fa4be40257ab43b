"""Make longer candles from shorter ones."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa

from catalog.providers.base import Import
from catalog.series import KINDS
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.durations import STORED, interval_ns
from config.errors import InputError

FOREVER = 2**62


def longer_candles(table: pa.Table, source_ns: int, target_ns: int) -> pa.Table:
    """Join stored candles into longer ones whose closes are multiples of ``target_ns``.

    Leaves out a candle unless every part of it is there, each closing on the grid. Volume and
    turnover are sums, kept to eight decimals.
    """
    ts = table.column("ts").to_numpy()
    kept = np.flatnonzero(ts % source_ns == 0)
    closes = -(-ts[kept] // target_ns) * target_ns
    starts = np.flatnonzero(np.diff(closes, prepend=-1))
    counts = np.diff(np.append(starts, len(kept)))
    whole = counts == target_ns // source_ns
    first, last = kept[starts], kept[starts + counts - 1]
    arrays = []
    for name in table.column_names:
        values = table.column(name).to_numpy()
        if name == "ts":
            made = closes[starts]
        elif name == "open":
            made = values[first]
        elif name == "close":
            made = values[last]
        elif not len(starts):
            made = values[:0]
        else:
            join = {"high": np.maximum, "low": np.minimum}.get(name, np.add)
            made = join.reduceat(values[kept], starts)
        if name in ("volume", "turnover"):
            made = np.round(made, 8)
        arrays.append(pa.array(made[whole]))
    return pa.table(arrays, schema=table.schema)


def resample(
    path: Path, interval: str, source: str | None, symbols: tuple[str, ...]
) -> CatalogWriter:
    """Make the candles and mark prices of an interval for every instrument (or those of symbols).

    Made from the longest shorter interval that fits, or from ``source``. Rows that are there stay
    as they are. Raises InputError when nothing fits.
    """
    target_ns = interval_ns(interval)
    catalog = Catalog(path)
    writer = CatalogWriter(path)
    with writer:
        found = False
        for kind in (kind.name for kind in KINDS.values() if kind.by_interval):
            for name, base in _sources(catalog, kind, interval, source).items():
                if symbols and not any(
                    fnmatchcase(text, p) for p in symbols for text in (name, name.split("-")[0])
                ):
                    continue
                found = True
                rows = catalog.series(kind, base, name, 0, FOREVER)
                made = longer_candles(rows, STORED[base], target_ns)
                own = catalog.series(kind, interval, name, 0, FOREVER)
                there = np.isin(made.column("ts").to_numpy(), own.column("ts").to_numpy())
                writer.add(_made(catalog, name, (kind, interval), made.filter(~there), base))
        if not found:
            has = ", ".join(catalog.intervals()) or "none"
            raise InputError(
                f"{path}: no candles{f' of {source}' if source else ''} of which {interval} ones "
                f"are made{f' for {", ".join(symbols)}' if symbols else ''}; there are {has}"
            )
    return writer


def _sources(catalog: Catalog, kind: str, interval: str, source: str | None) -> dict[str, str]:
    length = interval_ns(interval)
    found: dict[str, str] = {}
    for base in catalog.intervals(kind):
        fits = STORED[base] < length and length % STORED[base] == 0
        if fits and source in (None, base):
            found.update(dict.fromkeys(catalog.coverage(kind, base), base))
    return found


def _made(catalog: Catalog, name: str, key: tuple[str, str], table: pa.Table, base: str) -> Import:
    venues = [p.source_venue for p in catalog.provenance if name in p.instruments]
    return Import(
        source="catalog resample",
        source_venue=venues[-1] if venues else "unknown",
        tables={(*key, name): table},
        note=f"{key[1]} from {base}",
    )
