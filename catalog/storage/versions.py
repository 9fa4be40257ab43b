"""The versions of a catalog, and which one stands."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from config.errors import DeskError, InputError

CURRENT = "CURRENT"
VERSIONS = "versions"
INDEX = "catalog.json"


def current_version(path: Path) -> int | None:
    """Tell the version that `CURRENT` names; None where there is no catalog."""
    try:
        text = (path / CURRENT).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not text.isdigit():
        raise DeskError(f"{path / CURRENT} should hold a version number, holds {text!r}")
    return int(text)


def hold_current(path: Path) -> tuple[int, IO[bytes]]:
    """Take a shared lock on the current version, which keeps writers from sweeping it away.

    Returns
    -------
    tuple of int and file
        The version, and the open index that holds the lock until it is closed.

    Raises
    ------
    InputError
        When there is no catalog.
    """
    for _ in range(100):
        version = current_version(path)
        if version is None:
            raise InputError(
                f"{path}: no catalog here; `perpdesk catalog demo --catalog {path}` makes one, "
                "`perpdesk catalog import` fills one from files"
            )
        try:
            file = (path / VERSIONS / str(version) / INDEX).open("rb")
        except FileNotFoundError:
            if current_version(path) == version:
                raise DeskError(f"{path}: version {version} is named but missing") from None
            continue
        fcntl.flock(file, fcntl.LOCK_SH)
        return version, file
    raise DeskError(f"{path}: the catalog is being rewritten all the time")
