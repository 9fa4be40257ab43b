"""The study's report: verdict first, hand-made numbers where they belong, drawn by a browser."""

import numpy as np
import pytest

from actors.measures import DAY
from backtests.optimize import judge, report, robustness
from backtests.optimize.plan import Found
from backtests.studies.overfitting import Overfitting
from backtests.studies.search_space import draw
from backtests.studies.splits import Span, walk_forward
from config.documents.study import Study
from config.load import load
from tests.backtests.report_pages import (
    CHROMIUM,
    charts_of,
    drawn_by_a_browser,
    section,
    words,
)

LOOKBACK, EVERY, DEPTH = "a.params.lookback", "a.params.every", "b.params.depth"
WINDOW = Span(0, 40 * DAY)
GATES = [
    judge.Gate("Sharpe out of sample", 1.25, "at least 0", True, "sharpe"),
    judge.Gate("deflated Sharpe", 0.5, "at least 0.95", False, "deflated_sharpe"),
    judge.Gate("probability of overfitting", 0.25, "at most 0.5", True, "overfitting"),
]


@pytest.fixture
def found(write_run):
    """Return a study of 30 candidates: each day earns a tenth of a percent less by lookback."""
    search = {LOOKBACK: {"int": [1, 10]}, EVERY: {"choice": ["1d", "<2d>", "4d"]}}
    study = Study(name="by_hand", backtest="run.yaml", search=search, objective="return_pct")
    splits = walk_forward(WINDOW, 20 * DAY, 10 * DAY, anchored=True, min_test_ns=DAY)
    made = Found(study, load(write_run()), WINDOW, Span(40 * DAY, 50 * DAY), splits)
    made.candidates = draw(study.search, "sobol", 100, 0)
    waves = 0.01 * np.sin(np.arange(40))
    for number, candidate in enumerate(made.candidates):
        made.screened[number] = 0.004 - 0.001 * candidate[LOOKBACK] + waves
    for number in (0, 1, 15, 29):
        made.full[number] = made.screened[number] - 0.001
        made.figures[number] = {"return_pct": 12.5}
    made.sample, made.fidelity, made.best = [0, 15, 29], 0.75, 0
    return made


@pytest.fixture
def judged(found):
    """Return the same with all that a study measures of its best."""
    best, space = found.candidates[0], found.study.search
    tested = np.arange(40) >= 20
    found.out_of_sample = judge.OutOfSample([found.full[1][20:]], tested, [1, -1])
    found.gates, found.trials, found.seeds = GATES, 34, []
    found.monte_carlo = robustness.monte_carlo_block(found.full[0], np.full(9, 0.02), [0.1], 0)
    row = {"sharpe": -0.5, "return_pct": -3.2, "max_drawdown": 0.1, "trades": 1234}
    found.stress = [{"name": "fees x2", **row}]
    near = [(best | {LOOKBACK: 2}, 4.0), (best | {EVERY: "<2d>"}, -np.inf)]
    found.sensitivity = robustness.sensitivity(space, best, 10.0, near)
    found.stability = robustness.stability(space, best, [best], [best], np.ones(1), 0)
    logits = np.array([-2.0, 0.0, 0.01, 1.0])
    found.overfit = Overfitting(0.5, 0.25, -0.1, logits)
    return found


def test_the_verdict_comes_first_with_the_failed_gate_and_each_gate_has_its_measure(judged):
    page = report.render(judged)
    said = words(page)
    assert "by_hand Refused : deflated Sharpe" in said
    assert said.index("Refused") < said.index("The hold-out stays closed")
    gates = words(section(page, "gates"))
    assert "Sharpe out of sample 1.25 at least 0 passed" in gates
    assert "deflated Sharpe 0.5 at least 0.95 failed" in gates
    assert "95 %: 28 (minimum track record length; –: none do). There are 40." in gates
    assert "a.params.lookback is at an end of its range" in said
    assert "The best is a spike: its neighbours keep 20 % of it" in said
    assert "<2d>" not in page.split('<script type="application/json"')[0]


def test_sections_show_what_was_measured(judged):
    page = report.render(judged)
    charts = charts_of(page)
    assert "lookback 1 1 – 10 100 % 100 %" in words(section(page, "parameters"))
    assert "Fees x2 −0.50 −3.2 % 10.0 % 1,234" in words(section(page, "stress"))
    assert "none ran" in words(section(page, "walk"))
    # Two of four logits are overfit: zero is.
    bars = charts["logits"]["data"][0]
    below = [count for x, count in zip(bars["x"], bars["y"], strict=True) if x < 0]
    assert (sum(below), sum(bars["y"])) == (2, 4)
    sample = {trace["name"]: trace for trace in charts["fidelity"]["data"]}
    assert [len(sample[name]["x"]) for name in ("Sample", "Nominated")] == [3, 1]
    assert charts["neighbours"]["data"][0]["x"][:2] == [0.0, 4.0]
    best = charts["history"]["data"][-1]
    assert best["y"] == sorted(best["y"])
    assert charts["importance"]["data"][0]["y"][-1] == "lookback"
    heat, ring = charts["map-0-1"]["data"]
    assert heat["customdata"] == [[1] * 10] * 3
    assert (ring["x"], ring["y"]) == (["1"], ["1d"])


def test_a_screen_that_was_refused_leaves_what_there_is(found):
    found.best, found.full = -1, {}
    page = report.render(found, "the screen would choose by chance")
    assert "Refused : the screen would choose by chance" in words(page)
    assert {"history", "importance", "map-0-1", "parallel"} == charts_of(page).keys()


def test_names_are_the_last_words_of_paths_unless_two_are_the_same():
    assert report.short_names([LOOKBACK, "b.params.lookback", DEPTH]) == [
        LOOKBACK, "b.params.lookback", "depth"
    ]  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to draw the page")
@pytest.mark.parametrize("width", [500, 1400])
def test_a_browser_draws_every_chart_of_a_study(judged, tmp_path, width):
    drawn_by_a_browser(report.render(judged), tmp_path, width)
