"""Read a catalog in S3-compatible storage (``s3://bucket/path``), through a cache of its files.

Which version is current is asked at each opening. The files of a version are fetched when they are
read first, and kept by the hash of their contents, which is checked as they come: no later version
changes them. Endpoint and keys are those of the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY and the like), and in no error.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.storage.manifest import Manifest, SeriesKey, content_hash, manifest_of
from catalog.storage.versions import CURRENT, INDEX, VERSIONS, version_in
from config.errors import InputError, UnreachableError

CONNECT_S = 15
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def cache_folder() -> Path:
    """Return where fetched files are kept: PERPDESK_CACHE, or the user's folder of caches."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("PERPDESK_CACHE") or f"{home}/perpdesk").expanduser() / "catalogs"


class RemoteCatalog:
    """The current version of a catalog at a URL.

    Raises InputError where none is, UnreachableError where it can't be read.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        if "@" in url:
            raise InputError("s3://…@…: keys stand in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        config = {"connect_timeout": CONNECT_S}
        self._storage = fsspec.filesystem("s3", config_kwargs=config, use_listings_cache=False)
        self.version, self.manifest = self._index()

    def file(self, path: str) -> Path:
        """Return the place of a raw file in the cache; fetch it first if it is not there."""
        cache, wanted = cache_folder(), self.manifest.files[path].sha256
        target = cache / f"{wanted}.parquet"
        if target.exists():
            return target
        name = f"{VERSIONS}/{self.version}/raw/{path}"
        try:
            cache.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=cache, suffix=".partial")
            os.close(handle)
        except OSError as error:
            raise UnreachableError(f"{cache}: nothing can be kept there: {error}") from None
        try:
            with self._asked(name):
                self._storage.get_file(f"{self.url}/{name}", partial)
            if _hash(Path(partial), SeriesKey.of_path(path)) != wanted:
                raise UnreachableError(
                    f"{self.url}/{name}: not the file of its index; copy it again"
                )
            os.replace(partial, target)
        except FileNotFoundError:
            raise UnreachableError(
                f"{self.url}/{name} is missing: was this version removed meanwhile? Run it again"
            ) from None
        finally:
            Path(partial).unlink(missing_ok=True)
        return target

    def _index(self) -> tuple[int, Manifest]:
        version = self._current()
        while True:
            name = f"{VERSIONS}/{version}/{INDEX}"
            try:
                return version, manifest_of(self._read(name), f"{self.url}/{name}")
            except FileNotFoundError:
                # Another import may have replaced it meanwhile.
                newer = self._current()
                if newer == version:
                    raise UnreachableError(
                        f"{self.url}: version {version} is named but missing; is it still being "
                        f"copied? {CURRENT} is to be copied last"
                    ) from None
                version = newer

    def _current(self) -> int:
        try:
            return version_in(self._read(CURRENT).decode(), f"{self.url}/{CURRENT}")
        except FileNotFoundError:
            raise InputError(f"{self.url}: no catalog there (there is no {CURRENT})") from None

    def _read(self, name: str) -> bytes:
        with self._asked(name):
            found: bytes = self._storage.cat_file(f"{self.url}/{name}")
            return found

    @contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError

        try:
            yield
        except FileNotFoundError:
            raise
        except PermissionError:
            raise UnreachableError(
                f"{self.url}/{name}: not allowed with the keys of AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or of ~/.aws"
            ) from None
        except (OSError, BotoCoreError) as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise UnreachableError(
                    f"{cache_folder()}: nothing can be kept there: {os.strerror(error.errno)}"
                ) from None
            # Its words are not repeated: they hold the endpoint, which may hold a password.
            raise UnreachableError(
                f"{self.url}/{name}: can't be read ({type(error).__name__}): are AWS_ENDPOINT_URL, "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY set and right?"
            ) from None


def _hash(file: Path, key: SeriesKey) -> str:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    from catalog.storage import days

    try:
        if not key.day:
            return content_hash(pq.read_table(file, partitioning=None))
        with pq.ParquetFile(file) as opened:
            found = days.ContentHash(opened.schema_arrow.names)
        for part in days.read(file):
            found.update(part)
        return found.hexdigest()
    except (OSError, ArrowException):
        return "unreadable"
