"""Replay a recorded session through the same strategies and guards, without a venue.

Engine-specific. The node is built as live, with clients that are never connected and send nothing.
Then the recorded calls are made again in their order; clocks and links answer what they answered.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import nautilus_trader
from nautilus_trader.common.component import LiveClock
from nautilus_trader.config import LoggingConfig
from nautilus_trader.data.client import MarketDataClient
from nautilus_trader.execution.client import ExecutionClient
from nautilus_trader.live.factories import LiveDataClientFactory, LiveExecClientFactory
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import ClientId, ComponentId, Venue

from actors.desk.build import guards_of
from actors.records.journal import Journal
from actors.records.journal_files import NAME
from catalog.instruments import VENUE
from config.documents import Node
from config.errors import InputError
from live_nodes.bybit.adapter import forget_clients
from live_nodes.node.at_once import handle_at_once
from live_nodes.node.build import (
    FEED,
    build_node,
    gate_of,
    node_config,
    strategies_by_key,
    strategies_of,
)
from live_nodes.node.context import NodeContext
from live_nodes.node.feed import NodeFeed
from live_nodes.node.preflight import Preflight
from live_nodes.node.recording import Header
from live_nodes.node.report import RunOptions
from live_nodes.node.risk import NodeRisk
from live_nodes.node.risk_books import FillBooking
from live_nodes.node.stream import (
    BEGIN,
    END,
    FORMAT,
    JOURNAL,
    Answer,
    Output,
    Recording,
    Turn,
    thawed,
)
from live_nodes.node.tape import OUTSIDE, SOON, TIMER, WORLD, Call, ListeningTape, error_output
from live_nodes.node.turns import DATA_NOW, HALT, LAST_PRICE, engine_turns, strategy_turns
from live_nodes.node.watch_rules import TOPIC
from live_nodes.reconcile.recorder import JournalRecorder
from strategies.order_ids import own_key

NOWHERE = "http://127.0.0.1:1"


class Player(ListeningTape):
    """Takes a recorder's place: makes the recorded calls, and gives the recorded answers.

    `strayed` is why the present turn took another way than the recorded one, empty while it did
    not. `trace` is where the newest error was raised.
    """

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {OUTSIDE: lambda: None}
        self.outputs: list[Output] = []
        self.strayed = self.trace = ""
        self._reads: list[int | Answer] = []
        self._place = self._now = self._soons = 0
        self.timers: dict[tuple[int, int], Callable[[Any], None]] = {}
        """What timers call in their turns, by numbers of clock and callback."""
        self._waiting: dict[int, Callable[[], object]] = {}
        self.calls[SOON] = lambda number: self._waiting.pop(number)()
        self.calls[TIMER] = lambda clock, number, event: self.timers[clock, number](event)
        self.clock = replaying_clock(self)

    def play(self, turn: Turn) -> list[Output]:
        """Make a turn again; return what came of it, also a component's error."""
        self._reads, self._place, self.outputs, self.strayed = turn.reads, 0, [], ""
        try:
            self.calls[turn.name](*thawed(turn.args))
        except Exception as error:  # noqa: BLE001 - live, the loop or a queue goes on as well
            self.outputs.append(error_output(error))
            self.trace = "".join(traceback.format_exception(error))
        if not self.strayed and self._place < len(self._reads):
            self.strayed = f"it asked {self._place} of {len(self._reads)} questions"
        return self.outputs

    def wrap(self, name: str, function: Call) -> Call:
        """Register the function of a turn."""
        self.calls[name] = function
        return function

    def asks(self, name: str, function: Call) -> Call:
        """Return a question that is answered from the recording."""
        return lambda *_: self._answer(name)

    def soon(self, callback: Callable[[], object]) -> None:
        """Keep a callback until its turn."""
        self._waiting[self._soons] = callback
        self._soons += 1

    def monotonic_ns(self) -> int:
        """Return the recorded reading."""
        return self.read()

    def out(self, kind: str, text: bytes) -> None:
        """Take down an output."""
        self.outputs.append(Output(kind, text))

    def read(self) -> int:
        """Return the next reading of a clock, or the last one where there is none."""
        found = self._next()
        if isinstance(found, int):
            self._now = found
        else:
            self.strayed = self.strayed or f"it asked for the time as question {self._place}"
        return self._now

    def _answer(self, name: str) -> Any:
        found = self._next()
        if isinstance(found, Answer) and found.name == name:
            return thawed(found.value)
        self.strayed = self.strayed or f"it asked for {name} as question {self._place}"
        return () if name == "timers" else None

    def _next(self) -> int | Answer | None:
        self._place += 1
        return self._reads[self._place - 1] if self._place <= len(self._reads) else None


