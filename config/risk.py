"""How the guards work together: how often they look, and how a flatten is carried through."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.base import Part


class Risk(Part):
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
