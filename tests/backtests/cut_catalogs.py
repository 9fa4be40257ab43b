"""Catalogs cut off at a moment, and catalogs whose future is another one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from catalog.instruments import InstrumentInfo, decimals
from catalog.providers.base import Import
from catalog.storage.writer import CatalogWriter

HOUR = 3_600_000_000_000


def write(market: Import, path: Path) -> Path:
    with CatalogWriter(path) as writer:
        writer.add(market)
    return path


def cut_off(market: Import, cut: int) -> Import:
    """Return what could be known at a time: no later row, listing or delisting."""
    known = [
        msgspec.structs.replace(info, delisted_ns=None)
        if info.delisted_ns is not None and info.delisted_ns > cut
        else info
        for info in market.instruments
        if info.listed_ns < cut
    ]
    ids = {info.id for info in known}

    def before(table: pa.Table) -> pa.Table:
        return table.filter(pa.array(table.column("ts").to_numpy() <= cut))

    return Import(
        source=market.source,
        source_venue=market.source_venue,
        instruments=known,
        tables={key: before(table) for key, table in market.tables.items() if key[2] in ids},
        note=market.note,
    )


def another_future(market: Import, cut: int, seed: int) -> Import:
    """Return the market with other prices, volumes and rates after a time.

    The second and the third perpetual also stop to trade an hour after it, and nothing is listed
    any more.
    """
    random = np.random.default_rng(seed)
    perps = sorted(info.id for info in market.instruments if info.product == "LINEAR")
    gone = {perps[1], perps[2]}
    known = [info for info in market.instruments if info.listed_ns < cut]
    places = {info.id: decimals(info.tick) for info in known}

    def changed(table: pa.Table, name: str) -> pa.Table:
        ts = table.column("ts").to_numpy()
        factor = np.where(ts > cut, random.uniform(0.8, 1.25, len(ts)), 1.0)
        for field in ("open", "high", "low", "close"):
            moved = np.round(table.column(field).to_numpy() * factor, places[name])
            moved = np.maximum(moved, 10.0 ** -places[name])
            table = table.set_column(table.column_names.index(field), field, pa.array(moved))
        if "volume" in table.column_names:
            swapped = table.column("volume").to_numpy().copy()
            swapped[ts > cut] = random.permutation(swapped[ts > cut])
            table = table.set_column(
                table.column_names.index("volume"), "volume", pa.array(swapped)
            )
        return table.filter(pa.array((ts <= cut + HOUR) | (name not in gone)))

    def other_rates(table: pa.Table) -> pa.Table:
        ts = table.column("ts").to_numpy()
        rates = np.where(ts > cut, -3.0, 1.0) * table.column("rate").to_numpy()
        return table.set_column(1, "rate", pa.array(rates))

    return Import(
        source=market.source,
        source_venue=market.source_venue,
        instruments=[_without_future(info, cut) for info in known],
        tables={
            key: other_rates(table) if key[0] == "funding" else changed(table, key[2])
            for key, table in market.tables.items()
            if key[2] in places
        },
        note=market.note,
    )


def _without_future(info: InstrumentInfo, cut: int) -> InstrumentInfo:
    if info.delisted_ns is None or info.delisted_ns <= cut:
        return info
    return msgspec.structs.replace(info, delisted_ns=None)
