"""The catalog: market history on disk, checked, versioned and ready for the engine.

May import `config` only (and not its sibling `strategies`).

What stands here: neutral Parquet (`store.py`, `writer.py`) is the truth; the Nautilus files
(`arrow.py`) are a cache that `perpdesk catalog rebuild` makes anew; `query.py` cuts panels;
`verify.py` finds what is wrong; `pull.py` asks Bybit.

To add a data format, put one file into `catalog/providers/` with a function
`read(paths, options) -> Import | Iterator[Import]` (see `providers/base.py`); the file's name is
the format's name in `perpdesk catalog import FORMAT`.
"""
