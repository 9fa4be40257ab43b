"""Read what a deployment needs of a study's best.json."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from config.errors import InputError


class Band(msgspec.Struct, frozen=True):
    """Returns, percent, between which nine of ten paths stay at the end of all days."""

    lower_pct: list[float | None] = []
    upper_pct: list[float | None] = []

    @property
    def days(self) -> list[tuple[float, float]]:
        """Return both ends of each day, until one is unknown."""
        found = []
        for low, up in zip(self.lower_pct, self.upper_pct, strict=False):
            if low is None or up is None:
                break
            found.append((low, up))
        return found


class MonteCarlo(msgspec.Struct, frozen=True):
    """What a study resampled."""

    band: Band = Band()


class StudyGate(msgspec.Struct, frozen=True):
    """A gate of the study; undefined is None."""

    measured: float | None
    passed: bool
    key: str = ""


class StudyOutcome(msgspec.Struct, frozen=True):
    """What is needed of a study's best.json."""

    study: str
    accepted: bool
    parameters: dict[str, Any]
    gates: list[StudyGate]
    provenance: dict[str, str]
    monte_carlo: MonteCarlo = MonteCarlo()

    def measured(self, key: str) -> float:
        """Return what the study's gate of this setting measured, NaN where it is undefined."""
        value = next((gate.measured for gate in self.gates if gate.key == key), None)
        return math.nan if value is None else value


def outcome_of(text: bytes, file: Path) -> StudyOutcome:
    """Return a study's outcome from best.json; raise InputError where it is none."""
    try:
        return msgspec.json.decode(text, type=StudyOutcome)
    except msgspec.DecodeError as error:
        raise InputError(
            f"{file}: is no outcome of a study ({error}); run it again with perpdesk optimize"
        ) from None
