"""Changes of pairs that a decision plans, and the message of a decision. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from strategies.hedged.book import PairBook, Plan, Result
from strategies.hedged.positions import Holding
from strategies.messages import Decision, Target
from strategies.tactics.two_leg import NONE

ZERO = Decimal(0)
NOTHING = Holding(("", ""))


class Change(Protocol):
    """An entry or an exit that is wanted, a named tuple."""

    @property
    def words(self) -> str:
        """What and why, for a person."""

    def _asdict(self) -> dict[str, Any]: ...


@dataclass
class Planned[M]:
    """Changes of pairs to carry out, with the decisions' memory, and what is said of them.

    ``reasons`` are by instrument id, ``events`` kind and facts of a `messages.PairEvent`.
    ``skipped`` are the pairs not entered until their z-score is back, and why.
    """

    memory: M
    plans: list[Plan] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    skipped: Mapping[str, Any] = field(default_factory=dict)

    def add(self, what: Change, plan: Plan) -> None:
        """Add a change, and what is said of it."""
        kind, verb = ("enter", "enter") if plan.goal != NONE else ("leave", "exit")
        self.plans.append(plan)
        self.words.append(what.words)
        self.events.append((kind, what._asdict()))
        self.reasons |= dict.fromkeys(plan.legs, f"{verb} {plan.pair}")


def cut_words(before: PairBook, result: Result) -> tuple[list[str], dict[str, str]]:
    """Return words and reasons by instrument for targets that changed without a decision."""
    book, ended = result
    cuts = {end.pair: end.cut for end in ended}
    cuts |= {name: change.cut for name, change in book.changes.items()}
    words, reasons = list[str](), dict[str, str]()
    for name, pair in (before.pairs | book.pairs).items():
        old, new = (found.pairs.get(name, NOTHING).target for found in (before, book))
        if old != new:
            words.append(f"{name}: cut to what both legs have ({cuts.get(name) or 'lost'})")
            reasons |= dict.fromkeys(pair.legs, f"cut {name}")
    return words, reasons


def decision_of(
    book: PairBook,
    held: Mapping[str, Decimal],
    price_of: Callable[[str], Decimal | None],
    equity: Decimal,
    reasons: Mapping[str, str],
    scores: Mapping[str, float] = {},
    **about: Any,
) -> Decision:
    """Return the message of a decision; ``about`` are its other fields, ``scores`` by pair."""
    goals, parts = book.goals(), dict[str, dict[str, str]]()
    for name, pair in book.pairs.items():
        for leg, quantity in zip(pair.legs, pair.target, strict=True):
            parts.setdefault(leg, {})[name] = f"{quantity:f}"
    targets = list[Target]()
    for name in sorted(goals.keys() | held.keys()):
        have, goal, price = held.get(name, ZERO), goals.get(name, ZERO), price_of(name)
        value = goal * (price or ZERO)
        targets.append(
            Target(
                instrument=name,
                price=None if price is None else float(price),
                score=next((scores[pair] for pair in parts.get(name, ()) if pair in scores), None),
                weight=float(value / equity) if equity else 0.0,
                current=f"{have:f}",
                target=f"{goal:f}",
                order=f"{goal - have:f}",
                reason=reasons.get(name, ""),
                parts=parts.get(name, {}),
            )
        )
    weights = [target.weight for target in targets]
    gross, net = sum(map(abs, weights)), sum(weights)
    return Decision(equity=f"{equity:f}", gross=gross, net=net, targets=tuple(targets), **about)
