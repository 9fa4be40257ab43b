"""`perpdesk status`: state, links, positions, orders and halts of a node, from its journal."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from actors.records.journal_files import holder
from actors.records.journal_reading import read
from actors.records.rows import EquityRow, LinkRow, OrderRow, PositionRow, Run
from config.errors import some_of
from live_nodes.local.heartbeat import hangs, last_beat
from live_nodes.local.timefmt import age_text, moment_text
from strategies.messages import SHRINK, Decision, Verdict

NOTES = 10


@dataclass(frozen=True)
class StandingVerdict:
    """A verdict that stands, and since when (UNIX nanoseconds, UTC)."""

    since: int
    verdict: Verdict


@dataclass(frozen=True)
class JournalNote:
    """A note of the node's journal; time in UNIX nanoseconds (UTC)."""

    ts: int
    kind: str
    text: str


@dataclass(frozen=True)
class GateResult:
    """Result of a start-up gate of the last run."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class NodeStatus:
    """A node's status; times in UNIX nanoseconds (UTC), quantities in base coin, money in USDT.

    ``state`` is ``running``, ``starting``, ``stopping``, ``stopped``, ``failed`` or ``dead`` (the
    process is gone but the run has no end). ``marks`` are the mark prices of the last equity, by
    instrument, and ``unrealized`` the positions' profit at them. ``as_of`` and ``heartbeat`` are
    the last writes of the journal and the heartbeat file. ``hangs`` is why a living process counts
    as hanging. ``newer`` are the instruments whose position changed after ``equity``. ``feed_lag``
    is the age of market data when they were handled, in nanoseconds: of the newest, and the largest
    of the last minute. ``last_decision`` is a strategy's own, not what a `shrink` made of one.
    """

    node: str
    state: str
    pid: int | None
    as_of: int | None
    run: Run | None
    links: list[LinkRow]
    gates: list[GateResult]
    verdicts: list[StandingVerdict]
    positions: list[PositionRow]
    orders: list[OrderRow]
    marks: dict[str, Decimal]
    unrealized: dict[str, Decimal]
    equity: EquityRow | None
    last_decision: Decision | None
    counters: dict[str, int]
    notes: list[JournalNote]
    heartbeat: int | None = None
    hangs: str = ""
    newer: tuple[str, ...] = ()
    feed_lag: tuple[int, int] | None = None

    def as_json(self) -> str:
        """Return the status as JSON, decimals as strings."""
        return msgspec.json.encode(self, order="deterministic").decode()


def status_of(
    node: str, folder: Path, now_ns: int | None = None, *, orders: bool = True
) -> NodeStatus:
    """Return the status of the node with its state in `folder`; `now_ns` is UNIX nanoseconds (UTC).

    Without `orders` it has none: to find the open ones takes a while among very many. Raises
    InputError if it has no journal yet.
    """
    pid = holder(folder)
    now = time.time_ns() if now_ns is None else now_ns
    beat = last_beat(folder)
    with read(folder) as journal:
        runs = journal.runs()
        run = runs[0] if runs else None
        worth = journal.last_equity()
        links = _of_run(journal.links(), run)
        notes = [JournalNote(n["ts"], n["kind"], n["text"]) for n in journal.notes(NOTES)]
        decisions = journal.decisions(1, but=SHRINK)
        moments = [row.changed for row in links] + [note.ts for note in notes]
        moments += [] if worth is None else [worth.ts]
        moments += [] if run is None else [run.ended or run.started]
        since = books_begin(run, pid)
        held = [p for p in journal.holdings() if p.changed >= since]
        positions = [p for p in held if p.quantity]
        marks = journal.marks()
        return NodeStatus(
            node=node,
            state=_state(run, pid),
            pid=pid,
            as_of=max(moments, default=None),
            run=run,
            links=links,
            gates=[
                GateResult(g["name"], bool(g["passed"]), g["detail"])
                for g in ([] if run is None else journal.gates(run.id))
            ],
            verdicts=[StandingVerdict(since, verdict) for since, verdict in journal.standing()],
            positions=positions,
            marks=marks,
            unrealized={
                p.instrument: p.quantity * (marks[p.instrument] - p.entry_price)
                for p in positions
                if p.instrument in marks
            },
            orders=[o for o in journal.unsettled() if o.created >= since] if orders else [],
            equity=worth,
            last_decision=decisions[0] if decisions else None,
            counters=journal.counters(),
            notes=notes,
            heartbeat=None if beat is None else beat.ts,
            hangs=hangs(beat, pid, run.started, now)
            if run is not None and run.ended is None and run.pid == pid
            else "",
            newer=()
            if worth is None
            else tuple(p.instrument for p in held if p.changed > worth.ts),
            feed_lag=None if beat is None or beat.pid != pid else beat.feed_lag,
        )


def _of_run(links: list[LinkRow], run: Run | None) -> list[LinkRow]:
    began = 0 if run is None else run.started
    # No link was up before the run began.
    return [replace(link, since=max(link.since, began)) for link in links if link.changed >= began]


def on_paper(run: Run | None) -> bool:
    """Whether positions and orders of a run end with its process."""
    return run is not None and run.environment == "paper"


def books_begin(run: Run | None, pid: int | None) -> float:
    """Return the start of positions and orders: on paper they end with the process."""
    if run is None or not on_paper(run):
        return 0
    return math.inf if pid is None else run.started


def _state(run: Run | None, pid: int | None) -> str:
    if run is None:
        return "starting" if pid is not None else "stopped"
    if run.ended is not None:
        return "starting" if pid is not None else run.phase
    return "dead" if pid is None else run.phase


_COLORS = {"running": "green", "dead": "bold red", "failed": "bold red"}


def rendered(status: NodeStatus, now_ns: int | None = None) -> RenderableType:
    """Return the status as a page for the terminal; of a process that is gone, its last state."""
    now = time.time_ns() if now_ns is None else now_ns
    gone = status.pid is None
    then = status.as_of if gone and status.as_of is not None else now
    head = Text.assemble(
        (status.node, "bold"), "  ", (status.state, _COLORS.get(status.state, "yellow"))
    )
    if status.state == "dead":
        left = (
            "its orders and positions on paper ended with it"
            if on_paper(status.run)
            else "below is what it wrote last. "
            "Its orders may rest at the venue, and nothing watches them: start the node again"
        )
        head.append(f"  (its process was killed, or the machine went down; {left})")
    if status.run is not None:
        run = status.run
        head.append(
            f"\nrun {run.id}: {run.environment}{', dry run' if run.dry_run else ''}, "
            f"process {run.pid}, started {moment_text(run.started)}"
        )
        if run.ended is not None:
            head.append(f", ended {moment_text(run.ended)}")
        if run.note:
            head.append(f": {run.note}")
    if status.hangs:
        head.append(f"\n{status.hangs}", "bold red")
    if status.as_of is not None:
        head.append(f"\nlast written {age_text(now - status.as_of)} ago")
        if status.heartbeat is not None:
            head.append(f", last heartbeat {age_text(now - status.heartbeat)} ago")
    if status.feed_lag is not None:
        newest, worst = (f"{ns / 1e6:,.0f} ms" for ns in status.feed_lag)
        head.append(f"\nfeed lag {newest}, at most {worst} in the last minute")
    as_of = f" as of {moment_text(then)}" if gone else ""
    if gone:
        head.append(f"\nall figures are{as_of}: the node is not running")
    if status.equity is not None:
        worth = status.equity
        head.append(
            f"\nequity {worth.equity:,.2f}  balance {worth.balance:,.2f}  "
            f"gross {worth.gross:,.2f}  net {worth.net:,.2f}"
        )
        if not gone:
            # A new position is written down at once, equity now and then; of a silent feed, with
            # the last marks.
            head.append(f", written {age_text(now - worth.ts)} ago")
        if status.newer:
            names = some_of([*map(symbol_of, status.newer)])
            head.append(f", before the newest trades in {names}")
    parts: list[RenderableType] = [head]
    failed = [gate for gate in status.gates if not gate.passed]
    parts += [Text(f"gate {gate.name} refused: {gate.detail}", "red") for gate in failed]
    for standing in status.verdicts:
        verdict = standing.verdict
        words = f"{verdict.action.name.lower()} on {verdict.scope} by {verdict.guard}"
        since = age_text(then - standing.since)
        parts.append(Text(f"{words} for {since}{as_of}: {verdict.reason}", "yellow"))
    parts += _tables(status, then, as_of)
    decision = status.last_decision
    if decision is not None:
        ordered = sum(1 for target in decision.targets if Decimal(target.order))
        parts.append(
            Text(
                f"last decision: {decision.kind} by {decision.strategy}, "
                f"{moment_text(decision.ts)}, "
                f"{ordered} order{'' if ordered == 1 else 's'}, gross {decision.gross:.2f}, "
                f"net {decision.net:+.2f}" + (f" ({decision.note})" if decision.note else "")
            )
        )
    if status.counters:
        counted = "  ".join(f"{name} {value:,}" for name, value in status.counters.items())
        parts.append(Text(f"counters: {counted}"))
    parts += [
        Text(f"{moment_text(n.ts)} {n.kind}: {n.text}", "dim") for n in reversed(status.notes)
    ]
    return Group(*parts)


def _tables(status: NodeStatus, now: int, moment: str) -> list[RenderableType]:
    pages = (
        (
            "links",
            ("link", "state", "for", ""),
            [(x.name, x.state, age_text(now - x.since), x.detail) for x in status.links],
        ),
        (
            "positions",
            ("symbol", "owner", "held", "entry", "mark", "unrealized", "realized"),
            [
                (
                    symbol_of(p.instrument),
                    p.owner or "nobody",
                    p.quantity,
                    _short(p.entry_price),
                    _short(status.marks.get(p.instrument)),
                    _money(status.unrealized.get(p.instrument)),
                    _money(p.realized),
                )
                for p in status.positions
            ],
        ),
        (
            "orders",
            ("order", "symbol", "side", "filled", "price", "trigger", "status"),
            [
                (
                    o.client_order_id,
                    symbol_of(o.instrument),
                    o.side,
                    f"{o.filled:f}/{o.quantity:f}",
                    o.price,
                    o.trigger_price,
                    o.status.lower(),
                )
                for o in status.orders
            ],
        ),
    )
    return [
        table(columns, rows, f"{title}{moment}", wraps=("", "order", "owner"))
        for title, columns, rows in pages
        if rows
    ]


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str | None = None,
    *,
    wraps: Collection[str] | None = None,
    **look: Any,
) -> Table:
    """Return a table for the terminal: None is ``-``, and `Text` keeps its style.

    `wraps` are the columns that may take several lines where it is narrow; None means all.
    """
    # Padding and rules would take half of a narrow terminal.
    look = {"box": SIMPLE_HEAD, "padding": (0, 1, 0, 0), "show_edge": False, **look}
    made = Table(title=title, title_justify="left", **look)
    for column in columns:
        # A truncated order id can't be looked up at the venue.
        made.add_column(column, overflow="fold", no_wrap=wraps is not None and column not in wraps)
    for row in rows:
        cells = ("-" if cell is None else cell for cell in row)
        made.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in cells))
    return made


def symbol_of(instrument: str) -> str:
    """Return ``BTCUSDT`` of ``BTCUSDT-LINEAR.BYBIT``; spot keeps ``-SPOT``."""
    return instrument.removesuffix(".BYBIT").removesuffix("-LINEAR")


def _short(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.10g}"


def _money(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:,.2f}"
