"""Where a catalog is: a folder, or ``s3://bucket/path`` in S3-compatible storage."""

from __future__ import annotations

from pathlib import Path

from config.errors import InputError


def url_of(catalog: Path | str) -> str | None:
    """Return a catalog's URL; None for a folder. Of the two slashes a path has lost one."""
    text = str(catalog)
    return f"s3://{text[3:].strip('/')}" if text.startswith("s3:/") else None


def place_of(catalog: Path | str) -> str:
    """Return a catalog's URL, or the whole path of its folder."""
    return url_of(catalog) or str(Path(catalog).resolve())


def folder_only(catalog: Path | str) -> None:
    """Raise InputError where a catalog is a URL: what follows writes, or looks at files."""
    if url := url_of(catalog):
        raise InputError(
            f"{url}: a catalog in S3 is only read, by backtest, screen and optimize: make, fill "
            "and check it in a folder, and copy that"
        )
