"""Types that parameters of strategies share, each with its range."""

from __future__ import annotations

from typing import Annotated

import msgspec

from config.durations import DURATION, FINE_DURATION

Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Lookback = Annotated[int, msgspec.Meta(ge=1, le=5000)]  # Candles.
Returns = Annotated[int, msgspec.Meta(ge=2, le=5000)]  # Candles, enough for a deviation.
AverageLength = Annotated[int, msgspec.Meta(ge=2, le=1000)]  # Candles.
RangeLength = Annotated[int, msgspec.Meta(ge=2, le=500)]  # Candles, of an ADX, ATR or RSI.
Money = Annotated[float, msgspec.Meta(gt=0.0, le=1e12)]  # Settlement currency.
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
PositiveFraction = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
Multiple = Annotated[float, msgspec.Meta(gt=0.0, le=10.0)]  # Of equity, or of a deviation.
AtrMultiple = Annotated[float, msgspec.Meta(gt=0.0, le=50.0)]
UpToHundred = Annotated[float, msgspec.Meta(ge=0.0, le=100.0)]
BasisPoints = Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)]
TimeSpan = Annotated[str, msgspec.Meta(pattern=DURATION)]
FineTimeSpan = Annotated[str, msgspec.Meta(pattern=FINE_DURATION)]  # Milliseconds too.


def about(text: str) -> msgspec.Meta:
    """Return a parameter's description, for `perpdesk describe` and editors."""
    return msgspec.Meta(description=text)
