"""Data providers: one module a format, named after it; see `base.py`.

A provider turns files, a seed or a venue's answers into an `Import`, in memory only.
"""
