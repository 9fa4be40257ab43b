"""A document that trades ten hours of the demo's basis."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.documents import Backtest
from config.validate import checked

Documents = Callable[..., Backtest]
PAIR = ["BTCUSDT-SPOT.BYBIT", "BTCUSDT-LINEAR.BYBIT"]


@pytest.fixture
def file(tmp_path: Path, basis: Path) -> Path:
    """A document on the demo's basis, as a file."""
    path = tmp_path / "basis.yaml"
    params: dict[str, Any] = {
        "pairs": [PAIR],
        "threshold": {"open_bps": 25.0, "close_bps": -25.0},
        "max_position": 5000.0,
        "slippage_bps": 0.0,
        "execution": {"tactic": "taker"},
    }
    use = "strategies.basis_arbitrage:BasisArbitrage"
    words = {
        "kind": "backtest",
        "name": "basis",
        "catalog": str(basis),
        "window": {"start": "2025-03-03", "end": "2025-03-03 10:00"},
        "universe": {"instruments": PAIR},
        "venue": {"market": "quotes", "slippage": {"model": "none"}},
        "strategies": {"basis": {"use": use, "params": params}},
    }
    path.write_text(yaml.safe_dump(words), encoding="utf-8")
    return path


@pytest.fixture
def document(file: Path) -> Documents:
    """Return the document with some values changed."""

    def changed(*overrides: str) -> Backtest:
        found = checked(file, overrides).document
        assert isinstance(found, Backtest)
        return found

    return changed
