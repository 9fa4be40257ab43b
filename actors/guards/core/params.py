"""Parameters that all guards share, and lengths of time such as ``30m``."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from config.durations import DAY_NS, duration_ns
from strategies.messages import Action

ActionName = Literal["shrink", "halt_entries", "reduce_only", "flatten"]
Release = Annotated[
    str,
    Meta(
        pattern=r"^(manual|next_day|recovered|[1-9][0-9]{0,4}(ms|s|m|h|d))$",
        examples=["manual", "next_day", "recovered", "30m"],
    ),
]
"""``manual``: until `perpdesk risk release`; ``next_day``: until the next midnight UTC,
and until five minutes after the next decision of each strategy that the halt concerns;
``recovered``: until the value is clear of its limit by the hysteresis; or a pause, as ``30m``,
after which it ends unless the limit is still reached."""
Fraction = Annotated[float, Meta(gt=0, le=1)]


_ACTIONS = {action.name.lower(): action for action in Action}


class GuardParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every guard may be told.

    Parameters
    ----------
    action : {"shrink", "halt_entries", "reduce_only", "flatten"}
        What is asked for when a limit is reached.
    size : float
        Size of new positions under ``shrink``, a fraction of the normal one.
    release : str
        How a halt ends: ``manual``, ``next_day``, ``recovered`` or a pause such as ``30m``.
    hysteresis : float
        ``recovered``: how far inside its limit the value must be, as a fraction of the limit.
    required : bool
        Whether entries stop when this guard is silent; exits never do.
    """

    transient: ClassVar[bool] = False
    """Whether its halts pass by themselves, so that what they hold back is tried again."""

    action: ActionName = "halt_entries"
    size: Fraction = 0.5
    release: Release = "manual"
    hysteresis: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    required: bool = True

    @property
    def asks(self) -> Action:
        """The action as the verdicts know it."""
        return _ACTIONS[self.action]

    @property
    def multiplier(self) -> float:
        """Size of new positions that a verdict carries."""
        return self.size if self.action == "shrink" else 1.0

    @property
    def pause_ns(self) -> int | None:
        """The pause after which a halt ends, nanoseconds; None for the other ways."""
        return pause_of(self.release)

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        return []

    def idle_on(self, every: int, at: int) -> str:
        """Return why hardly a halt holds back a decision; empty where halts do.

        Decisions are made each `every` nanoseconds, with an offset of `at`.
        """
        return ""

    def instruments_named(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return (path below ``params``, id or pattern) for each instrument that they name:
        `perpdesk validate` looks for it in the universe.
        """
        return []


RARELY = 0.05
"""Part of a schedule's period: what binds only in less is named as idle."""


class ResultParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a guard on equity or results; see `GuardParams`."""

    def idle_on(self, every: int, at: int) -> str:
        """Return why halts are over before a decision: by their pause, or by a new day."""
        pause = self.pause_ns
        if pause is not None and self.asks != Action.FLATTEN and pause < RARELY * every:
            return f"its halts hold back only what is decided within {self.release} of the breach"
        by_day = self.release == "recovered" and getattr(self, "session", "all") == "day"
        if by_day and every >= DAY_NS and at % DAY_NS < RARELY * every:
            return "released as recovered, its halts end at midnight, as a new day has lost nothing"
        return ""


def pause_of(release: str) -> int | None:
    """Return the pause of a release in nanoseconds, None when it is no pause.

    Examples
    --------
    >>> pause_of("500ms"), pause_of("manual")
    (500000000, None)
    """
    return span_ns(release) if release[0].isdigit() else None


_SPAN = r"^(0|[1-9][0-9]{0,4})(ms|s|m|h|d)$"

Span = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,4}(ms|s|m|h|d)$")]
"""A length of time above zero."""
SpanOrNone = Annotated[str, Meta(pattern=_SPAN)]
"""A length of time, or ``0s`` for none."""


def span_text(ns: int) -> str:
    """Return nanoseconds as a length of time, in minutes or else in seconds, rounded up.

    Examples
    --------
    >>> span_text(300 * 10**9), span_text(90 * 10**9 + 1)
    ('5m', '91s')
    """
    seconds = -(-ns // 10**9)
    return f"{seconds}s" if seconds % 60 else f"{seconds // 60}m"


@cache
def span_ns(text: str) -> int:
    """Return a length of time such as ``3m`` in nanoseconds.

    Raises
    ------
    ValueError
        If it is no whole number followed by ms, s, m, h or d.

    Examples
    --------
    >>> span_ns("500ms"), span_ns("3m"), span_ns("0s")
    (500000000, 180000000000, 0)
    """
    if re.match(_SPAN, text) is None:
        raise ValueError(f"expected a length of time such as 500ms, 10s or 3m, was {text!r}")
    if text.endswith("ms"):
        return int(text[:-2]) * 1_000_000
    return 0 if text[0] == "0" else duration_ns(text)


def seconds(nanoseconds: int) -> float:
    """Return nanoseconds as seconds."""
    return nanoseconds / 1e9


Of = Literal["instrument", "strategies", "desk"]
"""Each instrument by itself, each strategy by itself, or the desk as a whole."""


def counted_scope(of: str, strategy: str, instrument: str) -> str:
    """Return the scope in which a strategy's trade in an instrument counts, by a guard's ``of``.

    Examples
    --------
    >>> counted_scope("strategies", "rev", "BTCUSDT-LINEAR.BYBIT")
    'strategy:rev'
    """
    if of == "desk":
        return "desk"
    return f"strategy:{strategy}" if of == "strategies" else f"instrument:{instrument}"


class TransientParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a guard whose halts pass by themselves; see `GuardParams`."""

    transient: ClassVar[bool] = True

    release: Release = "recovered"


def refuses(params: GuardParams) -> bool:
    """Whether the guard's action stops entries; ``shrink`` lets smaller ones pass."""
    return params.asks >= Action.HALT_ENTRIES
