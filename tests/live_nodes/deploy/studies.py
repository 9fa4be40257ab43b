"""Outcomes of studies as they are left in a folder, with figures made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.live_nodes.documents import STEADY

LEVERAGE = "strategies.steady.params.gross_leverage"
PASSES = {
    "sharpe": 1.5,
    "deflated_sharpe": 0.97,
    "overfitting": 0.2,
    "max_drawdown": 0.1,
    "trades": 120,
}
"""What a good study measures."""


def study_folder(
    folder: Path,
    *,
    leverage: float = 0.2,
    parameters: dict[str, Any] | None = None,
    strategies: dict[str, Any] | None = None,
    accepted: bool = True,
    band: tuple[float, float] = (-5.0, 5.0),
    **measured: float | None,
) -> Path:
    """Write the outcome of a study that found a leverage, or other parameters of `strategies`.

    `measured` replaces figures. `band` is that of the first day, and grows with the days.
    """
    figures: dict[str, Any] = PASSES | measured
    outcome = {
        "study": folder.name,
        "accepted": accepted,
        "parameters": parameters or {LEVERAGE: leverage},
        "gates": [
            {"key": key, "name": key, "measured": value, "wanted": "", "passed": accepted}
            for key, value in figures.items()
        ],
        "provenance": {"data": "d" * 64, "code": "c" * 64, "engine": "e"},
        "monte_carlo": {
            "days": 300,
            "band": {
                "lower_pct": [band[0] * day for day in range(1, 91)],
                "upper_pct": [band[1] * day for day in range(1, 91)],
            },
        },
    }
    params = {"gross_leverage": leverage, "fraction": 0.3}
    best = {
        "kind": "backtest",
        "name": folder.name,
        "allow": ["tests"],
        "catalog": "nowhere",
        "window": {"start": "2023-02-01", "end": "2023-04-01"},
        "strategies": strategies or {"steady": {"use": STEADY, "params": params}},
    }
    folder.mkdir(parents=True)
    (folder / "best.json").write_text(json.dumps(outcome), encoding="utf-8")
    (folder / "best.yaml").write_text(yaml.safe_dump(best), encoding="utf-8")
    return folder
