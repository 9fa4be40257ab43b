"""Write a release of a node and let it run, or let an earlier one run again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from actors.records.journal_files import holder
from backtests.optimize.judge import Gate, at_least
from backtests.studies.search_space import settings
from config.documents import Node
from config.errors import DeskError, DocumentErrors, GateRefused, InputError
from config.load import examine, load
from config.resolved import MISSING, Resolved, ValueDifference, difference
from config.validate import checked
from live_nodes.deploy.gates import deploy_gates, ladder_gates
from live_nodes.deploy.study import StudyOutcome, outcome_of
from live_nodes.local.actions import user
from live_nodes.local.folder import releases_of
from live_nodes.local.releases import DOCUMENT, RUNS, STUDY, Move, Release, Releases

STUDIED = ("universe", "strategies", "actors", "risk")
"""Parts of a document that a study tests."""


@dataclass(frozen=True)
class Plan:
    """A deployment that nothing has been written of yet.

    `now` is the release that runs, `runs` its document, or that of a node without releases. `new`
    is `source` with the study's parameters. `unstudied` is what its best backtest has otherwise.
    """

    releases: Releases
    now: Release | None
    runs: Resolved
    source: Resolved
    new: Resolved
    outcome: StudyOutcome
    study: bytes
    gates: list[Gate]
    unstudied: list[ValueDifference]

    @property
    def failed(self) -> list[Gate]:
        """Gates that refuse it."""
        return [gate for gate in self.gates if not gate.passed]

    @property
    def differences(self) -> list[ValueDifference]:
        """Return the values that change."""
        return difference(self.runs, self.new)


def plan(file: Path, study: Path | None, *, skip_ladder: bool = False) -> Plan:
    """Measure everything of a deployment; nothing is written.

    Without `study`, the parameters of the release that runs are put on the document as it is now.
    Raises DocumentErrors or InputError where the document or the study is wrong.
    """
    releases = releases_of(file)
    state, move = releases.state, releases.current()
    now = None if move is None else releases.release(move.number)
    text = _study(releases, now, study)
    outcome = outcome_of(text, file if study is None else study)
    source = checked(file)
    try:
        new = checked(file, settings(outcome.parameters))
    except DocumentErrors as errors:
        raise InputError(f"{file}: the study's parameters do not fit it:\n{errors}") from None
    node: Node = new.document
    gates = deploy_gates(node.deploy.gates, outcome, now)
    if state.name == "mainnet" and not skip_ladder:
        gates += ladder_gates(node.deploy.ladder, state, outcome.parameters)
    if small := _canary(releases, node, None):
        known = len(outcome.monte_carlo.band.days)
        gates.append(at_least("days of the study's Monte Carlo band", known, small["days"]))
    # The file may have changed since a running node read it.
    read_by_node = state / RUNS if holder(state) is not None and (state / RUNS).exists() else file
    # A release that this version reads no more is no reason to keep it.
    runs = examine(read_by_node if now is None else releases.of(now.number) / DOCUMENT)[0] or source
    unstudied = [] if study is None or not outcome.accepted else _unstudied(study, new)
    return Plan(releases, now, runs, source, new, outcome, text, gates, unstudied)


def _study(releases: Releases, now: Release | None, study: Path | None) -> bytes:
    if study is None and now is not None and now.study:
        return releases.read(now.number, STUDY)
    if study is None:
        raise InputError(
            "--study DIR: no release of a study runs, whose parameters could be kept; name the "
            "folder of one, such as results/studies/xs_reversal_quick"
            + ("" if now is None else f"; or move {releases.folder} away: the document runs again")
        )
    try:
        return (study / "best.json").read_bytes()
    except OSError as error:
        raise InputError(
            f"{study}/best.json: can't be read ({error.strerror}); run the study first"
        ) from None


def _unstudied(study: Path, new: Resolved) -> list[ValueDifference]:
    """Return what the study's best backtest has otherwise; a component that one lacks, once."""
    rows = difference(load(study / "best.yaml"), new)
    rows = [row for row in rows if row.path.split(".")[0] in STUDIED]
    uses = [row for row in rows if row.path.endswith(".use")]
    lacking = [row.path[: -len("use")] for row in uses if MISSING in (row.left, row.right)]
    return [row for row in rows if row in uses or not row.path.startswith(tuple(lacking))]


def deploy(plan: Plan, reason: str) -> Move:
    """Write a planned release and let it run; return the move to it.

    Raises GateRefused where a gate fails, or another release runs meanwhile.
    """
    if plan.failed:
        names = ", ".join(gate.name for gate in plan.failed)
        raise GateRefused(f"{plan.new.document.name}: refused, nothing is released: {names}")
    releases, now, moves = plan.releases, plan.now, []
    with releases.locked():
        move = releases.current()
        if (move and move.number) != (now and now.number):
            raise GateRefused("another release runs since this one was planned: deploy again")
        if now is None:
            why, config = "as it was before the first release", plan.runs.config_hash
            text = plan.runs.to_yaml().encode()
            now = releases.write(
                {DOCUMENT: text}, reason=why, before=None, config=config, source=config
            )
            moves.append(Move(number=now.number, ts=now.made, by=now.by, why=why, kind="deploy"))
        made = releases.write(
            {DOCUMENT: plan.new.to_yaml().encode(), STUDY: plan.study},
            reason=reason,
            before=now.number,
            config=plan.new.config_hash,
            source=plan.source.config_hash,
            study=plan.outcome.study,
            parameters=plan.outcome.parameters,
            gates=[gate._asdict() for gate in plan.gates],
            provenance=plan.outcome.provenance,
        )
        file = releases.document(made.number)
        if load(file).config_hash != made.config:
            raise DeskError(f"{file}: is not read as it was written; it is not run")
        moves.append(_move(releases, plan.new.document, made.number, reason, "deploy"))
        releases.move(*moves)
    return moves[-1]


def rollback(
    file: Path,
    to: int | None,
    reason: str,
    agreed: Callable[[list[ValueDifference]], None] = lambda changes: None,
) -> Move:
    """Let an earlier release run, as its files are; by default the one before the present.

    `agreed` gets what changes by it, and raises to leave all as it is.
    """
    releases = releases_of(file)
    with releases.locked():
        move = releases.current()
        if move is None:
            raise InputError(f"{file}: nothing was ever released, so there is no way back")
        target = releases.release(move.number).before if to is None else to
        if target is None:
            raise InputError(f"release {move.number} is the first; --to N names another")
        if target == move.number:
            raise InputError(f"release {target} runs already")
        new = checked(releases.document(target))
        # What runs may be broken: this is the way out.
        old, _ = examine(releases.of(move.number) / DOCUMENT)
        agreed([] if old is None else difference(old, new))
        found = _move(releases, new.document, target, reason, "rollback")
        releases.move(found)
    return found


def _move(
    releases: Releases, node: Node, number: int, why: str, kind: Literal["deploy", "rollback"]
) -> Move:
    small = _canary(releases, node, releases.last(number))
    return Move(number=number, ts=time.time_ns(), by=user(), why=why, kind=kind, **small)


def _canary(releases: Releases, node: Node, last: Move | None) -> dict[str, Any]:
    """Return how small a release begins, and for how long; nothing once it had its full size."""
    canary = node.deploy.canary
    full = releases.state.name not in canary.environments or (last is not None and not last.days)
    return {} if full else {"size": canary.size, "days": canary.days}
