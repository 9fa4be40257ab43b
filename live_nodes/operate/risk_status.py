"""`perpdesk risk status`: each guard's reading, limit and headroom, and its halts.

Read from the journal alone, so that a dead node shows the same as a running one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from actors.records.journal_reading import read
from config.documents import Node
from live_nodes.local.actions import actions
from live_nodes.local.heartbeat import STALE_S, last_beat
from live_nodes.local.mailbox import ASKED, OPERATOR, MailRequest, pending
from live_nodes.local.timefmt import age_text, moment_text
from live_nodes.node.guard_status import GuardStatus, risk_of
from live_nodes.operate.status import NodeStatus, StandingVerdict, status_of, table
from strategies.messages import Action, Verdict, strictest

PERCENT = "%"
BY_KEY = {
    "pct": PERCENT,
    "currency": "USDT",
    "r": "R",
    "leverage": "x",
    "ticks": "ticks",
    "bps": "bps",
    "announced": "s",
}
"""Units by the end of a reading's key, for guards with several units."""


def unit_of(status: GuardStatus) -> str:
    """Return the unit of a guard's reading; empty when it has none."""
    for ending, unit in BY_KEY.items():
        if status.key == ending or status.key.endswith((f"_{ending}", f" {ending}")):
            return unit
    return status.unit


def shown(value: float, unit: str) -> str:
    """Return a value with its unit; for ``%``, the value is a fraction."""
    if unit == PERCENT:
        return f"{value * 100:z.2f} %"
    if unit == "USDT":
        number = f"{value:z,.2f}"
    else:
        number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:z.4g}"
    return f"{number} {unit}".rstrip()


_FLATTEN = "flatten"
"""Kind of the journal's notes with the closer's progress."""
_STATES = {"ok": "green", "no reading": "dim", "failed": "bold red", "silent": "bold red"}


@dataclass(frozen=True)
class GuardLine:
    """One limit of a guard, its unit and state.

    ``state`` is ``ok``, ``halted`` (a halt stands), ``shrunk`` (sizes are smaller), ``silent`` (a
    required guard stopped, so entries stop), ``failed``, or ``no reading``.
    """

    status: GuardStatus
    unit: str
    state: str


@dataclass(frozen=True)
class RiskStatus:
    """Status of a node's guards; times in UNIX nanoseconds (UTC).

    `state` is that of `NodeStatus`. Without a `pid` no process runs and this is the last state.
    `as_of` and `heartbeat` are the last writes of the journal and the heartbeat file. `strictest`
    is the strictest verdict on the whole desk, `desk` all of them, `others` are on a strategy or an
    instrument.
    `closing` is the progress of a flatten, `waiting` are unread mailbox requests; a halt among
    them stands already, as the node reads it before any strategy. The operator's halts are last in
    `guards`.
    """

    node: str
    state: str
    pid: int | None
    as_of: int | None
    heartbeat: int | None
    strictest: Verdict | None
    desk: list[StandingVerdict]
    others: list[StandingVerdict]
    closing: str
    waiting: list[MailRequest]
    guards: list[GuardLine]

    def as_json(self) -> str:
        """Return the status as JSON."""
        return msgspec.json.encode(self, order="deterministic").decode()


def risk_status(node: Node, folder: Path, now_ns: int | None = None) -> RiskStatus:
    """Return the status of a node's guards; raise InputError if it has never been started."""
    now = time.time_ns() if now_ns is None else now_ns
    status = status_of(node.name, folder, orders=False)
    beat = last_beat(folder)
    waiting, guards = pending(folder), risk_of(folder, node)
    standing = all_standing(status, waiting, now)
    if by_mail := [_halt_of(r) for r in waiting if r.command != "release"]:
        guards = [g for g in guards if g.guard != OPERATOR or g.latched] + by_mail
    desk = strictest([s.verdict for s in standing if s.verdict.scope == "desk"])
    running, oldest = status.state == "running", now - STALE_S * 1e9
    # A node that hangs says of no guard that it is silent, and all are.
    said = beat if beat is not None and beat.pid == status.pid and beat.ts >= oldest else None
    return RiskStatus(
        node=node.name,
        state=status.state,
        pid=status.pid,
        as_of=status.as_of,
        heartbeat=None if beat is None else beat.ts,
        strictest=None if desk.action == Action.NONE else desk,
        desk=sorted(
            (s for s in standing if s.verdict.scope == "desk"), key=lambda s: -s.verdict.action
        ),
        others=[s for s in standing if s.verdict.scope != "desk"],
        closing=_closing(standing, status, folder),
        waiting=waiting,
        guards=[
            _line(node, found, running and (said is None or found.guard in said.silent))
            for found in guards
        ],
    )


