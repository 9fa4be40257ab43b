"""Documents of nodes for tests, as values, as models and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from config.documents import Node
from config.resolved import Resolved
from config.validate import checked

BTC, ETH = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"
STEADY = "tests.live_nodes.desk_strategies:Steady"
GUARDED = "live_nodes/nodes/guarded_practice.yaml"


def node_values(**changes: Any) -> dict[str, Any]:
    """Return the values of a small node on practice; `changes` replace its top-level keys."""
    return {
        "kind": "node",
        "name": "mine",
        "environment": "practice",
        "tag": "n1",
        "account": {"name": "anna"},
        "allow": ["tests"],
        "strategies": {"steady": {"use": STEADY}},
    } | changes


def node_of(**changes: Any) -> Node:
    return Node.model_validate(node_values(**changes))


def node_file(folder: Path, **changes: Any) -> Path:
    file = folder / "node.yaml"
    file.write_text(yaml.safe_dump(node_values(**changes), sort_keys=False), encoding="utf-8")
    return file


def drilled(folder: Path, actors: dict[str, Any], **changes: Any) -> Resolved:
    """Return a checked node with the guards that a drill is to breach."""
    return checked(drilled_file(folder, actors, **changes))


def drilled_file(folder: Path, actors: dict[str, Any], **changes: Any) -> Path:
    known: dict[str, Any] = {
        "universe": {"instruments": [BTC, ETH]},
        "risk": {"exit_grace": 1, "deadline": 20},
    }
    return node_file(folder, actors=actors, **(known | changes))


def guard(use: str, **params: Any) -> dict[str, Any]:
    """Return the values of a guard by its module and class below ``actors.guards``."""
    return {"use": f"actors.guards.{use}", "params": params}


def daily(use: str = "actors.guards.daily_loss:DailyLoss", **params: Any) -> dict[str, Any]:
    """Return a guard that flattens at 2 % lost on a day."""
    return {"use": use, "params": {"limit_pct": 0.02} | params}
