"""The study: a backtest, what to vary in it, and what makes a result good enough."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.documents.base import DocumentName, Part, Whole
from config.documents.search_space import Dimension


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
    search: Annotated[dict[str, Dimension], Field(min_length=1)]
    """What to vary, by dotted path in the backtest."""
    folds: Folds = Folds()
    objective: Literal["sharpe", "sortino", "calmar", "return_pct"] = "sharpe"
    """Figure of the summary that is maximised."""
    trials: Annotated[Whole, Field(ge=1)] = 100
    acceptance: dict[str, float] = Field(default_factory=dict)
    """Least out-of-sample value by figure of the summary."""
    seed: Annotated[Whole, Field(ge=0)] = 0
