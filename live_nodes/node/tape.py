"""Record what strategies and guards see in a live node, for `perpdesk parity`. Engine-specific.

Everything that makes them act passes a few calls from outside: data and events into the engine's
handlers, timers, evaluations, requests by mail. `Tape.wrap` makes such a call a turn. Inside a
turn, all reads of a clock and all questions to parts that a replay lacks (links, for one) are part
of it. A `Recorder` writes turns down after they ended, so that no order waits for it; a replay
(`live_nodes.node.replay`) takes the recorder's place and calls the same functions again.
"""

from __future__ import annotations

import asyncio
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from nautilus_trader.common.component import LiveClock

from actors.records.order_facts import OrderFacts
from live_nodes.node.stream import BEGIN, END, STREAM, Answer, Output, Turn, frozen, write_block
from strategies.messages import Decision, Verdict, encode
from strategies.refusals import Refusal

FLUSH_S = 1.0
WORLD, OUTSIDE, TIMER, SOON = "world", "outside", "timer", "soon"
Call = Callable[..., Any]


class Tape:
    """Records nothing: what a node has without ``watch.record``."""

    clock: type[LiveClock] = LiveClock
    """Class of the engine's clocks."""

    def wrap(self, name: str, function: Call) -> Call:
        """Return the function as a turn: a call from outside that can make components act."""
        return function

    def take(self, thing: Any, method: str, name: str = "") -> None:
        """Make a method of an object a turn."""

    def asks(self, name: str, function: Call) -> Call:
        """Return a question to a part that a replay lacks; its answer belongs to the turn."""
        return function

    def soon(self, callback: Callable[[], object]) -> None:
        """Call back on the event loop, after the present turn."""
        asyncio.get_running_loop().call_soon(callback)

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back."""
        return time.monotonic_ns()

    def aside(self, function: Call) -> Call:
        """Return a function of which nothing is recorded, such as sending to the venue."""
        return function

    def follow(self, world: Callable[[], tuple[Any, ...]]) -> None:
        """Record facts that other parts set, whenever they have changed at a turn."""

    def listen(self, bus: Any, gate: Any) -> None:
        """Take down decisions, verdicts and order intents."""

    def begin(self, folder: Path, header: Any) -> None:
        """Begin with the facts of the start."""

    def end(self, reason: str) -> None:
        """End in an orderly way: what follows is not recorded."""


class ListeningTape(Tape):
    """A tape that takes down what components do."""

    _clocks = 0

    def new_clock(self) -> int:
        """Return the number of a new clock."""
        self._clocks += 1
        return self._clocks - 1

    def take(self, thing: Any, method: str, name: str = "") -> None:
        """Make a method of an object a turn."""
        setattr(thing, method, self.wrap(name or method, getattr(thing, method)))

    def listen(self, bus: Any, gate: Any) -> None:
        """Take down decisions, verdicts and order intents."""
        bus.subscribe("decisions.*", self._on_decision)
        bus.subscribe("verdicts.*", self._on_verdict)
        gate.observers.append(self)

    def out(self, kind: str, text: bytes) -> None:
        """Take down an output."""
        raise NotImplementedError

    def _on_decision(self, decision: Decision) -> None:
        self.out("decision", encode(decision))

    def _on_verdict(self, verdict: Verdict) -> None:
        # The node's own verdicts, as for a link that is down, are an input.
        if not verdict.guard.startswith("node."):
            self.out("verdict", encode(verdict))

    def intended(self, facts: OrderFacts) -> None:
        """Take down a request that passed the gate."""
        self.out("intent", msgspec.json.encode(facts))

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Take down a request that was refused, and why."""
        self.out("refusal", msgspec.json.encode((facts, refusal)))


