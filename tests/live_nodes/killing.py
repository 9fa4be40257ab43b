"""An exchange, nodes that die at it, and what is left there when they are done."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

import yaml

from actors.records.journal_files import NAME
from actors.records.journal_reading import JournalReader, read
from config.errors import InputError
from live_nodes.drill.node_process import run_perpdesk
from live_nodes.local.practice_process import (
    Endpoint,
    ensure_exchange,
    running_exchange,
    stop_exchange,
)
from live_nodes.node.audit import FOLDER as AUDIT
from strategies.messages import Decision
from strategies.rebalance.plan import STATE, Plan, Progress, decode
from tests.live_nodes.boundaries import Counted, Named, Say
from tests.live_nodes.documents import node_file
from tests.waiting import DEADLINE

KEY = "steady"
ZERO = Decimal(0)
SYMBOLS: dict[str, dict[str, Any]] = {
    "AAAUSDT": {"price": 100, "tick": 0.01, "lot": 0.01, "products": ["linear", "spot"]},
    "BBBUSDT": {"price": 50, "tick": 0.01, "lot": 0.01, "products": ["linear", "spot"]},
    "CCCUSDT": {"price": 20, "tick": 0.001, "lot": 0.1},
    "DDDUSDT": {"price": 10, "tick": 0.001, "lot": 0.1},
}
ACCOUNTS = 240
NODE_SECONDS = 180.0
"""A run with a recovery takes five to fifteen on a quiet machine; nothing may hang."""
TAKER: dict[str, Any] = {"tactic": "taker"}
MAKER: dict[str, Any] = {
    "tactic": "maker_first",
    "reprice_every": "1s",
    "least_rest": "1s",
    "deadline": "3s",
    "max_slippage_bps": 100,
    "max_leg_imbalance": 0.03,
}


@dataclass(frozen=True)
class Ended:
    """How a node's process ended."""

    code: int  # Negative for the signal that ended it
    reached: list[str]  # Boundaries in the order they were reached
    said: str  # What it printed

    @property
    def signal(self) -> int | None:
        """Number of the signal that ended it."""
        return -self.code if self.code < 0 else None

    @property
    def traded(self) -> list[tuple[str, int]]:
        """The boundaries of the part in which it trades, each with its number."""
        seen: Counter[str] = Counter()
        found = []
        for name in self.reached:
            seen[name] += 1
            if name.startswith("trade: ") and not name.endswith(" begins"):
                found.append((name, seen[name]))
        return found


# Processes ----------------------------------------------------------------------------------------

FORKS = multiprocessing.get_context("forkserver")
"""Forking a process that has imported the engine saves its children seconds each."""
FORKS.set_forkserver_preload(
    ["live_nodes.node.launch", __name__, "tests.live_nodes.desk_strategies"]
)


@dataclass(frozen=True)
class Job:
    """What a process does: ``perpdesk`` with some arguments, its boundaries watched."""

    arguments: list[str]  # After ``perpdesk``
    output: Path  # Files that take what it prints, and a line a boundary
    reached: Path
    # Name and number of the boundary to die at; not used where it `counts`.
    fatal: tuple[str, int] | None = None
    environment: dict[str, str] | None = None  # Variables that it gets beside those of this process
    folder: Path | None = None  # Its working directory
    # Files and flag of `tests.live_nodes.boundaries.Counted`.
    counts: tuple[Path, Path, bool] | None = None

    def start(self) -> BaseProcess:
        """Fork a process that does it; it ends with this one."""
        process = FORKS.Process(target=self._be_the_node, daemon=True)
        process.start()
        return process

    def _be_the_node(self) -> None:
        os.environ.update(self.environment or {})
        say = _line_by_line(self.reached)
        if self.counts is None:
            Named(say, self.fatal).install()
        else:
            kept, fatal, armed = self.counts
            Counted(say, _line_by_line(kept), fatal, armed).install()
        run_perpdesk(self.arguments, str(self.output), str(self.folder or Path.cwd()))


def _line_by_line(file: Path) -> Say:
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # One write, so that it is whole even if the process dies in the next instant.
    return lambda words: (os.write(opened, f"{words}\n".encode()), None)[1]


def exit_of(process: BaseProcess, seconds: float = NODE_SECONDS) -> int:
    """Wait until a process has ended; return its exit code, negative for a signal."""
    process.join(seconds)
    code = process.exitcode
    assert code is not None, f"it did not end within {seconds:g} s"
    return code


# Exchange and nodes -------------------------------------------------------------------------------


