"""From the class that a document names to the engine's strategy that runs it."""

from __future__ import annotations

import importlib
from typing import Any

from strategies.base import DeskStrategy


def engine_class(named: type[Any]) -> type[DeskStrategy]:
    """Return the strategy that the engine runs for a class that `config.components.resolve` gave.

    A class that derives from `DeskStrategy` is that itself. A pure one, such as a
    `PanelRebalancer`, names in ``engine`` who runs it: a class derived from that one is made, which
    keeps the name (strategy ids have it) and the parameters.

    Raises
    ------
    TypeError
        When the class is neither.
    """
    if issubclass(named, DeskStrategy):
        return named
    address = getattr(named, "engine", None)
    if address is None:
        raise TypeError(f"{named.__module__}:{named.__name__} is no strategy of the desk")
    module, _, name = address.partition(":")
    host: type[DeskStrategy] = getattr(importlib.import_module(module), name)
    body = {"Config": named.Config, "ranking": named, "__module__": named.__module__}
    return type(named.__name__, (host,), body)
