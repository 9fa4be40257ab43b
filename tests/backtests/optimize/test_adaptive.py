"""Search that learns: it finds what is planted, sees no test, and repeats itself by its seed."""

import json
import os
import subprocess
import sys
from wsgiref.util import setup_testing_defaults

import numpy as np
import psutil
import pytest
import yaml
from optuna_dashboard import wsgi

from actors.measures import DAY
from backtests.optimize import adaptive, judge
from backtests.optimize.dashboard import JOURNAL, Board
from backtests.optimize.outcome import front
from backtests.optimize.plan import Found, plan
from backtests.optimize.trials import Trials
from backtests.studies.splits import Span, combinatorial, walk_forward
from backtests.studies.trial_ledger import TrialLedger
from config.documents.study import Study
from config.errors import InputError
from config.load import load
from tests.backtests.optimize.test_study import LOOKBACK, ROOT, SMALL, optimize
from tests.waiting import eventually

__all__ = ["optimize"]
DAYS = 300
WINDOW = Span(0, DAYS * DAY)
FOLDS = walk_forward(WINDOW, 120 * DAY, 60 * DAY, anchored=True, purge_ns=DAY, min_test_ns=DAY)
GROUPS = combinatorial(WINDOW, 4, 1, purge_ns=DAY, embargo_ns=0, min_test_ns=DAY)


def planned(method, splits=FOLDS, seed=0, **stages):
    study = Study(
        name="planted",
        backtest="none.yaml",
        search={"lookback": {"int": [1, 1000]}, "every": {"choice": ["1d", "2d"]}},
        method=method,
        stages={"top": 64} | stages,
        seed=seed,
    )
    return Found(study, None, WINDOW, None, splits)


def planted(candidate):
    """Return noise that earns the more, the nearer a candidate is to a lookback of 700."""
    rng = np.random.default_rng(candidate["lookback"])
    edge = 0.2 - abs(candidate["lookback"] - 700) / 1000
    return rng.normal(edge, 1.0, DAYS) / 100


def searched(found, earned=planted, upside_down=False):
    """Search, and return each pool's candidates."""

    def run(numbers, stage, bars, done, of):
        for number in sorted(numbers, reverse=upside_down):
            returns = earned(found.candidates[number])
            day = judge.stopped_at(returns, bars)
            if day is None:
                found.full[number] = returns
            else:
                found.stopped[number] = returns[:day]

    return [[json.dumps(found.candidates[i]) for i in pool] for pool in adaptive.search(found, run)]


