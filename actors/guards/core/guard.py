"""What a rule is: pure functions over a state, bound together with what they need.

A rule never keeps anything itself. Its state is a frozen msgspec Struct that the guard journals
before anything follows from it; given the same state and the same facts it says the same, in a
backtest, live and on a tape played again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from actors.guards.core.limits import Reading
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import DeskEvent, Input, Need, OrderRequested, Snapshot

Readings = tuple[Reading, ...] | None
"""None says nothing new: the readings before stand. A Snapshot is always answered with readings."""

EVERYTHING: frozenset[type] = frozenset(get_args(DeskEvent))


def admits(state: Any, asked: OrderRequested, snapshot: Snapshot, params: Any) -> str | None:
    """Let every entry pass: the admission of a rule that only measures."""
    return None


def keeps(state: Any, snapshot: Snapshot, scope: str, params: Any) -> Any:
    """Return the state as it is: nothing in it goes on breaching after a release."""
    return state


@dataclass(frozen=True)
class Rule:
    """A rule.

    Parameters
    ----------
    state : type of msgspec.Struct
        Of its state: frozen, and readable back from JSON.
    start : callable
        ``start(params, snapshot) -> state``: the state at the first snapshot.
    step : callable
        ``step(state, seen, params) -> (state, readings)``: takes in a snapshot or what happened.
        Returns the very same object when nothing changed, so that nothing is written.
    admit : callable
        ``admit(state, asked, snapshot, params) -> reason or None``: whether an entry may leave at
        this moment; never asked about exits. The newest snapshot comes with it.
    released : callable
        ``released(state, snapshot, scope, params) -> state``: measures anew from here, after the
        trader accepted a breach (peak = now, counters = 0) on a scope.
    needs : frozenset of Need
        Costly parts of a Snapshot or of an OrderRequested that it reads.
    events : frozenset of type
        What of all that happens between snapshots it is shown: to the rest its ``step`` would say
        nothing new. A rebalance makes hundreds of such things at one moment.
    """

    state: type[msgspec.Struct]
    start: Callable[[Any, Snapshot], Any]
    step: Callable[[Any, Input, Any], tuple[Any, Readings]]
    admit: Callable[[Any, OrderRequested, Snapshot, Any], str | None] = admits
    released: Callable[[Any, Snapshot, str, Any], Any] = keeps
    needs: frozenset[Need] = frozenset()
    events: frozenset[type] = EVERYTHING


class Nothing(msgspec.Struct, frozen=True):
    """The state of a rule that remembers nothing."""


NOTHING = Nothing()
"""The only one there is: a rule returns the very same object as long as nothing changes."""


def nothing(params: GuardParams, snapshot: Snapshot) -> Nothing:
    """Return the state before anything was seen, which stays."""
    return NOTHING
