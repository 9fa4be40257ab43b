"""Guards that a drill must find out: one that never trips, and ones that no recipe knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from actors.desk.guard import Guard
from actors.guards import daily_loss, max_drawdown
from actors.guards.core.guard import Readings, Rule
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Input
from actors.losses import DailyLoss, MaxDrawdown


def _blind(state: Any, seen: Input, params: Any) -> tuple[Any, Readings]:
    """Measure as the rule does, and never find anything over its limit."""
    state, readings = daily_loss.RULE.step(state, seen, params)
    if readings is not None:
        readings = tuple(msgspec.structs.replace(r, over=False, clear=True) for r in readings)
    return state, readings


def _lax(state: Any, seen: Input, params: Any) -> tuple[Any, Readings]:
    """Notice only twice the limit."""
    twice = msgspec.structs.replace(params, limit_pct=params.limit_pct * 2)
    return max_drawdown.RULE.step(state, seen, twice)


class Blind(DailyLoss):
    """Never trips."""

    Config: ClassVar[type[GuardParams]] = daily_loss.DailyLossParams
    rule: ClassVar[Rule] = replace(daily_loss.RULE, step=_blind)


class Lax(MaxDrawdown):
    """Trips too late."""

    Config: ClassVar[type[GuardParams]] = max_drawdown.MaxDrawdownParams
    rule: ClassVar[Rule] = replace(max_drawdown.RULE, step=_lax)


class Unknown(Guard):
    """Has no recipe."""

    Config: ClassVar[type[GuardParams]] = daily_loss.DailyLossParams
    rule: ClassVar[Rule] = daily_loss.RULE
