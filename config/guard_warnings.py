"""Warn of a node without guards, and of guards that can't bind on the strategies' schedule."""

from __future__ import annotations

from typing import Any

from config.components import resolve_or_none
from config.documents import Node
from config.documents.setup import Component, Setup
from config.durations import duration_ns, offset_ns
from config.params import build_params, check_params, complete_params

NO_GUARD = (
    "no guard is enabled: no loss stops this node; perpdesk:presets/risk_standard under `extends` "
    "adds the shipped guards"
)


def guard_warnings(setup: Setup) -> list[str]:
    """Return a sentence for a node without guards, or one for each guard that can't bind."""
    if isinstance(setup, Node) and not any(actor.enabled for actor in setup.actors.values()):
        return [NO_GUARD]
    return [f"actors.{key}: {why}" for key, why in idle_guards(setup).items()]


def idle_guards(setup: Setup) -> dict[str, str]:
    """Return why a guard can't bind, by key; empty where a strategy decides without a schedule.

    Skips components with wrong parameters.
    """
    schedules: dict[str, tuple[str, str]] = {}
    for key, component in setup.strategies.items():
        if component.enabled:
            cls = _usable(component, setup)
            params = {} if cls is None else complete_params(cls, component.params)
            if not {"every", "at"} <= params.keys():
                return {}
            schedules[key] = params["every"], params["at"]
    found = {}
    for guard, actor in setup.actors.items():
        cls = _usable(actor, setup) if actor.enabled else None
        if cls is None or not hasattr(cls.Config, "idle_on"):
            continue
        guarding = cls.Config(**build_params(cls, actor.params))
        reasons = {
            f"{key} decides every {every} at {at}": guarding.idle_on(
                duration_ns(every), offset_ns(at)
            )
            for key, (every, at) in schedules.items()
        }
        if reasons and all(reasons.values()):
            when, why = next(iter(reasons.items()))
            found[guard] = f"can't bind on this schedule: {why}; {when}"
    return found


def _usable(component: Component, setup: Setup) -> Any:
    cls: Any = resolve_or_none(component.use, setup.allow)
    return None if cls is None or check_params(cls.Config, component.params) else cls
