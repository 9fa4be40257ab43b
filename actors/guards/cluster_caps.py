"""Cluster caps: the most that may be held in instruments that move together. Pure."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Plan, Scene, grow
from actors.guards.core.examples import COIN, Example, holding
from actors.guards.core.exposure import (
    GroupCaps,
    Share,
    group_readings,
    group_refusal,
    net_values,
    share_cap,
    worst_case,
)
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.params import ActionName, GuardParams, Release
from actors.guards.core.snapshot import OrderRequested, Snapshot


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Instruments that move together, and how much of them may be held; at least one of the caps.

    Parameters
    ----------
    instruments : tuple of str
        Ids or patterns, such as ``BTC*``.
    cap, net : float or None
        Largest gross and largest absolute net value, a fraction of the account's equity.
    """

    instruments: Annotated[tuple[str, ...], Meta(min_length=1)]
    cap: Share | None = None
    net: Share | None = None


class ClusterCapsParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps of clusters of instruments, such as ``majors``; an instrument may be in several.

    Readings are on ``instrument:<id>`` of each position of a cluster, in fractions of equity; keys
    are such as ``majors gross`` and ``majors net``.

    Parameters
    ----------
    clusters : dict of str to Cluster
        By name, such as ``majors: {instruments: ["BTC*", "ETH*"], cap: 0.5}``.
    net_entries : bool
        Whether an entry is refused where net would reach its cap if only what is under way on its
        side were filled. False leaves net to what is held, so that a book of longs and shorts can
        be sent at once. An exit always leaves, also one that uncovers the other side of a hedge.
    """

    action: ActionName = "reduce_only"
    release: Release = "recovered"
    clusters: dict[str, Cluster] = msgspec.field(default_factory=dict)
    net_entries: bool = True

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) without a cluster, and for one without a cap."""
        if not self.clusters:
            return [("clusters", "name at least one cluster: nothing is guarded")]
        return [
            (f"clusters.{name}", "give cap, net or both")
            for name, cluster in self.clusters.items()
            if cluster.cap is None and cluster.net is None
        ]

    def instruments_named(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the clusters' ids and patterns."""
        return [
            (("clusters", name, "instruments", index), pattern)
            for name, cluster in self.clusters.items()
            for index, pattern in enumerate(cluster.instruments)
        ]


class ClusterCaps(Guard[ClusterCapsParams, Nothing]):
    """Keeps the value of instruments that move together below a fraction of equity.

    Refuses entries that could reach a cap, with pending orders counted.
    """

    Config = ClusterCapsParams
    unit = "%"
    needs = frozenset({"open_exposure"})
    example = Example(
        ClusterCapsParams(clusters={"majors": Cluster(instruments=("BTC*",), cap=0.5)}),
        holding,
        (499.99, 500, 501),
        clear=450,
        scope=f"instrument:{COIN}",
        key="majors gross",
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure each cluster against its caps."""
        params = self.params
        values = net_values(snapshot)
        groups = (
            (
                key,
                {
                    name: value
                    for name, value in values.items()
                    if belongs(name, cluster.instruments)
                },
                _caps(cluster, snapshot.equity, params),
            )
            for key, cluster in params.clusters.items()
        )
        return state, group_readings(groups, params)

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry that could bring a cluster to a cap, with pending orders counted."""
        params = self.params
        way = worst_case(order)
        for key, cluster in params.clusters.items():
            if not belongs(order.instrument, cluster.instruments):
                continue
            own = way.only(partial(belongs, patterns=cluster.instruments))
            caps = _caps(cluster, snapshot.equity, params)
            refusal = group_refusal(key, own, caps, net_entries=params.net_entries)
            if refusal:
                return refusal
        return None

    def drill(self, scene: Scene) -> Plan:
        """Grow a cluster over its cap."""
        key, cluster, name = next(
            (key, cluster, name)
            for key, cluster in self.params.clusters.items()
            for name in scene.instruments
            if belongs(name, cluster.instruments)
        )
        caps = {f"{key} gross": cluster.cap, f"{key} net": cluster.net}
        words = f"cluster {key} over its cap"
        return grow(scene, self.params, caps, scene.scope_of(name), words, name)


@lru_cache(maxsize=16384)
def belongs(instrument: str, patterns: tuple[str, ...]) -> bool:
    """Whether an instrument id is in these ids or matches one of these patterns."""
    return any(fnmatchcase(instrument, pattern) for pattern in patterns)


def _caps(cluster: Cluster, equity: Decimal, params: ClusterCapsParams) -> GroupCaps:
    return GroupCaps(
        net=None if cluster.net is None else share_cap(cluster.net, equity, params),
        gross=None if cluster.cap is None else share_cap(cluster.cap, equity, params),
    )
