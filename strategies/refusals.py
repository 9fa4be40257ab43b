"""Order refusals: codes, and their header in the engine's event reasons. Pure.

The engine's events carry one string, ``reason``. Our own refusals, and those that the adapter and
the simulated venue translate, begin with a header that `refusal_of` parses:

    [halt_entries guard=node.links transient] trade link down

Code decides by the header alone. ``str(refusal)`` is for reports and journals.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

import msgspec

from strategies.messages import Verdict

Code = Literal[
    "shrink",
    "halt_entries",
    "reduce_only",
    "flatten",
    "gate",
    "withdrawn",
    "exposure",
    "lot",
    "cash",
    "linked",
    "dry_run",
    "no_answer",
    "never_arrived",
    "post_only",
    "nothing_to_take",
    "busy",
    "not_trading",
    "gone",
    "passed",
    "venue",
    "engine",
]
"""Cause of a refusal. The first four are actions of verdicts against the order; ``gate`` is
another rule of the order gate, ``withdrawn`` our own cancel of an order before it left, or a stop
of the node before that,
``exposure`` its limit on gross exposure, ``lot`` part of a position that is no whole number of lots
any more, ``cash`` too little of it for coins, there or at the
venue, ``linked`` an order that depends on others (OCO, OTO, OUO,
bracket), ``dry_run`` a node that sends nothing. ``no_answer``: the engine timed out, the order may
still be at the venue.
``never_arrived``: a query has shown that the venue can't receive it any more, so that it may be
sent again. ``post_only``: it would have taken. ``nothing_to_take``: an immediate order found
nothing. ``busy``: the venue was overloaded or in maintenance, or a clock was off.
``not_trading``: the symbol is halted. ``gone``: there is no such order any more to cancel or
change. ``passed``: the price is at a stop's trigger already, or beyond. ``venue``, ``engine``: any
other refusal by them."""

GATE = "order gate: "
"""Prefix of refusals by the order gate; the venue never received these orders."""
NO_ANSWER = "UNKNOWN"
"""The engine's reason when it rejects an order because the venue did not answer."""
_VERDICTS = frozenset({"shrink", "halt_entries", "reduce_only", "flatten"})
_AT_GATE = _VERDICTS | {"gate", "withdrawn", "exposure", "lot", "linked", "dry_run"}
_TRANSIENT = frozenset({"never_arrived", "busy", "not_trading", "cash"})
_CODES = frozenset(get_args(Code))
_HEADER = re.compile(r"\[([a-z_]+)(?: guard=([^\s\]]+))?( transient)?\] (.*)", re.DOTALL)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal: code and text.

    ``guard`` is the key of the guard behind it, empty without one. With ``transient`` the order may
    be tried again later, as the cause ends by itself.
    """

    code: Code
    text: str
    guard: str = ""
    transient: bool = False

    def __str__(self) -> str:
        """Return the text for a person, without the order gate's name before it."""
        if self.code not in _VERDICTS:
            return self.text
        now = " for now" if self.transient else ""
        return f"{self.code}{now} by {self.guard}: {self.text}"

    @property
    def words(self) -> str:
        """Text for a person; refusals by the order gate begin with its name."""
        return f"{GATE}{self}" if self.at_gate else str(self)

    @property
    def at_gate(self) -> bool:
        """Whether the order gate refused it, so that the venue never received it."""
        return self.code in _AT_GATE


def refused_by(verdict: Verdict) -> Refusal:
    """Return the refusal of an entry by a verdict.

    Examples
    --------
    >>> from strategies.messages import Action
    >>> str(refused_by(Verdict(action=Action.FLATTEN, guard="drawdown", reason="12 % lost")))
    'flatten by drawdown: 12 % lost'
    """
    code: Code = verdict.action.name.lower()  # type: ignore[assignment]
    return Refusal(code=code, text=verdict.reason, guard=verdict.guard, transient=verdict.transient)


def from_venue(code: Code, text: str) -> Refusal:
    """Return a refusal by the venue, with its text."""
    return Refusal(code=code, text=text, transient=code in _TRANSIENT)


def as_reason(refusal: Refusal) -> str:
    """Return the refusal as the ``reason`` of an engine's event.

    Examples
    --------
    >>> as_reason(Refusal(code="halt_entries", guard="funding", transient=True, text="soon"))
    '[halt_entries guard=funding transient] soon'
    """
    guard = f" guard={refusal.guard}" if refusal.guard else ""
    now = " transient" if refusal.transient else ""
    return f"[{refusal.code}{guard}{now}] {refusal.text}"


def refusal_of(reason: str, *, denied: bool = False, post_only: bool = False) -> Refusal:
    """Return the refusal in an event's ``reason``.

    Without a header it is the engine's or the venue's own. ``denied`` means that the engine refused
    the order before it left. ``post_only`` is the event's ``due_post_only``, which the simulated
    venue sets.

    Examples
    --------
    >>> refusal_of("[busy transient] 10006 Too many visits!").code
    'busy'
    >>> refusal_of("insufficient balance").code
    'venue'
    """
    match = _HEADER.fullmatch(reason)
    if match is not None and match[1] in _CODES:
        code: Code = match[1]  # type: ignore[assignment]
        return Refusal(
            code=code, guard=match[2] or "", transient=match[3] is not None, text=match[4]
        )
    if denied:
        return Refusal(code="engine", text=reason)
    if post_only:
        return Refusal(code="post_only", text=reason)
    return Refusal(code="no_answer" if reason == NO_ANSWER else "venue", text=reason)


def readable(reason: str) -> str:
    """Return an event's ``reason`` without its header, for reports, journals and logs.

    Examples
    --------
    >>> readable("[halt_entries guard=loss] 3 % lost")
    'order gate: halt_entries by loss: 3 % lost'
    >>> readable("insufficient balance")
    'insufficient balance'
    """
    return refusal_of(reason).words
