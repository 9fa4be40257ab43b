"""Guards of what the desk does: how often it trades, and how its orders fare."""

from __future__ import annotations

from typing import ClassVar

from actors.desk.guard import Guard
from actors.guards import (
    cooldown,
    error_rate,
    order_rate,
    rejections,
    slippage_breaches,
    trades_per_day,
)
from actors.guards.core.guard import Rule
from actors.guards.core.params import GuardParams


class TradesPerDay(Guard):
    """Stops an instrument for the day after so many round trips."""

    Config: ClassVar[type[GuardParams]] = trades_per_day.TradesPerDayParams
    rule: ClassVar[Rule] = trades_per_day.RULE


class Cooldown(Guard):
    """Keeps a pause between two trades, and a longer one after a loss."""

    Config: ClassVar[type[GuardParams]] = cooldown.CooldownParams
    rule: ClassVar[Rule] = cooldown.RULE


class ErrorRate(Guard):
    """Stops entries of the desk when too much fails within a minute."""

    Config: ClassVar[type[GuardParams]] = error_rate.ErrorRateParams
    rule: ClassVar[Rule] = error_rate.RULE


class SlippageBreaches(Guard):
    """Stops where fills keep coming out worse than the prices that their orders saw."""

    Config: ClassVar[type[GuardParams]] = slippage_breaches.SlippageBreachesParams
    rule: ClassVar[Rule] = slippage_breaches.RULE


class Rejections(Guard):
    """Stops a strategy whose requests the venue rejects again and again."""

    Config: ClassVar[type[GuardParams]] = rejections.RejectionsParams
    rule: ClassVar[Rule] = rejections.RULE


class OrderRate(Guard):
    """Keeps each strategy's orders below a rate, and halts one that keeps knocking."""

    Config: ClassVar[type[GuardParams]] = order_rate.OrderRateParams
    rule: ClassVar[Rule] = order_rate.RULE
