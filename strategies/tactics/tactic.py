"""The tactic protocol: how one execution works its orders, (state, event) -> (state, actions).

A tactic is pure data and one pure function. The broker hosts it: it brings the events, saves each
new state to the journal before an action leaves, sends and cancels the orders, and brings the saved
state back after a crash. A tactic may have several orders out, each under a name of its own that
its state keeps. To add one, write a `TacticState` and a function, put both into a `Tactic`, and
give that to `strategies.broker.Broker.host`.

Times are UNIX nanoseconds (UTC). Quantities are base coin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from strategies.refusals import Refusal
from strategies.tactics.pricing import ZERO, Terms, TopOfBook

SECOND_NS = 10**9
FINEST_TIMER_NS = 10**6
"""Live clocks keep no finer pace."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened, and when."""

    now: int


class TimePassed(Event, frozen=True):
    """The tactic's timer has fired; also the first event of an execution."""


class BookChanged(Event, frozen=True):
    """The best prices have changed; sizes alone come with the timer."""

    top: TopOfBook


class Stop(Event, frozen=True):
    """Cancel what is out and end."""


class Resumed(Event, frozen=True):
    """The host was restarted: this signed quantity is left to be traded, no order is out."""

    left: Decimal


class OrderReport(Event, frozen=True):
    """Something happened to the order that the tactic placed under this name."""

    order: str


class Accepted(OrderReport, frozen=True):
    """The venue has accepted the order."""


class Filled(OrderReport, frozen=True):
    """An unsigned quantity was traded; it may come after the order ended."""

    quantity: Decimal


class Ended(OrderReport, frozen=True):
    """The order is gone, cancelled or expired."""


class Refused(OrderReport, frozen=True):
    """The order was never in the market: denied by a gate or rejected by the venue."""

    refusal: Refusal


class CancelRefused(OrderReport, frozen=True):
    """The venue did not cancel; the order stands as before."""


class Place(msgspec.Struct, frozen=True):
    """Send an order for a signed quantity at a limit price, under a name not used before."""

    order: str
    quantity: Decimal
    price: Decimal


class PlacePostOnly(Place, frozen=True):
    """Rest at the price, or nothing if it would take."""


class PlaceIOC(Place, frozen=True):
    """Take at the price or better, now or never."""


class Cancel(msgspec.Struct, frozen=True):
    """Cancel an order that is out."""

    order: str


class Done(msgspec.Struct, frozen=True):
    """All of it is traded. Ends the execution; no order may be out."""


class GiveUp(msgspec.Struct, frozen=True):
    """Something is left, and stays so; why. Ends the execution; no order may be out."""

    reason: str


Action = PlacePostOnly | PlaceIOC | Cancel | Done | GiveUp


class TacticState(msgspec.Struct, frozen=True, kw_only=True):
    """Where one execution stands; each tactic adds fields of its own, with defaults.

    Parameters
    ----------
    quantity : Decimal
        Wanted, signed.
    started : int
        When, UNIX nanoseconds (UTC).
    filled : Decimal
        Traded so far, unsigned.
    reprices, takes : int
        How often it followed the market, and how often it took.
    ended : str or None
        None while it goes on; then why something is left, empty when nothing is.
    """

    quantity: Decimal
    started: int
    filled: Decimal = ZERO
    reprices: int = 0
    takes: int = 0
    ended: str | None = None

    @property
    def buy(self) -> bool:
        """Whether it buys."""
        return self.quantity > ZERO

    @property
    def left(self) -> Decimal:
        """What is left to be traded, unsigned."""
        return abs(self.quantity) - self.filled


@dataclass(frozen=True, slots=True)
class Tactic[S: TacticState, R]:
    """A tactic, as the broker hosts it.

    Parameters
    ----------
    name : str
        What the journal knows it by.
    state : type
        Its state; an execution begins as ``state(quantity=…, started=…)``.
    step : callable
        ``(state, event, rules, terms)`` to the new state and the actions, in their order.
    timer_ns : int
        How often it gets `TimePassed`, a millisecond at the least.
    """

    name: str
    state: type[S]
    step: Callable[[S, Event, R, Terms], tuple[S, tuple[Action, ...]]]
    timer_ns: int = SECOND_NS

    def __post_init__(self) -> None:
        """Refuse a timer that no clock keeps."""
        if self.timer_ns < FINEST_TIMER_NS:
            raise ValueError(f"tactic {self.name}: a timer of {self.timer_ns} ns is below 1 ms")
