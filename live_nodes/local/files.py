"""Write small files that other processes read at the same time."""

from __future__ import annotations

import os
from pathlib import Path


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
