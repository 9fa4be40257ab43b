"""Describe decisions, their results and orders in words; options and report of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from nautilus_trader.model.events import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
)
from nautilus_trader.model.orders import Order

from config.errors import DeskError, some_of
from live_nodes.local.timefmt import moment_text
from strategies.account_value import fee_explains
from strategies.base import DeskStrategy
from strategies.messages import Decision, Target
from strategies.order_ids import owner_of
from strategies.order_tags import decision_of, reason_of
from strategies.refusals import refusal_of
from strategies.schedule import next_fire

ZERO = Decimal(0)
_SHOWN = 5
Say = Callable[[str], None]
"""Prints a line for the user."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A position that is not at its decision's target; signed base coin. `why` may be empty."""

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
    bought: Mapping[str, Decimal],
) -> list[Miss]:
    """Return which of a decision's orders, also those held back, left their target unreached.

    `held` is signed base coin. A gap below `smallest` (base coin) can't be traded and is no miss,
    nor is the fee of the coins that it `bought`.
    """
    found = []
    for target in decision.targets:
        wanted, has = Decimal(target.wanted or target.target), held.get(target.instrument, ZERO)
        if not _wants_order(target) or wanted == has:
            continue
        least = smallest(target.instrument)
        coins = bought.get(target.instrument, ZERO)
        if fee_explains(target.instrument, coins, wanted - has, least):
            continue
        if wanted == ZERO or abs(wanted - has) >= least:
            why = target.reason if target.wanted else reasons.get(target.instrument, "")
            found.append(Miss(target.instrument, wanted, has, why))
    return found


def missed_since(before: list[Miss], decision: Decision, missed: list[Miss]) -> list[Miss]:
    """Return what is missed after a decision: a guard's flatten reaches no target of before it."""
    names = {miss.instrument for miss in missed}
    kept = before if decision.kind == "flatten" else []
    return [miss for miss in kept if miss.instrument not in names] + missed


def _wants_order(target: Target) -> bool:
    return Decimal(target.order) != ZERO or bool(target.wanted)


def outcome_line(decision: Decision, missed: list[Miss]) -> str:
    """Return the result of a decision in one line."""
    orders = sum(map(_wants_order, decision.targets))
    words = f"{decision.strategy}: {decision.kind} carried out, {orders - len(missed)} of {orders}"
    words += f" position{'' if orders == 1 else 's'} where wanted"
    held_back = Counter(target.held_back_by or "" for target in decision.targets)
    kept = "".join(f"; {guard} holds back {n}" for guard, n in sorted(held_back.items()) if guard)
    said = f"; {some_of([*map(str, missed)], _SHOWN, '; ')}" if missed else ""
    return words + said + kept


@dataclass(frozen=True)
class RunOptions:
    """Options of the command line.

    `dry_run` prints and journals orders but sends none. `force` repeats what is already done;
    guards still apply. `seconds` limits the run.
    """

    dry_run: bool = False
    run_once: bool = False
    force: bool = False
    seconds: float | None = None


@dataclass
class RunReport:
    """Outcome of a run; the command prints it.

    `outcome` is ``stopped``, ``ran once``, ``nothing due``, ``waits`` (the decision could not be
    made), or ``interrupted`` (stopped before one run was done). `intended` are orders that a dry
    run did not send. `positions` are signed base coin. `left` is what is wrong at the venue after
    the stop; `unmet_faults` are faults of the practice exchange's scenario without effect so far.
    `takes_up` says that it stopped for another release.
    """

    outcome: str = "stopped"
    reason: str = ""
    decisions: int = 0
    intended: list[dict[str, Any]] = field(default_factory=list)
    positions: dict[str, Decimal] = field(default_factory=dict)
    refusals: int = 0
    missed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unmet_faults: list[str] = field(default_factory=list)
    takes_up: bool = False

    def as_plain(self) -> dict[str, Any]:
        """Return a JSON-ready dict; amounts are decimal text."""
        plain = asdict(self)
        plain["positions"] = {name: f"{quantity:f}" for name, quantity in self.positions.items()}
        return plain


def raise_left(report: RunReport) -> None:
    """Raise DeskError when the run missed its task or left something at the venue."""
    if report.outcome == "waits":
        raise DeskError(f"nothing was decided: {report.reason}")
    if report.outcome == "interrupted":
        left = "; the next start continues: " + "; ".join(report.missed) if report.missed else ""
        raise DeskError(f"stopped by {report.reason} before its work was done{left}")
    if report.outcome in ("ran once", "nothing due") and report.missed:
        again = " (--force decides again)" if report.outcome == "nothing due" else ""
        missed = "; ".join(report.missed)
        raise DeskError(f"not where the decision wanted it: {missed}{again}")
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


def order_line(event: OrderEvent, order: Order | None) -> str:
    """Return an order's event in one line; empty for one that needs none, as an acceptance."""
    if order is None:
        return ""
    what = f"{order.side_string()} {order.quantity} {order.instrument_id}"
    reason = ""
    if isinstance(event, OrderInitialized):
        price = order.price if order.has_price else None
        price = order.trigger_price if order.has_trigger_price else price
        terms = order.type_string() + ("" if price is None else f" at {price}")
        found, purpose = f"{what} {terms}", reason_of(order.tags)
        reason = f" ({purpose})" if purpose else ""
    elif isinstance(event, OrderFilled):
        # Of a trade by hand, coins moved to or from elsewhere, or the venue itself.
        others = owner_of(event.client_order_id.value) is None
        verb = "others traded or moved, now in its books:" if others else "filled"
        found = f"{verb} {order.side_string()} {event.last_qty} {order.instrument_id}"
        reason = f" at {event.last_px}"
    elif isinstance(event, OrderDenied | OrderRejected):
        refusal = refusal_of(event.reason)
        withdrawn = refusal.code == "withdrawn"
        found = f"{'not sent' if withdrawn else 'refused'} {what}"
        reason = f": {refusal if withdrawn else refusal.words}"
    elif isinstance(event, OrderCanceled | OrderExpired):
        found = f"cancelled {what}"
    else:
        return ""
    return f"{order.strategy_id.get_tag()}: {found}{reason}"


@dataclass
class ExecutionLines:
    """Which order events of an execution need no line: it re-prices and replaces its orders."""

    _begun: dict[str, str] = field(default_factory=dict)
    """Instrument to the decision whose execution began there last."""

    def repeats(self, event: OrderEvent, order: Order | None) -> bool:
        """Whether the event only moves an execution whose first order has had its line."""
        if isinstance(event, OrderInitialized) and order is not None:
            name, decision = event.instrument_id.value, decision_of(order.tags)
            begun = self._begun.get(name) == decision
            self._begun[name] = decision
            return begun
        if isinstance(event, OrderRejected):
            found = refusal_of(event.reason, post_only=event.due_post_only)
            return found.code == "post_only"
        return isinstance(event, OrderCanceled | OrderExpired)


def waiting_lines(strategies: Mapping[str, DeskStrategy], now_ns: int) -> Iterator[str]:
    """Yield each next decision, so that an idle node does not look stuck."""
    for key, strategy in strategies.items():
        schedule = strategy.schedule()
        if schedule is not None:
            at = next_fire(now_ns, *schedule)
            minutes = round((at - now_ns) / 60e9)
            span = f"{minutes // 60} h {minutes % 60} min"
            yield f"{key}: next decision at {moment_text(at)}, in {span}"
