"""The versions of a catalog, and which one is current."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from config.catalogs import folder_only
from config.errors import DeskError, InputError

CURRENT = "CURRENT"
VERSIONS = "versions"
INDEX = "catalog.json"


def current_version(path: Path) -> int | None:
    """Return the version in `CURRENT`; None without a catalog."""
    try:
        text = (path / CURRENT).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return version_in(text, str(path / CURRENT))


def version_in(text: str, place: str) -> int:
    """Return the version that a `CURRENT` holds; its place is for the error."""
    if not text.strip().isdigit():
        raise DeskError(f"{place} should hold a version number, holds {text.strip()!r}")
    return int(text)


def hold_current(path: Path) -> tuple[int, IO[bytes]]:
    """Return the current version, and its open index; raise InputError without a catalog.

    A shared lock on the index keeps writers from removing the version until the index is closed.
    """
    for _ in range(100):
        version = current_version(path)
        if version is None:
            raise InputError(
                f"{path}: no catalog here; `perpdesk catalog demo --catalog {path}` makes one "
                "(with --books one of order books, with --basis one of spot and perpetual), "
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


LOCK = ".lock"
STAGED = ".staged"


class StagedVersion:
    """Context manager that stages a new version; leaving without `publish` discards it.

    Makes the catalog's folder if missing. `base` is the current version's folder; new files go into
    `folder`. Raises DeskError while another writer works.
    """

    def __init__(self, path: Path) -> None:
        folder_only(path)
        self.path = path
        (path / VERSIONS).mkdir(parents=True, exist_ok=True)
        self._lock: IO[str] = (path / LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise DeskError(f"{path}: another import is writing here; wait for it") from None
        version = current_version(path)
        self.version = (version or 0) + 1
        self.base = None if version is None else path / VERSIONS / str(version)
        _sweep(path, version)
        self.folder = path / VERSIONS / f"{self.version}{STAGED}"
        self.folder.mkdir()

    def __enter__(self) -> StagedVersion:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def link(self, relative: str) -> None:
        """Take one file from the current version, as a hard link where possible."""
        assert self.base is not None
        target = self.folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self.base / relative, target)
        except OSError:
            # Some file systems have no hard links.
            shutil.copy2(self.base / relative, target)

    def publish(self) -> None:
        """Publish the staged files; remove unread versions older than the one before."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                file = Path(folder) / name
                if file.stat().st_nlink == 1:
                    _sync(file)
            _sync(Path(folder))
        os.rename(self.folder, self.path / VERSIONS / str(self.version))
        _sync(self.path / VERSIONS)
        pointer = self.path / f"{CURRENT}{STAGED}"
        pointer.write_text(f"{self.version}\n")
        _sync(pointer)
        os.replace(pointer, self.path / CURRENT)
        _sync(self.path)
        _sweep(self.path, self.version)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(path: Path, current: int | None) -> None:
    for folder in (path / VERSIONS).iterdir():
        old = folder.name.isdigit() and current is not None and int(folder.name) < current - 1
        left = not folder.name.isdigit() or current is None or int(folder.name) > current
        if left or (old and not _held(folder)):
            shutil.rmtree(folder)


def _held(version: Path) -> bool:
    try:
        with (version / INDEX).open("rb") as index:
            fcntl.flock(index, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
