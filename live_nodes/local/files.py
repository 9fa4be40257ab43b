"""Small files that another process reads while this one writes them."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader finds the old content or the new, never a part.

    `durable` survives the loss of power too, which takes some milliseconds.
    """
    # A dot before it: those who look for `*.json` don't take it for one.
    partial = path.with_name(f".{path.name}.{os.getpid()}.writing")
    with partial.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(partial, path)
