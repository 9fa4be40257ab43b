"""Maintenance: the venue takes no orders, says so of an instrument, or was announced to."""

from __future__ import annotations

from functools import cache

import msgspec

from actors.guards.core.exposure import net_values
from actors.guards.core.guard import Nothing, Readings, Rule, nothing
from actors.guards.core.limits import Reading
from actors.guards.core.params import SpanOrNone, TransientParams, refuses, seconds, span_ns
from actors.guards.core.snapshot import Input, OrderRequested, Snapshot
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
        found = []
        for index, window in enumerate(self.windows):
            for name in ("start", "end"):
                try:
                    moment_ns(getattr(window, name))
                except ValueError as error:
                    found.append((f"windows[{index}].{name}", str(error)))
        if not found:
            found = [
                (f"windows[{index}].end", f"must be after the start {window.start}")
                for index, window in enumerate(self.windows)
                if moment_ns(window.end) <= moment_ns(window.start)
            ]
        return super().check() + found


def step(state: Nothing, seen: Input, params: MaintenanceParams) -> tuple[Nothing, Readings]:
    """Look; readings are 1 while the venue or an instrument is closed, against a limit of 1.

    What is delisted and not held is spoken of no more: no halt of it would ever end. Of announced
    windows the reading is in seconds since entries stop, negative before, against 0.
    """
    if not isinstance(seen, Snapshot):
        return state, None
    closed = bool(seen.maintenance)
    readings = [_closed("desk", "venue", closed, seen.maintenance, params)]
    readings.extend(
        _closed(f"instrument:{name}", "", True, "the venue takes no orders in it", params)
        for name, market in seen.markets.items()
        if not market.trading and not (market.gone and name not in net_values(seen))
    )
    window = _window(params, seen.now)
    if window is not None:
        readings.append(_announced(window, seen.now, params))
    return state, tuple(readings)


def admit(
    state: Nothing, asked: OrderRequested, snapshot: Snapshot, params: MaintenanceParams
) -> str | None:
    """Refuse entries while closed, and in a window at the very moment of the order."""
    if not refuses(params):
        return None
    if snapshot.maintenance:
        return snapshot.maintenance
    market = snapshot.markets.get(asked.instrument)
    if market is not None and not market.trading:
        return f"the venue takes no orders in {asked.instrument}"
    window = _window(params, asked.ts)
    if window is None or asked.ts < _begin(window, params):
        return None
    return _words(window)


@cache
def moment_ns(text: str) -> int:
    """Return UNIX nanoseconds (UTC) of a moment in text; raises as `config.durations.parse`."""
    return nanoseconds(parse(text))


def _window(params: MaintenanceParams, now: int) -> Window | None:
    """Return the window that is on, else the next one; None when all are over."""
    ahead = [window for window in params.windows if now < moment_ns(window.end)]
    return min(ahead, key=lambda window: moment_ns(window.start), default=None)


def _begin(window: Window, params: MaintenanceParams) -> int:
    return moment_ns(window.start) - span_ns(params.before)


def _closed(scope: str, key: str, closed: bool, words: str, params: MaintenanceParams) -> Reading:
    return Reading(
        scope=scope,
        key=key,
        measured=float(closed),
        limit=1.0,
        over=closed,
        clear=not closed,
        action=params.asks,
        multiplier=params.multiplier,
        reason=words,
    )


def _announced(window: Window, now: int, params: MaintenanceParams) -> Reading:
    begin = _begin(window, params)
    over = now >= begin
    return Reading(
        scope="desk",
        key="announced",
        measured=seconds(now - begin),
        limit=0.0,
        over=over,
        clear=not over,
        action=params.asks,
        multiplier=params.multiplier,
        reason=_words(window) if over else "",
        until=moment_ns(window.end) if over else None,
    )


def _words(window: Window) -> str:
    return f"announced maintenance from {window.start} to {window.end} (UTC)"


RULE = Rule(
    state=Nothing,
    start=nothing,
    step=step,
    admit=admit,
    needs=frozenset({"markets"}),
    events=frozenset(),
)
