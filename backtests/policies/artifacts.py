"""Folders of trained policies: write one whole or not at all, list them, keep what is under way.

``policies/<name>/<version>/`` has ``policy.npz``, plain arrays, and ``manifest.json``. They are
read by `strategies.basis.policy.load` alone, which refuses what was altered; what is written here
must pass it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from config.errors import DeskError, GateRefused, InputError, writing
from strategies.basis.features import FEATURES
from strategies.basis.policy import ARRAYS, FORMAT, MANIFEST, Trees, load, manifest_hash
from strategies.basis.threshold import Threshold

UNDER_WAY = ".training"


def write(
    root: Path, name: str, threshold: Threshold, trees: Trees | None, facts: dict[str, Any]
) -> Path:
    """Write the next version of a policy and return its folder.

    ``facts`` are the manifest's ``low`` and ``high`` and all else that is to be known.
    """
    with writing(root / name):
        return _write(root / name, name, threshold, trees, facts)


def _write(
    folder: Path, name: str, threshold: Threshold, trees: Trees | None, facts: dict[str, Any]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    version = str(max((int(one.name) for one in _versions(folder)), default=0) + 1)
    with TemporaryDirectory(dir=folder, prefix=".") as staged:
        made = Path(staged) / version
        made.mkdir()
        arrays = {} if trees is None else trees._asdict() | {"deviations": [trees.deviations]}
        np.savez_compressed(made / ARRAYS, **arrays)
        manifest: dict[str, Any] = {
            **facts,
            "format": FORMAT,
            "kind": "threshold" if trees is None else "trees",
            "name": name,
            "version": version,
            "features": list(FEATURES),
            "threshold": {"open_bps": threshold.open_bps, "close_bps": threshold.close_bps},
            "sha256": hashlib.sha256((made / ARRAYS).read_bytes()).hexdigest(),
        }
        manifest["hash"] = manifest_hash(manifest)
        words = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False)
        (made / MANIFEST).write_text(words, encoding="utf-8")
        load(made)
        return made.rename(folder / version)


def _versions(folder: Path) -> list[Path]:
    found = [one for one in folder.iterdir() if one.is_dir() and one.name.isdigit()]
    return sorted(found, key=lambda one: int(one.name))


def newest(root: Path, name: str) -> str:
    """Return the newest version of a policy; raise InputError where there is none."""
    folder = root / name
    versions = _versions(folder) if folder.is_dir() else []
    if not versions:
        there = ", ".join(sorted({one.parent.name for one in folders(root)})) or "none"
        raise InputError(f"{root}: no policy {name}; there is {there}")
    return versions[-1].name


def folders(root: Path) -> Iterator[Path]:
    """Yield the folders of all policies, by name and version."""
    names = sorted(one for one in root.iterdir() if one.is_dir()) if root.is_dir() else []
    for name in names:
        yield from _versions(name)


def summary(folder: Path) -> Mapping[str, Any]:
    """Return a policy's manifest, or why a node would refuse it under ``refused``."""
    try:
        return load(folder).manifest
    except GateRefused as error:
        return {"name": folder.parent.name, "version": folder.name, "refused": str(error)}


@contextmanager
def under_way(root: Path, name: str, key: str) -> Iterator[Path]:
    """Yield the folder that keeps what a training learns, so that one begun again goes on.

    Once it is over the folder is removed. ``key`` is a digest of all that the result depends on;
    what has another key is removed. Raises DeskError while another training of the name runs.
    """
    above = root / name / UNDER_WAY
    folder = above / key
    with writing(root / name):
        above.mkdir(parents=True, exist_ok=True)
        lock = (above / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeskError(
                f"{root / name}: another training of it is under way: wait, or take another --name"
            ) from None
        for other in above.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(above, ignore_errors=True)


def kept[Columns: tuple[Any, ...]](
    folder: Path, name: str, kind: type[Columns], make: Callable[[], Columns]
) -> Columns:
    """Return the named tuple of arrays and numbers that a folder has under a name, or make it."""
    path = folder / f"{name}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as found:
            return kind(*(v if v.ndim else v.item() for v in found.values()))
    made = make()
    staged = path.with_suffix(".staged")
    with writing(folder):
        with staged.open("wb") as file:
            np.savez(file, *made)
        os.replace(staged, path)
    return made
