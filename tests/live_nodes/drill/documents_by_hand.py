"""Nodes with the guards that a test wants, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from config.resolved import Resolved
from config.validate import checked

GUARDED = "live_nodes/nodes/guarded_practice.yaml"
STEADY = "tests.live_nodes.steady:Steady"


def node_file(folder: Path, actors: dict[str, Any], **more: Any) -> Path:
    """Write a node with these guards."""
    document: dict[str, Any] = {
        "kind": "node",
        "name": "drilled",
        "environment": "practice",
        "tag": "dd",
        "account": {"name": "main"},
        "allow": ["tests"],
        "universe": {"instruments": ["BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"]},
        "strategies": {"steady": {"use": STEADY}},
        "actors": actors,
        "risk": {"exit_grace": 1, "deadline": 20},
    }
    file = folder / "node.yaml"
    file.write_text(yaml.safe_dump(document | more), encoding="utf-8")
    return file


def node(folder: Path, actors: dict[str, Any], **more: Any) -> Resolved:
    """Return such a node, checked."""
    return checked(node_file(folder, actors, **more))


def daily(use: str = "actors.guards.daily_loss:DailyLoss", **params: Any) -> dict[str, Any]:
    """Return a guard that flattens at 2 % lost on a day."""
    return {"use": use, "params": {"limit_pct": 0.02} | params}
