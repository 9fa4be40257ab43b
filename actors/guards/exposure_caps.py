"""Exposure caps: gross value, net value and leverage of the desk or of each strategy. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from actors.guards.core.calm import Bounds, Calm
from actors.guards.core.drill import Plan, Scene, grow
from actors.guards.core.examples import Example, holding
from actors.guards.core.exposure import (
    Cap,
    Share,
    Values,
    cap_reading,
    clear_of,
    gross,
    money_cap,
    net,
    net_values,
    share_cap,
    strategy_values,
    worst_case,
)
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.limits import Money, Reading, none_given
from actors.guards.core.params import GuardParams, Release
from actors.guards.core.snapshot import OrderRequested, Snapshot

Of = Literal["desk", "strategies"]


class ExposureCapsParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps of the sum of positions; at least one of the four.

    Readings are on ``desk``, or on ``strategy:<key>``; keys ``gross_currency`` and ``net_currency``
    in settlement currency, ``leverage`` and ``net_pct`` in fractions of the account's equity. Each
    instrument's net position counts.

    Parameters
    ----------
    of : {"desk", "strategies"}
        Whose positions: all of the account, external ones included; or each strategy's own, so that
        only the strategy at its cap is held back.
    gross_currency, net_currency : float or None
        Largest gross and largest absolute net value, settlement currency.
    leverage : float or None
        Largest gross value, per unit of the account's equity.
    net_pct : float or None
        Largest absolute net value, a fraction of the account's equity.
    net_entries : bool
        Whether an entry is refused where net would reach its cap if only what is under way on its
        side were filled. False leaves net to what is held, so that a book of longs and shorts can
        be sent at once. An exit always leaves, also one that uncovers the other side of a hedge.
    """

    release: Release = "recovered"
    of: Of = "desk"
    gross_currency: Money | None = None
    net_currency: Money | None = None
    leverage: Share | None = 2.0
    net_pct: Share | None = None
    net_entries: bool = True

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when no cap is given."""
        caps = "leverage", "net_pct", "gross_currency", "net_currency"
        return super().check() + none_given(self, *caps)


class _Limit(NamedTuple):
    key: str
    cap: Cap
    is_net: bool


class ExposureCaps(Guard[ExposureCapsParams, Nothing]):
    """Keeps gross value, net value and leverage of the desk, or of each strategy, below caps.

    Refuses entries that could reach a cap, with pending orders counted.
    """

    Config = ExposureCapsParams
    unit = "x"
    needs = frozenset({"open_exposure"})
    example = Example(
        ExposureCapsParams(leverage=2.0),
        holding,
        (1999.99, 2000, 2001),
        clear=1800,
        key="leverage",
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure gross and net value of the desk, or of each strategy, against the caps."""
        params = self.params
        limits = _limits(params, snapshot)
        readings: list[Reading] = []
        for scope, held in _held(params, snapshot):
            for key, cap, is_net in limits:
                value = abs(net(held.values())) if is_net else gross(held.values())
                readings.append(cap_reading(scope, key, value, cap, params, _what(scope, is_net)))
        return state, tuple(readings)

    def calm(self, state: Nothing, snapshot: Snapshot) -> Calm | None:
        """Return the caps as bounds of the gross value: no net value is larger."""
        params = self.params
        if params.of != "desk":
            return None
        return Bounds(
            gross_share=clear_of(params, params.leverage, params.net_pct),
            gross=clear_of(params, params.gross_currency, params.net_currency),
        )

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry that could reach a gross or net cap, with pending orders counted."""
        params = self.params
        strategy = order.strategy if params.of == "strategies" else None
        scope = "desk" if strategy is None else f"strategy:{strategy}"
        way = worst_case(order, strategy)
        for _, cap, is_net in _limits(params, snapshot):
            if is_net and params.net_entries:
                refusal = cap.refusal(way.net(), _what(scope, is_net))
            elif not is_net and way.worsens:
                refusal = cap.refusal(way.gross, _what(scope, is_net))
            else:
                continue
            if refusal is not None:
                return refusal
        return None

    def drill(self, scene: Scene) -> Plan:
        """Grow the book over its smallest cap."""
        params = self.params
        caps = {
            "leverage": params.leverage,
            "net_pct": params.net_pct,
            "gross_currency": params.gross_currency,
            "net_currency": params.net_currency,
        }
        scope = scene.counted_scope(params.of)
        return grow(scene, params, caps, scope, "the book over its cap")


def _limits(params: ExposureCapsParams, snapshot: Snapshot) -> list[_Limit]:
    limits = []
    if params.gross_currency is not None:
        limits.append(_Limit("gross_currency", money_cap(params.gross_currency, params), False))
    if params.net_currency is not None:
        limits.append(_Limit("net_currency", money_cap(params.net_currency, params), True))
    if params.leverage is not None:
        limits.append(
            _Limit("leverage", share_cap(params.leverage, snapshot.equity, params), False)
        )
    if params.net_pct is not None:
        limits.append(_Limit("net_pct", share_cap(params.net_pct, snapshot.equity, params), True))
    return limits


def _held(params: ExposureCapsParams, snapshot: Snapshot) -> Iterator[tuple[str, Values]]:
    if params.of == "desk":
        yield "desk", net_values(snapshot)
        return
    for strategy in sorted(
        {*snapshot.results, *(held.strategy for held in snapshot.holdings)} - {""}
    ):
        yield f"strategy:{strategy}", strategy_values(snapshot, strategy)


def _what(scope: str, is_net: bool) -> str:
    return f"{'net' if is_net else 'gross'} value of {scope.removeprefix('strategy:')}"
