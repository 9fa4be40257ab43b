"""Decisions and their outcome in words, and the report of a run with its options. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from config.errors import DeskError
from live_nodes.local.timefmt import moment_text
from strategies.base import DeskStrategy
from strategies.messages import Decision
from strategies.schedule import next_fire

ZERO = Decimal(0)
_SHOWN = 5
Say = Callable[[str], None]
"""Takes a line for the person who watches a node."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A position that is not where its decision wanted it; signed base coin.

    ``why`` is what the venue or the order gate said last, empty when neither did.
    """

    instrument: str
    wanted: Decimal
    held: Decimal
    why: str = ""

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"{self.instrument} holds {self.held:f}, wanted {self.wanted:f}{why}"


def misses(
    decision: Decision,
    held: Mapping[str, Decimal],
    smallest: Callable[[str], Decimal],
    reasons: Mapping[str, str],
) -> list[Miss]:
    """Return which of a decision's orders did not bring their position to its target.

    Parameters
    ----------
    held : mapping of str to Decimal
        The strategy's positions now, signed base coin by instrument id.
    smallest : callable
        Quantity of an instrument's smallest order, base coin: less can't be traded, and is no miss.
    reasons : mapping of str to str
        Why the last order in an instrument was refused or cancelled, where it was.
    """
    found = []
    for target in decision.targets:
        wanted, has = Decimal(target.target), held.get(target.instrument, ZERO)
        if Decimal(target.order) == ZERO or wanted == has:
            continue
        # A position that should be gone is one, however small.
        if wanted == ZERO or abs(wanted - has) >= smallest(target.instrument):
            why = reasons.get(target.instrument, "")
            found.append(Miss(target.instrument, wanted, has, why))
    return found


def outcome_line(decision: Decision, missed: list[Miss]) -> str:
    """Return what became of a decision, for the person who watches."""
    orders = sum(Decimal(target.order) != ZERO for target in decision.targets)
    words = f"{decision.strategy}: {decision.kind} carried out, {orders - len(missed)} of {orders}"
    words += f" position{'' if orders == 1 else 's'} where wanted"
    more = f" and {len(missed) - _SHOWN} more" if len(missed) > _SHOWN else ""
    return words + "".join(f"; {miss}" for miss in missed[:_SHOWN]) + more


@dataclass(frozen=True)
class RunOptions:
    """Options of the command line.

    `dry_run` journals and prints orders and sends none; `run_once` does what is due, then stops;
    `force` does it even when it is done already (guards are obeyed); `seconds` stops after so long.
    """

    dry_run: bool = False
    run_once: bool = False
    force: bool = False
    seconds: float | None = None


@dataclass
class RunReport:
    """Outcome of a run; the command prints it.

    `outcome` is ``stopped``, ``ran once``, ``nothing due``, or ``waits`` (something kept the
    decision from being made). `intended` are orders that a dry run did not send, `positions` the
    net positions at the end (signed base coin), `refusals` counts the order gate's, `missed` are
    positions that are not where the last decision wanted them, and `left` what is not as it should
    be at the venue after the stop.
    """

    outcome: str = "stopped"
    reason: str = ""
    decisions: int = 0
    intended: list[dict[str, Any]] = field(default_factory=list)
    positions: dict[str, Decimal] = field(default_factory=dict)
    refusals: int = 0
    missed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def as_plain(self) -> dict[str, Any]:
        """Return it as values that JSON knows; amounts are decimal text."""
        plain = asdict(self)
        plain["positions"] = {name: f"{quantity:f}" for name, quantity in self.positions.items()}
        return plain


def raise_left(report: RunReport) -> None:
    """Fail the command when the run did not do what it was to, or left something at the venue.

    Raises
    ------
    DeskError
        Which says what.
    """
    if report.outcome == "waits":
        raise DeskError(f"nothing was decided: {report.reason}")
    if report.outcome == "ran once" and report.missed:
        raise DeskError("not where the decision wanted it: " + "; ".join(report.missed))
    if report.left:
        raise DeskError("after the stop: " + "; ".join(report.left))


def decision_line(decision: Decision) -> str:
    """Return a decision in one line."""
    orders = sum(Decimal(target.order) != 0 for target in decision.targets)
    note = f": {decision.note}" if decision.note else ""
    hours = (decision.ts - decision.data_ts) / 3.6e12
    age = f" on candles that closed {hours:.1f} h ago" if hours >= 1 else ""
    some = f"{orders} order{'' if orders == 1 else 's'}"
    return (
        f"{decision.strategy}: {decision.kind}{age}, {some}, gross {decision.gross:.2f}, "
        f"net {decision.net:+.2f}{note}"
    )


def waiting_lines(strategies: Mapping[str, DeskStrategy], now_ns: int) -> Iterator[str]:
    """Yield each next decision: a node that does nothing for hours must not look stuck."""
    for key, strategy in strategies.items():
        schedule = strategy.schedule()
        if schedule is not None:
            at = next_fire(now_ns, *schedule)
            minutes = round((at - now_ns) / 60e9)
            span = f"{minutes // 60} h {minutes % 60} min"
            yield f"{key}: next decision at {moment_text(at)}, in {span}"
