"""What every part of a document is: frozen, and strict about its keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A frozen part of a document in which an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        defer_build=True,
    )


Flag = Annotated[bool, Field(strict=True)]
"""True or false and nothing that merely looks like it."""

Whole = Annotated[int, Field(strict=True)]
"""A whole number, not a string of digits."""

Glob = Annotated[str, Field(pattern=r"^[A-Z0-9*?\[\]!.-]+$")]
"""An id such as ``BTCUSDT-LINEAR.BYBIT``, or a pattern of ids with ``*``, ``?`` and ``[…]``."""

InstrumentName = Annotated[str, Field(pattern=r"^[A-Z0-9]+-(LINEAR|SPOT)\.BYBIT$")]
"""One instrument id."""

ComponentKey = Annotated[str, Field(pattern=r"^[a-z0-9]{1,8}$")]
"""Name of a component: it becomes the tag in order ids, which Bybit limits to 36 characters."""

DocumentName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""Name of a document: it becomes part of folder names."""
