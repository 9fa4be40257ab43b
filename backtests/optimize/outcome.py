"""What a study leaves: best.json, report.html, all trials in Parquet, and best.yaml if accepted."""

from __future__ import annotations

import json
import os
import time
from operator import ge
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from backtests.optimize import judge, report
from backtests.optimize.dashboard import JOURNAL
from backtests.optimize.identity import provenance
from backtests.optimize.plan import Found
from backtests.optimize.robustness import known
from backtests.report.page import write_page
from backtests.studies.selection import min_track_record, moments
from config.durations import minute_text
from config.load import parse_path
from config.shipped import PREFIX

WRITTEN = ("best.json", "best.yaml", "trials.parquet", "report.html", JOURNAL, f"{JOURNAL}.lock")
"""Files of a study's folder."""
AS_THEY_ARE = (
    *("accepted", "monte_carlo", "stress", "stress_refused", "sensitivity", "stability"),
    "known_before",
)
"""What best.json has of a study without a change."""


def summary(found: Found) -> dict[str, Any]:
    """Return the study's outcome as plain values, as best.json has it."""
    outside = found.out_of_sample
    start, end = map(minute_text, found.window)
    return {
        "study": found.study.name,
        **{name: getattr(found, name) for name in AS_THEY_ARE},
        "window": [start, end],
        "hold_out": None if found.held is None else list(map(minute_text, found.held)),
        "hold_out_seen_by": found.held_seen,
        "hold_out_refused": found.held_refused,
        "objective": found.study.objective,
        "parameters": found.candidates[found.best],
        "figures": found.figures[found.best],
        "out_of_sample": None
        if outside is None
        else {
            "days": int(outside.days.sum()),
            "sharpe": known(outside.sharpe()),
            "max_drawdown": known(outside.max_drawdown()),
            "chosen": [found.candidates[i] if i >= 0 else None for i in outside.chosen],
        },
        "gates": [gate._asdict() | {"measured": known(gate.measured)} for gate in found.gates],
        "min_track_record_days": known(min_track_record(moments(found.full[found.best]))),
        "screen_rank_correlation": known(found.fidelity),
        "screen_sample": len(found.sample),
        "without_effect": found.dead,
        "not_seen_by_the_screen": found.unseen,
        "screened": len(found.screened),
        "run": len(found.figures),
        "refused": len(found.refused),
        "stopped": len(found.stopped),
        "front": front(found),
        "trials_on_the_data": found.trials,
        "seed": found.study.seed,
        "seeds_before": [[seed, known(measured)] for seed, measured in found.seeds],
        "provenance": provenance(found.base),
    }


def front(found: Found) -> list[dict[str, Any]]:
    """Return the candidates that no other beats in every objective, of a study with several."""
    names = found.study.objectives
    if len(names) < 2:
        return []
    worth = {i: [judge.worth(name, one) for name in names] for i, one in found.full.items()}

    def beaten(mine: list[float]) -> bool:
        return any(other != mine and all(map(ge, other, mine)) for other in worth.values())

    return [
        {"parameters": found.candidates[i]}
        | {name: known(judge.objective(name, found.full[i])) for name in names}
        for i in sorted(worth)
        if not beaten(worth[i])
    ]


def write(found: Found, folder: Path) -> None:
    """Write best.json, trials.parquet, report.html and, where every gate passed, best.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(_table(found), folder / "trials.parquet", compression="zstd")
    report.write(found, folder)
    if found.accepted:
        (folder / "best.yaml").write_text(overlay(found, folder), encoding="utf-8")
    # Last and at once: what others read says that all is there.
    text = json.dumps(summary(found), indent=2, sort_keys=True, default=str)
    write_page(folder / "best.json", f"{text}\n")


def overlay(found: Found, folder: Path) -> str:
    """Return the best candidate as a document that extends the study's backtest."""
    shipped = found.study.backtest.startswith(PREFIX)
    parent = found.study.backtest if shipped else os.path.relpath(found.study.backtest, folder)
    document: dict[str, Any] = {"extends": parent, "kind": "backtest", "name": found.study.name}
    for path, value in found.candidates[found.best].items():
        part = document
        steps = parse_path(path) or (path,)
        for step in steps[:-1]:
            part = part.setdefault(step, {})
        part[steps[-1]] = value
    head = f"# Found by the study {found.study.name}, {time.strftime('%Y-%m-%d', time.gmtime())}."
    return f"{head}\n{yaml.safe_dump(document, sort_keys=False)}"


def _table(found: Found) -> pa.Table:
    rows = []
    for number, candidate in enumerate(found.candidates):
        figures = found.figures.get(number, {})
        screened, full = found.screened.get(number), found.full.get(number)
        rows.append(
            {
                **{path: json.dumps(value) for path, value in candidate.items()},
                "screened": None if screened is None else known(found.objective(screened)),
                "full": None if full is None else known(found.objective(full)),
                "refused": found.refused.get(number, ""),
                "stopped": len(found.stopped[number]) if number in found.stopped else None,
                **{name: figures.get(name) for name in judge.FIGURES},
            }
        )
    return pa.Table.from_pylist(rows)
