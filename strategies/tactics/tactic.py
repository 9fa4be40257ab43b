"""Tactic protocol: how one execution works its orders, (state, event) -> (state, actions).

A tactic is pure data and one pure function. The broker runs it: it passes the events, saves each
new state to the journal before it carries out an action, sends and cancels the orders, and restores
the state after a crash. A tactic may have several orders out, each under its own name, which the
state keeps. To add one, write a `TacticState` and a function, put both into a `Tactic`, and
register it with `strategies.broker.Broker.host`.

The broker sends no more than the execution's quantity: of an order beyond what is neither traded
nor out, it sends the rest alone, and reports `Ended` when that is filled; where nothing is left, or
on the other side, it reports `Refused` with the next timer. Both are errors in the log.

An order that is filled whole has no `Ended`: its `Filled` reports add up to its quantity.

Times are UNIX nanoseconds (UTC). Quantities are base coin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from config.durations import SECOND_NS
from strategies.refusals import Refusal
from strategies.tactics.pricing import ZERO, Terms, TopOfBook

FINEST_TIMER_NS = 10**6
"""Live clocks are no finer."""


class Event(msgspec.Struct, frozen=True):
    """Event with its time."""

    now: int


class TimePassed(Event, frozen=True):
    """The tactic's timer fired; also the first event of an execution."""


class BookChanged(Event, frozen=True):
    """The best prices changed; new sizes alone come with the timer."""

    top: TopOfBook


class Stop(Event, frozen=True):
    """Cancel open orders and end."""


class Resumed(Event, frozen=True):
    """The node restarted: this signed quantity is left to trade, no order is out."""

    left: Decimal


class OrderReport(Event, frozen=True):
    """Event of the order that the tactic placed under this name."""

    order: str


class Accepted(OrderReport, frozen=True):
    """The venue accepted the order."""


class Filled(OrderReport, frozen=True):
    """An unsigned quantity was traded; it may come after the order ended."""

    quantity: Decimal


class Ended(OrderReport, frozen=True):
    """The order was cancelled, expired or cut to what was filled; one filled whole has none."""


class Refused(OrderReport, frozen=True):
    """The order was never in the market: a gate denied or the venue rejected it."""

    refusal: Refusal


class CancelRefused(OrderReport, frozen=True):
    """The venue did not cancel; the order is still open."""


class Place(msgspec.Struct, frozen=True):
    """Send an order for a signed quantity at a limit price, under a name not used before."""

    order: str
    quantity: Decimal
    price: Decimal


class PlacePostOnly(Place, frozen=True):
    """Send a post-only limit order: it is refused if it would take."""


class PlaceIOC(Place, frozen=True):
    """Send an immediate-or-cancel order at the price or better."""


class Cancel(msgspec.Struct, frozen=True):
    """Cancel an order that is out."""

    order: str


class Done(msgspec.Struct, frozen=True):
    """End the execution: all is traded. No order may be out."""


class GiveUp(msgspec.Struct, frozen=True):
    """End the execution with a rest left, for this reason. No order may be out."""

    reason: str


Action = PlacePostOnly | PlaceIOC | Cancel | Done | GiveUp


class TacticState(msgspec.Struct, frozen=True, kw_only=True):
    """State of one execution; each tactic adds fields of its own, with defaults.

    ``quantity`` is signed, ``filled`` unsigned; ``started`` is UNIX nanoseconds (UTC). ``dropped``
    is the unsigned part that would pass the goal, as others changed the position; the broker sets
    it. ``reprices`` and ``takes`` count how often it followed the market and how often it took.
    ``ended`` is None while it goes on; then why something is left, empty when nothing is.
    """

    quantity: Decimal
    started: int
    filled: Decimal = ZERO
    dropped: Decimal = ZERO
    reprices: int = 0
    takes: int = 0
    ended: str | None = None

    @property
    def buy(self) -> bool:
        """Whether it buys."""
        return self.quantity > ZERO

    @property
    def left(self) -> Decimal:
        """Quantity left to trade, unsigned."""
        return abs(self.quantity) - self.filled - self.dropped

    @property
    def filled_signed(self) -> Decimal:
        """Quantity traded, signed."""
        return self.filled if self.buy else -self.filled


@dataclass(frozen=True, slots=True)
class Tactic[S: TacticState, R]:
    """A tactic as the broker runs it.

    ``name`` is its name in the journal. An execution begins as ``state(quantity=…, started=…)``.
    ``step`` maps (state, event, rules, terms) to the new state and the actions, in their order.
    ``timer_ns`` is the period of `TimePassed`, at least a millisecond.
    """

    name: str
    state: type[S]
    step: Callable[[S, Event, R, Terms], tuple[S, tuple[Action, ...]]]
    timer_ns: int = SECOND_NS

    def __post_init__(self) -> None:
        if self.timer_ns < FINEST_TIMER_NS:
            raise ValueError(f"tactic {self.name}: a timer of {self.timer_ns} ns is below 1 ms")
