"""The backtest: a setup, a window of history, and a simulated venue."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from config.documents.base import InstrumentName, Part, Whole
from config.documents.setup import Setup
from config.documents.venue import Venue
from config.durations import Moment, nanoseconds


class BacktestWindow(Part):
    """The stretch of history, UTC; the end is not part of it."""

    start: Moment
    """First moment."""
    end: Moment
    """Moment at which it stops, exclusive."""

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: Moment, info: ValidationInfo) -> Moment:
        start = info.data.get("start")
        if start is not None and end <= start:
            raise ValueError(f"must be later than window.start ({start:%Y-%m-%d %H:%M} UTC)")
        return end

    @property
    def start_ns(self) -> int:
        """Start in UNIX nanoseconds (UTC)."""
        return nanoseconds(self.start)

    @property
    def end_ns(self) -> int:
        """End in UNIX nanoseconds (UTC), exclusive."""
        return nanoseconds(self.end)


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
    """Folder of the catalog, relative to the working directory."""
    window: BacktestWindow
    venue: Venue = Venue()
    report: ReportSettings = ReportSettings()
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Seed of every random draw in the simulation."""
    slice_days: Annotated[Whole, Field(ge=1, le=3660)] = 30
    """Days of data in memory at a time."""
