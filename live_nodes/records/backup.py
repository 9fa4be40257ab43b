"""`perpdesk backup` and `restore`: a node's whole state in one archive, made while it trades.

The archive is a compressed tar with ``manifest.json`` at its end: of which node, and size and
SHA-256 of each file. It has the journal, copied by SQLite as of one moment, and all files of the
state folder but older copies of the journal, logs, recordings and the practice exchange's state.
Keys are in none of them.
"""

from __future__ import annotations

import ctypes
import gzip
import hashlib
import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
import zlib
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from actors.records.chain import FILE as CHAIN
from actors.records.journal_files import NAME, Lock, copy_journal, damage, holder
from actors.records.journal_reading import version_of
from config.documents import Node
from config.errors import DeskError, GateRefused, InputError
from live_nodes.local.actions import keep_action
from live_nodes.local.files import sync_folder
from live_nodes.local.mailbox import MailRequest, ask
from live_nodes.local.releases import CURRENT
from live_nodes.local.releases import FOLDER as RELEASES
from live_nodes.local.timefmt import moment_text

MANIFEST = "manifest.json"
STAYS = ("exchange", "recordings")
"""Folders that no archive has; a restore leaves those of this machine in place."""
_LEFT_OUT = re.compile(
    r"(journal\.|csv/|heartbeat\.json|.*\.log|(.*/)?\.|" + "|".join(STAYS) + "/)"
)
_FIRST = (CHAIN, f"{RELEASES}/{CURRENT}")
"""Read before what they name, of which there may only be more by then."""
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of renameat2(2)
_DAMAGED = tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, msgspec.MsgspecError, KeyError