class Recorder(ListeningTape):
    """Records to a file; a failure to write ends the recording, not the node."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._thread = threading.get_ident()
        self._file: BinaryIO | None = None
        self._reads: list[int | Answer] | None = None
        self._outputs: list[Output] = []
        self._turns: list[Turn] = []
        self._number = self._soons = 0
        self._world: Callable[[], tuple[Any, ...]] | None = None
        self._known: tuple[Any, ...] = ()
        self.clock = recording_clock(self)

    def begin(self, folder: Path, header: Any) -> None:
        """Begin with the facts of the start, in a folder that exists."""
        self._file = (folder / STREAM).open("xb")
        self._write(BEGIN, (header,), [], [])
        self._flush()

    def end(self, reason: str) -> None:
        """Write the last turn."""
        if self._file is not None:
            self._write(END, (reason,), [], [])
            self._save()
            self._close()

    def wrap(self, name: str, function: Call) -> Call:
        """Return a function whose outermost calls are recorded as turns."""

        def turn(*args: Any, **options: Any) -> Any:
            if self._file is None or self._reads is not None or self._is_elsewhere():
                return function(*args, **options)
            self._note_world()
            reads: list[int | Answer] = []
            outputs: list[Output] = []
            self._reads, self._outputs = reads, outputs
            try:
                return function(*args, **options)
            except Exception as error:
                outputs.append(error_output(error))
                raise
            finally:
                self._reads = None
                self._write(name, args, reads, outputs)

        return turn

    def asks(self, name: str, function: Call) -> Call:
        """Return a question whose answers are recorded."""

        def asked(*args: Any) -> Any:
            value = function(*args)
            if self._reads is not None:
                self._reads.append(Answer(name, frozen(value)))
            return value

        return asked

    def soon(self, callback: Callable[[], object]) -> None:
        """Call back in a turn that has the number of the request."""
        number, self._soons = self._soons, self._soons + 1
        turn = self.wrap(SOON, lambda number: callback())
        asyncio.get_running_loop().call_soon(turn, number)

    def monotonic_ns(self) -> int:
        """Return and record the reading."""
        return self.read(time.monotonic_ns())

    def aside(self, function: Call) -> Call:
        """Return a function of which nothing is recorded."""

        def unseen(*args: Any, **options: Any) -> Any:
            # An empty list of its own: a call inside is no turn either.
            kept = self._reads, self._outputs
            if self._reads is not None:
                self._reads, self._outputs = [], []
            try:
                return function(*args, **options)
            finally:
                self._reads, self._outputs = kept

        return unseen

    def follow(self, world: Callable[[], tuple[Any, ...]]) -> None:
        """Record these facts whenever they have changed."""
        self._world = world

    def out(self, kind: str, text: bytes) -> None:
        """Take down an output; one outside any turn is a turn by itself, which no replay has."""
        if self._file is None:
            return
        if self._reads is None:
            self._write(OUTSIDE, (), [], [Output(kind, text)])
        else:
            self._outputs.append(Output(kind, text))

    def read(self, ns: int) -> int:
        """Record a reading of a clock."""
        if self._reads is not None and not self._is_elsewhere():
            self._reads.append(ns)
        return ns

    def _is_elsewhere(self) -> bool:
        return threading.get_ident() != self._thread

    def _note_world(self) -> None:
        if self._world is not None and (now := self._world()) != self._known:
            self._known = now
            self._write(WORLD, now, [], [])

    def _write(
        self, name: str, args: tuple[Any, ...], reads: list[int | Answer], outputs: list[Output]
    ) -> None:
        try:
            raw = frozen(args)
        except Exception as error:  # noqa: BLE001 - whatever an object raises, the node goes on
            self._failed(f"watch.record: nothing is recorded from here on: {name}: {error}")
            self._close()
            return
        self._turns.append(Turn(self._number, name, raw, zlib.crc32(raw), reads, outputs))
        self._number += 1

    def _flush(self) -> None:
        self._save()
        if self._file is not None:
            asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _save(self) -> None:
        turns, self._turns = self._turns, []
        if self._file is None or not turns:
            return
        try:
            write_block(self._file, turns)
        except OSError as error:
            self._failed(f"watch.record: nothing is recorded from here on: {error}")
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self._failed(f"watch.record: the recording may lack its end: {error}")


def error_output(error: Exception) -> Output:
    """Return a component's error as an output: a replay must raise it as well."""
    return Output("error", msgspec.json.encode(f"{type(error).__name__}: {error}"))


def recording_clock(tape: Recorder) -> type[LiveClock]:
    """Return a class of clocks whose readings and timers a tape records."""

    class RecordingClock(LiveClock):
        def __init__(self) -> None:
            super().__init__()
            self._number, self._callbacks = tape.new_clock(), 0

        def timestamp_ns(self) -> int:
            return tape.read(LiveClock.timestamp_ns(self))

        @property
        def timer_names(self) -> Any:
            return tape.asks("timers", lambda: LiveClock.timer_names.__get__(self))()

        def on_loop(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
            loop, number = asyncio.get_running_loop(), self._callbacks
            self._callbacks += 1
            turn = tape.wrap(TIMER, lambda clock, number, event: callback(event))

            def hop(event: Any) -> None:
                try:
                    loop.call_soon_threadsafe(turn, self._number, number, event)
                except RuntimeError:
                    # A timer may fire after the node's end.
                    if not loop.is_closed():
                        raise

            return hop

        # The engine reads the clock inside; a replay sets no timer.
        set_timer_ns = tape.aside(LiveClock.set_timer_ns)
        set_time_alert_ns = tape.aside(LiveClock.set_time_alert_ns)
        cancel_timer = tape.aside(LiveClock.cancel_timer)

    return RecordingClock
