"""How the guards work together: how often they look, and how a flatten is carried through."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from config.documents.base import ComponentKey, DocumentName, Flag, Glob, Part


class RiskSettings(Part):
    """What all guards of a setup share. All times are in seconds."""

    every: Annotated[float, Field(ge=0.05, le=60)] = 0.5
    """Pause between two looks, live; in a backtest they look whenever prices have moved."""
    heartbeat: Annotated[float, Field(ge=0.2, le=600)] = 5.0
    """Silence of a required guard after which entries stop; exits never do."""
    exit_grace: Annotated[float, Field(ge=0, le=600)] = 5.0
    """How long strategies may leave by themselves after a flatten, before the desk cancels and
    closes what is left."""
    deadline: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """From a flatten until all is flat; what is not by then raises an alert, and another every so
    often until it is."""
    external: Literal["leave", "universe", "all"] = "universe"
    """Which positions that are not the desk's own a flatten of the desk closes: none, those in its
    universe, or every one of the account."""


def _not_of_python(name: str) -> str:
    if name.split(".")[0] in sys.stdlib_module_names:
        raise ValueError("must be a package of yours, not one of Python's own")
    return name


PackageName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"),
    AfterValidator(_not_of_python),
]


class Component(Part):
    """A strategy or a guard: which class, and its parameters."""

    use: str
    """Address of the class, such as ``strategies.xs_reversal:XSReversal``."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the class's own config, checked against it."""
    enabled: Flag = True
    """False leaves the component out of the run."""


class StrategyComponent(Component):
    """A strategy, and the part of the universe that is its own."""

    instruments: Annotated[tuple[Glob, ...], Field(min_length=1)] | None = None
    """Ids or patterns that narrow the universe; null takes all of it."""


class Universe(Part):
    """Which instruments are looked at."""

    instruments: Annotated[tuple[Glob, ...], Field(min_length=1)] = ("*-LINEAR.BYBIT",)
    """Ids or patterns of ids."""
    exclude: tuple[Glob, ...] = ()
    """Ids or patterns that are left out again."""


class Setup(Part):
    """What is tested and traded."""

    kind: Literal["setup"] = "setup"
    name: DocumentName
    """Short name; it goes into folder names."""
    description: str = ""
    """A sentence for the reader of a report."""
    allow: tuple[PackageName, ...] = ()
    """Python packages outside the project that ``use`` may name."""
    universe: Universe = Universe()
    strategies: Annotated[dict[ComponentKey, StrategyComponent], Field(min_length=1)]
    """Strategies by key; the key becomes the tag in order ids."""
    actors: dict[ComponentKey, Component] = Field(default_factory=dict)
    """Guards and other actors by key."""
    risk: RiskSettings = RiskSettings()
    """What all guards share."""
