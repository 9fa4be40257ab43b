"""Optional blocks of a rebalancer's parameters: what a decision takes over from earlier ones.

`steps` applies them. Documents are checked without numpy, so no block's file may import it at the
top. A block that is null is off.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from config.durations import duration_ns
from config.parameter_types import Fraction, PositiveFraction, TimeSpan, about


class Partial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Moves toward the target by a part of the way; exits are always whole."""

    fraction: Annotated[
        PositiveFraction, about("Part of the way to the target at each decision.")
    ] = 0.25
    min_change: Annotated[
        Fraction,
        about(
            "A weight whose target is nearer than this stays as it is, of equity; compared before "
            "the fraction is taken."
        ),
    ] = 0.02


class Hold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on how long a position is held, from the candle of its entry."""

    least: Annotated[
        TimeSpan | None,
        about(
            "A younger position is neither closed nor turned, but for a loss_exit; null: any time."
        ),
    ] = None
    most: Annotated[
        TimeSpan | None,
        about(
            "An older one is closed, and may be entered again after stop_cooldown, at the next "
            "decision without one; null: no limit."
        ),
    ] = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        if self.least and self.most and duration_ns(self.least) >= duration_ns(self.most):
            return [("least", f"must be below most, which is {self.most}")]
        return []


class LossExit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closes a position at a decision after a loss since its entry, counted at closes."""

    loss: Annotated[PositiveFraction, about("Loss of one position that closes it, of equity.")] = (
        0.03
    )
    cooldown: Annotated[TimeSpan, about("No new entry in it for this long after the exit.")] = "2d"


class LossStreak(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pauses an instrument after losing trades in a row, counted at closes and before costs."""

    losses: Annotated[
        int, Meta(ge=1, le=50, description="So many losing trades in a row in one instrument …")
    ] = 2
    pause: Annotated[TimeSpan, about("… and none is entered for this long after.")] = "3h"
