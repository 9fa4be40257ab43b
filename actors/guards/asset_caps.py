"""Asset caps: the most of one coin that the desk may hold, spot and perpetuals together. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.guards.core.drill import Plan, Scene, grow
from actors.guards.core.examples import COIN, Example, holding
from actors.guards.core.exposure import (
    GroupCaps,
    Share,
    asset_of,
    coin_of,
    group_readings,
    group_refusal,
    net_values,
    share_cap,
    worst_case,
)
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.params import ActionName, GuardParams, Release
from actors.guards.core.snapshot import OrderRequested, Snapshot


class AssetCap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The caps of one coin, where they are not those of all.

    Parameters
    ----------
    net, gross : float or None
        As in `AssetCapsParams`; None takes the cap of all coins.
    """

    net: Share | None = None
    gross: Share | None = None


class AssetCapsParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps of what is held in a coin over all its instruments.

    ``BTCUSDT-SPOT.BYBIT`` and ``BTCUSDT-LINEAR.BYBIT`` are both BTC, ``1000PEPEUSDT`` is PEPE.
    Readings are on ``instrument:<id>`` of each position of the coin, in fractions of equity; keys
    are such as ``BTC net`` and ``BTC gross``.

    Parameters
    ----------
    net, gross : float or None
        Largest absolute net and largest gross value of a coin, a fraction of the account's equity.
    assets : dict of str to AssetCap
        Caps of single coins, such as ``BTC: {net: 1.0}``; what one leaves out stays.
    net_entries : bool
        Whether an entry is refused where net would reach its cap if only what is under way on its
        side were filled. False leaves net to what is held, so that both legs of a hedged trade can
        be sent at once. An exit always leaves, also one that uncovers the other side of a hedge.
    """

    action: ActionName = "reduce_only"
    release: Release = "recovered"
    net: Share | None = 0.5
    gross: Share | None = None
    assets: dict[str, AssetCap] = msgspec.field(default_factory=dict)
    net_entries: bool = True

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) without a cap, and for a coin named by an instrument."""
        problems = super().check()
        if self.net is None and self.gross is None and not self.assets:
            problems.append(("net", "give net, gross or assets: without a cap nothing is guarded"))
        for name, cap in self.assets.items():
            is_instrument = "." in name or "-" in name or name.endswith(("USDT", "USDC"))
            coin = asset_of(name) if is_instrument else coin_of(name.upper())
            if coin != name:
                problems.append((f"assets.{name}", f"name the coin: {coin}"))
            elif cap.net is None and cap.gross is None:
                problems.append((f"assets.{name}", "give net, gross or both"))
        return problems


class AssetCaps(Guard[AssetCapsParams, Nothing]):
    """Keeps the value of one coin below a fraction of equity, spot and perpetuals together.

    Refuses entries that could reach a cap, with pending orders counted.
    """

    Config = AssetCapsParams
    unit = "%"
    needs = frozenset({"open_exposure"})
    example = Example(
        AssetCapsParams(net=0.5),
        holding,
        (499.99, 500, 501),
        clear=450,
        scope=f"instrument:{COIN}",
        key="BTC net",
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure each coin against its caps."""
        params = self.params
        coins: dict[str, dict[str, Decimal]] = {}
        for name, value in net_values(snapshot).items():
            coins.setdefault(asset_of(name), {})[name] = value
        of_all = _caps(params, AssetCap(), snapshot.equity)
        own = {coin: _caps(params, cap, snapshot.equity) for coin, cap in params.assets.items()}
        groups = ((coin, coins[coin], own.get(coin, of_all)) for coin in sorted(coins))
        return state, group_readings(groups, params)

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry that could bring its coin to a cap, with pending orders counted."""
        params = self.params
        coin = asset_of(order.instrument)
        way = worst_case(order).only(lambda name: asset_of(name) == coin)
        caps = _caps(params, params.assets.get(coin, AssetCap()), snapshot.equity)
        return group_refusal(coin, way, caps, net_entries=params.net_entries)

    def drill(self, scene: Scene) -> Plan:
        """Grow a coin over its cap."""
        params, name = self.params, scene.first
        own = params.assets.get(asset_of(name), AssetCap())
        net, gross = own.net or params.net, own.gross or params.gross
        if net is None and gross is None:
            # Only single coins have caps, and the first is none of them.
            name = next(i for i in scene.instruments if asset_of(i) in params.assets)
            own = params.assets[asset_of(name)]
            net, gross = own.net, own.gross
        coin = asset_of(name)
        caps = {f"{coin} net": net, f"{coin} gross": gross}
        return grow(scene, params, caps, scene.scope_of(name), f"{coin} over its cap", name)


def _caps(params: AssetCapsParams, own: AssetCap, equity: Decimal) -> GroupCaps:
    net = params.net if own.net is None else own.net
    gross = params.gross if own.gross is None else own.gross
    return GroupCaps(
        net=None if net is None else share_cap(net, equity, params),
        gross=None if gross is None else share_cap(gross, equity, params),
    )
