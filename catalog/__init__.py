"""The catalog: market history on disk, checked, versioned and ready for the engine.

May import `config` only (and not its sibling `strategies`).

Neutral Parquet files are the truth: ``storage`` reads and writes them as whole versions.
``series.py`` says in one table what each kind of series is; ``engine.py`` makes the engine's data
and the Nautilus files beside the raw ones, a cache that `perpdesk catalog rebuild` makes anew.
``panel.py`` cuts panels, ``verify.py`` finds what is wrong, ``pull.py`` asks Bybit and resumes,
``show.py`` prints, ``checks.py`` is what `perpdesk validate` knows of a catalog.

To add a kind of data: an entry in `catalog.series.KINDS`. To add a format: one file in
`catalog/providers/` with a function `read(paths, options) -> Import | Iterator[Import]` (see
`providers/base.py`); its name is the format's name in `perpdesk catalog import FORMAT`.
"""
