"""Gates of a deployment: what the study measured, and where the same parameters have lived."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from actors.records.journal_files import NAME, holder
from actors.records.journal_reading import read
from backtests.optimize.judge import Gate, at_least, at_most
from config.documents.deploy import DeployGates, Ladder
from config.durations import DAY_NS
from live_nodes.deploy.study import StudyOutcome
from live_nodes.local.heartbeat import last_beat
from live_nodes.local.releases import Release, Releases

MEASURES = {
    "sharpe": ("Sharpe out of sample", at_least),
    "deflated_sharpe": ("deflated Sharpe", at_least),
    "overfitting": ("probability of overfitting", at_most),
    "max_drawdown": ("drawdown", at_most),
    "trades": ("closed trades", at_least),
}
"""Gates by the setting that the study measured: their names, and which side passes."""


def deploy_gates(wanted: DeployGates, study: StudyOutcome, now: Release | None) -> list[Gate]:
    """Return every gate with what was measured; `now` is the release that runs."""
    # One that was stopped, or whose hold-out was seen, may have no gate that failed.
    failed = max(sum(not gate.passed for gate in study.gates), not study.accepted)
    found = [at_most("gates that the study failed", failed, 0)]
    for key, (name, limited) in MEASURES.items():
        found.append(limited(name, study.measured(key), getattr(wanted, key), key))
    if now is not None and now.study and now.parameters != study.parameters:
        name = f"Sharpe out of sample above that of {now.study}, release {now.number}"
        before = next(row["measured"] for row in now.gates if row["key"] == "sharpe")
        found.append(at_least(name, study.measured("sharpe") - before, wanted.margin, "margin"))
    return found


def ladder_gates(wanted: Ladder, state: Path, parameters: dict[str, Any]) -> list[Gate]:
    """Return a gate for each environment in which nodes must have run the parameters before."""
    return [
        at_least(f"days on {place}", days_lived(state.parent / place, parameters), least)
        for place, least in wanted
        if least
    ]


def days_lived(state: Path, parameters: dict[str, Any]) -> float:
    """Return how many days a node has run releases of these parameters; killed runs don't count."""
    releases = Releases(state)
    known = map(releases.release, releases.numbers())
    alike = {one.config for one in known if one.study and one.parameters == parameters}
    if not alike or not (state / NAME).exists():
        return 0.0
    with read(state) as journal:
        runs = journal.runs(-1)
    pid, beat, lived = holder(state), last_beat(state), 0
    for run in runs:
        end = run.ended
        # Process numbers come again, in a container with every start.
        if run is runs[0] and end is None and beat is not None and run.pid == pid == beat.pid:
            end = min(beat.ts, time.time_ns())
        if end is not None and run.document in alike and not run.dry_run:
            lived += max(0, end - run.started)
    return lived / DAY_NS
