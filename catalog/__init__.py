"""The catalog: market history on disk, checked, versioned and ready for the engine.

May import `config` only (and not its sibling `strategies`).

What stands here: neutral Parquet (`raw.py`, `reading.py`) is the truth, written by `writer.py` as
whole new versions (`staging.py`) and read by `store.py`; the Nautilus files beside it (`arrow.py`)
are a cache for Nautilus's own tools, which `perpdesk catalog rebuild` makes anew; `query.py` cuts
panels; `verify.py` finds what is wrong; `pull.py` asks Bybit and resumes.

To add a data format, put one file into `catalog/providers/` with a function
`read(paths, options) -> Import | Iterator[Import]` (see `providers/base.py`); the file's name is
the format's name in `perpdesk catalog import FORMAT`.
"""
