"""Gates of a deployment: what the study measured, and where the same parameters have lived."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from actors.records.journal_files import NAME, holder
from actors.records.journal_reading import read
from backtests.optimize.judge import Gate, at_least, at_most
from config.documents.deploy import Deploy, DeployGates
from config.durations import DAY_NS
from live_nodes.deploy.study import StudyOutcome
from live_nodes.local.heartbeat import last_beat
from live_nodes.local.releases import Release, Releases


def deploy_gates(
    wanted: DeployGates, study: StudyOutcome, now: Release | None, then: StudyOutcome | None
) -> list[Gate]:
    """Return every gate with what was measured.

    `now` is the release that runs, and `then` its study's outcome, None where there is none.
    """
    measured = study.measured
    failed = sum(not gate.passed for gate in study.gates)
    found = [
        at_most("gates that the study failed", math.nan if not study.accepted else failed, 0),
        at_least("Sharpe out of sample", measured("sharpe"), wanted.sharpe, "sharpe"),
        at_least(
            "deflated Sharpe",
            measured("deflated_sharpe"),
            wanted.deflated_sharpe,
            "deflated_sharpe",
        ),
        at_most(
            "probability of overfitting", measured("overfitting"), wanted.overfitting, "overfitting"
        ),
        at_most("drawdown", measured("max_drawdown"), wanted.max_drawdown, "max_drawdown"),
        at_least("closed trades", measured("trades"), wanted.trades, "trades"),
    ]
    if now is not None and then is not None and now.parameters != study.parameters:
        name = f"Sharpe out of sample above that of {then.study}, release {now.number}"
        found.append(
            at_least(name, measured("sharpe") - then.measured("sharpe"), wanted.margin, "margin")
        )
    return found


def ladder_gates(wanted: Deploy, state: Path, parameters: dict[str, Any]) -> list[Gate]:
    """Return a gate for each environment in which nodes must have run the parameters before."""
    return [
        at_least(f"days on {place}", days_lived(state.parent / place, parameters), least)
        for place, least in wanted.ladder
        if least
    ]


def days_lived(state: Path, parameters: dict[str, Any]) -> float:
    """Return how many days a node has run releases of these parameters; killed runs don't count."""
    releases = Releases(state)
    known = [releases.release(number) for number in releases.numbers()]
    alike = {one.config for one in known if one.study and one.parameters == parameters}
    if not alike or not (state / NAME).exists():
        return 0.0
    pid, beat = holder(state), last_beat(state)
    with read(state) as journal:
        runs = [run for run in journal.runs(-1) if run.document in alike and not run.dry_run]
    lived = 0
    for run in runs:
        here = beat is not None and run.pid == pid == beat.pid
        end = run.ended or (min(beat.ts, time.time_ns()) if beat is not None and here else None)
        lived += max(0, end - run.started) if end is not None else 0
    return lived / DAY_NS
