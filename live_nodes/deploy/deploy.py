"""Write a release of a node and let it run, or let an earlier one run again."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from actors.records.journal_files import NAME, holder
from actors.records.journal_reading import read
from backtests.optimize.judge import Gate, at_least, at_most
from backtests.studies.search_space import settings
from config.documents import Node
from config.documents.deploy import Canary
from config.errors import DeskError, DocumentErrors, GateRefused, InputError
from config.load import examine, load
from config.resolved import MISSING, Resolved, ValueDifference, difference
from config.validate import checked
from live_nodes.deploy.gates import deploy_gates, ladder_gates
from live_nodes.deploy.rules import lost_halts
from live_nodes.deploy.study import BEST, StudyOutcome, outcome_of, study_of
from live_nodes.local.folder import releases_of
from live_nodes.local.releases import DOCUMENT, RUNS, STUDY, Move, Release, Releases, user
from strategies.messages import Verdict

STUDIED = ("universe", "strategies", "actors", "risk")
"""Parts of a document that a study tests."""


@dataclass(frozen=True)
class Plan:
    """A deployment that nothing has been written of yet.

    `runs` is the document that runs now, `differences` are from it, `unstudied` from the study's
    best backtest.
    """

    releases: Releases
    now: Release | None
    runs: Resolved
    source: Resolved
    new: Resolved
    outcome: StudyOutcome
    study: bytes
    gates: list[Gate]
    canary: Canary | None
    differences: list[ValueDifference]
    unstudied: list[ValueDifference]

    @property
    def failed(self) -> list[Gate]:
        """Gates that refuse it."""
        return [gate for gate in self.gates if not gate.passed]


def plan(file: Path, study: Path | None, *, skip_ladder: bool = False) -> Plan:
    """Measure everything of a deployment; nothing is written.

    Without `study`, the parameters of the release that runs are put on the document as it is now.
    Raises DocumentErrors or InputError where the document or the study is wrong.
    """
    releases = releases_of(file)
    move = releases.current()
    now = None if move is None else releases.release(move.number, whole=False)
    then = None if now is None else study_of(releases, now)
    text, outcome = _study(releases, now, study)
    source = checked(file)
    try:
        new = checked(file, settings(outcome.parameters))
    except DocumentErrors as errors:
        raise InputError(f"{file}: the study's parameters do not fit it:\n{errors}") from None
    node: Node = new.document
    place = releases.folder.parent.name
    gates = deploy_gates(node.deploy.gates, outcome, now, then)
    if place == "mainnet" and not skip_ladder:
        gates += ladder_gates(node.deploy, releases.folder.parent, outcome.parameters)
    canary = node.deploy.canary if place in node.deploy.canary.environments else None
    if canary is not None:
        known = _known_days(outcome)
        gates.append(at_least("days of the study's Monte Carlo band", known, canary.days))
    state = releases.folder.parent
    # The file may have changed since a running node read it.
    file = state / RUNS if holder(state) is not None and (state / RUNS).exists() else file
    file = file if now is None else releases.of(now.number) / DOCUMENT
    # One that this version reads no more is no reason to keep it.
    runs = examine(file)[0] or source
    lost = lost_halts(runs.document, node, _standing(state))
    if lost:
        gates.append(at_most(f"halts of guards that it lacks: {', '.join(lost)}", len(lost), 0))
    return Plan(
        releases=releases,
        now=now,
        runs=runs,
        source=source,
        new=new,
        outcome=outcome,
        study=text,
        gates=gates,
        canary=canary,
        differences=difference(runs, new),
        unstudied=[] if study is None or not outcome.accepted else _unstudied(study, new),
    )


def _study(
    releases: Releases, now: Release | None, study: Path | None
) -> tuple[bytes, StudyOutcome]:
    if study is not None:
        file = study / BEST
    elif now is not None and now.study:
        file = releases.of(now.number) / STUDY
    else:
        raise InputError(
            "--study DIR: no release of a study runs, whose parameters could be kept; name the "
            "folder of one, such as results/studies/xs_reversal_quick"
        )
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: can't be read ({error.strerror}); run the study first") from None
    return text, outcome_of(text, file)


def _standing(state: Path) -> list[Verdict]:
    if not (state / NAME).exists():
        return []
    with read(state) as journal:
        return [verdict for _, verdict in journal.standing()]


def _known_days(outcome: StudyOutcome) -> int:
    band = outcome.monte_carlo.band
    pairs = zip(band.lower_pct, band.upper_pct, strict=False)
    return len([*takewhile(lambda pair: None not in pair, pairs)])


def _unstudied(study: Path, new: Resolved) -> list[ValueDifference]:
    rows = difference(load(study / "best.yaml"), new)
    lacking = tuple(
        row.path.removesuffix("use")
        for row in rows
        if row.path.endswith(".use") and MISSING in (row.left, row.right)
    )
    return [
        row
        for row in rows
        if row.path.split(".")[0] in STUDIED
        and (row.path.endswith(".use") or not row.path.startswith(lacking))
    ]


def deploy(plan: Plan, reason: str) -> Move:
    """Write a planned release and let it run; return the move to it.

    Raises GateRefused where a gate fails, or another release runs meanwhile.
    """
    if plan.failed:
        raise GateRefused(
            f"{plan.new.document.name}: refused, nothing is released: "
            + ", ".join(gate.name for gate in plan.failed)
        )
    releases, now, moves = plan.releases, plan.now, []
    with releases.locked():
        _unmoved(releases, None if now is None else now.number)
        if now is None:
            why = "as it was before the first release"
            now = releases.write(
                {DOCUMENT: plan.runs.to_yaml().encode()},
                reason=why,
                before=None,
                config=plan.runs.config_hash,
                source=plan.runs.config_hash,
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
            gates=[
                gate._asdict()
                | {"measured": gate.measured if math.isfinite(gate.measured) else None}
                for gate in plan.gates
            ],
            provenance=plan.outcome.provenance,
        )
        file = releases.document(made.number)
        if load(file).config_hash != made.config:
            raise DeskError(f"{file}: is not read as it was written; it is not run")
        moves.append(_move(releases, made.number, reason, "deploy", plan.canary))
        releases.move(*moves)
    return moves[-1]


def rollback(file: Path, to: int | None, reason: str) -> tuple[Move, list[ValueDifference]]:
    """Let an earlier release run, as its files are; by default the one before the present.

    Return the move, and what changes by it.
    """
    releases = releases_of(file)
    with releases.locked():
        move = releases.current()
        if move is None:
            raise InputError(f"{file}: nothing was ever released, so there is no way back")
        now = releases.release(move.number, whole=False) if to is None else None
        target = to if now is None else now.before
        if target is None:
            raise InputError(f"release {move.number} is the first; --to N names another")
        if target == move.number:
            raise InputError(f"release {target} runs already")
        new = checked(releases.document(target))
        # What runs may be broken: this is the way out.
        old, _ = examine(releases.of(move.number) / DOCUMENT)
        node: Node = new.document
        place = releases.folder.parent.name
        canary = node.deploy.canary if place in node.deploy.canary.environments else None
        found = _move(releases, target, reason, "rollback", canary)
        releases.move(found)
    return found, [] if old is None else difference(old, new)


def _move(
    releases: Releases,
    number: int,
    why: str,
    kind: Literal["deploy", "rollback"],
    canary: Canary | None,
) -> Move:
    small: dict[str, Any] = {}
    if canary is not None and not releases.is_full(number):
        small = {"size": canary.size, "days": canary.days}
    return Move(number=number, ts=time.time_ns(), by=user(), why=why, kind=kind, **small)


def _unmoved(releases: Releases, number: int | None) -> None:
    move = releases.current()
    if (None if move is None else move.number) != number:
        raise GateRefused("another release runs since this one was planned: deploy again")