def replaying_clock(tape: Player) -> type[LiveClock]:
    """Return a class of clocks that give recorded readings; timers fire in their turns only."""

    class ReplayingClock(LiveClock):
        def __init__(self) -> None:
            super().__init__()
            self._number, self._callbacks = tape.new_clock(), 0

        def timestamp_ns(self) -> int:
            return tape.read()

        @property
        def timer_names(self) -> Any:
            return tape.asks("timers", list)()

        def on_loop(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
            tape.timers[self._number, self._callbacks] = callback
            self._callbacks += 1
            return callback

        def set_timer_ns(self, *_: Any, **__: Any) -> None:
            """Set nothing."""

        set_time_alert_ns = cancel_timer = set_timer_ns

    return ReplayingClock


class _NoData(MarketDataClient):
    """Takes every subscription and sends no data."""


for _name in dir(MarketDataClient):
    if _name.startswith(("subscribe_", "unsubscribe_")):
        setattr(_NoData, _name, lambda self, command: None)


class _NoDataFactory(LiveDataClientFactory):
    @staticmethod
    def create(loop: Any, name: str, config: Any, msgbus: Any, cache: Any, clock: Any) -> Any:
        return _NoData(ClientId(name), msgbus, cache, clock, Venue(VENUE))


class _NoVenueFactory(LiveExecClientFactory):
    @staticmethod
    def create(loop: Any, name: str, config: Any, msgbus: Any, cache: Any, clock: Any) -> Any:
        return ExecutionClient(
            client_id=ClientId(name),
            venue=Venue(VENUE),
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            base_currency=None,
            msgbus=msgbus,
            cache=cache,
            clock=clock,
        )


class Replay:
    """A node built from a recording's header; `turns` plays it."""

    def __init__(self, header: Header, journal: Journal, folder: Path) -> None:
        loop, self.tape = asyncio.get_running_loop(), Player()
        node = Node.model_validate(header.node)
        ids = sorted(header.infos)
        nobody: Any = SimpleNamespace(**dict.fromkeys(("http", "ws_private", "ws_trade"), NOWHERE))
        config = msgspec.structs.replace(
            node_config(node, nobody, ids, folder, tickers=header.tickers),
            logging=LoggingConfig(log_level="OFF", log_level_file="OFF", use_pyo3=True),
        )
        factories = (_NoDataFactory, _NoVenueFactory)
        trading_node = build_node(
            config, strategies_of(node, ids), factories, loop, self.tape.clock
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        self._kernel = kernel = trading_node.kernel
        self._node = trading_node
        handle_at_once(kernel, partial(self.tape.wrap, DATA_NOW))
        commands = engine_turns(self.tape, kernel)
        # The engine's queues are handled by the event loop, which does not run here.
        self._subscriptions: deque[Any] = deque()
        kernel.risk_engine._cmd_enqueuer.enqueue = commands.append
        kernel.data_engine._cmd_enqueuer.enqueue = self._subscriptions.append
        for enqueuer in (kernel.risk_engine._evt_enqueuer, kernel.exec_engine._evt_enqueuer):
            # Events of orders are those of the recording.
            enqueuer.enqueue = lambda event: None
        facts = Preflight(
            infos=header.infos,
            universe=header.universe,
            products=header.products,
            histories={},
            clock=cast(Any, None),
            failures=[],
            leverages=header.leverages,
            set_leverages={},
        )
        gate = gate_of(node, trading_node, journal, self.tape)
        context = NodeContext(
            node=node,
            folder=folder,
            journal=journal,
            facts=facts,
            tape=self.tape,
            endpoints=cast(Any, None),
            keys=None,
            options=RunOptions(),
            say=lambda line: None,
            alerts=cast(Any, lambda *_, **__: None),
            heartbeat=cast(Any, SimpleNamespace()),
            rest=cast(Any, SimpleNamespace()),
            links=cast(Any, SimpleNamespace(fetch_wallet=lambda: None)),
            trading_node=trading_node,
            gate=gate,
            strategies={},
        )
        context.strategies.update(strategies_by_key(context, trading_node, facts, header.there))
        strategy_turns(self.tape, context.strategies)
        adopts = node.watch.policies.foreign_orders == "adopt"
        JournalRecorder(kernel, journal, lambda name: adopts or own_key(node.tag, name) is not None)
        fills = FillBooking(journal, tape=self.tape)
        self.risk = NodeRisk(context, fills, guards_of(node))
        # Nodes that record ask the venue about a wallet; its answers are turns.
        self.risk.pending_cash.ask = lambda: None
        gate.sender = lambda command, requests: None
        gate.hold(self.tape.asks("links", lambda facts: None))
        calls = self.tape.calls
        calls["fill"] = journal.fill
        calls[LAST_PRICE] = kernel.cache.add_trade_tick
        calls[HALT] = partial(kernel.msgbus.publish, TOPIC)
        calls[WORLD] = lambda *now: self.risk.set_by_others(now)

    def play(self, turn: Turn) -> list[Output]:
        """Make one turn again, and carry out the subscriptions that it made."""
        made = self.tape.play(turn)
        if turn.name == "start_actor" and self.risk.markets.feed is None:
            feeds = [a for a in self._kernel.trader.actors() if a.id == ComponentId(FEED)]
            self.risk.markets.feed = cast(NodeFeed, feeds[0])
        while self._subscriptions:
            self._kernel.data_engine._execute_command(self._subscriptions.popleft())
        return made


@dataclass(frozen=True)
class Played:
    """A turn, and what came of it in the replay; `strayed` and `trace` are the `Player`'s."""

    turn: Turn
    outputs: list[Output]
    strayed: str
    trace: str


def replayed(recording: Recording, folder: Path, take: Callable[[Played], None]) -> Header:
    """Replay a recording, its journal in the folder; return the facts of its start.

    Raises InputError for a recording of other versions.
    """
    turns = iter(recording)
    first = next(turns)
    (header,) = thawed(first.args) if first.name == BEGIN else (None,)
    if not isinstance(header, Header):
        raise InputError(f"{folder}: the recording does not begin with a start")
    if (header.format, header.engine) != (FORMAT, nautilus_trader.__version__):
        raise InputError(
            f"{folder}: recorded in format {header.format} by nautilus_trader {header.engine}; "
            f"this one replays format {FORMAT} with {nautilus_trader.__version__}"
        )

    async def play(scratch: Path) -> None:
        with Journal.open(scratch, node=header.node["name"]) as journal:
            replay = Replay(header, journal, scratch)
            for turn in turns:
                if turn.name == END:
                    break
                outputs = replay.play(turn)
                take(Played(turn, outputs, replay.tape.strayed, replay.tape.trace))
            # None has begun: questions to the venue, of which the recording has the answers.
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    with tempfile.TemporaryDirectory() as made:
        copyfile(folder / JOURNAL, Path(made) / NAME)
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(play(Path(made)))
        finally:
            forget_clients()
            loop.close()
    return header