def closing_of(status: NodeStatus, folder: Path) -> str:
    """Return how a flatten goes that stands or waits, empty without one."""
    standing = all_standing(status, pending(folder), time.time_ns())
    return _closing(standing, status, folder)


def all_standing(status: NodeStatus, waiting: list[MailRequest], now: int) -> list[StandingVerdict]:
    """Return the verdicts that stand, with the halts that wait in the mailbox: they stand too."""
    kept = [s for s in status.verdicts if s.verdict.until is None or s.verdict.until > now]
    return kept + [_standing(_halt_of(r)) for r in waiting if r.command != "release"]


def _halt_of(request: MailRequest) -> GuardStatus:
    return GuardStatus(
        guard=OPERATOR,
        scope=request.scope or "desk",
        action="flatten" if request.command == "flatten" else "halt_entries",
        reason=request.reason,
        latched=True,
        release="manual",
        since=request.asked_at,
    )


def _standing(halt: GuardStatus) -> StandingVerdict:
    action = Action[halt.action.upper()]
    verdict = Verdict(action=action, scope=halt.scope, guard=OPERATOR, reason=halt.reason)
    return StandingVerdict(halt.since or 0, verdict)


def _line(node: Node, found: GuardStatus, silent: bool) -> GuardLine:
    component = node.actors.get(found.guard)
    if component is None:
        return GuardLine(found, "", "halted" if found.latched else "ok")
    unit = unit_of(found)
    if found.failed:
        state = "failed"
    elif found.latched:
        state = "shrunk" if found.action == "shrink" else "halted"
    elif silent:
        state = "silent"
    else:
        state = "no reading" if found.measured is None else "ok"
    return GuardLine(found, unit, state)


def _closing(standing: list[StandingVerdict], status: NodeStatus, folder: Path) -> str:
    flattens = [s for s in standing if s.verdict.action == Action.FLATTEN]
    if not flattens:
        return ""
    since = min(s.since for s in flattens)
    with read(folder) as journal:
        said = [(n["ts"], n["text"]) for n in journal.notes(200) if n["kind"] == _FLATTEN]
    # A node that is dead or hangs notes nothing: who closed at the venue instead kept how it ended.
    ended = [a for a in actions(folder) if a.action == _FLATTEN and a.outcome not in ("", ASKED)]
    said += [(a.ts, a.outcome) for a in ended]
    newest = max((one for one in said if one[0] >= since), default=None)
    scopes = ", ".join(f"{s.verdict.scope} by {s.verdict.guard}" for s in flattens)
    held = len(status.positions)
    words = f"{held} position{'' if held == 1 else 's'} held"
    if newest is not None:
        words = newest[1].partition("\n")[0]
    return f"flatten of {scopes}: {words}"


def rendered(
    status: RiskStatus, *, everything: bool = False, now_ns: int | None = None
) -> RenderableType:
    """Return the status for the terminal; `everything` shows all readings."""
    now = time.time_ns() if now_ns is None else now_ns
    head = Text.assemble((status.node, "bold"), f"  {status.state}")
    if status.pid is None:
        last = "" if status.as_of is None else f", last written {age_text(now - status.as_of)} ago"
        head.append(f"  (not running: this is its last state{last}; nobody watches)", "bold red")
    elif status.heartbeat is not None:
        head.append(f"  heartbeat {max(0, now - status.heartbeat) / 1e9:.1f} s ago")
    parts: list[RenderableType] = [head, *_desk_lines(status)]
    parts += [
        Text(f"waits in the mailbox: {_request_text(request)}", "yellow")
        for request in status.waiting
    ]
    chosen = _chosen(status.guards, everything)
    rows = [_row(line, now) for line in chosen if line.status.guard != OPERATOR]
    parts.append(table(("guard", "on", "value", "limit", "headroom", "state"), rows))
    return Group(*parts)


