"""Readers of foreign data: one file a format, found by its module name.

A provider turns files (or a seed, or a venue's answers) into an `Import` and knows nothing of how
the catalog stores it. Make one by writing `read(paths, options)`; see `base.py`.
"""
