"""What a rule is bound with that measures only what it is shown, and remembers nothing. Pure."""

from __future__ import annotations

import msgspec

from actors.guards.core.facts import Snapshot
from actors.guards.core.params import GuardParams


class Nothing(msgspec.Struct, frozen=True):
    """The state of a rule that remembers nothing."""


NOTHING = Nothing()
"""The only one there is: a rule returns the very same object as long as nothing changes."""


def nothing(params: GuardParams, snapshot: Snapshot) -> Nothing:
    """Return the state before anything was seen, which stays."""
    return NOTHING
