"""Releases of a node: each a folder that never changes, and one file of which one runs.

``releases/0003/`` in a node's state folder has the resolved document (``node.yaml``), the study's
outcome as it was (``study.json``) and the record (`Release`). ``releases/current.json`` has every
move from one release to another; the last says what runs. A folder appears, and the file changes,
by one rename each, so a process that dies anywhere leaves the release before, whole.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from config.errors import DeskError, InputError
from live_nodes.local.files import replace_file, sync_folder

FOLDER, CURRENT = "releases", "current.json"
DOCUMENT, STUDY, RECORD = "node.yaml", "study.json", "release.json"
RUNS = "document.yaml"
"""In the state folder, what a node without releases runs, written by its start."""
NODE = "the node"
"""Who moves where no person did."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release; `made` is UNIX nanoseconds (UTC), `by` a user.

    `before` ran when it was made, None for the first, which is the node's document as it was.
    `config` is the hash of its document, `source` that of the file that it was made of with the
    study's `parameters`. `gates` are rows of `backtests.optimize.judge.Gate`, `provenance` hashes
    of the study's data and code. `files` are the SHA-256 of the others in its folder.
    """

    number: int
    made: int
    by: str
    reason: str
    before: int | None
    config: str
    source: str
    study: str = ""
    parameters: dict[str, Any] = {}
    gates: list[dict[str, Any]] = []
    provenance: dict[str, str] = {}
    files: dict[str, str] = {}


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A move to a release; `ts` is UNIX nanoseconds (UTC).

    ``full`` ends a canary, ``revert`` is the node's own return to the release before. `size` is
    that of positions, a fraction of the normal one, for the `days` of a canary.
    """

    number: int
    ts: int
    by: str
    why: str
    kind: Literal["deploy", "rollback", "revert", "full"]
    size: float = 1.0
    days: int = 0


class _Moves(msgspec.Struct):
    moves: list[Move]


def user() -> str:
    """Return the name of who runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


class Releases:
    """The releases in a node's state folder."""

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER

    def moves(self) -> list[Move]:
        """Return all moves, the oldest first."""
        path = self.folder / CURRENT
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Moves).moves
        except FileNotFoundError:
            return []
        except (msgspec.DecodeError, OSError) as error:
            raise DeskError(f"{path}: can't be read, so what runs is unknown: {error}") from error

    def current(self) -> Move | None:
        """Return the last move; None where nothing was ever released."""
        return next(reversed(self.moves()), None)

    def numbers(self) -> list[int]:
        """Return the numbers of all releases, those that never ran among them."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(int(path.name) for path in found if path.name.isdecimal())

    def of(self, number: int) -> Path:
        """Return a release's folder."""
        return self.folder / f"{number:04d}"

    def document(self, number: int) -> Path:
        """Return the file of a release's document, unchanged since it was made."""
        self.release(number)
        return self.of(number) / DOCUMENT

    def release(self, number: int, *, whole: bool = True) -> Release:
        """Return a release.

        Raises InputError where there is none, and DeskError where its files are not what was made;
        unless `whole`, only where its record can't be read.
        """
        folder = self.of(number)
        if not folder.is_dir():
            known = ", ".join(map(str, self.numbers())) or "none"
            raise InputError(f"there is no release {number}; there are {known}")
        try:
            found = msgspec.json.decode((folder / RECORD).read_bytes(), type=Release)
            for name, digest in found.files.items() if whole else ():
                if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                    raise DeskError(
                        f"{folder / name}: was changed since it was released; roll back to another"
                    )
        except (msgspec.DecodeError, OSError) as error:
            raise DeskError(f"{folder}: the release can't be read: {error}") from error
        return found

    def write(self, files: Mapping[str, bytes], **record: Any) -> Release:
        """Write a release under the next number, inside `locked`; it does not run yet."""
        number = max(self.numbers(), default=-1) + 1
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        made = Release(number=number, made=time.time_ns(), by=user(), files=digests, **record)
        text = msgspec.json.format(msgspec.json.encode(made), indent=2)
        partial = self.folder / f".{number:04d}.writing"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name, data in {**files, RECORD: text}.items():
            replace_file(partial / name, data, durable=True)
            (partial / name).chmod(0o444)
        os.rename(partial, self.of(number))
        sync_folder(self.folder)
        return made

    def move(self, *moves: Move) -> None:
        """Let the last of some new moves say what runs, inside `locked`."""
        text = msgspec.json.encode(_Moves([*self.moves(), *moves]))
        replace_file(self.folder / CURRENT, msgspec.json.format(text, indent=2), durable=True)

    def settle(
        self, seen: Move, kind: Literal["revert", "full"], number: int, why: str
    ) -> Move | None:
        """Let the node itself move on from `seen`; None if someone else moves or has moved."""
        with self.locked(wait=False) as mine:
            if not mine or self.current() != seen:
                return None
            move = Move(number=number, ts=time.time_ns(), by=NODE, why=why, kind=kind)
            if kind == "revert" and not self.is_full(number):
                move = msgspec.structs.replace(move, size=seen.size, days=seen.days)
            self.move(move)
        return move

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[bool]:
        """Keep others from writing meanwhile; False where they write, and it does not `wait`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            try:
                # It ends with the process. A node never waits: who has it may be suspended.
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True

    def is_full(self, number: int) -> bool:
        """Whether a release has run at full size, so that it needs no canary again."""
        return any(move.number == number and not move.days for move in self.moves())

    def stages(self) -> dict[int, str]:
        """Return, by number: current, canary, reverted, rolled back, earlier or never ran."""
        moves, found = self.moves(), dict.fromkeys(self.numbers(), "never ran")
        for before, move in zip([None, *moves], moves, strict=False):
            if before is not None and before.number != move.number:
                left = {"revert": "reverted", "rollback": "rolled back"}.get(move.kind, "earlier")
                found[before.number] = left
            found[move.number] = "canary" if move.days else "current"
        return found
