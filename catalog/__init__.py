"""The catalog: market history on disk, checked, versioned and ready for the engine.

May import `config` only (and not its sibling `strategies`). The neutral Parquet files are the
source. The Nautilus files beside them are a cache of the candles (ticks have none);
`perpdesk catalog rebuild` writes it again. ``storage`` reads and writes whole versions,
``engine.py`` converts to Nautilus, ``pull.py`` downloads from Bybit, ``verify.py`` checks the data
(``tick_checks.py`` ticks), ``tops.py`` replays stored books, and ``panel.py`` cuts panels.

To add a kind of data, add an entry to `catalog.series.KINDS`. To add a format, write one file in
`catalog/providers/` with a function `read(paths, options) -> Import | Iterator[Import]`. The file's
name is the format's name in `perpdesk catalog import FORMAT`.
"""
