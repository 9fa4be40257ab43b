"""Guards that a drill must find out: one never trips, one can't be drilled."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Snapshot
from actors.guards.daily_loss import DailyLoss, DailyLossParams, Today


class Blind(DailyLoss):
    """Measures as ever, and never finds anything over its limit."""

    Config: ClassVar[type[GuardParams]] = DailyLossParams

    def measure(self, state: Today, snapshot: Snapshot) -> Measured[Today]:
        """Overlook it."""
        state, readings = super().measure(state, snapshot)
        return state, tuple(msgspec.structs.replace(r, over=False, clear=True) for r in readings)


class Unknown(Guard[DailyLossParams, Nothing]):
    """Does not say how to breach it."""

    Config: ClassVar[type[GuardParams]] = DailyLossParams

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure nothing."""
        return state, ()
