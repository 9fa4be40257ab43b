"""Maintenance: no entries while the venue is closed, or will close soon."""

from __future__ import annotations

from functools import cache

import msgspec

from actors.guards.core.calm import Bounds, Calm
from actors.guards.core.drill import LASTS, Announced, Mended, Plan, Scene, plan, stage
from actors.guards.core.examples import Example, desk
from actors.guards.core.exposure import net_values
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.lazy import UnpricedMarkets, unpriced_markets
from actors.guards.core.limits import Reading, limit_reading
from actors.guards.core.params import SpanOrNone, TransientParams, refuses, seconds, span_ns
from actors.guards.core.snapshot import OrderRequested, Snapshot, once
from config.durations import nanoseconds, parse


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An announced maintenance.

    Parameters
    ----------
    start, end : str
        UTC, such as ``2026-03-01T06:00:00Z``; it is over at the end exactly.
    """

    start: str
    end: str


class MaintenanceParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the venue is taken for closed: while it says so, and in the windows that it announced.

    Parameters
    ----------
    windows : list of Window
        Announced maintenances.
    before : str
        How long before each of them entries stop already; ``0s`` for not at all.
    """

    windows: tuple[Window, ...] = ()
    before: SpanOrNone = "10m"

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each window that is none."""
        found = super().check()
        for index, window in enumerate(self.windows):
            times = []
            for name in ("start", "end"):
                try:
                    times.append(moment_ns(getattr(window, name)))
                except ValueError as error:
                    found.append((f"windows[{index}].{name}", str(error)))
            if len(times) == 2 and times[1] <= times[0]:
                words = f"must be after the start {window.start}"
                found.append((f"windows[{index}].end", words))
        return found


class Maintenance(Guard[MaintenanceParams, Nothing]):
    """Stops entries while the venue is closed, or will close soon."""

    Config = MaintenanceParams
    unit = ""
    needs = frozenset({"markets"})
    example = Example(
        MaintenanceParams(),
        lambda closed: (desk(maintenance="upgrade" * int(closed)),),
        (0, 1, 2),
        clear=0,
        key="venue",
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Readings are 1 while the venue or an instrument is closed, against a limit of 1.

        Delisted instruments without a position have no reading: their halt would never end. The
        reading of an announced window is in seconds since entries stop (negative before), against
        0.
        """
        params = self.params
        closed = bool(snapshot.maintenance)
        readings = [_closed("desk", "venue", closed, snapshot.maintenance, params)]
        readings.extend(
            _closed(f"instrument:{name}", "", True, "the venue takes no orders in it", params)
            for name, market in snapshot.markets.items()
            if not market.trading and not (market.gone and name not in net_values(snapshot))
        )
        window = _window(params, snapshot.now)
        if window is not None:
            readings.append(_announced(window, snapshot.now, params))
        return state, tuple(readings)

    def calm(self, state: Nothing, snapshot: Snapshot) -> Calm | None:
        """Return the markets while all trade and no window is announced."""
        markets = unpriced_markets(snapshot)
        is_open = not (snapshot.maintenance or self.params.windows)
        return Bounds(markets=markets) if is_open and _all_trade(markets) else None

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse entries while the venue is closed, and in a window by the time of the order."""
        params = self.params
        if not refuses(params):
            return None
        if snapshot.maintenance:
            return snapshot.maintenance
        market = unpriced_markets(snapshot).get(order.instrument)
        if market is not None and not market.trading:
            return f"the venue takes no orders in {order.instrument}"
        window = _window(params, order.ts)
        if window is None or order.ts < _begin(window, params):
            return None
        return _words(window)

    def drill(self, scene: Scene) -> Plan:
        """Announce maintenance that has begun."""
        announced = Announced("drill", LASTS)
        halt = stage(self.params, scene.desk, announced, key="venue", within=60.0)
        words = "the venue announces maintenance"
        return plan(self.params, words, scene.first, halt, mend=(Mended(),))


@cache
def moment_ns(text: str) -> int:
    """Return a moment's UNIX nanoseconds (UTC); raises as `config.durations.parse`."""
    return nanoseconds(parse(text))


def _window(params: MaintenanceParams, now: int) -> Window | None:
    ahead = [window for window in params.windows if now < moment_ns(window.end)]
    return min(ahead, key=lambda window: moment_ns(window.start), default=None)


def _begin(window: Window, params: MaintenanceParams) -> int:
    return moment_ns(window.start) - span_ns(params.before)


@once
def _all_trade(markets: UnpricedMarkets) -> bool:
    return all(market.trading for market in markets.values())


def _closed(scope: str, key: str, closed: bool, words: str, params: MaintenanceParams) -> Reading:
    return limit_reading(
        params, scope, float(closed), 1.0, closed, words, key=key, clear=not closed
    )


def _announced(window: Window, now: int, params: MaintenanceParams) -> Reading:
    begin = _begin(window, params)
    over = now >= begin
    return limit_reading(
        params,
        "desk",
        seconds(now - begin),
        0.0,
        over,
        _words(window) if over else "",
        key="announced",
        clear=not over,
        until=moment_ns(window.end) if over else None,
    )


def _words(window: Window) -> str:
    return f"announced maintenance from {window.start} to {window.end} (UTC)"
