"""One drill, the same in both worlds: from the first position to the released halt."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from actors.guards.core.drill import (
    BALANCE,
    Hold,
    Plan,
    Rejects,
    Scene,
    Slips,
    Stage,
    Step,
    Trade,
    Trades,
    facts_of,
)
from config.durations import SECOND_NS
from live_nodes.drill.documents import quantity
from live_nodes.drill.rows import DrillRow
from live_nodes.drill.world import (
    DrillError,
    Insist,
    Instruction,
    RefusedEntry,
    TimedVerdict,
    World,
)
from strategies.messages import Action, Verdict

HELD_WITHIN = 20.0
REFUSED_WITHIN = 10.0
RELEASED_WITHIN = 30.0
TRADES_WITHIN = 10.0
LONGEST_PAUSE = 20.0
"""Longest pause that the practice world waits for, seconds; longer ones are released by hand."""
LOOK = 0.1
STRETCH = 200.0


class DrillRun:
    """One guard's drill in one world; `row` gets the results, `deadline` is seconds to be flat."""

    def __init__(
        self, world: World, scene: Scene, plan: Plan, row: DrillRow, deadline: float
    ) -> None:
        self._world, self._scene, self._plan, self._row = world, scene, plan, row
        self._deadline = deadline
        self._numbers = itertools.count(1)
        self._insist: Insist | None = None

    def run(self) -> None:
        """Run the drill; a failure raises DrillError."""
        world, plan, row = self._world, self._plan, self._row
        row.breach, row.note = plan.breach, "; ".join(filter(None, (row.note, plan.note)))
        world.start()
        for step in plan.before:
            self._do(step)
        early = [timed for timed in world.verdicts() if timed.verdict.action != Action.NONE]
        if early:
            raise DrillError(f"a verdict came before the breach: {_words(early[0].verdict)}")
        if plan.stages:
            self._halted()
        else:
            self._refused_at_the_gate()
        row.injected = world.injected
        row.passed = True

    def _halted(self) -> None:
        row, stages = self._row, self._plan.stages
        row.expected = _action(stages[-1].action, stages[-1].multiplier)
        for stage in stages:
            timed, seconds = self._breached(stage)
            if stage is not stages[-1]:
                row.stages.append(f"{_action(stage.action, stage.multiplier)} at {stage.key}")
        verdict = timed.verdict
        row.scope, row.key, row.verdict_s = verdict.scope, stages[-1].key, seconds
        row.measured, row.limit = verdict.measured, verdict.limit
        row.seen = _action(verdict.action, verdict.multiplier)
        if row.seen != row.expected:
            raise DrillError(f"the verdict was {row.seen}, not {row.expected}")
        if verdict.action == Action.FLATTEN:
            self._flat(timed)
        self._refused(timed)
        for step in self._plan.after:
            self._do(step)
        self._kept(verdict)
        self._released(verdict)
        self._trades_again()

    def _breached(self, stage: Stage) -> tuple[TimedVerdict, float]:
        world = self._world
        known = len(world.verdicts())
        for step in stage.steps[:-1]:
            self._do(step)
        began = self._do(stage.steps[-1])

        def came() -> TimedVerdict | None:
            return next(
                (
                    timed
                    for timed in world.verdicts()[known:]
                    if timed.verdict.scope == stage.scope
                    and timed.verdict.action == stage.action
                    and abs(timed.verdict.multiplier - stage.multiplier) < 1e-9
                ),
                None,
            )

        found = self._until(came, stage.within)
        if found is None:
            others = [_words(timed.verdict) for timed in world.verdicts()[known:]]
            instead = f"; its verdicts were {' | '.join(others)}" if others else ""
            wanted = f"{_action(stage.action, stage.multiplier)} on {stage.scope}"
            raise DrillError(f"no {wanted} within {stage.within:g} s of the breach{instead}")
        return found, max(0.0, (found.at - began) / SECOND_NS)

    def _flat(self, timed: TimedVerdict) -> None:
        world = self._world
        if not self._until(lambda: not self._in_scope(timed.verdict.scope), self._deadline):
            left = ", ".join(f"{name} {held}" for name, held in sorted(world.positions().items()))
            raise DrillError(f"not flat within {self._deadline:g} s: {left}")
        self._row.flat_s = max(0.0, (world.now() - timed.at) / SECOND_NS)

    def _in_scope(self, scope: str) -> dict[str, Decimal]:
        held = self._world.positions()
        if not scope.startswith("instrument:"):
            return held
        return {k: v for k, v in held.items() if k == scope.removeprefix("instrument:")}

    def _refused(self, timed: TimedVerdict) -> None:
        world, row = self._world, self._row
        before, held = len(world.refusals()), world.positions()
        self._insist_on_entries(timed.verdict)
        shrunk = timed.verdict.action == Action.SHRINK
        mine = lambda: self._mine(world.refusals()[before:], shrunk)  # noqa: E731
        if not self._until(lambda: len(mine()) >= 3, REFUSED_WITHIN):
            over = "" if self._stands(timed.verdict) else ", which was over again by then"
            raise DrillError(
                f"entries were not refused after the verdict{over}{self._reasons(before)}"
            )
        if timed.verdict.action >= Action.HALT_ENTRIES:
            grown = _grown(held, world.positions())
            if grown:
                raise DrillError(f"entries were filled although the halt stands: {grown}")
        row.refused = len(mine())

    def _mine(self, entries: Iterable[RefusedEntry], shrunk: bool = False) -> list[RefusedEntry]:
        # The code of a refusal for a smaller size is "exposure".
        return [
            entry
            for entry in entries
            if (entry.refusal.code == "exposure") == shrunk
            and (shrunk or entry.refusal.guard == self._scene.key)
        ]

    def _insist_on_entries(self, verdict: Verdict) -> None:
        name, plan, scene = self._plan.insist, self._plan, self._scene
        weight = plan.weight
        if verdict.action == Action.SHRINK:
            # More leverage than the smaller size allows, less than the full limit.
            gross = sum(
                abs(float(size * self._world.price(instrument)))
                for instrument, size in self._world.positions().items()
            )
            weight = scene.leverage * (1 + verdict.multiplier) / 2 - gross / float(BALANCE)
        size = self._quantity(name, weight)
        self._insist = Insist(instrument=name, quantity=f"{size:f}")
        self._instruct(insist=self._insist)

    def _kept(self, verdict: Verdict) -> None:
        row, world = self._row, self._world
        if not self._stands(verdict):
            row.kept = "over by then"
            return
        found = world.restart(Instruction(number=next(self._numbers), insist=self._insist))
        same = [v for v in found.standing if (v.scope, v.action) == (verdict.scope, verdict.action)]
        if not same:
            stood = " | ".join(_words(v) for v in found.standing) or "nothing"
            row.kept = "no"
            raise DrillError(f"the halt was gone after the restart; there stood {stood}")
        row.kept = "yes"
        row.refused += len(self._mine(found.refusals, verdict.action == Action.SHRINK))

    def _released(self, verdict: Verdict) -> None:
        world, row, plan = self._world, self._row, self._plan
        self._instruct()
        for step in plan.mend:
            self._do(step)
        words = []
        if plan.release == "recovered":
            if not self._until(lambda: not self._stands(verdict), RELEASED_WITHIN):
                raise DrillError(f"the breach is gone, but {_words(verdict)} still stands")
            row.released = "recovered"
            return
        seconds = None if verdict.until is None else (verdict.until - world.now()) / SECOND_NS
        waits = seconds is not None and (world.name == "backtest" or seconds < LONGEST_PAUSE)
        if seconds is not None and waits:
            self._world.advance(max(0.0, seconds))
            if self._until(lambda: not self._stands(verdict), 5.0):
                row.released = f"after {plan.release}"
                return
            words.append("not by time, as the limit is still reached")
        refused = world.release(verdict.scope, accept=False)
        if refused:
            words.append("release refused while breached")
            refused = world.release(verdict.scope, accept=True)
            words.append("--accept")
        else:
            words.append("by hand")
        if refused:
            raise DrillError(f"release --accept was refused: {refused}")
        if not self._until(lambda: not self._stands(verdict), RELEASED_WITHIN):
            raise DrillError("released, but the halt stands")
        row.released = ", ".join(words)

    def _trades_again(self) -> None:
        world, plan = self._world, self._plan
        held, refused = world.positions(), len(world.refusals())
        size = f"{self._quantity(plan.insist, plan.weight):f}"
        again = (Trade(instrument=plan.insist, quantity=size),)
        self._instruct(trades=again)
        if not self._until(lambda: _grown(held, world.positions()), TRADES_WITHIN):
            why = self._reasons(refused)
            raise DrillError(f"the halt is over, but no entry was filled{why}")

    def _stands(self, verdict: Verdict) -> bool:
        newest: dict[str, Verdict] = {}
        for timed in self._world.verdicts():
            newest[timed.verdict.scope] = timed.verdict
        found = newest.get(verdict.scope)
        return found is not None and found.action == verdict.action

    def _refused_at_the_gate(self) -> None:
        world, row = self._world, self._row
        row.expected = "refused"
        before, began = len(world.refusals()), world.now()
        for step in self._plan.refused:
            began = self._do(step)
        mine = self._until(lambda: self._mine(world.refusals()[before:]), REFUSED_WITHIN)
        if not mine:
            raise DrillError(f"no entry was refused{self._reasons(before)}")
        row.verdict_s = (mine[0].at - began) / SECOND_NS
        row.seen, row.refused = "refused", len(mine)
        row.scope = self._scene.desk
        row.kept, row.released = "over at once", "passes by itself"

    def _do(self, step: Step) -> int:
        if isinstance(step, Hold):
            return self._hold(step)
        if isinstance(step, Trades):
            # One price for many orders at one moment: the exchange limits requests.
            sized = cache(self._quantity)
            return self._trade(
                [
                    msgspec.structs.replace(
                        trade, quantity=f"{sized(trade.instrument, weight) if weight else 0:f}"
                    )
                    for trade, weight in step.trades
                ]
            )
        began = self._world.perform(step)
        if isinstance(step, Slips | Rejects):
            size = f"{self._quantity(step.instrument, step.weight):f}"
            return self._trade(
                [
                    Trade(after=n * step.every, instrument=step.instrument, quantity=size)
                    for n in range(step.times)
                ]
            )
        return began

    def _hold(self, step: Hold) -> int:
        wanted = {name: self._quantity(name, weight) for name, weight in step.weights.items()}
        hold = {name: f"{size:f}" for name, size in wanted.items()}
        self._instruct(hold=hold)

        def reached() -> bool:
            held = self._world.positions()
            return all(held.get(name, Decimal(0)) == size for name, size in wanted.items())

        if not self._until(reached, HELD_WITHIN):
            why = f"holds {self._world.positions()}{self._reasons(0)}"
            raise DrillError(f"could not hold {hold}: {why}")
        return self._world.now()

    def _trade(self, trades: list[Trade]) -> int:
        self._instruct(trades=tuple(trades))
        left = max(trade.after for trade in trades)
        while left > 0:
            # In a longer stretch the backtest's prices, and so its fills, are further apart.
            self._world.advance(min(left, STRETCH))
            left -= STRETCH
        return self._world.now()

    def _quantity(self, name: str, weight: float) -> Decimal:
        return quantity(weight, self._world.price(name), facts_of(name).lot)

    def _instruct(self, **what: Any) -> None:
        self._world.instruct(Instruction(number=next(self._numbers), **what))

    def _reasons(self, known: int) -> str:
        reasons = {str(entry.refusal) for entry in self._world.refusals()[known:]}
        return f"; refused: {' | '.join(sorted(reasons))}" if reasons else ""

    def _until[T](self, found: Callable[[], T], seconds: float) -> T:
        until = self._world.now() + round(seconds * SECOND_NS)
        while not (result := found()) and self._world.now() < until:
            self._world.advance(LOOK)
        return result


def _grown(before: dict[str, Decimal], after: dict[str, Decimal]) -> str:
    zero = Decimal(0)
    return ", ".join(
        f"{name} {before.get(name, zero):f} -> {size:f}"
        for name, size in sorted(after.items())
        if abs(size) > abs(before.get(name, zero))
    )


def _action(action: Action, multiplier: float) -> str:
    name = Action(action).name.lower()
    return f"{name} {multiplier:g}" if action == Action.SHRINK else name


def _words(verdict: Verdict) -> str:
    name = _action(verdict.action, verdict.multiplier)
    return f"{name} on {verdict.scope}: {verdict.reason}"
