"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from catalog.providers.demo import DemoParams, generate
from catalog.storage.writer import CatalogWriter

# A busy machine is no bug: examples have no time limit each. The gate tries the same examples each
# time; `EXPLORE=1 make test` looks for new ones.
settings.register_profile("desk", deadline=None, derandomize="EXPLORE" not in os.environ)
settings.load_profile("desk")

SMALL = DemoParams(days=120, perps=12)
"""Four months of twelve perpetuals: large enough to rank, small enough to run in seconds."""


@pytest.fixture(scope="session")
def demo_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a small demo catalog, made once a test session."""
    path = tmp_path_factory.mktemp("catalog") / "demo"
    with CatalogWriter(path) as writer:
        writer.add(generate(SMALL))
    return path


WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path, demo_catalog: Path) -> WriteRun:
    """Return a function that writes a backtest document on the small demo catalog.

    Keyword arguments replace top-level keys.
    """

    def write(name: str = "small", **changes: Any) -> Path:
        document: dict[str, Any] = {
            "kind": "backtest",
            "name": name,
            "catalog": str(demo_catalog),
            "window": {"start": "2023-02-01", "end": "2023-04-01"},
            "strategies": {
                "reversal": {
                    "use": "strategies.xs_reversal:XSReversal",
                    "params": {"lookback": 1, "fraction": 0.25, "gross_leverage": 1.0},
                }
            },
        }
        document.update(changes)
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return file

    return write
