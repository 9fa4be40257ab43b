"""Catalog files on disk: raw Parquet, versions, and the engine's cache.

May import config and the catalog's ``series``, ``instruments``, ``inference`` and ``engine``.
"""
