"""Guards on what is lost, and on what is earned."""

from __future__ import annotations

from typing import ClassVar

from actors.desk.guard import Guard
from actors.guards import (
    consecutive_losses,
    daily_loss,
    drawdown_tiers,
    max_drawdown,
    session_profit,
    symbol_loss,
)
from actors.guards.core.guard import Rule
from actors.guards.core.params import GuardParams


class DrawdownTiers(Guard):
    """Makes positions smaller the deeper equity falls below its peak, and at last closes them.

    Sizes come back as equity recovers, each tier by its hysteresis, so that they never flicker.
    What the last tier closed stays closed until the trader releases it.
    """

    Config: ClassVar[type[GuardParams]] = drawdown_tiers.DrawdownTiersParams
    rule: ClassVar[Rule] = drawdown_tiers.RULE


class MaxDrawdown(Guard):
    """Stops when equity has fallen too far below its peak, of all time or of the UTC day.

    The peak survives restarts. Closes everything unless told otherwise.
    """

    Config: ClassVar[type[GuardParams]] = max_drawdown.MaxDrawdownParams
    rule: ClassVar[Rule] = max_drawdown.RULE


class SymbolLoss(Guard):
    """Stops an instrument that lost too much, or gave back too much of its best result.

    The other instruments go on. Closes the instrument unless told otherwise.
    """

    Config: ClassVar[type[GuardParams]] = symbol_loss.SymbolLossParams
    rule: ClassVar[Rule] = symbol_loss.RULE


class DailyLoss(Guard):
    """Stops for the rest of the UTC day when the day has lost too much: money, percent or R.

    Closes everything unless told otherwise.
    """

    Config: ClassVar[type[GuardParams]] = daily_loss.DailyLossParams
    rule: ClassVar[Rule] = daily_loss.RULE


class ConsecutiveLosses(Guard):
    """Stops entries for the rest of the UTC day after too many losing round trips in a row."""

    Config: ClassVar[type[GuardParams]] = consecutive_losses.ConsecutiveLossesParams
    rule: ClassVar[Rule] = consecutive_losses.RULE


class SessionProfit(Guard):
    """Locks the gain: closes everything for the rest of the UTC day once enough is earned."""

    Config: ClassVar[type[GuardParams]] = session_profit.SessionProfitParams
    rule: ClassVar[Rule] = session_profit.RULE
