"""How the catalog lies on disk: raw Parquet, versions, and the engine's rebuildable cache.

May import config and the catalog's own `instruments`, `panel` and `inference`. `store` reads one
immutable version, `writer` merges into a new one that `staging` makes current in one step.
"""
