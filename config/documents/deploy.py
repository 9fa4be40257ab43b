"""What a new release of a node must have shown, where it must have lived, and how it begins."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.documents.base import Part, Whole
from config.documents.search_space import Number
from config.documents.study import StudyGates

Days = Annotated[float, Field(ge=0, le=3650)]


class DeployGates(StudyGates):
    """What a study must have measured for its parameters to be released; refused otherwise (3)."""

    margin: Number = 0.1
    """Least by which the Sharpe ratio out of sample exceeds that of the study whose release runs
    now."""


class Canary(Part):
    """How a release begins: smaller, and watched."""

    size: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Size of positions, a fraction of the normal one."""
    days: Annotated[Whole, Field(ge=1, le=90)] = 7
    """Days after which it has its full size, if the results stayed inside the study's Monte Carlo
    band; outside, the release before comes back."""
    environments: tuple[Literal["practice", "demo", "testnet", "mainnet"], ...] = ("mainnet",)
    """Where a release begins so; elsewhere it has its full size at once."""


class Ladder(Part):
    """Days that nodes of the same name must have run the same parameters, by environment."""

    practice: Days = 1.0
    """On the practice exchange."""
    paper: Days = 1.0
    """On paper."""
    demo: Days = 0.0
    """On Bybit's demo."""
    testnet: Days = 1.0
    """On Bybit's testnet."""


class Deploy(Part):
    """How releases get to this node."""

    gates: DeployGates = DeployGates()
    """What the study must have shown."""
    ladder: Ladder = Ladder()
    """Where the same parameters must have run before mainnet takes them."""
    canary: Canary = Canary()
    """How it begins."""
