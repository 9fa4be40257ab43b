"""The ingest: where data comes from, and which part of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from config.documents.base import DocumentName, Flag, Part, TimeRange
from config.durations import Interval

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


class Ingest(TimeRange):
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
    mark: Flag = True
    """Whether mark price candles (1h) are pulled as well."""
    funding: Flag = True
    """Whether funding rates are pulled as well."""