def _desk_lines(status: RiskStatus) -> list[Text]:
    verdict = status.strictest
    lines = [
        Text("the desk may trade", "green")
        if verdict is None
        else Text(f"the desk: {_verdict_text(verdict)}", "yellow")
    ]
    lines += [
        Text(f"{standing.verdict.scope}: {_verdict_text(standing.verdict)}", "yellow")
        for standing in status.others
    ]
    by_hand = [
        line.status
        for line in status.guards
        if line.status.guard == OPERATOR and line.status.latched
    ]
    lines += [
        Text(
            f"operator: {halt.scope} {'closed' if halt.action == 'flatten' else 'halted'} by hand "
            f"since {moment_text(halt.since or 0)} "
            f"({halt.reason})",
            "bold yellow",
        )
        for halt in by_hand
    ] or [Text("operator: nothing is halted by hand")]
    if status.closing:
        lines.append(Text(status.closing, "bold yellow"))
    return lines


def _verdict_text(verdict: Verdict) -> str:
    size = f" to {verdict.multiplier:g}" if verdict.action == Action.SHRINK else ""
    return f"{verdict.action.name.lower()}{size} by {verdict.guard}: {verdict.reason}"


def _request_text(request: MailRequest) -> str:
    what = f"{request.command} {request.guard}".strip()
    scope_text = f" on {request.scope}" if request.scope else ""
    return f"{what}{scope_text}, asked {moment_text(request.asked_at)} ({request.reason})"


def _chosen(lines: list[GuardLine], everything: bool) -> list[GuardLine]:
    if everything:
        return lines
    chosen: list[GuardLine] = []
    for guard in dict.fromkeys(line.status.guard for line in lines):
        own = [line for line in lines if line.status.guard == guard]
        halts = [line for line in own if line.status.latched]
        measured = [line for line in own if line.status.headroom_share is not None]
        chosen += halts or [min(measured or own, key=lambda line: line.status.headroom_share or 0)]
    return chosen


def _row(line: GuardLine, now: int) -> tuple[str | Text, ...]:
    found, unit = line.status, line.unit
    scope = found.scope.removeprefix("strategy:").removeprefix("instrument:")
    name = f"{scope} {found.key}".strip().replace(".BYBIT", "")
    if found.measured is None or found.limit is None:
        return found.guard, name, "", "", "", _state(line, now)
    # Each row has its unit once, except when the number needs it.
    short = unit if unit == PERCENT else ""
    room = "" if found.headroom is None else shown(found.headroom, short)
    if room and found.headroom_share is not None:
        room += f", {found.headroom_share:.0%}"
    value, limit = shown(found.measured, short), shown(found.limit, unit)
    return found.guard, name, value, limit, room, _state(line, now)


def _state(line: GuardLine, now: int) -> Text:
    found = line.status
    if not found.latched:
        if line.state == "silent":
            return Text("silent: no entries", _STATES["silent"])
        return Text(line.state, _STATES.get(line.state, ""))
    what = found.action + (f" to {found.multiplier:g}" if found.action == "shrink" else "")
    since = found.since or now
    words = f"{what} for {age_text(now - since)}, since {moment_text(since)}"
    words += f", {_ends(found)}"
    if found.reason:
        words += f": {found.reason}"
    return Text(words, "bold red" if line.state == "failed" else "yellow")


def _ends(found: GuardStatus) -> str:
    if found.release == "manual":
        return "until released"
    if found.until is not None:
        return f"until {moment_text(found.until)}"
    return "until recovered"
