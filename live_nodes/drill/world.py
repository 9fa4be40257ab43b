"""The interface of a drill's world: the backtests' engine, or a node on a practice exchange."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from actors.guards.core.drill import Step, Trade, Wait
from live_nodes.local.files import replace_file
from strategies.messages import Verdict
from strategies.refusals import Refusal

WorldName = Literal["backtest", "practice"]


class DrillError(Exception):
    """Reason for a failed row, in words."""


@dataclass(frozen=True)
class TimedVerdict:
    """A verdict of the guard and its time (UNIX nanoseconds, UTC)."""

    at: int
    verdict: Verdict


@dataclass(frozen=True)
class RefusedEntry:
    """An entry that the gate refused, with time (UNIX nanoseconds, UTC) and reason."""

    at: int
    refusal: Refusal


@dataclass(frozen=True)
class Restarted:
    """Verdicts that stood when strategies started again, and entries refused from then on."""

    standing: tuple[Verdict, ...]
    refusals: tuple[RefusedEntry, ...]


class Insist(msgspec.Struct, frozen=True, kw_only=True):
    """Entries retried every `every` seconds despite verdicts; signed base coin."""

    instrument: str
    quantity: str
    every: float = 0.25


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """All orders of the drill's strategy from now on; replaces the instruction before.

    A repeated `number` is ignored. `hold` are positions to reach at once with market orders (signed
    base coin by instrument id), `trades` orders at their times, `insist` entries to retry.
    """

    number: int
    hold: dict[str, str] = msgspec.field(default_factory=dict)
    trades: tuple[Trade, ...] = ()
    insist: Insist | None = None


def write_instruction(file: Path, instruction: Instruction) -> None:
    """Write an instruction atomically: a reader sees all of it or none."""
    replace_file(file, msgspec.json.encode(instruction))


def read_instruction(file: Path) -> Instruction | None:
    """Return the instruction of a file, None while there is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Instruction)
    except FileNotFoundError:
        return None


class World(ABC):
    """A world with one guard; times are UNIX nanoseconds (UTC) of its own clock.

    The practice world runs in real time. `injected` is True when the guard was notified of an event
    that this world can't have.
    """

    name: WorldName
    injected = False

    @abstractmethod
    def start(self) -> None:
        """Start flat, without saved state; returns once the strategy runs, else DrillError."""

    @abstractmethod
    def now(self) -> int:
        """Return the world's time."""

    @abstractmethod
    def advance(self, seconds: float) -> None:
        """Let time pass; DrillError when the world has ended by itself."""

    @abstractmethod
    def instruct(self, instruction: Instruction) -> None:
        """Give the strategy an instruction."""

    def perform(self, step: Step) -> int:
        """Perform a whole step; return the start of its last event."""
        began = self.now()
        if isinstance(step, Wait):
            self.advance(step.seconds)
            return self.now()
        last = self._perform(step)
        return began if last is None else last

    @abstractmethod
    def _perform(self, step: Step) -> int | None:
        """Perform a step; return the start of its last event, if later than the step's."""

    @abstractmethod
    def price(self, instrument: str) -> Decimal:
        """Return an instrument's newest price."""

    @abstractmethod
    def positions(self) -> dict[str, Decimal]:
        """Return the positions at the venue, signed base coin by instrument; no zeros."""

    @abstractmethod
    def verdicts(self) -> list[TimedVerdict]:
        """Return all verdicts of the guard, the oldest first."""

    @abstractmethod
    def refusals(self) -> list[RefusedEntry]:
        """Return the entries that the gate refused, the oldest first."""

    @abstractmethod
    def restart(self, insist: Instruction) -> Restarted:
        """Kill and start again; only the saved state survives."""

    @abstractmethod
    def release(self, scope: str, *, accept: bool) -> str:
        """Release the guard's halt; return why not in words, empty when it is done."""

    @abstractmethod
    def close(self) -> None:
        """End the world and free its resources."""


def first_of_each_scope(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the oldest verdict of each scope, sorted by scope; verdicts come oldest first."""
    first: dict[str, Verdict] = {}
    for verdict in verdicts:
        first.setdefault(verdict.scope, verdict)
    return tuple(first[scope] for scope in sorted(first))
