"""Releases of a node: each a folder that never changes, and one file that says which one runs.

``releases/0003/`` in a node's state folder has the resolved document (``node.yaml``), the study's
outcome as it was (``study.json``) and the record (`Release`). ``releases/current.json`` has every
move from one release to another; the last says what runs. A folder appears, and the file changes,
by one rename each, so a process that dies anywhere leaves the release before, whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from config.errors import DeskError, InputError
from live_nodes.local.actions import keep_action, user
from live_nodes.local.files import replace_file, sync_folder

FOLDER, CURRENT, RAN = "releases", "current.json", "ran"
DOCUMENT, STUDY, RECORD = "node.yaml", "study.json", "release.json"
RUNS = "document.yaml"
"""In the state folder, what a node without releases runs, written by its start."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release; `made` is UNIX nanoseconds (UTC), `by` a user.

    `before` ran when it was made, None for the first, which is the node's document as it was.
    `config` is the hash of its document, `source` that of the file that the study's `parameters`
    were put on. `gates` are rows of `backtests.optimize.judge.Gate`, `provenance` hashes of the
    study's data and code, `files` the SHA-256 of the others in its folder.
    """

    number: int
    made: int
    by: str
    reason: str
    before: int | None
    config: str
    source: str
    files: dict[str, str]
    study: str = ""
    parameters: dict[str, Any] = {}
    gates: list[dict[str, Any]] = []
    provenance: dict[str, str] = {}


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A move to a release; `ts` is UNIX nanoseconds (UTC).

    ``full`` ends a canary, ``revert`` is the node's own return to another release. `size` is that
    of positions, a fraction of the normal one, for the `days` of a canary.
    """

    number: int
    ts: int
    by: str
    why: str
    kind: Literal["deploy", "rollback", "revert", "full"]
    size: float = 1.0
    days: int = 0


class Releases:
    """The releases in a node's state folder."""

    def __init__(self, state: Path) -> None:
        self.state, self.folder = state, state / FOLDER

    def moves(self) -> list[Move]:
        """Return all moves, the oldest first."""
        path = self.folder / CURRENT
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[Move])
        except FileNotFoundError:
            return []
        except (msgspec.DecodeError, OSError) as error:
            raise DeskError(f"{path}: can't be read, so what runs is unknown: {error}") from error

    def current(self) -> Move | None:
        """Return the last move; None where nothing was ever released."""
        return next(reversed(self.moves()), None)

    def last(self, number: int) -> Move | None:
        """Return the last move to a release; None where it never ran."""
        return next((move for move in reversed(self.moves()) if move.number == number), None)

    def numbers(self) -> list[int]:
        """Return the numbers of all releases, those that never ran among them."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(int(path.name) for path in found if path.name.isdecimal())

    def of(self, number: int) -> Path:
        """Return a release's folder."""
        return self.folder / f"{number:04d}"

    def release(self, number: int) -> Release:
        """Return a release's record; raise InputError where there is none."""
        folder = self.of(number)
        if not folder.is_dir():
            known = ", ".join(map(str, self.numbers())) or "none"
            raise InputError(f"there is no release {number}; there are {known}")
        try:
            return msgspec.json.decode((folder / RECORD).read_bytes(), type=Release)
        except (msgspec.DecodeError, OSError) as error:
            raise DeskError(f"{folder}: the release can't be read: {error}") from error

    def read(self, number: int, name: str) -> bytes:
        """Return a release's file; raise DeskError where it is not what was released."""
        digest, path = self.release(number).files.get(name), self.of(number) / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DeskError(f"{path}: the release can't be read: {error}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise DeskError(f"{path}: was changed since it was released; roll back to another")
        return data

    def document(self, number: int) -> Path:
        """Return a release's document; raise DeskError where any file of the release changed."""
        for name in {DOCUMENT, *self.release(number).files}:
            self.read(number, name)
        return self.of(number) / DOCUMENT

    def running(self) -> Path | None:
        """Return the document of the release that runs; None where nothing was ever released."""
        move = self.current()
        return None if move is None else self.document(move.number)

    def ran(self) -> int | None:
        """Return the number of what ran last, the first where no release ran; None without any."""
        with suppress(FileNotFoundError):
            return int((self.folder / RAN).read_bytes())
        return next((move.number for move in self.moves()), None)

    def begin(self, number: int) -> None:
        """Keep that a release runs from now on."""
        replace_file(self.folder / RAN, str(number).encode(), durable=True)

    def write(self, files: Mapping[str, bytes], **record: Any) -> Release:
        """Write a release under the next number, inside `locked`; it does not run yet."""
        number = max(self.numbers(), default=-1) + 1
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        made = Release(number=number, made=time.time_ns(), by=user(), files=digests, **record)
        partial = self.folder / f".{number:04d}.writing"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name, data in {**files, RECORD: _text(made)}.items():
            replace_file(partial / name, data, durable=True)
            (partial / name).chmod(0o444)
        os.rename(partial, self.of(number))
        sync_folder(self.folder)
        return made

    def move(self, *moves: Move) -> None:
        """Let the last of some new moves say what runs, inside `locked`."""
        for move in moves:
            keep_action(self.state, move.kind, move.why, f"release {move.number}", move.by)
        replace_file(self.folder / CURRENT, _text([*self.moves(), *moves]), durable=True)

    def revert(self, seen: Move, to: int, why: str) -> str:
        """Let the node itself go back from `seen`; return it in words, empty where it may not."""
        last = self.last(to)
        if last is None or to == seen.number or not self._settle(seen, last, "revert", why):
            return ""
        return f"release {seen.number} is reverted, {to} runs: {why}"

    def end_canary(self, seen: Move, why: str) -> bool:
        """Let the node itself give `seen` its full size; return whether it may."""
        full = msgspec.structs.replace(seen, size=1.0, days=0)
        return self._settle(seen, full, "full", why)

    def _settle(self, seen: Move, to: Move, kind: Literal["revert", "full"], why: str) -> bool:
        # Someone else may move meanwhile, or have moved.
        with suppress(BlockingIOError), self.locked(wait=False):
            if self.current() == seen:
                made = {"ts": time.time_ns(), "by": "the node", "kind": kind, "why": why}
                self.move(msgspec.structs.replace(to, **made))
                return True
        return False

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Keep others from writing meanwhile; raise BlockingIOError where it may not `wait`.

        The lock ends with the process. A node never waits: who has it may be suspended.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield

    def stages(self) -> dict[int, str]:
        """Return, by number: current, canary, reverted, rolled back, earlier or never ran."""
        moves, found = self.moves(), dict.fromkeys(self.numbers(), "never ran")
        for before, move in zip([None, *moves], moves, strict=False):
            if before is not None and before.number != move.number:
                left = {"revert": "reverted", "rollback": "rolled back"}.get(move.kind, "earlier")
                found[before.number] = left
            found[move.number] = "canary" if move.days else "current"
        return found


def _text(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
