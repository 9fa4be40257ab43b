"""Caps on instruments taken together: a coin's, a cluster's. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from actors.guards.core.caps import Cap, cap_reading
from actors.guards.core.exposures import Values, gross, net
from actors.guards.core.params import GuardParams
from actors.guards.core.reading import Reading
from actors.guards.core.worst_case import WorstCase


class GroupCaps(NamedTuple):
    """The caps of a group on its net and on its gross value, where it has them."""

    net: Cap | None
    gross: Cap | None


class _Measured(NamedTuple):
    """A group's value under one of its caps."""

    key: str
    held: Values
    value: Decimal
    cap: Cap

    @property
    def part(self) -> float:
        """Return the value as a part of the cap."""
        return float(self.value / self.cap.money) if self.value else 0.0

    def reading(self, instrument: str, params: GuardParams) -> Reading:
        """Return the reading on one of its instruments."""
        scope = f"instrument:{instrument}"
        return cap_reading(scope, self.key, self.value, self.cap, params, self.key)


def group_readings(
    groups: Iterable[tuple[str, Values, GroupCaps]], params: GuardParams
) -> tuple[Reading, ...]:
    """Measure groups: a reading on each position of those that are not clear of a cap.

    Where all are clear, one on the largest position of the group that is nearest to a cap.

    Parameters
    ----------
    groups : iterable of (name, values, caps)
        What is held of each group by instrument, and its caps. Keys of readings are such as
        ``BTC net``.
    params : GuardParams
        What is asked for.
    """
    near: list[Reading] = []
    # Of the groups under one and the same cap the largest is the nearest to it.
    largest: dict[int, _Measured] = {}
    for name, held, caps in groups:
        if not held:
            continue
        for cap, kind, measure in ((caps.net, "net", _net_size), (caps.gross, "gross", gross)):
            if cap is None:
                continue
            value = measure(held.values())
            if not cap.clear(value):
                found = _Measured(f"{name} {kind}", held, value, cap)
                near += [found.reading(instrument, params) for instrument in sorted(held)]
            elif id(cap) not in largest or value > largest[id(cap)].value:
                largest[id(cap)] = _Measured(f"{name} {kind}", held, value, cap)
    if near or not largest:
        return tuple(near)
    nearest = max(largest.values(), key=lambda found: found.part)
    of_nearest = nearest.held
    most = max(of_nearest, key=lambda name: (abs(of_nearest[name]), name))
    return (nearest.reading(most, params),)


def _net_size(values: Iterable[Decimal]) -> Decimal:
    return abs(net(values))


def group_refusal(name: str, way: WorstCase, caps: GroupCaps, *, net_entries: bool) -> str | None:
    """Return why an entry that could bring its group to a cap is refused, None when it can't.

    Parameters
    ----------
    name : str
        The group's.
    way : WorstCase
        Of the group's instruments only.
    caps : GroupCaps
        Of the group.
    net_entries : bool
        Whether net is judged for entries at all.
    """
    refusal = None
    if caps.net is not None and net_entries:
        refusal = caps.net.refusal(way.net(), f"{name} net")
    if refusal is None and caps.gross is not None and way.worsens:
        refusal = caps.gross.refusal(way.gross(), f"{name} gross")
    return refusal
