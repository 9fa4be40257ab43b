"""Guards that a drill must find out: one never trips, one too late, one can't be drilled."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from actors.guards.core.equity_curves import Peaks
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Snapshot
from actors.guards.daily_loss import DailyLoss, DailyLossParams, Today
from actors.guards.max_drawdown import MaxDrawdown, MaxDrawdownParams


class Blind(DailyLoss):
    """Measures as ever, and never finds anything over its limit."""

    Config: ClassVar[type[GuardParams]] = DailyLossParams

    def measure(self, state: Today, snapshot: Snapshot) -> Measured[Today]:
        """Overlook it."""
        state, readings = super().measure(state, snapshot)
        return state, tuple(msgspec.structs.replace(r, over=False, clear=True) for r in readings)


class Lax(MaxDrawdown):
    """Trips too late: at twice the limit."""

    Config: ClassVar[type[GuardParams]] = MaxDrawdownParams

    def measure(self, state: Peaks, snapshot: Snapshot) -> Measured[Peaks]:
        """Notice only twice the limit."""
        limit = self.params.limit_pct
        assert limit is not None
        twice = msgspec.structs.replace(self.params, limit_pct=limit * 2)
        return MaxDrawdown(twice).measure(state, snapshot)


class Unknown(Guard[DailyLossParams, Nothing]):
    """Does not say how to breach it."""

    Config: ClassVar[type[GuardParams]] = DailyLossParams

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure nothing."""
        return state, ()
