"""`perpdesk risk release` and `halt`: end a guard's halts, or let nothing enter.

The node does both: at once where it runs, else at its next start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.records.journal_files import NAME, holder
from config.documents import Node
from config.errors import DeskError, GateRefused, InputError, hint
from config.universe import select
from live_nodes.local.mailbox import OPERATOR, SCOPE, MailRequest, answer, ask, pending, withdraw
from live_nodes.local.timefmt import moment_text
from live_nodes.node.guard_status import GuardStatus, risk_of
from live_nodes.operate.risk_status import shown, unit_of

ANSWER_S = 5.0


@dataclass(frozen=True)
class ReleaseOutcome:
    """How a release or a halt ended; not `done` while it waits for the node's next start."""

    done: bool
    text: str


def release_guard(
    node: Node,
    folder: Path,
    guard: str,
    *,
    reason: str,
    scope: str = "",
    accept: bool = False,
    say: Callable[[str], None],
) -> ReleaseOutcome:
    """Release a guard of a running node, or leave the release for its next start.

    Only the node writes a guard's state; a start reads its mailbox before any strategy. `scope` is
    ``desk``, ``strategy:<key>`` or ``instrument:<id>``, empty for all of the guard's halts.
    `accept` releases although the limit is still reached: it measures anew from here. Raises
    InputError when there is no such guard, or no scope of that form. Raises GateRefused when the
    limit is still reached and that is not accepted. Raises DeskError when the node runs and does
    not answer.
    """
    rows = risk_of(folder, node) if (folder / NAME).exists() else []
    _check_text(reason, scope)
    _check_guard(node, guard, rows)
    request = MailRequest(command="release", guard=guard, scope=scope, accept=accept, reason=reason)
    return _by_the_node(node, folder, request) or _for_the_next_start(
        node, folder, request, rows, say
    )


def halt_entries(node: Node, folder: Path, reason: str, scope: str = "desk") -> ReleaseOutcome:
    """Let nothing enter until the guard ``operator`` is released; positions stay as they are.

    A node that does not run reads it at its next start, before any strategy. Raises InputError
    without a reason, or for a scope that is none of the node's, which would hold nothing back;
    DeskError when the node runs and does not answer.
    """
    _check_text(reason, scope)
    _check_scope(node, scope)
    request = MailRequest(command="halt", scope=scope, reason=reason)
    if (done := _by_the_node(node, folder, request)) is not None:
        return done
    _leave(folder, request)
    text = f"{node.name} is not running: its next start reads the halt before any strategy"
    return ReleaseOutcome(False, text)


def _leave(folder: Path, request: MailRequest) -> str:
    try:
        return ask(folder, request)
    except OSError as error:
        raise DeskError(
            f"the {request.command} was not written, and is not in force: {error}; free space on "
            "the disk, or let this user write there, and repeat it; `perpdesk risk flatten` closes "
            "everything without"
        ) from error


def _by_the_node(node: Node, folder: Path, request: MailRequest) -> ReleaseOutcome | None:
    """Let a running node do it; return None where none runs."""
    pid = holder(folder)
    if pid is None:
        return None
    said = answer(folder, _leave(folder, request), ANSWER_S)
    if said is None:
        raise DeskError(
            f"process {pid} of {node.name} does not answer within {ANSWER_S:g} s; the "
            f"{request.command} waits in its mailbox and is done when it does, or at its next start"
        )
    if not said.done:
        raise GateRefused(said.text)
    return ReleaseOutcome(True, said.text)


def _for_the_next_start(
    node: Node,
    folder: Path,
    request: MailRequest,
    rows: list[GuardStatus],
    say: Callable[[str], None],
) -> ReleaseOutcome:
    if request.guard == OPERATOR:
        for waiting in pending(folder):
            # The node has not read it yet, so it can be withdrawn.
            same = not request.scope or (waiting.scope or "desk") == request.scope
            other = waiting.command != "release" and same
            if other and withdraw(folder, waiting.id, request.reason):
                say(f"taken out of the mailbox: {waiting.command} ({waiting.reason})")
    stands = [
        row
        for row in rows
        if row.guard == request.guard
        and row.latched
        and (not request.scope or row.scope == request.scope)
    ]
    scope_text = f" on {request.scope}" if request.scope else ""
    if not stands:
        return ReleaseOutcome(True, f"{request.guard} holds nothing back{scope_text}")
    still = [row for row in stands if row.over]
    if still and not request.accept:
        raise GateRefused(_still(still))
    _leave(folder, request)
    final = request.accept or request.guard == OPERATOR
    how = "" if final else ", unless the limit is reached again by then"
    return ReleaseOutcome(
        False,
        f"{node.name} is not running: the release of {request.guard}{scope_text} waits in its "
        f"mailbox; its next start does it before any strategy{how}",
    )


def _still(rows: list[GuardStatus]) -> str:
    lines = []
    for row in rows:
        unit = unit_of(row)
        assert row.measured is not None
        assert row.limit is not None
        at = "" if row.last_beat is None else f" at {moment_text(row.last_beat)}"
        lines.append(
            f"{row.guard}: the limit on {row.scope} is still reached: measured "
            f"{shown(row.measured, unit)}{at}, limit {shown(row.limit, unit)}"
        )
    return (
        "\n".join(lines) + "\nwait until it is not, or release it with --accept to measure anew "
        "from here"
    )


def _check_text(reason: str, scope: str) -> None:
    if not reason.strip():
        raise InputError("--reason must say why: it is kept in the journal")
    if scope and not SCOPE.fullmatch(scope):
        raise InputError(
            f"--scope must be desk, strategy:KEY or instrument:ID, was {scope!r}, "
            "such as instrument:BTCUSDT-LINEAR.BYBIT"
        )


def _check_scope(node: Node, scope: str) -> None:
    kind, _, name = scope.partition(":")
    if kind == "strategy" and name not in node.strategies:
        known = ", ".join(node.strategies) + hint(name, node.strategies)
        raise InputError(f"{node.name} has no strategy {name!r}; it has {known}")
    if kind == "instrument" and not select([name], node.universe):
        raise InputError(
            f"{name!r} is no instrument of {node.name}, so nothing would be halted: "
            f"universe.instruments has {', '.join(node.universe.instruments)}"
        )


def _check_guard(node: Node, guard: str, rows: list[GuardStatus]) -> None:
    if guard.startswith("node."):
        raise InputError(f"{guard} is the node's own and ends by itself when its cause is gone")
    enabled = [key for key, component in node.actors.items() if component.enabled]
    known = dict.fromkeys([*enabled, OPERATOR, *(row.guard for row in rows)])
    if guard not in known:
        there = ", ".join(known) + hint(guard, known)
        raise InputError(f"{node.name} has no guard {guard!r}; it has {there}")
