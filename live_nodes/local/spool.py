"""Keep a recording's raw lines on disk until they are imported: files that are only appended to.

What is written lies in whole lines, also after a full disk. A killed process leaves at most one
broken line, at the end, which `leftovers` cuts off.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import DeskError

LOCK = ".lock"
SUFFIX = ".jsonl"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
_CHUNK = 1 << 16


class Spool:
    """Files of one recording, one a product at a time, in a folder that no other recording uses.

    Raises DeskError while another recording writes there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self.guarded():
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise DeskError(f"{folder}: another recording writes here; stop it first") from None
        self._lines: defaultdict[str, list[bytes]] = defaultdict(list)
        self._open: dict[str, tuple[Path, int]] = {}

    def leftovers(self) -> int:
        """Cut broken last lines off; return the last receive time, UNIX nanoseconds, 0 for none."""
        return max((_mend(path) for path in self.closed()), default=0)

    def closed(self) -> list[Path]:
        """Return the files that are complete, oldest first."""
        being_written = {path for path, _ in self._open.values()}
        return sorted(path for path in self.folder.glob(f"*{SUFFIX}") if path not in being_written)

    def add(self, product: str, line: bytes) -> None:
        """Add a line, which `flush` writes."""
        self._lines[product].append(line)

    def flush(self) -> list[int]:
        """Write the lines, and return the files' descriptors, to be synced.

        Raises DeskError when the disk takes no more; what it took are whole lines.
        """
        with self.guarded():
            for product, lines in self._lines.items():
                if not lines:
                    continue
                if product not in self._open:
                    path = self.folder / f"{time.time_ns()}-{product}{SUFFIX}"
                    self._open[product] = path, os.open(path, _NEW)
                self._write(self._open[product][1], b"".join(lines))
                self._lines[product] = []
        return [descriptor for _, descriptor in self._open.values()]

    def sync(self, descriptors: Iterable[int]) -> None:
        """Wait until the disk has what was written. Raises DeskError."""
        with self.guarded():
            for descriptor in descriptors:
                os.fsync(descriptor)

    def cut(self) -> None:
        """Write the lines and close the files; the next line begins new ones."""
        self.sync(self.flush())
        for _, descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def close(self) -> None:
        """Let another recording write here."""
        self._lock.close()

    def _write(self, descriptor: int, content: bytes) -> None:
        written = 0
        try:
            while written < len(content):
                written += os.write(descriptor, content[written:])
        except OSError:
            size = os.fstat(descriptor).st_size
            os.ftruncate(descriptor, size - written + content.rfind(b"\n", 0, written) + 1)
            raise

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn an error of the disk into a DeskError that says what becomes of the recording."""
        try:
            yield
        except OSError as error:
            raise DeskError(
                f"{self.folder}: the recording stopped, as the disk takes no more of it "
                f"({error.strerror}); what it took is whole, and the next start imports it"
            ) from error


def product_of(path: Path) -> str:
    """Return the product whose lines a file holds."""
    return path.name.removesuffix(SUFFIX).rpartition("-")[2]


def _mend(path: Path) -> int:
    """Cut the file after its last line; return the time that begins it, 0 without a line."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        tail = b""
        while end and tail.count(b"\n") < 2:
            start = max(0, end - _CHUNK)
            file.seek(start)
            tail = file.read(end - start) + tail
            end = start
        whole = tail[: tail.rfind(b"\n") + 1]
        file.truncate(end + len(whole))
    if not whole:
        path.unlink()
        return 0
    return int(whole.splitlines()[-1].partition(b" ")[0])
