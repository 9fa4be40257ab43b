"""Caps on instruments taken together: a coin's, a cluster's. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from actors.rules.exposures import Cap, Course, Values, cap_reading, gross, net, reached
from actors.rules.params import GuardParams
from actors.rules.reading import Reading


class GroupCap(NamedTuple):
    """One cap of a group: on its net value, else on its gross."""

    name: str
    is_net: bool
    cap: Cap

    @property
    def key(self) -> str:
        """Return the reading's key, which is how it is called, such as ``BTC net``."""
        return f"{self.name} {'net' if self.is_net else 'gross'}"


def group_readings(
    groups: Iterable[tuple[Values, Iterable[GroupCap]]], params: GuardParams
) -> tuple[Reading, ...]:
    """Measure groups: a reading on each position of those that are not clear of a cap.

    Where all are clear, one on the largest position of the group that is nearest to a cap.

    Parameters
    ----------
    groups : iterable of (values, caps)
        What is held of each group by instrument, and its caps.
    params : GuardParams
        What is asked for, and the hysteresis.
    """
    near: list[Reading] = []
    nearest: tuple[float, Values, GroupCap, Decimal] | None = None
    for held, caps in groups:
        for limit in caps:
            value = abs(net(held.values())) if limit.is_net else gross(held.values())
            if not limit.cap.clear(value, params.hysteresis):
                near.extend(_reading(name, limit, value, params) for name in sorted(held))
                continue
            part = limit.cap.told(value) / limit.cap.limit
            if held and (nearest is None or part > nearest[0]):
                nearest = (part, held, limit, value)
    if near or nearest is None:
        return tuple(near)
    _, held, limit, value = nearest
    largest = max(held, key=lambda name: (abs(held[name]), name))
    return (_reading(largest, limit, value, params),)


def group_refusal(way: Course, caps: Iterable[GroupCap], *, net_entries: bool) -> str | None:
    """Return why an entry that could bring its group to a cap is refused, None when it can't.

    Parameters
    ----------
    way : Course
        Of the group's instruments only.
    caps : iterable of GroupCap
        Of the group.
    net_entries : bool
        Whether net is judged for entries at all.
    """
    before, after = way.gross()
    for limit in caps:
        value: Decimal | None = after if after > before else None
        if limit.is_net:
            value = way.net() if net_entries else None
        refusal = None if value is None else reached(value, limit.cap, limit.key)
        if refusal:
            return refusal
    return None


def _reading(instrument: str, limit: GroupCap, value: Decimal, params: GuardParams) -> Reading:
    scope = f"instrument:{instrument}"
    return cap_reading(scope, limit.key, value, limit.cap, params, limit.key)