@pytest.mark.parametrize(("method", "top"), [("tpe", 64), ("nsga2", 256)])
def test_later_candidates_come_nearer_to_what_is_planted(method, top):
    *_, everything = searched(planned(method, top=top))
    distance = [abs(json.loads(one)["lookback"] - 700) for one in everything]
    assert len(everything) == top
    assert np.median(distance[-top // 4 :]) < 120 < 180 < np.median(distance[:16])


@pytest.mark.parametrize("method", ["tpe", "nsga2"])
def test_a_seed_proposes_the_same_whatever_trial_ends_first_and_another_seed_others(method):
    first = searched(planned(method))
    assert searched(planned(method), upside_down=True) == first
    assert searched(planned(method, seed=1)) != first


@pytest.mark.parametrize("method", ["tpe", "nsga2"])
@pytest.mark.parametrize("splits", [FOLDS, GROUPS])
def test_what_a_test_earns_changes_no_candidate_that_it_judges(method, splits):
    first = searched(planned(method, splits, top=120))
    assert len(first) == len(splits) + 1
    for place, split in enumerate(splits):
        test = judge.days_of(WINDOW, split.test)

        def otherwise(candidate, test=test):
            return np.where(test, -planted(candidate), planted(candidate))

        other = searched(planned(method, splits, top=120), otherwise)
        assert other[place] == first[place]
        assert place or other[-1] != first[-1]


def test_a_candidate_in_the_worst_quarter_in_every_figure_is_stopped():
    days = np.ones(60, dtype=bool)
    days[:20] = False
    good, bad = np.tile([0.02, -0.01], 30), np.tile([0.01, -0.02], 30)
    assert judge.bars_of(["return_pct"], [good] * 3, days, [60]) == []  # too few
    assert judge.bars_of(["return_pct"], [good] * 4, days, [40]) == []  # twenty days count
    (bar,) = judge.bars_of(["return_pct", "max_drawdown"], [good] * 3 + [bad], days, [60])
    twenty = (1.02 * 0.99) ** 20 - 1
    lost = (1.01 * 0.98) ** 20 - 1
    # A quarter of the way from the worst of four to the next lies at three quarters of their gap.
    assert bar.least["return_pct"] == pytest.approx(100 * (lost + 0.75 * (twenty - lost)))
    assert judge.stopped_at(bad, [bar]) == 60
    assert judge.stopped_at(good, [bar]) is None
    assert judge.stopped_at(bad[:59], [bar]) is None  # not there yet
    calm = np.full(60, -1e-5)
    assert judge.stopped_at(calm, [bar]) is None  # it earns nothing, but falls little


@pytest.mark.parametrize(("splits", "share"), [(FOLDS, 1), (GROUPS, 4)])
def test_the_first_candidates_are_drawn_before_anything_is_learned_and_run_to_the_end(
    splits, share
):
    found, other = planned("tpe", splits), planned("tpe", splits)
    searched(found)
    searched(other, lambda candidate: -planted(candidate))
    drawn = [found.candidates[i] for i in sorted(found.drawn)]
    assert drawn == [other.candidates[i] for i in sorted(other.drawn)]
    assert len(drawn) >= 8 * share
    assert found.drawn <= found.full.keys()


def test_what_is_stopped_by_the_fold_is_not_chosen_and_saves_its_days():
    found = planned("tpe")
    searched(found)
    assert 3 <= len(found.stopped) <= 30
    assert {len(part) for part in found.stopped.values()} <= {180, 240}
    every = planned("tpe", prune=False)
    searched(every)
    assert not every.stopped


def test_the_front_has_what_no_other_beats_in_every_objective():
    found = planned("nsga2")
    rising, falling = np.tile([0.02, -0.01], 150), np.tile([0.01, -0.02], 150)
    calm = np.tile([0.002, -0.0015], 150)
    found.candidates = [{"lookback": n, "every": "1d"} for n in (1, 2, 3)]
    found.full = dict(enumerate([rising, falling, calm]))
    assert [one["parameters"]["lookback"] for one in front(found)] == [1, 3]
    assert front(planned("tpe")) == []


def test_folds_that_search_for_themselves_need_a_batch_each(tmp_path, write_run):
    file = tmp_path / "study.yaml"
    changes = {"method": "tpe", "folds": {"method": "combinatorial", "min_test_days": 5}}
    study = SMALL | {"backtest": str(write_run())} | changes
    file.write_text(yaml.safe_dump(study))
    with pytest.raises(InputError, match=r"each of 15 trainings .* needs at least 128, was 3"):
        plan(file)


def test_the_dashboard_of_optuna_serves_a_study(tmp_path):
    found = planned("nsga2")
    searched(found)
    Board(tmp_path, found).show()
    app = wsgi(f"{tmp_path / JOURNAL}")

    def api(path):
        said, environment = [], {"PATH_INFO": path}
        setup_testing_defaults(environment)
        parts = app(environment, lambda status, *_: said.append(status))
        assert said == ["200 OK"]
        return json.loads(b"".join(parts))

    (study,) = api("/api/studies")["study_summaries"]
    assert (study["study_name"], study["directions"]) == (
        *("planted, seed 0",),
        ["maximize", "minimize"],
    )
    trials = api(f"/api/studies/{study['study_id']}")["trials"]
    assert len(trials) == len(found.full) + len(found.stopped)
    best = max(trials, key=lambda trial: (trial.get("values") or [-9])[0])
    assert abs(int(best["params"][0]["param_external_value"]) - 700) < 200


def test_a_stopped_run_has_the_days_of_the_whole_one(write_run):
    trials = Trials(load(write_run(slice_days=5)))
    whole = trials.full({LOOKBACK: 2})
    bar = judge.Bar(31, np.ones(31, dtype=bool), {"sharpe": 99.0})
    stopped = trials.full({LOOKBACK: 2}, [bar])
    assert (len(stopped.returns), stopped.figures) == (31, {})
    assert stopped.returns.tolist() == whole.returns[:31].tolist()
    passed = trials.full({LOOKBACK: 2}, [bar._replace(least={"sharpe": -99.0})])
    assert passed.figures == whole.figures


LEARNED = {
    "method": "tpe",
    "search": {LOOKBACK: {"int": [1, 30]}},
    "stages": {"top": 12, "batch": 4},
}


@pytest.mark.slow
def test_a_killed_search_goes_on_from_the_ledger_to_the_same_end(
    optimize, write_run, tmp_path, monkeypatch
):
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(SMALL | {"backtest": str(write_run())} | LEARNED))
    line = [sys.executable, "perpdesk.py", "optimize", str(study), "--no-write", "--workers", "1"]
    with (
        subprocess.Popen(line, cwd=ROOT) as process,
        TrialLedger(tmp_path / "trials.sqlite") as ledger,
    ):

        def done():
            return sum(t.state in ("done", "pruned") for t in ledger.trials("small_study"))

        eventually(lambda: done() >= 5, "five trials", 300)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert not psutil.wait_procs(children, timeout=60)[1]
        before = done()
    resumed = json.loads(optimize("--json", **LEARNED).stdout)
    monkeypatch.setenv("PERPDESK_TRIALS", str(tmp_path / "others.sqlite"))
    fresh = json.loads(optimize("--json", **LEARNED).stdout)
    assert resumed["known_before"] >= before > fresh["known_before"] == 0
    assert resumed | {"known_before": 0} == fresh
    assert os.path.getsize(tmp_path / "out" / JOURNAL)
