"""The study: a backtest, what to vary in it, and what makes a result good enough."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from config.documents.base import DocumentName, Flag, Part, Whole


class Search(Part):
    """Values that one parameter may take: a range, or choices."""

    low: float | None = None
    """Least value."""
    high: float | None = None
    """Largest value."""
    step: Annotated[float, Field(gt=0)] | None = None
    """Distance of neighbouring values; null leaves them continuous."""
    log: Flag = False
    """Whether the range is searched by orders of magnitude."""
    choices: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    """The values themselves, instead of a range."""

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("needs either low and high, or choices")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Folds(Part):
    """How the window is cut into training and test stretches, in days."""

    train_days: Annotated[Whole, Field(ge=1)] = 180
    test_days: Annotated[Whole, Field(ge=1)] = 60
    purge_days: Annotated[Whole, Field(ge=0)] = 1
    """Days left out between the two, so that nothing overlaps."""


class Study(Part):
    """A search for parameters that hold out of sample."""

    kind: Literal["study"] = "study"
    name: DocumentName
    description: str = ""
    backtest: Annotated[str, Field(min_length=1)]
    """Path of the backtest, relative to the working directory."""
    search: Annotated[dict[str, Search], Field(min_length=1)]
    """What to vary, by dotted path in the backtest."""
    folds: Folds = Folds()
    objective: Literal["sharpe", "sortino", "calmar", "return_pct"] = "sharpe"
    """Figure of the summary that is maximised."""
    trials: Annotated[Whole, Field(ge=1)] = 100
    acceptance: dict[str, float] = Field(default_factory=dict)
    """Least out-of-sample value by figure of the summary."""
    seed: Annotated[Whole, Field(ge=0)] = 0
