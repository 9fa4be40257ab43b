"""Guards of the market's state: when it is no time to trade, whatever the strategy thinks."""

from __future__ import annotations

from typing import ClassVar

from actors.desk.guard import Guard
from actors.guards import (
    crossed_book,
    funding_window,
    latency,
    maintenance,
    price_jump,
    spread,
    stale_feed,
    unhedged,
)
from actors.guards.core.guard import Rule
from actors.guards.core.params import GuardParams


class FundingWindow(Guard):
    """Lets no entries leave around funding settlements, or holds nothing then."""

    Config: ClassVar[type[GuardParams]] = funding_window.FundingWindowParams
    rule: ClassVar[Rule] = funding_window.RULE


class SpreadGate(Guard):
    """Keeps entries back while the spread is too wide."""

    Config: ClassVar[type[GuardParams]] = spread.SpreadGateParams
    rule: ClassVar[Rule] = spread.RULE


class LatencyGate(Guard):
    """Keeps entries back while events come too late to decide by them."""

    Config: ClassVar[type[GuardParams]] = latency.LatencyGateParams
    rule: ClassVar[Rule] = latency.RULE


class StaleFeed(Guard):
    """Keeps entries back in an instrument that has fallen silent."""

    Config: ClassVar[type[GuardParams]] = stale_feed.StaleFeedParams
    rule: ClassVar[Rule] = stale_feed.RULE


class CrossedBook(Guard):
    """Keeps entries back for a moment after a bid stood at or above the ask."""

    Config: ClassVar[type[GuardParams]] = crossed_book.CrossedBookParams
    rule: ClassVar[Rule] = crossed_book.RULE


class PriceJump(Guard):
    """Pauses an instrument whose price moved too far too fast."""

    Config: ClassVar[type[GuardParams]] = price_jump.PriceJumpParams
    rule: ClassVar[Rule] = price_jump.RULE


class Maintenance(Guard):
    """Keeps entries back while the venue is closed, or is about to close."""

    Config: ClassVar[type[GuardParams]] = maintenance.MaintenanceParams
    rule: ClassVar[Rule] = maintenance.RULE


class Unhedged(Guard):
    """Closes two-leg trades of which one leg stood alone for too much and too long."""

    Config: ClassVar[type[GuardParams]] = unhedged.UnhedgedParams
    rule: ClassVar[Rule] = unhedged.RULE
