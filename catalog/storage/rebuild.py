"""Making the Nautilus files anew from the raw ones: they are a cache."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from catalog.storage.arrow import write_bars
from catalog.storage.manifest import parse_relpath, read_manifest
from catalog.storage.staging import Stage
from catalog.storage.store import Catalog
from catalog.storage.versions import INDEX
from config.durations import bar_type


def rebuild(path: Path) -> int:
    """Write all Nautilus files again, as a new version of the catalog; the raw files stay.

    Parameters
    ----------
    path : Path
        The catalog's folder.

    Returns
    -------
    int
        Series written.

    Raises
    ------
    InputError
        When there is no catalog.
    DeskError
        When another writer is at work.
    """
    Catalog(path)
    with Stage(path) as stage:
        assert stage.base is not None
        manifest = read_manifest(stage.base / INDEX)
        series = 0
        for name in manifest.files:
            stage.link(f"raw/{name}")
            kind, interval, instrument = parse_relpath(name)
            if kind == "bars":
                table = pq.read_table(stage.base / "raw" / name, partitioning=None)
                info = manifest.instruments[instrument]
                target = stage.folder / "nautilus"
                write_bars(target, table, info, bar_type(instrument, interval))
                series += 1
        (stage.folder / INDEX).write_bytes((stage.base / INDEX).read_bytes())
        stage.publish()
    return series
