"""What every part of a document is: frozen, and strict about its keys."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from config.durations import Moment, nanoseconds
from config.suggestions import ENVIRONMENT_NAME, GLOB, INSTRUMENT


class Part(BaseModel):
    """A frozen part of a document in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class TimeRange(Part):
    """A stretch of time, UTC; the end is not part of it."""

    start_path: ClassVar[str] = "start"
    """Path of the start in its document."""
    start: Moment
    """First moment, UTC."""
    end: Moment
    """Moment at which it stops, exclusive, UTC."""

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: Moment, info: ValidationInfo) -> Moment:
        start = info.data.get("start")
        if start is not None and end <= start:
            raise ValueError(f"must be later than {cls.start_path} ({start:%Y-%m-%d %H:%M} UTC)")
        return end

    @property
    def start_ns(self) -> int:
        """Start in UNIX nanoseconds (UTC)."""
        return nanoseconds(self.start)

    @property
    def end_ns(self) -> int:
        """End in UNIX nanoseconds (UTC), exclusive."""
        return nanoseconds(self.end)


Flag = Annotated[bool, Field(strict=True)]
"""True or false and nothing that merely looks like it."""

Whole = Annotated[int, Field(strict=True)]
"""A whole number, not a string of digits."""

Glob = Annotated[str, Field(pattern=GLOB)]
"""An id such as ``BTCUSDT-LINEAR.BYBIT``, or a pattern of ids with ``*``, ``?`` and ``[…]``."""

InstrumentName = Annotated[str, Field(pattern=INSTRUMENT)]
"""One instrument id."""

ComponentKey = Annotated[str, Field(pattern=r"^[a-z0-9]{1,8}$")]
"""Name of a component: it becomes the tag in order ids, which Bybit limits to 36 characters."""

DocumentName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""Name of a document: it becomes part of folder names."""

EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_NAME)]
"""Name of an environment variable that holds a secret, never the secret itself."""