class Ground:
    """A practice exchange in a process of its own, with an account for every node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.market = folder / "exchange.yaml"
        self.exchange = folder / "exchange"
        document = {
            "kind": "exchange",
            "name": "killing",
            "market": {"model": "random", "seed": 7, "volatility": 0.01, "symbols": SYMBOLS},
            "accounts": {f"k{n}": {"balance": 100_000} for n in range(ACCOUNTS)},
            "update_ms": 200,
        }
        self.market.write_text(yaml.safe_dump(document), encoding="utf-8")
        self._accounts = (f"k{n}" for n in count())

    def __enter__(self) -> Self:
        ensure_exchange(self.market, self.exchange)
        return self

    def __exit__(self, *_: object) -> None:
        stop_exchange(self.exchange)

    @property
    def endpoint(self) -> Endpoint:
        """Address of the exchange; it is started when it is not up."""
        return ensure_exchange(self.market, self.exchange)

    def kill_exchange(self) -> int:
        """End the exchange by SIGKILL; return its pid."""
        found = running_exchange(self.exchange)
        os.kill(found.pid, signal.SIGKILL)
        return found.pid

    def state(self) -> dict[str, Any]:
        """Return the whole state by the exchange's admin."""
        return self.tell("/state", method="GET")

    def tell(self, path: str, *, method: str = "POST", **body: Any) -> dict[str, Any]:
        """Send a request to the exchange's admin."""
        request = urllib.request.Request(
            f"{self.endpoint.admin}{path}", json.dumps(body).encode(), method=method
        )
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return dict(json.load(answer))

    def node(self, execution: dict[str, Any] = TAKER, **changes: Any) -> KilledNode:
        """Return a node with an account and a folder of its own."""
        account = next(self._accounts)
        return KilledNode(self, account, execution, changes)


class GroundNode:
    """One node's document, account and folder, through all of its lives."""

    def __init__(self, ground: Ground, account: str, document: dict[str, Any]) -> None:
        self.ground, self.account = ground, account
        folder = ground.folder / account
        folder.mkdir(exist_ok=True)
        shared: dict[str, Any] = {
            "name": account,
            "state": str(ground.folder / "state"),
            "account": {"name": account},
            "venue_urls": venue_urls(ground.endpoint),
        }
        self.file = node_file(folder, **(shared | document))
        self.folder = ground.folder / "state" / account / "practice"
        self.lives = 0
        self._process: BaseProcess | None = None

    # Its process ---------------------------------------------------------------------------------

    def begin(self, *options: str, command: str = "live", **job: Any) -> int:
        """Start its next life, or another command about it; return its pid."""
        self.lives += 1
        output, reached = self.file_of("out"), self.file_of("reached")
        self._process = Job([command, str(self.file), *options], output, reached, **job).start()
        return self.pid

    @property
    def process(self) -> BaseProcess:
        """Its present or last one."""
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """Of its present or last process."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return self.process.exitcode is not None

    def file_of(self, kind: str) -> Path:
        """Return the file of a kind, such as ``out``, of its present or last life."""
        return self.ground.folder / f"{self.account}-{self.lives}.{kind}"

    def said(self, kind: str = "out") -> str:
        """Return what its present or last life has printed, or another file of it."""
        file = self.file_of(kind)
        return file.read_text() if file.exists() else ""

    def lines(self, kind: str) -> list[str]:
        """Return the whole lines of a file; the last one may be half written."""
        text = self.said(kind)
        return text[: text.rfind("\n") + 1].splitlines()

    def reached(self) -> list[str]:
        """Return the boundaries that its present or last life has reached."""
        return self.lines("reached")

    # Its own books -------------------------------------------------------------------------------

    def from_copy[T](self, asked: Callable[[JournalReader], T], nothing: T) -> T:
        """Read a copy of a dead node's journal: a reader would fold its WAL in."""
        copy = self.ground.folder / f"{self.account}-copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for name in (NAME, f"{NAME}-wal"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, copy / name)
        try:
            with read(copy) as journal:
                return asked(journal)
        except InputError:
            # Killed before its tables were made.
            return nothing

    # The exchange's books ------------------------------------------------------------------------

    def at_the_exchange(self) -> dict[str, Any]:
        """Return what the exchange has of its account."""
        return dict(self.ground.state()["accounts"][self.account])

    def positions(self) -> dict[str, Decimal]:
        """Return its positions at the exchange, signed, by instrument id."""
        return positions_of(self.at_the_exchange())


class KilledNode(GroundNode):
    """A node that rebalances by `Steady`; `changes` are of its document, ``params`` of that."""

    def __init__(
        self, ground: Ground, account: str, execution: dict[str, Any], changes: dict[str, Any]
    ) -> None:
        params = {
            "interval": "1h",
            "every": "1d",
            "at": "00:00",
            "fraction": 0.5,
            "gross_leverage": 0.1,
            "execution": execution,
            **changes.pop("params", {}),
        }
        steady = {KEY: {"use": "tests.live_nodes.desk_strategies:Steady", "params": params}}
        super().__init__(ground, account, {"tag": "kx", "strategies": steady} | changes)

    def ended(self) -> Ended:
        """Wait until it has ended, and return how."""
        return Ended(exit_of(self.process), self.reached(), self.said())

    def run(self, *options: str, seconds: float | None = None, **settings: Any) -> Ended:
        """Start it and wait until it has ended; after `seconds` kill it."""
        self.begin(*options, **settings)
        if seconds is not None:
            self.process.join(seconds)
            self.process.kill()
        return self.ended()

    def plan(self) -> Plan | None:
        """Return the plan that its journal has under way."""
        return self.progress().plan

    def progress(self) -> Progress:
        """Return how far its schedule is."""
        return self.from_copy(
            lambda journal: decode(journal.load_state(KEY, STATE), KEY), Progress()
        )

    def decisions(self) -> list[Decision]:
        """Return its decisions, the newest first."""
        with read(self.folder) as journal:
            return journal.decisions()


