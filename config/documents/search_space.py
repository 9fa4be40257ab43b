"""The search space of a study: which values a parameter may take."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from config.documents.base import Flag, Part, Whole

Number = Annotated[float, Field(strict=True)]


class Dimension(Part):
    """Values that one parameter may take: ``{int: [1, 20]}``, ``{float: [0.1, 0.4]}``, ``choice``.

    One of the three; both ends of a range are part of it.
    """

    int: tuple[Whole, Whole] | None = None
    """Least and largest whole number."""
    float: tuple[Number, Number] | None = None
    """Least and largest number."""
    choice: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    """The values themselves, such as ``[sample, ewma]``; null is one too."""
    step: Annotated[Number, Field(gt=0)] | None = None
    """Distance of neighbouring values; null is 1 for ``int``, and leaves ``float`` continuous."""
    log: Flag = False
    """Whether the range is searched by orders of magnitude."""

    @model_validator(mode="after")
    def _range_or_choice(self) -> Self:
        given = [part for part in (self.int, self.float, self.choice) if part is not None]
        if len(given) != 1:
            raise ValueError("needs one of int, float and choice")
        if self.choice is not None:
            if self.log or self.step is not None:
                raise ValueError("log and step are of ranges, not of a choice")
            if any(one in self.choice[:place] for place, one in enumerate(self.choice)):
                raise ValueError("choice names a value twice")
            return self
        low, high = given[0]
        if low >= high:
            raise ValueError(f"the least value must be below the largest, was {low} and {high}")
        if self.log and (low <= 0 or self.step is not None):
            raise ValueError("log needs a least value above 0, and no step")
        if self.int is not None and self.step is not None and self.step % 1:
            raise ValueError(f"the step of int must be a whole number, was {self.step}")
        if self.step is not None and self.step > high - low:
            raise ValueError(f"the step {self.step} is longer than the range")
        return self
