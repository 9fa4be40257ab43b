"""Begin a recording of a node: its folder, the facts of the start, the journal as it was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import nautilus_trader

from actors.records.journal_files import back_up
from catalog.instruments import InstrumentInfo
from config.documents import Node
from config.errors import InputError
from live_nodes.node.context import RunContext
from live_nodes.node.preflight import Preflight
from live_nodes.node.report import RunOptions, Say
from live_nodes.node.stream import FORMAT, JOURNAL, STREAM
from live_nodes.node.tape import Recorder, Tape

FOLDER = "recordings"


@dataclass(frozen=True)
class Header:
    """Facts of a start. `node` is the final document, `there` the positions at the venue."""

    format: int
    engine: str
    started: int
    node: dict[str, Any]
    infos: dict[str, InstrumentInfo]
    universe: list[str]
    products: tuple[str, ...]
    leverages: dict[str, Decimal]
    there: dict[str, Decimal]
    tickers: bool


def tape_of(node: Node, options: RunOptions, say: Say) -> Tape:
    """Return the recorder of a run that is to be recorded."""
    if not node.watch.record:
        return Tape()
    if node.environment == "paper" or options.dry_run:
        say("watch.record: nothing is recorded on paper, nor in a dry run")
        return Tape()
    return Recorder(say)


def begin_recording(
    context: RunContext, facts: Preflight, there: Mapping[str, Decimal], tickers: bool
) -> None:
    """Copy the journal and write the header; without a recorder do nothing."""
    if not isinstance(context.tape, Recorder):
        return
    started = time.time_ns()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(started / 1e9))
    folder = context.folder / FOLDER / f"{stamp}.{started // 1_000_000 % 1000:03d}Z"
    folder.mkdir(parents=True)
    back_up(context.folder, JOURNAL + ".recording").replace(folder / JOURNAL)
    header = Header(
        format=FORMAT,
        engine=nautilus_trader.__version__,
        started=started,
        node=context.node.model_dump(mode="json"),
        infos=facts.infos,
        universe=facts.universe,
        products=facts.products,
        leverages=facts.leverages,
        there=dict(there),
        tickers=tickers,
    )
    context.tape.begin(folder, header)
    context.say(f"recording to {folder}")


def newest(folder: Path) -> Path:
    """Return the newest recording below a node's state folder; raise InputError without one."""
    found = sorted(path.parent for path in (folder / FOLDER).glob(f"*/{STREAM}"))
    if not found:
        raise InputError(
            f"{folder / FOLDER}: nothing is recorded yet; set watch.record: true in the node's "
            "document, and let it run"
        )
    return found[-1]
