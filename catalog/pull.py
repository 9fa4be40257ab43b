"""Pull missing history from Bybit into a catalog, piece by piece; a stopped pull can continue."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.instruments import InstrumentInfo
from catalog.providers.bybit_http import BYBIT, BybitHistory
from catalog.storage.index import Coverage
from catalog.storage.manifest import SeriesKey
from catalog.storage.store import Catalog
from catalog.storage.versions import current_version
from catalog.storage.writer import CatalogWriter
from config.catalogs import folder_only
from config.documents import Ingest
from config.durations import DAY_NS, INTERVALS
from config.errors import DeskError

CANDLES_A_PIECE = 10_000
"""Ten requests: few files, and little to repeat after a stop."""

FUNDING_PIECE_NS = 200 * DAY_NS
MARK_INTERVAL = "1h"
AT_ONCE = 4
"""Parallel requests; the client limits the rate."""

Progress = Callable[[int, int, str], None]


def pull(
    ingest: Ingest, progress: Progress = lambda done, total, what: None, pause: float = 1.0
) -> CatalogWriter:
    """Pull what the catalog lacks, write it as one new version, and return the closed writer.

    A stopped pull keeps its finished pieces and continues from there. A series in the catalog is
    pulled only before its first and after its last row. ``pause`` is the seconds before a retry
    after a rate limit; it doubles each time. ``progress`` gets the pieces done, all pieces, and the
    last one's name.

    Raises InputError for an unknown instrument, DeskError when Bybit cannot be reached or refuses.
    """
    folder_only(ingest.catalog)
    catalog = Path(ingest.catalog)
    spool = Spool(catalog, f"{ingest.source.base_url or BYBIT}_{ingest.product}")
    infos, pieces = asyncio.run(_fetch(ingest, spool, progress, pause))
    with CatalogWriter(catalog) as writer:
        writer.add_instruments(infos)
        for piece in pieces:
            writer.add_rows(*piece.key[:3], spool.load(piece))
        writer.provenance("Bybit v5 API", "bybit", ingest.description or ingest.name)
    spool.clear()
    return writer


async def _fetch(
    ingest: Ingest, spool: Spool, progress: Progress, pause: float
) -> tuple[list[InstrumentInfo], list[Piece]]:
    history = BybitHistory(ingest.product.upper(), ingest.source.base_url, pause)
    symbols = None if ingest.instruments == "all" else tuple(ingest.instruments)
    infos = await history.instruments(symbols)
    pieces = list(plan(ingest, infos, time.time_ns()))
    missing = [piece for piece in pieces if not spool.has(piece)]
    by_id = {info.id: info for info in infos}
    done = len(pieces) - len(missing)
    progress(done, len(pieces), "")
    queue = iter(missing)
    failed: list[DeskError] = []

    async def work() -> None:
        nonlocal done
        for piece in queue:
            # Requests under way when one fails still finish, and are kept.
            if failed:
                return
            info = by_id[piece.key.instrument]
            try:
                table = await history.rows(info, piece.key, piece.start, piece.end)
            except DeskError as error:
                failed.append(error)
                return
            spool.keep(piece, table)
            done += 1
            progress(done, len(pieces), f"{info.id} {piece.key.kind} {piece.key.interval}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    if failed:
        kept = f"{done} of {len(pieces)} pieces are kept: run it again to go on"
        raise DeskError(f"{failed[0]}; {kept}") from failed[0]
    return infos, pieces


def plan(ingest: Ingest, infos: list[InstrumentInfo], now_ns: int) -> Iterator[Piece]:
    """Yield the pieces that the catalog lacks, up to the last candle that has closed."""
    path = Path(ingest.catalog)
    catalog = None if current_version(path) is None else Catalog(path)
    wanted: list[tuple[str, str]] = [("bars", interval) for interval in ingest.intervals]
    if ingest.product == "linear" and ingest.mark:
        wanted.append(("mark", MARK_INTERVAL))
    if ingest.product == "linear" and ingest.funding:
        wanted.append(("funding", ""))
    for info in infos:
        low = max(ingest.start_ns, info.listed_ns)
        high = min(ingest.end_ns, now_ns)
        for kind, interval in wanted:
            have = catalog.coverage(kind, interval).get(info.id) if catalog else None
            if interval:
                # A candle is known by its close: the first one closes a length after it opens.
                spacing = INTERVALS[interval]
                span = (-(-low // spacing) * spacing, high // spacing * spacing)
                size = CANDLES_A_PIECE * spacing
            else:
                spacing = info.funding_minutes * 60 * 10**9
                span = (low - 1, high - 1)
                size = FUNDING_PIECE_NS
            for start, end in _holes(*span, spacing, have):
                for begin in range(start, end, size):
                    key = SeriesKey(kind, interval, info.id)
                    yield Piece(key, begin, min(begin + size, end))


def _holes(low: int, high: int, spacing: int, have: Coverage | None) -> Iterator[tuple[int, int]]:
    if have is None or high < have.first or low > have.last:
        yield low, high
        return
    if have.first - low > spacing:
        yield low, have.first - 1
    if high - have.last >= spacing:
        yield have.last, high


FOLDER = ".pull"


class Piece(NamedTuple):
    """Part of one series to pull: start < ts <= end, UNIX nanoseconds."""

    key: SeriesKey
    start: int
    end: int

    @property
    def name(self) -> str:
        """File name of the piece."""
        kind, interval, instrument, _ = self.key
        return f"{kind}_{interval or '-'}_{instrument}_{self.start}_{self.end}.parquet"


class Spool:
    """Finished pieces on disk, one file each, in one folder of the catalog a source."""

    def __init__(self, catalog: Path, source: str) -> None:
        keep = "".join(c if c.isalnum() else "_" for c in source)
        self.folder = catalog / FOLDER / keep

    def has(self, piece: Piece) -> bool:
        """Return whether the piece is finished."""
        return (self.folder / piece.name).exists()

    def keep(self, piece: Piece, table: pa.Table) -> None:
        """Save a finished piece, whole or not at all if the process dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / piece.name
        partial = target.with_suffix(".partial")
        pq.write_table(table, partial)
        os.replace(partial, target)

    def load(self, piece: Piece) -> pa.Table:
        """Read a finished piece."""
        return pq.read_table(self.folder / piece.name, partitioning=None)

    def clear(self) -> None:
        """Remove all pieces, and the parent folder if it is empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.exists() and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()
