"""What a tactic hears and what it asks for; the whole language between it and its host.

Times are UNIX nanoseconds (UTC). Quantities are base coin.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from strategies.refusals import Refusal
from strategies.tactics.pricing import Touch


class Event(msgspec.Struct, frozen=True):
    """Something that happened, and when."""

    now: int


class Clock(Event, frozen=True):
    """Time has passed."""


class Touched(Event, frozen=True):
    """The best prices of the book are these."""

    touch: Touch


class Accepted(Event, frozen=True):
    """The venue has taken in the order."""


class Filled(Event, frozen=True):
    """A quantity was traded; ``late`` when the order had been thought gone."""

    quantity: Decimal
    late: bool = False


class Ended(Event, frozen=True):
    """The order is gone, cancelled or expired."""


class Refused(Event, frozen=True):
    """The order was never in the market: denied by a gate or rejected by the venue."""

    refusal: Refusal


class CancelRefused(Event, frozen=True):
    """The venue did not cancel; the order stands as before."""


class Stop(Event, frozen=True):
    """Go no further: take the order back and end."""


class Resumed(Event, frozen=True):
    """The host was restarted: this signed quantity is left to be traded, no order is out."""

    left: Decimal


class PlacePostOnly(msgspec.Struct, frozen=True):
    """Rest a signed quantity at a limit price, or nothing if it would take."""

    quantity: Decimal
    price: Decimal


class PlaceIOC(msgspec.Struct, frozen=True):
    """Take a signed quantity at a limit price or better, now or never."""

    quantity: Decimal
    price: Decimal


class Cancel(msgspec.Struct, frozen=True):
    """Cancel the order that is out."""


class Done(msgspec.Struct, frozen=True):
    """All of it is traded."""


class GiveUp(msgspec.Struct, frozen=True):
    """Something is left, and stays so; why."""

    reason: str


Action = PlacePostOnly | PlaceIOC | Cancel | Done | GiveUp
