"""Write small files that other processes read at the same time."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCARCE = 64 << 20
"""Free bytes below which a disk counts as nearly full, or a twentieth of a smaller one."""
_LOOK_S = 0.5


def _is_file(number: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(number).st_mode)
    except OSError:
        # It is closed.
        return False


@contextmanager
def sparing_full_disk() -> Iterator[None]:
    """Send what is printed to a file nowhere while the disk of that file is nearly full.

    The engine ends the process (abort) where it can print an error neither to its log nor there.
    """
    files = {n: os.dup(n) for n in (1, 2) if _is_file(n)}
    nowhere, ended, off = os.open(os.devnull, os.O_WRONLY), threading.Event(), set[int]()

    def turn(number: int, *, on: bool) -> None:
        if on == (number in off):
            off.symmetric_difference_update({number})
            os.dup2(files[number] if on else nowhere, number)

    def look() -> None:
        while not ended.wait(_LOOK_S):
            for number, file in files.items():
                disk = os.fstatvfs(file)
                least = min(SCARCE, disk.f_blocks * disk.f_frsize // 20)
                turn(number, on=disk.f_bavail * disk.f_frsize >= least)

    thread = threading.Thread(target=look, name="prints", daemon=True)
    if files:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if files:
            thread.join()
        for number, file in files.items():
            turn(number, on=True)
            os.close(file)
        os.close(nowhere)


def replace_file(path: Path, content: bytes, *, durable: bool = False, mode: int = 0o666) -> None:
    """Replace a file's content in one step; `durable` survives a power loss, some ms slower.

    `mode` are the most rights that the new file gets, from its first byte on.
    """
    # With a leading dot, a search for `*.json` skips it.
    partial = path.with_name(f".{path.name}.{os.getpid()}.writing")
    with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(partial, path)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder survive a power loss."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
