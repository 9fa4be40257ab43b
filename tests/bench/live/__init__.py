"""Benchmarks of live nodes: `make bench` ends with their table.

Each figure of ours stands beside that of a bare Nautilus strategy on the adapter as it comes,
against one practice exchange in one run. To add one: a module here with ``run() -> list[Row]``,
named in ``__main__.py``.
"""
