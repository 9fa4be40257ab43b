"""Find the engine's strategy class that runs the class named in a document."""

from __future__ import annotations

import importlib
from typing import Any

from strategies.base import DeskStrategy


def engine_class(named: type[Any]) -> type[DeskStrategy]:
    """Return the engine's strategy for a class that `config.components.resolve` returned.

    A class that derives from `DeskStrategy` is returned itself. A pure one, such as a
    `PanelRebalancer`, names its engine class in ``engine``. A class derived from that one is made
    with the same name (strategy ids contain it) and parameters. Any other class raises TypeError.
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
