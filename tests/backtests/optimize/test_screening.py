"""The screen of a study: as each candidate alone, and the documents that it screens."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.optimize.identity import identity, variant
from backtests.optimize.trials import Trials
from backtests.studies.search_space import settings as overrides
from config.errors import DocumentErrors
from config.load import load, varied, with_params

PARAMS = "strategies.reversal.params."
VALUES = {
    "lookback": st.integers(0, 30),
    "fraction": st.sampled_from([0.1, 0.3, 0.5, 0.7]),
    "every": st.sampled_from(["1d", "2d", "12h"]),
    "at": st.sampled_from(["00:00", "13:00"]),
    "weighting": st.sampled_from(["equal", "rank", "zscore", "inverse_volatility"]),
    "volatility_estimator": st.sampled_from(["ewma", "parkinson"]),
    "side": st.sampled_from(["long_short", "long_only", "by_sign"]),
    "top_n": st.none() | st.integers(2, 8),
    "max_weight": st.sampled_from([0.01, 0.2, 1]),
    "stop_cooldown": st.sampled_from([None, "2d"]),
    "bands": st.just({"entry": 0.8, "exit": 0.3}),
}


@pytest.fixture(scope="module")
def run_file(tmp_path_factory, demo_catalog):
    file = tmp_path_factory.mktemp("run") / "run.yaml"
    document = {
        "kind": "backtest",
        "name": "small",
        "catalog": str(demo_catalog),
        "window": {"start": "2023-02-01", "end": "2023-04-01"},
        "strategies": {"reversal": {"use": "strategies.xs_reversal:XSReversal"}},
    }
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return file


CANDIDATES = st.fixed_dictionaries({}, optional={PARAMS + k: v for k, v in VALUES.items()})


@given(candidate=CANDIDATES)
def test_a_document_made_fast_is_the_one_that_is_checked_in_full(run_file, candidate):
    base = load(run_file)
    found, (slowly, problems) = with_params(base, candidate), varied(base, overrides(candidate))
    if problems:
        assert found is None
        with pytest.raises(DocumentErrors):
            variant(base, candidate)
        return
    if found is not None:
        assert found == (slowly.document, slowly.complete)
    assert identity(variant(base, candidate)) == identity(slowly)


@settings(max_examples=10)
@given(candidates=st.lists(CANDIDATES, min_size=2, max_size=4))
def test_what_was_screened_before_changes_nothing(run_file, candidates):
    base = load(run_file)
    together = Trials(base)
    for candidate in candidates:
        got, alone = together.screen(candidate), Trials(base).screen(candidate)
        assert (got.why, got.figures, got.name) == (alone.why, alone.figures, alone.name)
        assert (got.returns is None) == bool(got.why)
        if got.returns is not None:
            assert got.returns.tobytes() == alone.returns.tobytes()


@pytest.mark.parametrize(
    "changed",
    [
        {"venue.leverage": 3},  # no parameter
        {"strategies.none.params.lookback": 3},  # no such strategy
        {PARAMS + "partial.fraction": 0.5},  # inside a block
        {PARAMS + "bands": {"entry": 1.0}},  # merged with what is there
        {PARAMS + "lookback": 0},  # refused
    ],
)
def test_only_plain_parameters_are_set_the_fast_way(write_run, changed):
    assert with_params(load(write_run()), changed) is None
