"""The ingest: where data comes from, and which part of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator

from config.documents.base import DocumentName, Flag, Part
from config.durations import Interval, Moment, nanoseconds

_SYMBOL = r"^[A-Z0-9]+$"


def _symbols(value: Any) -> tuple[str, ...] | Literal["all"]:
    if value == "all":
        return "all"
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("must be a list of symbols such as [BTCUSDT, ETHUSDT], or the word all")
    for symbol in value:
        if not isinstance(symbol, str) or not symbol.isascii() or not symbol.isalnum():
            raise ValueError(f"{symbol!r} is no symbol such as BTCUSDT")
        if symbol != symbol.upper():
            raise ValueError(f"{symbol!r} must be in capitals: {symbol.upper()}")
    return tuple(value)


class Source(Part):
    """Whom to ask."""

    venue: Literal["bybit"] = "bybit"
    base_url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    """Another address of the venue's API, for tests against a local server; null: Bybit itself."""


class Ingest(Part):
    """A pull of market history into a catalog."""

    kind: Literal["ingest"] = "ingest"
    name: DocumentName = "ingest"
    description: str = ""
    catalog: Annotated[str, Field(min_length=1)]
    """Folder of the catalog, relative to the working directory."""
    source: Source = Source()
    product: Literal["linear", "spot"] = "linear"
    instruments: Annotated[
        tuple[str, ...] | Literal["all"],
        PlainValidator(_symbols),
        WithJsonSchema(
            {
                "anyOf": [
                    {"const": "all"},
                    {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "pattern": _SYMBOL},
                    },
                ]
            }
        ),
    ]
    """The venue's symbols, or ``all``."""
    intervals: Annotated[tuple[Interval, ...], Field(min_length=1)] = ("1h", "1d")
    start: Moment
    """First moment, UTC."""
    end: Moment
    """Moment at which it stops, exclusive, UTC."""
    mark: Flag = True
    """Whether mark price candles (1h) are pulled as well."""
    funding: Flag = True
    """Whether funding rates are pulled as well."""

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: Moment, info: ValidationInfo) -> Moment:
        start = info.data.get("start")
        if start is not None and end <= start:
            raise ValueError(f"must be later than start ({start:%Y-%m-%d %H:%M} UTC)")
        return end

    @property
    def start_ns(self) -> int:
        """Start in UNIX nanoseconds (UTC)."""
        return nanoseconds(self.start)

    @property
    def end_ns(self) -> int:
        """End in UNIX nanoseconds (UTC), exclusive."""
        return nanoseconds(self.end)
