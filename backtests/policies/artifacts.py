"""Folders of trained policies: write one whole or not at all, list them, keep what is under way.

``policies/<name>/<version>/`` has ``policy.npz``, plain arrays, and ``manifest.json``. They are
read by `strategies.basis.policy.load` alone, which refuses what was altered; what is written here
must pass it.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from config.errors import DeskError, GateRefused, InputError
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
    content = io.BytesIO()
    arrays = {} if trees is None else trees._asdict() | {"deviations": np.array([trees.deviations])}
    np.savez_compressed(content, **arrays)
    manifest: dict[str, Any] = {
        **facts,
        "format": FORMAT,
        "kind": "threshold" if trees is None else "trees",
        "name": name,
        "features": list(FEATURES),
        "threshold": {"open_bps": threshold.open_bps, "close_bps": threshold.close_bps},
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
    }
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        version = str(max((int(v.name) for v in _versions(folder)), default=0) + 1)
        manifest["version"] = version
        manifest["hash"] = manifest_hash(manifest)
        staged = folder / f".{version}.{os.getpid()}"
        staged.mkdir()
        try:
            _durable(staged / ARRAYS, content.getvalue())
            words = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False)
            _durable(staged / MANIFEST, words.encode())
            load(staged)
            try:
                os.rename(staged, folder / version)
            except OSError:
                if not (folder / version).exists():
                    raise
                # Another training has just taken this version.
                continue
            return folder / version
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _durable(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _versions(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_dir() and one.name.isdigit()]


def newest(root: Path, name: str) -> str:
    """Return the newest version of a policy; raise InputError where there is none."""
    folder = root / name
    versions = _versions(folder) if folder.is_dir() else []
    if not versions:
        there = ", ".join(sorted({one.parent.name for one in folders(root)})) or "none"
        raise InputError(f"{root}: no policy {name}; there is {there}")
    return max(versions, key=lambda one: int(one.name)).name


def folders(root: Path) -> Iterator[Path]:
    """Yield the folders of all policies, by name and version."""
    names = sorted(one for one in root.iterdir() if one.is_dir()) if root.is_dir() else []
    for name in names:
        yield from sorted(_versions(name), key=lambda one: int(one.name))


def told(folder: Path) -> Mapping[str, Any]:
    """Return a policy's manifest, or why a node would refuse it under ``refused``."""
    try:
        return load(folder).manifest
    except GateRefused as error:
        return {"name": folder.parent.name, "version": folder.name, "refused": str(error)}


class Training:
    """What a training under way has learned, so that one begun again goes on.

    ``key`` is a digest of all that the result depends on; parts of another key are removed. Raises
    DeskError while another training of the name runs.
    """

    def __init__(self, root: Path, name: str, key: str) -> None:
        self._above = root / name / UNDER_WAY
        self._folder = self._above / key
        self._above.mkdir(parents=True, exist_ok=True)
        self._lock = (self._above / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise DeskError(
                f"{root / name}: another training of it is under way: wait, or take another --name"
            ) from None
        for other in self._above.iterdir():
            if other.is_dir() and other != self._folder:
                shutil.rmtree(other)
        self._folder.mkdir(exist_ok=True)

    def kept[Columns: tuple[Any, ...]](
        self, name: str, kind: type[Columns], make: Callable[[], Columns]
    ) -> Columns:
        """Return the named tuple of arrays and numbers of a name, made before or now."""
        path = self._folder / f"{name}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as found:
                return kind(*(v if v.ndim else v.item() for v in found.values()))
        made = make()
        staged = path.with_suffix(".staged")
        with staged.open("wb") as file:
            np.savez(file, *made)
        os.replace(staged, path)
        return made

    def pause(self) -> None:
        """Let another training of the name begin; what was kept stays."""
        self._lock.close()

    def over(self) -> None:
        """Remove what was kept."""
        shutil.rmtree(self._above, ignore_errors=True)
        self._lock.close()
