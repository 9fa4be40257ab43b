"""Open and close at fixed levels of the basis: the policy that needs no training. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from config.parameter_types import about
from strategies.basis.edge import Edge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BASIS, EXIT = 0, 1
"""Places of the basis at opening and at closing among the features (`features.FEATURES`)."""
Basis = Annotated[float, Meta(ge=-1000.0, le=1000.0)]


class Act(IntEnum):
    """What a policy does at a look."""

    HOLD = 0
    OPEN = 1
    CLOSE = 2


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Opens and closes at fixed levels of the basis at executable prices."""

    open_bps: Annotated[
        Basis,
        about("Opened at this basis or above: perp's bid over spot's ask, basis points of spot."),
    ] = 35.0
    close_bps: Annotated[
        Basis,
        about(
            "Closed at this basis or below: perp's ask over spot's bid. The edge takes it for the "
            "basis at the exit, also where a trained policy decides."
        ),
    ] = 2.0

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) where it would close what it has just opened."""
        if self.close_bps >= self.open_bps:
            return [("close_bps", f"must be below open_bps, which is {self.open_bps:g}")]
        return []

    def act(self, features: NDArray[np.float64], position: int, edge: Edge) -> Act:
        """Return what to do; what is not known (NaN) changes nothing."""
        if position:
            return Act.CLOSE if features[EXIT] <= self.close_bps else Act.HOLD
        return Act.OPEN if features[BASIS] >= self.open_bps else Act.HOLD