def venue_urls(where: Any) -> dict[str, str]:
    """Return the addresses of an exchange as a node's document has them."""
    return {name: getattr(where, name) for name in ("http", "ws_public", "ws_private", "ws_trade")}


def positions_of(account: dict[str, Any]) -> dict[str, Decimal]:
    """Return an account's positions as the exchange has them, signed, by instrument id."""
    found = {}
    for row in account["positions"]:
        size = Decimal(row["size"])
        if size:
            name = f"{row['symbol']}-LINEAR.BYBIT"
            found[name] = size if row["side"] == "Buy" else -size
    return found


def traded_of(account: dict[str, Any]) -> dict[str, Decimal]:
    """Return how much of each instrument an account has bought and sold, by instrument id."""
    traded: dict[str, Decimal] = {}
    for row in account["executions"]:
        if row["exec_type"] == "Trade":
            name = f"{row['symbol']}-LINEAR.BYBIT"
            traded[name] = traded.get(name, ZERO) + Decimal(row["qty"])
    return traded


def targets_of(decision: Decision) -> dict[str, Decimal]:
    """Return the positions that a decision is on its way to."""
    return {t.instrument: Decimal(t.current) + Decimal(t.order) for t in decision.targets}


@dataclass(frozen=True)
class Killing:
    """What a node wanted when it was killed."""

    killed: Ended  # The run that was killed
    plan: Plan | None  # What its journal had under way
    again: Ended  # The run after it
    # Positions at the exchange before the killed run, and what had been traded there.
    before: dict[str, Decimal] = field(default_factory=dict)
    traded_before: dict[str, Decimal] = field(default_factory=dict)


def kill_and_restart(
    node: KilledNode,
    *options: str,
    fatal: tuple[str, int] | None = None,
    seconds: float | None = None,
) -> Killing:
    """Kill a node at a boundary or a moment of a rebalance, and let it run again to the end."""
    account = node.at_the_exchange()
    killed = node.run("--run-once", *options, fatal=fatal, seconds=seconds)
    plan = node.plan()
    again = node.run("--run-once")
    return Killing(killed, plan, again, positions_of(account), traded_of(account))


def faults_of(node: KilledNode, killing: Killing, *, decided: int = 1) -> list[str]:
    """Return what is not as it must be after a kill and the restart, in words.

    The node has ended; it should have decided on so many rebalances in all its runs.
    """
    account, decisions = node.at_the_exchange(), node.decisions()
    plan = killing.plan
    rebalances = [decision for decision in decisions if decision.kind == "rebalance"]
    wanted = killing.before.copy()
    if plan is not None:
        wanted |= plan.targets
    elif rebalances:
        wanted |= targets_of(rebalances[0])
    wanted = {name: quantity for name, quantity in wanted.items() if quantity}
    held = positions_of(account)
    wrong = []
    if killing.again.code != 0:
        wrong.append(f"the restart ended with {killing.again.code}: {killing.again.said}")
    if held != wanted:
        wrong.append(f"the exchange has {_words(held)}, the targets are {_words(wanted)}")
    if not wanted:
        wrong.append("nothing was wanted: the test shows nothing")
    wrong += [f"order {row['order_link_id']} is open" for row in account["open_orders"]]
    # Whatever was traded there and back was an order too many.
    for name, traded in sorted(traded_of(account).items()):
        now, before = held.get(name, ZERO), killing.before.get(name, ZERO)
        least = killing.traded_before.get(name, ZERO) + abs(now - before)
        if traded != least:
            wrong.append(f"{name}: traded {traded}, {least} would have done")
    if len(rebalances) > decided:
        wrong.append(f"it decided {len(rebalances)} times")
    progress = node.progress()
    if progress.plan is not None or progress.done is None:
        wrong.append(f"its schedule stands at {progress}")
    with read(node.folder) as journal:
        explained = {name: q for name, q in journal.explained().items() if q}
        unsettled = journal.unsettled()
    if explained != held:
        wrong.append(f"its journal explains {_words(explained)}, the exchange has {_words(held)}")
    wrong += [f"no outcome of {order}" for order in unsettled]
    for audit in sorted((node.folder / AUDIT).glob("*.json")):
        status = json.loads(audit.read_text())["status"]
        if status not in ("done", "superseded"):
            wrong.append(f"the audit file {audit.name} is left {status}")
    return wrong


def _words(positions: dict[str, Decimal]) -> str:
    return ", ".join(f"{name} {quantity}" for name, quantity in sorted(positions.items())) or "none"
