"""The study: a backtest, what to vary in it, and what makes a result good enough."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.documents.base import DocumentName, Flag, Part, Whole
from config.documents.search_space import Dimension, Number

Share = Annotated[Number, Field(ge=0, le=1)]


class Stages(Part):
    """How many candidates are drawn, and how many of them are run event by event."""

    candidates: Annotated[Whole, Field(ge=2, le=1_000_000)] = 1000
    """Of random, sobol and grid: how many are drawn."""
    screen: Flag = True
    """Of them: whether they are first screened without the engine; else all are run by it."""
    top: Annotated[Whole, Field(ge=2, le=100_000)] = 40
    """Candidates that are run event by event at most, after the screen or by tpe and nsga2."""
    batch: Annotated[Whole, Field(ge=2, le=1000)] = 8
    """Of tpe and nsga2: how many are proposed at once, of nsga2 a generation."""
    prune: Flag = True
    """Of tpe and nsga2: whether a candidate that is in the worst quarter of those before it, in
    each objective, as a fold's test begins, is stopped there."""
    sample: Annotated[Whole, Field(ge=5, le=1000)] = 10
    """Candidates from the best to the worst that are run to measure how far to trust the screen."""
    least_fidelity: Annotated[Number, Field(ge=-1, le=1)] = 0.5
    """Least rank correlation of screen and full run over the sample."""
    worker_mb: Annotated[Whole, Field(ge=1)] = 4096
    """Memory in MB at which a worker process is replaced by a new one, after its trial."""


class Folds(Part):
    """How the window is cut into training and test stretches, in days."""

    method: Literal["walk_forward", "combinatorial"] = "walk_forward"
    train_days: Annotated[Whole, Field(ge=1)] = 180
    """Of walk-forward: the least, when anchored."""
    test_days: Annotated[Whole, Field(ge=1)] = 60
    """Of walk-forward."""
    anchored: Flag = True
    """Of walk-forward: whether all trainings begin with the window."""
    groups: Annotated[Whole, Field(ge=2, le=20)] = 6
    """Of combinatorial: equal stretches of the window."""
    tested: Annotated[Whole, Field(ge=1, le=10)] = 2
    """Of combinatorial: how many of them are a test together."""
    purge_days: Annotated[Whole, Field(ge=0)] = 1
    """Days left out between training and test, so that nothing overlaps."""
    embargo_days: Annotated[Whole, Field(ge=0)] = 0
    """Of combinatorial: days left out after a test besides."""
    min_test_days: Annotated[Whole, Field(ge=1)] = 60
    """Least length of a test, and of the hold-out."""

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if self.method == "combinatorial" and self.tested >= self.groups:
            raise ValueError(f"tested {self.tested} of {self.groups} groups: needs fewer")
        return self


class StudyGates(Part):
    """What the chosen candidate must show; a study that fails one is refused (exit 3)."""

    sharpe: Number = 0.0
    """Least annual Sharpe ratio out of sample, and on the hold-out."""
    deflated_sharpe: Share = 0.95
    """Least probability of skill, given all trials ever run on the data."""
    overfitting: Share = 0.5
    """Largest probability of backtest overfitting (PBO)."""
    max_drawdown: Annotated[Number, Field(gt=0, le=1)] = 0.3
    """Largest drawdown, a fraction: of the whole run, and out of sample."""
    trades: Annotated[Whole, Field(ge=0)] = 30
    """Least number of closed trades."""


LEARNING = ("tpe", "nsga2")
"""Methods that propose candidates by what was learned from those before."""
Figure = Literal["sharpe", "sortino", "calmar", "return_pct", "max_drawdown"]
MINIMISED = ("max_drawdown",)
UNTIL = rf"^({'|'.join(StudyGates.model_fields)})\s*(>=|<=)\s*-?\d+(\.\d+)?$"


class Study(Part):
    """A search for parameters that hold out of sample."""

    kind: Literal["study"] = "study"
    name: DocumentName
    description: str = ""
    backtest: Annotated[str, Field(min_length=1)]
    """Path of the backtest, relative to the working directory."""
    search: Annotated[dict[str, Dimension], Field(min_length=1)]
    """What to vary, by dotted path in the backtest."""
    method: Literal["random", "sobol", "grid", "tpe", "nsga2"] = "sobol"
    """Candidates drawn at once and screened, or proposed by what was learned from those before:
    tpe (Bayesian), nsga2 (several objectives)."""
    stages: Stages = Stages()
    folds: Folds = Folds()
    objective: Literal["sharpe", "sortino", "calmar", "return_pct"] = "sharpe"
    """Figure of daily returns that is maximised."""
    besides: Annotated[tuple[Figure, ...], Field(min_length=1, max_length=3)] = ("max_drawdown",)
    """Of nsga2: figures that are weighed beside the objective, which chooses in the end."""
    gates: StudyGates = StudyGates()
    hold_out: Annotated[Number, Field(ge=0, lt=1)] = 0.2
    """Newest share of the window, opened once, for the candidate that passed the other gates."""
    window_days: Annotated[Whole, Field(ge=1)] | None = None
    """Only so many newest days of the backtest's window; null: all."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    until: Annotated[str, Field(pattern=UNTIL)] | None = None
    """A measured gate, such as ``sharpe>=0.5``: further seeds are tried until one reaches it."""
    max_seeds: Annotated[Whole, Field(ge=1, le=1000)] = 10
    """Most seeds that are tried for `until`; the trials of each count."""
    testnet: Flag = False
    """Whether the data were recorded on Bybit's testnet; data of the other kind are refused."""

    @property
    def learns(self) -> bool:
        """Whether candidates are proposed by what was learned from those before."""
        return self.method in LEARNING

    @property
    def screens(self) -> bool:
        """Whether candidates are screened before they run."""
        return self.stages.screen and not self.learns

    @property
    def objectives(self) -> list[str]:
        """Return the figures that the search weighs, the objective first."""
        others = self.besides if self.method == "nsga2" else ()
        return list(dict.fromkeys([self.objective, *others]))
