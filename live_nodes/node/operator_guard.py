"""The operator's own guard: it measures nothing, halts when a person says so, and stays halted.

Every node has it, under the key ``operator``; it is in no document. What it keeps is in the journal
like any guard's state, so that a desk that was closed by hand stays closed over every restart.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.desk.guard import Guard
from actors.guards.core.facts import Input, Snapshot
from actors.guards.core.latch import Latch
from actors.guards.core.params import GuardParams
from actors.guards.core.rule import Readings, Rule
from config.errors import DeskError
from strategies.messages import Action

OPERATOR = "operator"


class Nothing(msgspec.Struct, frozen=True):
    """The state of a rule that measures nothing."""


def _start(params: GuardParams, snapshot: Snapshot) -> Nothing:
    return Nothing()


def _step(state: Nothing, seen: Input, params: Any) -> tuple[Nothing, Readings]:
    return state, () if isinstance(seen, Snapshot) else None


RULE = Rule(state=Nothing, start=_start, step=_step, events=frozenset())


class Operator(Guard):
    """Closes what a person tells it to close, until a person releases it."""

    Config = GuardParams
    rule = RULE

    def __init__(self) -> None:
        super().__init__(OPERATOR, GuardParams(action="flatten", required=False))

    def flatten(self, scope: str, reason: str) -> bool:
        """Halt a scope and have it closed; returns False when it was so already.

        Parameters
        ----------
        scope : str
            ``desk``, ``strategy:<key>`` or ``instrument:<id>``.
        reason : str
            The person's.

        Raises
        ------
        DeskError
            When it can't be kept; it is in force until the process ends.
        """
        assert self._desk is not None
        # A latch of its own trouble, with another key, halts entries and closes nothing.
        if any(latch.scope == scope and latch.key == "" for latch in self.latches):
            return False
        latch = Latch(
            scope=scope,
            key="",
            action=int(Action.FLATTEN),
            multiplier=1.0,
            release="manual",
            since=self._desk.now(),
            until=None,
            measured=1.0,
            limit=0.0,
            reason=reason,
        )
        latches = tuple(sorted((*self.latches, latch), key=lambda x: (x.scope, x.key)))
        try:
            # Kept before it takes effect, as with every guard.
            self._keep(self.rule_state, latches)
        except DeskError:
            self.latches, self._unkept = latches, True
            raise
        finally:
            # What can't be kept is closed all the same.
            self.publish()
        return True
