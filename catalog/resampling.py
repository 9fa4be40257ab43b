"""Make longer candles from shorter ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from catalog.providers.base import ImportOptions
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
    if not len(starts):
        return table.schema.empty_table()
    extremes = {"high": np.maximum, "low": np.minimum}
    made: dict[str, np.ndarray] = {"ts": closes[starts]}
    for name in table.column_names[1:]:
        values = table.column(name).to_numpy()
        if name == "open":
            made[name] = values[kept[starts]]
        elif name == "close":
            made[name] = values[kept[starts + counts - 1]]
        elif name in extremes:
            made[name] = extremes[name].reduceat(values[kept], starts)
        else:
            made[name] = np.round(np.add.reduceat(values[kept], starts), 8)
    return pa.table({name: values[whole] for name, values in made.items()}, schema=table.schema)


def _closes(table: pa.Table, source_ns: int, target_ns: int) -> np.ndarray:
    """Return the closes of longer candles of which some part is there."""
    ts = table.column("ts").to_numpy()
    return np.unique(-(-ts[ts % source_ns == 0] // target_ns) * target_ns)


def resample(path: Path, interval: str, symbols: tuple[str, ...]) -> CatalogWriter:
    """Make the candles and mark prices of an interval for every instrument (or those of symbols).

    Made from the shorter intervals that fit, the longest first. Rows that are there stay as they
    are. The writer's warnings count what was left out. Raises InputError when nothing fits, when no
    candle has all its parts, or a symbol matches nothing.
    """
    catalog, options = Catalog(path), ImportOptions(symbols=symbols)
    missing, found = set(symbols), False
    off_grid = incomplete = whole = 0
    with CatalogWriter(path) as writer:
        for kind in (kind.name for kind in KINDS.values() if kind.by_interval):
            there: dict[str, np.ndarray] = {}
            begun: dict[str, set[int]] = {}
            for base, name in _sources(catalog, kind, interval):
                if not options.wants(name):
                    continue
                found = True
                missing -= options.matching(name)
                if name not in there:
                    own = catalog.series(kind, interval, name, 0, FOREVER)
                    there[name] = own.column("ts").to_numpy()
                rows = catalog.series(kind, base, name, 0, FOREVER)
                off_grid += int((rows.column("ts").to_numpy() % STORED[base] != 0).sum())
                closes = _closes(rows, STORED[base], interval_ns(interval))
                begun[name] = begun.get(name, set()).union(closes.tolist())
                made = longer_candles(rows, STORED[base], interval_ns(interval))
                made = made.filter(~np.isin(made.column("ts").to_numpy(), there[name]))
                there[name] = np.append(there[name], made.column("ts").to_numpy())
                writer.add_rows(kind, interval, name, made)
                venues = [p.source_venue for p in catalog.provenance if name in p.instruments]
                venue = venues[-1] if venues else "unknown"
                writer.provenance("catalog resample", venue, f"{interval} from {base}")
            for name, possible in begun.items():
                incomplete += len(possible - set(there[name].tolist()))
                whole += len(there[name])
        left_out = [
            f"{count:,} {words}"
            for count, words in (
                (incomplete, f"{interval} candles left out, since a part of each is missing"),
                (off_grid, "shorter candles left out, since they close off the grid (UTC)"),
            )
            if count
        ]
        if found and not missing and not whole:
            raise InputError(f"{path}: no {interval} candle can be made: {'; '.join(left_out)}")
        writer.warnings += left_out
        if missing or not found:
            names = f" of {', '.join(sorted(missing))}" if missing else ""
            has = ", ".join(catalog.intervals()) or "none"
            raise InputError(
                f"{path}: no candles{names} of which {interval} ones are made; there are {has}"
            )
    return writer


def _sources(catalog: Catalog, kind: str, interval: str) -> list[tuple[str, str]]:
    length = interval_ns(interval)
    return [
        (base, name)
        for base in reversed(catalog.intervals(kind))
        if STORED[base] < length and length % STORED[base] == 0
        for name in catalog.coverage(kind, base)
    ]
