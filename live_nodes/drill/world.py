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
    """Why a row fails, in words."""


@dataclass(frozen=True)
class TimedVerdict:
    """A verdict of the guard, and when it came (UNIX nanoseconds, UTC)."""

    at: int
    verdict: Verdict


@dataclass(frozen=True)
class RefusedEntry:
    """An entry that the gate refused, when (UNIX nanoseconds, UTC) and why."""

    at: int
    instrument: str
    refusal: Refusal


@dataclass(frozen=True)
class Restarted:
    """Verdicts that stood when strategies started again, and entries refused from then on."""

    standing: tuple[Verdict, ...]
    refusals: tuple[RefusedEntry, ...]


class Insist(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that are tried again and again, whatever the verdicts are.

    `quantity` is signed base coin, `every` the seconds between two tries.
    """

    instrument: str
    quantity: str
    every: float = 0.25


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """All that the drill's strategy does from now on; the next one takes its place.

    One with a `number` that came before is not done again. `hold` are positions to bring about at
    once with market orders (signed base coin by instrument id), `trades` orders at their times,
    `insist` entries that it goes on trying.
    """

    number: int
    hold: dict[str, str] = msgspec.field(default_factory=dict)
    trades: tuple[Trade, ...] = ()
    insist: Insist | None = None


def write_instruction(file: Path, instruction: Instruction) -> None:
    """Write an instruction so that its reader sees all of it or none."""
    replace_file(file, msgspec.json.encode(instruction))


def read_instruction(file: Path) -> Instruction | None:
    """Return the instruction of a file, None while there is none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Instruction)
    except FileNotFoundError:
        return None


class World(ABC):
    """A world with one guard in it. Times are UNIX nanoseconds (UTC) of the world's own clock.

    A second of the practice world takes a second. `injected` says whether the guard was notified of
    something that this world can't have by its nature.
    """

    name: WorldName
    injected = False

    @abstractmethod
    def start(self) -> None:
        """Begin, flat and with nothing kept; returns once the strategy runs, else DrillError."""

    @abstractmethod
    def now(self) -> int:
        """Return the time."""

    @abstractmethod
    def advance(self, seconds: float) -> None:
        """Let time go by; DrillError when the world has ended by itself."""

    @abstractmethod
    def instruct(self, instruction: Instruction) -> None:
        """Give the strategy an instruction."""

    def perform(self, step: Step) -> int:
        """Let something happen, all of the step; return when the last of it began."""
        began = self.now()
        if isinstance(step, Wait):
            self.advance(step.seconds)
            return self.now()
        last = self._perform(step)
        return began if last is None else last

    @abstractmethod
    def _perform(self, step: Step) -> int | None:
        """Perform a step; return when the last of it began where that is not the beginning."""

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
        """End without warning and start again; nothing but what is kept goes over."""

    @abstractmethod
    def release(self, scope: str, *, accept: bool) -> str:
        """Release the guard's halt; return why not in words, empty when it is done."""

    @abstractmethod
    def close(self) -> None:
        """End, and leave nothing running."""


def first_of_each_scope(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the oldest verdict of each scope, sorted by scope; verdicts come oldest first."""
    first: dict[str, Verdict] = {}
    for verdict in verdicts:
        first.setdefault(verdict.scope, verdict)
    return tuple(first[scope] for scope in sorted(first))
