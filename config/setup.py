"""The setup: strategies and guards over a universe, the same when tested and when traded."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from config.base import ComponentKey, DocumentName, Flag, Glob, Part
from config.risk import Risk


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
    risk: Risk = Risk()
    """What all guards share."""