class FileRecord(msgspec.Struct, frozen=True):
    """A file of an archive."""

    size: int
    sha256: str
    mode: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is; `made` is UNIX nanoseconds (UTC), `head` that of the audit chain."""

    node: str
    environment: str
    made: int
    head: str
    files: dict[str, FileRecord]


def back_up_node(node: Node, folder: Path, out: Path, keep: int) -> tuple[Path, Manifest]:
    """Write an archive of a node's state `folder` into `out`; leave the `keep` newest ones there.

    The node may run. Raises InputError where it has no journal; DeskError where that is damaged or
    the archive can't be written.
    """
    if not (folder / NAME).exists():
        raise InputError(f"{folder / NAME}: no journal yet: there is nothing to back up")
    beginning, now = f"{node.name}-{node.environment}-", time.time_ns()
    stamp = datetime.fromtimestamp(now / 1e9, UTC).strftime("%Y%m%dT%H%M%S%fZ")
    made = out / f"{beginning}{stamp}.tar.gz"
    try:
        out.mkdir(parents=True, exist_ok=True)
        # It leaves nothing half-written, unless it is killed.
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=out) as place:
            partial = Path(place) / made.name
            with partial.open("xb") as file:
                partial.chmod(0o600)
                with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
                    manifest = _packed(archive, node, folder, now, Path(place) / NAME)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(made)
        sync_folder(out)
        for old in sorted(out.glob(f"{beginning}*.tar.gz"))[:-keep]:
            old.unlink()
    except (OSError, sqlite3.Error) as error:
        raise DeskError(f"{made}: the backup can't be made: {error}") from error
    return made, manifest


def _packed(archive: tarfile.TarFile, node: Node, folder: Path, now: int, copy: Path) -> Manifest:
    files: dict[str, FileRecord] = {}
    head = b""
    # The journal last: a halt whose request has left the mailbox is in it.
    for name in (*_names(folder), NAME):
        copy.unlink(missing_ok=True)
        try:
            mode = (folder / name).stat().st_mode & 0o777
            # Of a copy, as others write on.
            (copy_journal if name == NAME else shutil.copyfile)(folder / name, copy)
        except FileNotFoundError:
            # A request of the mailbox that the node has carried out by now.
            continue
        if name == NAME and (found := _damage(copy)) is not None:
            raise DeskError(f"{folder / NAME}: is damaged, so no backup is made of it: {found}")
        with copy.open("rb") as file:
            if name == CHAIN:
                for line in file:
                    head = line[:64] if line.endswith(b"\n") else head
                file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[name] = FileRecord(file.seek(0, io.SEEK_END), digest, mode)
            file.seek(0)
            _add(archive, name, file, files[name])
    manifest = Manifest(
        node=node.name, environment=node.environment, made=now, head=head.decode(), files=files
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    _add(archive, MANIFEST, io.BytesIO(text), FileRecord(len(text), "", 0o644))
    return manifest


def _damage(journal: Path) -> str | None:
    """Return what is wrong with a journal; an empty one would trade as if for the first time."""
    if (found := damage(journal)) is not None:
        return found
    with closing(sqlite3.connect(journal)) as connection:
        return None if version_of(connection, journal) else "it is empty"


def _names(folder: Path) -> list[str]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    names = [path.relative_to(folder).as_posix() for path in paths]
    return sorted(
        (name for name in names if not _LEFT_OUT.match(name)),
        key=lambda name: (name not in _FIRST, name),
    )


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], record: FileRecord) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = record.size, record.mode, int(time.time())
    archive.addfile(info, content)


def restore_node(node: Node, folder: Path, archive: Path, *, halted: bool = True) -> Manifest:
    """Put an archive in the place of a node's state `folder`, whole or not at all.

    What was there is kept beside it, as ``ENVIRONMENT.before-<UTC stamp>``. With `halted`, the node
    lets nothing enter until a person releases it: what came after the backup is not known.

    Raises GateRefused where the node runs. Raises InputError where the archive is damaged, or of
    another node. Raises DeskError where the folder can't be written.
    """
    folder = folder.resolve()  # Not the link to it is exchanged.
    if (pid := holder(folder)) is not None:
        raise GateRefused(f"{node.name} is running (process {pid}): stop it first")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    staged = folder.with_name(f".{folder.name}.restoring-{stamp}")
    try:
        staged.mkdir(parents=True)
        try:
            manifest = _unpacked(archive, staged, node)
            at = moment_text(manifest.made)
            keep_action(staged, "restore", f"the backup of {at}", archive.name)
            if halted:
                reason = f"restored from the backup of {at}: what came after it is not known"
                ask(staged, MailRequest(command="halt", scope="desk", reason=reason))
            os.sync()
        except BaseException:
            shutil.rmtree(staged)
            raise
        _put(staged, folder, folder.with_name(f"{folder.name}.before-{stamp}"))
    except OSError as error:
        raise DeskError(f"{folder}: can't be restored: {error}") from error
    return manifest


def _unpacked(archive: Path, staged: Path, node: Node) -> Manifest:
    try:
        with gzip.open(archive) as whole:
            # The tar may end before the checksum at the file's end.
            while whole.read(1 << 20):
                pass
        with tarfile.open(archive, "r:gz") as packed:
            members = {member.name: member for member in packed.getmembers()}
            manifest = msgspec.json.decode(_of(packed, members[MANIFEST]).read(), type=Manifest)
            if (manifest.node, manifest.environment) != (node.name, node.environment):
                raise InputError(
                    f"{archive}: is of {manifest.node} on {manifest.environment}, not of "
                    f"{node.name} on {node.environment}"
                )
            if members.keys() != {MANIFEST, *manifest.files}:
                raise tarfile.TarError("it has other files than its manifest")
            for name, record in manifest.files.items():
                _unpack(_of(packed, members[name]), staged / name, record)
    except FileNotFoundError as error:
        raise InputError(f"{archive}: no such archive") from error
    except _DAMAGED as error:
        raise InputError(
            f"{archive}: is damaged, nothing was restored: {error or type(error).__name__}"
        ) from error
    found = _damage(staged / NAME) if NAME in manifest.files else "it is not there"
    if found is not None:
        raise InputError(f"{archive}: its journal is damaged, nothing was restored: {found}")
    return manifest


def _of(packed: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = packed.extractfile(member) if member.isreg() else None
    if content is None or Path(member.name).is_absolute() or ".." in Path(member.name).parts:
        raise tarfile.TarError(f"{member.name} is no file of a state folder")
    return content


def _unpack(content: IO[bytes], place: Path, record: FileRecord) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as file:
        shutil.copyfileobj(content, file)
    with place.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
            raise tarfile.TarError(f"{place.name} is not what its manifest says")
    place.chmod(record.mode)


def _put(staged: Path, folder: Path, before: Path) -> None:
    if not folder.exists():
        staged.rename(folder)
    else:
        lock = Lock(folder)
        try:
            # One step: a start in between would find no state, and trade as if for the first time.
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.renameat2(_HERE, bytes(staged), _HERE, bytes(folder), _EXCHANGE):
                code = ctypes.get_errno()
                raise OSError(code, f"{os.strerror(code)}; move it away, then restore again")
            for name in STAYS:
                if (staged / name).exists():
                    (staged / name).rename(folder / name)
            staged.rename(before)
        finally:
            lock.release()
    sync_folder(folder.parent)
