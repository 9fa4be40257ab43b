"""The work that the engine's benchmarks share: 50 perpetuals, 365 daily candles, daily reversal."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from backtests.run import Prepared, prepare
from catalog.providers.demo import DemoParams, generate
from catalog.storage.writer import CatalogWriter
from config.documents import Backtest

PERPS, DAYS = 50, 365


def catalog(folder: Path, perps: int = PERPS, days: int = DAYS + 35) -> Path:
    """Make a demo catalog without listings or delistings in the middle; return its path."""
    path = folder / f"bench-{perps}-{days}"
    if not (path / "CURRENT").exists():
        params = DemoParams(perps=perps, spots=0, days=days, listed_share=0.0, delisted_share=0.0)
        with CatalogWriter(path) as writer:
            writer.add(generate(params))
    return path


def daily_reversal(
    path: Path, *, days: int = DAYS, interval: str = "1d", fraction: float = 0.15
) -> Prepared:
    """Prepare the run: fills at the next open, no slippage, so a bare engine can do the same."""
    document = Backtest.model_validate(
        {
            "kind": "backtest",
            "name": "bench",
            "catalog": str(path),
            "window": {"start": "2023-02-01", "end": f"{date(2023, 2, 1) + timedelta(days=days)}"},
            "venue": {
                "slippage": {"model": "none"},
                "execution_interval": interval,
                "funding": False,
            },
            "strategies": {
                "reversal": {
                    "use": "strategies.xs_reversal:XSReversal",
                    "params": {"at": "00:00", "fraction": fraction},
                }
            },
        }
    )
    return prepare(document)
