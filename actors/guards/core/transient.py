"""What guards share whose halts pass by themselves: a wide spread, a closed venue, a late feed."""

from __future__ import annotations

from typing import ClassVar

from actors.guards.core.params import GuardParams, Release
from strategies.messages import Action


class TransientParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a guard whose halts pass by themselves; see `GuardParams`."""

    transient: ClassVar[bool] = True

    release: Release = "recovered"


def refuses(params: GuardParams) -> bool:
    """Whether the guard's action keeps entries back: shrinking lets them pass, smaller."""
    return params.asks >= Action.HALT_ENTRIES
