"""The backtest: a setup, a window of history, and a simulated venue."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from config.documents.base import InstrumentName, Part, TimeRange, Whole
from config.documents.setup import Setup
from config.documents.venue import Venue


class BacktestWindow(TimeRange):
    """The stretch of history, UTC; the end is not part of it."""

    start_path = "window.start"


class Targets(Part):
    """What the trader hopes for; the report shows it beside what was achieved."""

    sharpe: Annotated[Decimal, Field(ge=Decimal(-10), le=Decimal(100))] = Decimal("1.5")
    """Least annual Sharpe ratio (365 days)."""
    max_drawdown: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(1))] = Decimal("0.20")
    """Largest drawdown, a fraction of the peak."""
    calmar: Annotated[Decimal, Field(ge=Decimal(-10), le=Decimal(1000))] = Decimal("2.0")
    """Least Calmar ratio."""
    win_rate: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(1))] = Decimal("0.5")
    """Least fraction of winning trades."""


class ReportSettings(Part):
    """What the report compares the run with."""

    benchmark: InstrumentName = "BTCUSDT-LINEAR.BYBIT"
    """Instrument held throughout for comparison."""
    targets: Targets = Targets()


class Backtest(Setup):
    """A setup run over history."""

    kind: Literal["backtest"] = "backtest"  # type: ignore[assignment]
    catalog: Annotated[str, Field(min_length=1)]
    """Folder of the catalog, relative to the working directory; or ``s3://bucket/path``."""
    window: BacktestWindow
    venue: Venue = Venue()
    report: ReportSettings = ReportSettings()
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Seed of every random draw in the simulation."""
    slice_days: Annotated[Whole, Field(ge=1, le=3660)] = 30
    """Days of data in memory at a time."""
