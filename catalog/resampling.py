"""Make candles from shorter ones, or from recorded trades and tickers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.providers.base import ImportOptions
from catalog.recordings import FOREVER, Holes, Stamps, audited
from catalog.series import FUNDING, KINDS
from catalog.storage.store import Catalog
from catalog.storage.writer import CatalogWriter
from config.durations import DAY_NS, STORED, interval_ns
from config.errors import InputError

PRICED = {"bars": ("trades", "price", "size"), "mark": ("tickers", "mark")}
"""Ticks of which each kind of candle is made, their price, and their size."""


def tick_candles(
    ts: Stamps, prices: NDArray[Any], edges: Stamps, before: float, *amounts: NDArray[Any]
) -> list[NDArray[Any]]:
    """Return open, high, low and close from each edge to the next, and the sums of amounts.

    As at Bybit, what has the time of an edge is of the candle that begins there, and a candle
    without prices is flat at the last price before; ``before`` is that before all of them.
    """
    places, known = np.searchsorted(ts, edges), np.r_[before, prices]
    filled = places[1:] > places[:-1]
    starts, end = places[:-1][filled], places[-1]
    opens = known[places[:-1] + filled]
    highs, lows = opens.copy(), opens.copy()
    highs[filled] = np.maximum.reduceat(prices[:end], starts)
    lows[filled] = np.minimum.reduceat(prices[:end], starts)
    sums = [np.zeros(len(filled), amount.dtype) for amount in amounts]
    for found, amount in zip(sums, amounts, strict=True):
        found[filled] = np.add.reduceat(amount[:end], starts)
    return [opens, highs, lows, known[places[1:]], *sums]


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


def recorded_candles(
    catalog: Catalog, kind: str, name: str, length: int, holes: Holes
) -> tuple[pa.Table, set[int]]:
    """Make candles of a day or shorter from an instrument's recorded ticks.

    Leaves out candles of which the recording lacks a part, and returns their closes.
    """
    source, *columns = PRICED[kind]
    parts, lacking = list[pa.Table](), set[int]()
    newest, before = -1, float("nan")
    for day in range(holes.first // DAY_NS * DAY_NS, holes.last, DAY_NS):
        rows = catalog.series(source, "", name, day - 1, day + DAY_NS - 1)
        ts, price, *size = (rows.column(n).to_numpy() for n in ("ts", *columns))
        known = np.isfinite(price)
        ts, price, size = ts[known], price[known], [amount[known] for amount in size]
        edges = np.arange(day, day + DAY_NS + 1, length)
        edges = edges[(edges > holes.first - length) & (edges < holes.last + length)]
        if len(edges) < 2 or not (parts or len(ts)):
            continue
        made = tick_candles(ts, price, edges, before, *size, *(price * amount for amount in size))
        # What is flat after a hole might have another price.
        since = np.minimum(np.r_[newest, ts][np.searchsorted(ts, edges[1:])], edges[:-1])
        whole = ~holes.between(since, edges[1:])
        lacking.update(edges[1:][~whole].tolist())
        prices, amounts = made[:4], [np.round(amount, 8) for amount in made[4:]]
        arrays = [column[whole] for column in (edges[1:], *prices, *amounts)]
        parts.append(pa.table(arrays, schema=KINDS[kind].given))
        if len(ts):
            newest, before = int(ts[-1]), float(price[-1])
    return pa.concat_tables([KINDS[kind].given.empty_table(), *parts]), lacking


def recorded_funding(catalog: Catalog, name: str, holes: Holes) -> pa.Table:
    """Return settlements within recorded tickers: each rate is the last that was predicted."""
    rows = catalog.series("tickers", "", name, 0, FOREVER)
    ts, rate, settled = (
        rows.column(n).to_numpy() for n in ("ts", "funding_rate", "next_funding_ts")
    )
    last = np.flatnonzero(np.isfinite(rate) & (ts < settled))
    last = last[np.diff(settled[last], append=0) != 0]
    last = last[~holes.between(ts[last], settled[last])]
    return pa.table([settled[last], rate[last]], schema=FUNDING)


def resample(path: Path, interval: str, symbols: tuple[str, ...]) -> CatalogWriter:
    """Make the candles and mark prices of an interval for every instrument (or those of symbols).

    Made from the shorter intervals that fit, the longest first, then from recorded trades and
    tickers, which also tell funding. Rows that are there stay as they are. The writer's warnings
    count what was left out. Raises InputError when nothing fits, when no candle has all its parts,
    or a symbol matches nothing.
    """
    catalog, options = Catalog(path), ImportOptions(symbols=symbols)
    missing, found = set(symbols), False
    off_grid = incomplete = unrecorded = whole = 0
    audit, length = audited(path), interval_ns(interval)
    ticked = sorted({n for source, *_ in PRICED.values() for n in catalog.coverage(source)})
    holes = {n: Holes(catalog, n, audit.get(n, [])) for n in ticked if options.wants(n)}

    with CatalogWriter(path) as writer:

        def add(kind: str, interval: str, name: str, base: str, made: pa.Table) -> None:
            """Add the rows that are not there yet."""
            own = there.setdefault((kind, name), set())
            if not own:
                own.update(catalog.series(kind, interval, name, 0, FOREVER)["ts"].to_pylist())
            made = made.filter(~np.isin(made.column("ts").to_numpy(), list(own)))
            own.update(made.column("ts").to_pylist())
            writer.add_rows(kind, interval, name, made)
            venues = [p.source_venue for p in catalog.provenance if name in p.instruments]
            venue = venues[-1] if venues else "unknown"
            writer.provenance("catalog resample", venue, f"{interval or kind} from {base}")

        there: dict[tuple[str, str], set[int]] = {}
        for name in catalog.coverage("tickers"):
            if name in holes:
                made = recorded_funding(catalog, name, holes[name])
                add("funding", "", name, "tickers", made)
        for kind in PRICED:
            begun: dict[str, set[int]] = {}
            for base, name in _sources(catalog, kind, interval):
                if not options.wants(name):
                    continue
                found = True
                missing -= options.matching(name)
                rows = catalog.series(kind, base, name, 0, FOREVER)
                ts = rows.column("ts").to_numpy()
                aligned = ts[ts % STORED[base] == 0]
                off_grid += len(ts) - len(aligned)
                begun.setdefault(name, set()).update((-(-aligned // length) * length).tolist())
                made = longer_candles(rows, STORED[base], length)
                add(kind, interval, name, base, made)
            for name in catalog.coverage(PRICED[kind][0]):
                if name in holes:
                    found = True
                    missing -= options.matching(name)
                    made, lacking = recorded_candles(catalog, kind, name, length, holes[name])
                    begun.setdefault(name, set())
                    add(kind, interval, name, PRICED[kind][0], made)
                    unrecorded += len(lacking - there[kind, name])
            for name, possible in begun.items():
                incomplete += len(possible - there[kind, name])
                whole += len(there[kind, name])
        left_out = [
            f"{count:,} {words}"
            for count, words in (
                (incomplete, f"{interval} candles left out, since a part of each is missing"),
                (unrecorded, f"{interval} candles left out, since the recording lacks a part"),
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
