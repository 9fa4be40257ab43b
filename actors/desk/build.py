"""Builds the guards of a document, for backtests and live nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.desk.guard import GuardActor
from actors.guards.core.decisions import Decisions, Schedule
from actors.guards.core.guard import Guard
from config.components import resolve
from config.documents.setup import Setup
from config.durations import interval_ns
from config.params import build_params
from strategies.base import DeskStrategy
from strategies.schedule import next_fire


def guards_of(setup: Setup) -> dict[str, GuardActor]:
    """Return the enabled guards by key, in the document's order.

    Raises
    ------
    AddressError
        When an address can't be imported.
    DocumentErrors
        When parameters are wrong.
    """
    made: dict[str, GuardActor] = {}
    for key, component in setup.actors.items():
        if not component.enabled:
            continue
        cls: Any = resolve(component.use, setup.allow)
        params = cls.Config(**build_params(cls, component.params))
        if issubclass(cls, Guard):
            made[key] = GuardActor(key, cls(params))
        else:
            # A custom actor makes its guard itself.
            made[key] = cls(key, params)
    return made


def decisions_of(strategies: Mapping[str, DeskStrategy], started: int = 0) -> Decisions:
    """Return when a desk's strategies decide, for guards' halts: on a schedule, or on candles.

    A live node that ``started`` (UNIX nanoseconds, UTC) makes up the decisions it missed before.
    """
    found, missed = {}, {}
    for key, strategy in strategies.items():
        schedule = strategy.schedule()
        candles = [interval_ns(name) for name in strategy.history_needed()]
        if schedule is None and candles:
            schedule = min(candles), 0
        if schedule is not None:
            found[key] = Schedule(*schedule, frozenset(strategy.ids))
            if strategy.decided is not None:
                missed[key] = next_fire(strategy.decided, *schedule)
    return Decisions(found, {key: ts for key, ts in missed.items() if ts <= started}, started)
