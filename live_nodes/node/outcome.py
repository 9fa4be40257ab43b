"""What a decision wanted and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from strategies.messages import Decision

ZERO = Decimal(0)
_SHOWN = 5


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
    decision : Decision
        That was carried out.
    held : mapping of str to Decimal
        The strategy's positions now, signed base coin by instrument id.
    smallest : callable
        Quantity of an instrument's smallest order, base coin: what is less than that apart can't
        be traded, and is no miss.
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


def in_words(decision: Decision, missed: list[Miss]) -> str:
    """Return what became of a decision, for the person who watches."""
    orders = sum(Decimal(target.order) != ZERO for target in decision.targets)
    words = f"{decision.strategy}: {decision.kind} carried out, {orders - len(missed)} of {orders}"
    words += f" position{'' if orders == 1 else 's'} where wanted"
    more = f" and {len(missed) - _SHOWN} more" if len(missed) > _SHOWN else ""
    return words + "".join(f"; {miss}" for miss in missed[:_SHOWN]) + more
