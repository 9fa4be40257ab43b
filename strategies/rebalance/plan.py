"""Saved progress of a rebalancer: the last stamp done, and the plan under way. Pure.

A plan is saved before its first order is sent and removed when no order of it is under way and no
leg waits for a passing condition. So a restart finishes what was begun, and nothing is begun twice.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from strategies.messages import Target
from strategies.rebalance.memory import NO_MEMORY, Memory
from strategies.sizing.rounding import ZERO
from strategies.state import decoded

STATE = "rebalance"


class Change(NamedTuple):
    """Order in an instrument and the position held before it: signed base coin."""

    instrument: str
    held: Decimal
    order: Decimal

    @property
    def target(self) -> Decimal:
        """Position after the fill."""
        return self.held + self.order


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Target positions of a rebalance or an exit.

    ``stamp`` is the time of the schedule that it serves, None when a guard caused it; ``made`` is
    when it was made; UNIX nanoseconds (UTC). ``kind`` is ``rebalance`` or ``flatten``. ``targets``
    are signed base coin, of each instrument that gets an order; ``before`` was held before it.
    """

    stamp: int | None
    made: int
    kind: str
    targets: dict[str, Decimal]
    before: dict[str, Decimal] = {}

    def lacking(self, held: Mapping[str, Decimal]) -> list[Change]:
        """Return the orders still missing from these positions, sorted by instrument."""
        return [
            Change(name, held[name], target - held[name])
            for name, target in sorted(self.targets.items())
            if held[name] != target
        ]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of a strategy's schedule.

    ``done`` is the newest stamp that is carried out or given up, None before the first; ``plan`` is
    under way. ``memory`` is that of the last decision that was carried out.
    """

    done: int | None = None
    plan: Plan | None = None
    memory: Memory = NO_MEMORY

    @property
    def decided(self) -> int | None:
        """Newest stamp that is done or under way."""
        served = None if self.plan is None else self.plan.stamp
        stamps = [stamp for stamp in (self.done, served) if stamp is not None]
        return max(stamps, default=None)

    def begun(self, kind: str, made: int, stamp: int | None, changes: Iterable[Change]) -> Progress:
        """Return the progress after a decision; without changes it is done."""
        changes = list(changes)
        targets = {change.instrument: change.target for change in changes}
        before = {change.instrument: change.held for change in changes}
        if kind == "flatten" and self.plan is not None:
            # What was under way in other instruments goes on, and its stamp is still served.
            targets, before = self.plan.targets | targets, self.plan.before | before
            stamp = self.plan.stamp if stamp is None else stamp
        plan = Plan(stamp=stamp, made=made, kind=kind, targets=targets, before=before)
        progress = msgspec.structs.replace(self, plan=plan)
        return progress if targets else progress.finished()

    def only(self, instruments: Container[str]) -> Progress:
        """Return the progress with the plan reduced to the legs in some instruments."""
        plan = self.plan
        assert plan is not None
        targets = {name: plan.targets[name] for name in plan.targets if name in instruments}
        return msgspec.structs.replace(self, plan=msgspec.structs.replace(plan, targets=targets))

    def finished(self) -> Progress:
        """Return the progress after the plan is finished or given up."""
        return msgspec.structs.replace(self, done=self.decided, plan=None)


def changes_of(targets: Iterable[Target]) -> list[Change]:
    """Return the orders in a decision's lines."""
    return [
        Change(target.instrument, Decimal(target.current), order)
        for target in targets
        if (order := Decimal(target.order)) != ZERO
    ]


def exits_first(changes: Iterable[Change]) -> list[Change]:
    """Return the changes with exits first: they free balance for the entries."""
    return sorted(changes, key=lambda change: abs(change.target) > abs(change.held))


def encode(progress: Progress) -> bytes:
    """Return the progress as JSON."""
    return msgspec.json.encode(progress)


def decode(saved: bytes | None, strategy: str) -> Progress:
    """Return the saved progress, an empty one when none was saved.

    Raises DeskError when it can't be read: to continue could repeat a rebalance.
    """
    return decoded(saved, Progress, strategy, STATE) or Progress()
