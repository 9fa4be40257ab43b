"""What a drill asks of a world: of the backtests' engine and of a node on a practice exchange."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from actors.guards.core.drill import Step
from live_nodes.drill.orders import Instruction
from strategies.messages import Verdict

WorldName = Literal["backtest", "practice"]


class DrillError(Exception):
    """Why a row fails, in words."""


@dataclass(frozen=True)
class Heard:
    """A verdict of the guard, and when it was said (UNIX nanoseconds, UTC)."""

    at: int
    verdict: Verdict


@dataclass(frozen=True)
class Refusal:
    """An entry that the gate refused, when and why."""

    at: int
    instrument: str
    reason: str


@dataclass(frozen=True)
class Restarted:
    """What stood when strategies started again, and what was refused from then on."""

    standing: tuple[Verdict, ...]
    refusals: tuple[Refusal, ...]


class World(Protocol):
    """A world with one guard in it. Times are UNIX nanoseconds (UTC) of the world's own clock.

    Attributes
    ----------
    name : str
        ``backtest`` or ``practice``.
    injected : bool
        Whether something had to be told to the guard in place of happening: what this world can't
        have by its nature.
    """

    # Time: a second of the practice world takes a second.

    name: WorldName
    injected: bool

    def start(self) -> None:
        """Begin, flat and with nothing kept; returns once the strategy runs.

        Raises
        ------
        DrillError
            When it does not come up.
        """

    def now(self) -> int:
        """Return the time."""

    def go_on(self, seconds: float) -> None:
        """Let time go by.

        Raises
        ------
        DrillError
            When the world has ended by itself.
        """

    def tell(self, instruction: Instruction) -> None:
        """Give the strategy an instruction."""

    def do(self, step: Step) -> int:
        """Let something happen, all of the step; return when the last of it began."""

    def price(self, instrument: str) -> Decimal:
        """Return an instrument's price."""

    def held(self) -> dict[str, Decimal]:
        """Return what the venue says is held, signed base coin by instrument; no zeros."""

    def heard(self) -> list[Heard]:
        """Return all that the guard has said, the oldest first."""

    def refusals(self) -> list[Refusal]:
        """Return what the gate refused, the oldest first."""

    def restart(self, insist: Instruction) -> Restarted:
        """End without warning and start again; nothing but what is kept goes over."""

    def release(self, scope: str, *, accept: bool) -> str:
        """Release the guard's halt; return why not in words, empty when it is done."""

    def close(self) -> None:
        """End, and leave nothing running."""
