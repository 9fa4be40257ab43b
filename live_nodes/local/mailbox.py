"""Send requests to a node and read its answers: the mailbox of `perpdesk risk …`.

Each request is one whole file in ``mailbox/`` of the node's state folder. A running node checks it
several times a second; after downtime it does so before any strategy starts. A request is deleted
only after its answer exists, so a killed node repeats it: every command must be safe to repeat.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from live_nodes.local.actions import keep_action
from live_nodes.local.files import replace_file

FOLDER = "mailbox"
OPERATOR = "operator"
"""Key of the operator's own guard, the kill switch."""
ASKED = "asked"
"""Outcome of an action that lies in the mailbox."""
SCOPE = re.compile(r"desk|strategy:[a-z0-9]{1,8}|instrument:[^\s:]+")
LONGEST = 64 * 1024
"""Maximum size of a request in bytes."""
FORGOTTEN_S = 24 * 3600.0
"""Age at which an unread answer is deleted."""
_POLL = 0.05
_REQUEST, _ANSWER, _ASIDE = ".json", ".answer.json", ".unreadable"

Command = Literal["release", "flatten", "halt"]


class MailRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to the node.

    ``release`` ends the halts of `guard` (`accept`: although the limit is still breached, measured
    anew), ``flatten`` closes everything and stays out, ``halt`` lets nothing enter. `scope` is
    ``desk``, ``strategy:<key>`` or ``instrument:<id>``; empty means all scopes of a release, else
    the desk. `reason` is journaled. `ask` sets `id`, `asked_at` (UNIX nanoseconds, UTC) and `by`,
    the process.
    """

    command: Command
    guard: str = ""
    scope: str = ""
    accept: bool = False
    reason: str = ""
    id: str = ""
    asked_at: int = 0
    by: int = 0


class MailAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of a request; `done` is False if refused. Times are UNIX nanoseconds (UTC)."""

    id: str
    done: bool
    text: str
    answered_at: int = 0


_REQUESTS = msgspec.json.Decoder(MailRequest)
_ANSWERS = msgspec.json.Decoder(MailAnswer)


def mailbox_of(folder: Path) -> Path:
    """Return the mailbox below a node's state folder."""
    return folder / FOLDER


def ask(folder: Path, request: MailRequest) -> str:
    """Put a request into the mailbox of the node with this state folder; return its id."""
    now = time.time_ns()
    # The time comes first, so that requests sort by time.
    name = f"{now:020d}-{uuid.uuid4().hex[:8]}"
    request = msgspec.structs.replace(request, id=name, asked_at=now, by=os.getpid())
    box = mailbox_of(folder)
    box.mkdir(parents=True, exist_ok=True)
    replace_file(box / f"{name}{_REQUEST}", msgspec.json.encode(request), durable=True)
    # The request is there already: a full disk must not stop who asks to close.
    with suppress(OSError):
        keep_action(folder, _words(request), request.reason, ASKED)
    return name


def answer(folder: Path, request_id: str, timeout: float) -> MailAnswer | None:
    """Wait for an answer and remove it; None after `timeout` seconds (`withdraw` the request)."""
    path = mailbox_of(folder) / f"{request_id}{_ANSWER}"
    deadline = time.monotonic() + timeout
    while True:
        try:
            found = _ANSWERS.decode(path.read_bytes())
        except FileNotFoundError:
            if time.monotonic() >= deadline:
                return None
            time.sleep(_POLL)
            continue
        path.unlink(missing_ok=True)
        return found


def withdraw(folder: Path, request_id: str, reason: str) -> bool:
    """Withdraw a request; False when the node has already taken it."""
    try:
        (mailbox_of(folder) / f"{request_id}{_REQUEST}").unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):
        keep_action(folder, f"withdraw {request_id}", reason, "the node had not read it")
    return True


def _words(request: MailRequest) -> str:
    accepted = "although the limit is reached" if request.accept else ""
    words = request.command, request.guard, request.scope, accepted
    return " ".join(word for word in words if word)


def pending(folder: Path) -> list[MailRequest]:
    """Return the waiting requests, oldest first, without unreadable ones."""
    return _looked(mailbox_of(folder))[0]


class Mailbox:
    """The node's side of the mailbox in its state folder."""

    def __init__(self, folder: Path) -> None:
        self._box = mailbox_of(folder)
        self._box.mkdir(parents=True, exist_ok=True)
        self._stuck: set[Path] = set()

    def take(self) -> tuple[list[MailRequest], list[str]]:
        """Return unanswered requests, oldest first, and notes on rejected files."""
        requests, unreadable = _looked(self._box)
        notes = []
        for path, why in unreadable.items():
            if path in self._stuck:
                continue
            aside = path.with_suffix(_ASIDE)
            try:
                path.replace(aside)
            except OSError as error:
                self._stuck.add(path)
                notes.append(f"{path.name} is no request ({why}) and can't be put aside: {error}")
            else:
                notes.append(f"{path.name} is no request ({why}); put aside as {aside.name}")
        return requests, notes

    def answer(self, request: MailRequest, *, done: bool, text: str) -> None:
        """Answer a request and remove it from the mailbox."""
        said = MailAnswer(id=request.id, done=done, text=text, answered_at=time.time_ns())
        replace_file(self._box / f"{request.id}{_ANSWER}", msgspec.json.encode(said))
        (self._box / f"{request.id}{_REQUEST}").unlink(missing_ok=True)

    def tidy(self) -> None:
        """Delete answers that nobody read in a day."""
        oldest = time.time() - FORGOTTEN_S
        for path in self._box.glob(f"*{_ANSWER}"):
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
            except FileNotFoundError:
                continue


def _looked(box: Path) -> tuple[list[MailRequest], dict[Path, str]]:
    """Return the requests, oldest first, and why other files are none."""
    requests: list[MailRequest] = []
    unreadable: dict[Path, str] = {}
    try:
        names = sorted(os.listdir(box))
    except FileNotFoundError:
        return requests, unreadable
    for name in names:
        if not name.endswith(_REQUEST) or name.endswith(_ANSWER) or name.startswith("."):
            continue
        path = box / name
        try:
            if path.stat().st_size > LONGEST:
                raise ValueError(f"longer than {LONGEST:,} bytes")
            found = _REQUESTS.decode(path.read_bytes())
            if found.id != path.stem:
                raise ValueError("its id is not the file's name")
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            unreadable[path] = str(error)
        else:
            requests.append(found)
    return requests, unreadable
