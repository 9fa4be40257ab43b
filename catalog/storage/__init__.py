"""How the catalog lies on disk: raw Parquet, versions, and the engine's rebuildable cache.

``raw`` reads, joins and writes the neutral files; ``manifest`` is the index file of a version, and
``index`` opens it without pyarrow; ``versions`` says which one stands and makes a new one in one
step; ``store`` reads one immutable version; ``writer`` merges into a new one. May import config and
the catalog's ``series``, ``instruments``, ``inference`` and ``engine``.
"""
