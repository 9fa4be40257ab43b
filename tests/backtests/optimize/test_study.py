"""A study from its document to its folder: gates, resuming, and what its document may say."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import typer
import yaml
from typer.testing import CliRunner

from backtests import checks, commands
from backtests.optimize import study as stages
from backtests.optimize.outcome import overlay
from backtests.optimize.plan import LEVELS, Found, environment, plan
from backtests.optimize.trials import Trials
from backtests.optimize.workers import workers
from backtests.session import backtest_document
from backtests.studies.splits import Span
from backtests.studies.trial_ledger import TrialLedger
from catalog.instruments import TESTNET
from catalog.providers.demo import DemoParams, generate
from catalog.storage.writer import CatalogWriter
from config.documents.study import Study
from config.errors import DeskError, DocumentErrors, GateRefused, InputError
from config.load import load
from config.validate import checked
from tests.backtests.report_pages import charts_of
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]

LOOKBACK = "strategies.reversal.params.lookback"
EASY = {"sharpe": -99.0, "deflated_sharpe": 0.0, "overfitting": 1.0, "max_drawdown": 1.0}
SMALL = {
    "kind": "study",
    "name": "small_study",
    "search": {LOOKBACK: {"int": [1, 3]}, "strategies.reversal.params.depth_bps": {"int": [5, 6]}},
    "stages": {"top": 3, "sample": 5, "least_fidelity": -1},
    "folds": {"train_days": 14, "test_days": 14, "min_test_days": 10},
    "gates": EASY | {"trades": 0},
    "seed": 3,
}


@pytest.fixture
def optimize(tmp_path, write_run, monkeypatch):
    """Return a function that writes a study and runs the command on it."""
    monkeypatch.setenv("PERPDESK_TRIALS", str(tmp_path / "trials.sqlite"))
    checks.register()
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.register(app)

    def run(*words, **changes):
        file = tmp_path / "study.yaml"
        study = SMALL | {"backtest": str(write_run())} | changes
        file.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
        line = ["optimize", str(file), "--out", str(tmp_path / "out"), "--workers", "2", *words]
        return CliRunner().invoke(app, line, catch_exceptions=False)

    return run


def test_a_study_that_passes_leaves_the_best_as_a_document_and_is_not_run_again(optimize, tmp_path):
    said = json.loads(optimize("--json").stdout)
    assert said["accepted"]
    assert [gate["name"] for gate in said["gates"]][-1] == "Sharpe on the hold-out"
    keys = ["sharpe", "deflated_sharpe", "overfitting", "max_drawdown", "trades"]
    assert [gate["key"] for gate in said["gates"]][:5] == keys
    assert [len(said["provenance"][kind]) for kind in ("data", "code")] == [64, 64]
    assert (said["screened"], said["refused"], said["known_before"]) == (6, 0, 0)
    assert said["without_effect"] == ["strategies.reversal.params.depth_bps"]
    assert said["monte_carlo"]["days"] == 46
    assert said["monte_carlo"]["trades"]["count"] == said["figures"]["trades"]
    assert said["stress"][0]["sharpe"] == said["figures"]["sharpe"]
    costly, late = said["stress"][1], said["stress"][3]
    assert (costly["name"], late["name"]) == ("fees x2", "entry one bar later")
    assert costly["return_pct"] < said["figures"]["return_pct"]
    # Its neighbours are trials already; the knob without effect has none.
    assert [one["parameters"] for one in said["sensitivity"]["neighbours"]] in (
        [{LOOKBACK: 2}],
        [{LOOKBACK: 1}, {LOOKBACK: 3}],
    )
    assert said["trials_on_the_data"] == 6
    assert said["stability"].keys() == {LOOKBACK}
    best = load(tmp_path / "out" / "best.yaml")
    found = best.complete["strategies"]["reversal"]["params"]["lookback"]
    assert found == said["parameters"][LOOKBACK]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<b class="good">Accepted</b>' in page
    assert {"walk", "fan", "neighbours", "fidelity"} < charts_of(page).keys()
    rows = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()
    assert {row[LOOKBACK] for row in rows} == {"1", "2", "3"}
    # Again: all is known from the ledger, also the hold-out, of the same candidate.
    again = json.loads(optimize("--json").stdout)
    assert again["known_before"] == again["run"]
    assert {**again, "known_before": 0} == said


def test_a_refused_study_says_which_gate_and_leaves_no_best(optimize, tmp_path):
    optimize("--json")
    with pytest.raises(GateRefused, match="refused: closed trades; no best") as refused:
        optimize(gates=EASY | {"trades": 100_000})
    assert refused.value.exit_code == 3
    assert not (tmp_path / "out" / "best.yaml").exists()
    assert not json.loads((tmp_path / "out" / "best.json").read_text())["accepted"]


@pytest.mark.slow
def test_what_other_code_ran_is_run_again_and_counts_once(optimize, tmp_path):
    first = json.loads(optimize("--json").stdout)
    with closing(sqlite3.connect(tmp_path / "trials.sqlite", isolation_level=None)) as file:
        file.execute("UPDATE codes SET code = 'older'")
    again, third = (json.loads(optimize("--json").stdout) for _ in range(2))
    assert (again["known_before"], third["known_before"]) == (0, first["run"])
    assert again == first


@pytest.mark.slow
def test_a_second_look_at_the_hold_out_is_refused_with_what_was_measured(optimize, tmp_path):
    every = {"screen": False}
    optimize(stages=every, search={LOOKBACK: {"choice": [1, 2]}})
    with pytest.raises(GateRefused, match="small_study: refused: hold-out not opened before"):
        optimize(stages=every, search={LOOKBACK: {"choice": [3, 4]}})
    said = json.loads((tmp_path / "out" / "best.json").read_text())
    assert "small_study opened it" in said["hold_out_refused"]
    assert [gate["passed"] for gate in said["gates"]] == [True] * 5 + [False]


def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(optimize, tmp_path):
    with pytest.raises(DeskError, match=r"study\.yaml: the outcome can't be written"):
        optimize("--out", str(tmp_path / "study.yaml"))


@pytest.mark.slow
def test_an_outcome_that_cannot_be_written_in_the_end_is_said_without_a_traceback(
    optimize, tmp_path
):
    (tmp_path / "out" / f".report.{os.getpid()}.tmp").mkdir(parents=True)
    with pytest.raises(DeskError, match="out: the outcome can't be written"):
        optimize()
    assert not (tmp_path / "out" / "best.json").exists(), "no outcome that deploys without the rest"


@pytest.mark.slow
def test_a_study_that_stops_leaves_no_outcome_of_an_earlier_one(optimize, tmp_path):
    assert json.loads(optimize("--json").stdout)["accepted"]
    with pytest.raises(GateRefused, match="rank correlation"):
        optimize(stages={"sample": 5, "least_fidelity": 1.0}, search={LOOKBACK: {"int": [1, 9]}})
    left = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert left == [".lock", "optuna.journal", "report.html", "state.json"]


@pytest.mark.slow
def test_a_hold_out_whose_days_were_searched_before_is_not_called_fresh(optimize):
    assert json.loads(optimize("--json", hold_out=0.0).stdout)["hold_out_seen_by"] == 0
    found = optimize()
    said = " ".join(found.stdout.split())
    assert "The hold-out is not fresh: 5 other candidates were run on its days before." in said
    assert "worst 5 % of" in said


def test_the_best_so_far_is_of_event_driven_runs_once_these_begin(write_run, tmp_path):
    file, told = tmp_path / "study.yaml", []
    file.write_text(yaml.safe_dump(SMALL | {"backtest": str(write_run()), "hold_out": 0.0}))
    found = plan(file)
    with TrialLedger(tmp_path / "trials.sqlite") as ledger:
        stages.optimize(found, ledger, 1, lambda stage, _, of, best: told.append((stage, best)))
    first, *_ = [best for stage, best in told if stage == "sample of the screen" and best]
    assert first == f"best sharpe {found.objective(next(iter(found.full.values()))):.2f}"


def test_a_screen_that_ranks_otherwise_than_full_runs_is_not_relied_on(optimize):
    with pytest.raises(GateRefused, match="rank correlation of screen and full run over 5"):
        optimize(stages={"sample": 5, "least_fidelity": 1.0}, search={LOOKBACK: {"int": [1, 9]}})


def test_draws_that_were_never_run_are_refused_and_no_trials(optimize, tmp_path):
    """A fraction of 0.6 holds both sides of one name; four-hour candles are not in the catalog."""
    params = "strategies.reversal.params"
    search = {
        f"{params}.fraction": {"choice": [0.25, 0.6]},
        f"{params}.side": {"choice": ["long_short", "long_only"]},
        f"{params}.interval": {"choice": ["1d", "4h"]},
    }
    for each in ({"screen": False}, {"top": 3, "sample": 5, "least_fidelity": -1}):
        words = "--json", "--no-write"
        said = json.loads(optimize(*words, stages=each, search=search).stdout)
        assert not (tmp_path / "out").exists()
        assert (said["refused"], said["trials_on_the_data"]) == (5, 3)
        (deflated,) = [g["name"] for g in said["gates"] if g["key"] == "deflated_sharpe"]
        assert deflated == "deflated Sharpe of 3 trials"


@pytest.mark.slow
def test_a_killed_study_leaves_no_worker_and_goes_on_where_it_was(optimize, write_run, tmp_path):
    study, changes = tmp_path / "study.yaml", {"stages": {"screen": False}}
    study.write_text(yaml.safe_dump(SMALL | {"backtest": str(write_run())} | changes))
    line = [sys.executable, "perpdesk.py", "optimize", str(study), "--no-write", "--workers", "1"]
    trials = tmp_path / "trials.sqlite"
    with subprocess.Popen(line, cwd=ROOT) as process, TrialLedger(trials) as ledger:

        def done():
            return sum(trial.state == "done" for trial in ledger.trials("small_study"))

        eventually(lambda: done() >= 2, "two trials", 120)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert workers
        assert not psutil.wait_procs(workers, timeout=30)[1]
        before = done()
        assert before < 6
    said = json.loads(optimize("--json", **changes).stdout)
    assert said["known_before"] >= before
    assert said["trials_on_the_data"] == 6


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_study_ended_while_its_workers_begin_says_so_in_one_sentence(write_run, tmp_path, number):
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(SMALL | {"backtest": str(write_run())}))
    line = [sys.executable, "perpdesk.py", "optimize", str(study), "--no-write", "--workers", "2"]
    mine = {
        "env": os.environ | {"PERPDESK_TRIALS": str(tmp_path / "trials.sqlite")},
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    with subprocess.Popen(
        line, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True, **mine
    ) as process:

        def workers():
            children = psutil.Process(process.pid).children()
            return [one for one in children if "spawn_main" in " ".join(one.cmdline())]

        begun = eventually(workers, "a worker", 120)
        os.killpg(process.pid, number)  # as a terminal does, and a service manager
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, "Traceback" in said) == (130, False), said
    assert said.endswith("Stopped by you; nothing half-written was left.\n")
    assert not psutil.wait_procs(begun, timeout=30)[1]


def test_a_trial_is_the_backtest_to_the_cent_also_after_another_in_the_same_worker(
    write_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("PERPDESK_TRIALS", str(tmp_path / "trials.sqlite"))
    file = write_run()
    trials = Trials(load(file))
    for lookback in (2, 1, 2):
        got = trials.full({LOOKBACK: lookback})
    alone = backtest_document(file, (f"{LOOKBACK}=2",), out=tmp_path / "alone")
    summary = json.loads((alone / "summary.json").read_text())
    same = ("ending_equity", "sharpe", "trades", "max_drawdown", "fees")
    assert {key: got.figures[key] for key in same} == pytest.approx({k: summary[k] for k in same})
    with TrialLedger(tmp_path / "trials.sqlite") as ledger:
        (counted,) = ledger.trials("backtest small")
        assert counted.state == "done"
        assert ledger.returns(counted.number).tolist() == got.returns.tolist()


def test_a_worker_that_takes_more_than_its_memory_is_replaced_and_nothing_else_changes(write_run):
    base = load(write_run())
    with workers(base, 1, most_mb=1) as pool:
        got = [pool.submit(Trials.full, {LOOKBACK: 2}).result() for _ in range(2)]
        assert pool.replaced == 2
    alone = Trials(base).full({LOOKBACK: 2})
    assert [one.figures for one in got] == [alone.figures] * 2
    assert [one.returns.tolist() for one in got] == [alone.returns.tolist()] * 2


@pytest.mark.slow
def test_the_environment_wins_over_the_document_and_options_over_it(optimize, monkeypatch):
    monkeypatch.setenv("START_SEED", "9")
    monkeypatch.setenv("OPT_STAGE2_TOPK", "2")
    monkeypatch.setenv("OPT_CANDIDATES", "4")
    got = optimize("--json", "--top", "3", "--level", "deep")
    assert "START_SEED in the environment: seed=9" in got.stderr
    assert "OPT_STAGE2_TOPK" not in got.stderr
    assert (json.loads(got.stdout)["seed"], json.loads(got.stdout)["screened"]) == (9, 4)


@pytest.mark.slow
def test_seeds_are_tried_until_one_reaches_what_is_wanted_and_the_hold_out_waits(
    optimize, tmp_path
):
    few = ("--candidates", "4", "--until", "sharpe>=99", "--max-seeds", "2", "--json")
    search = {LOOKBACK: {"int": [1, 9]}}
    with pytest.raises(GateRefused, match="refused: until sharpe; no best"):
        optimize(*few, search=search)
    said = json.loads((tmp_path / "out" / "best.json").read_text())
    assert (said["seed"], [seed for seed, _ in said["seeds_before"]]) == (4, [3])
    assert said["gates"][-1]["name"] == "until sharpe"  # the hold-out stayed closed
    assert said["trials_on_the_data"] > 4
    reached = optimize("--until", "sharpe>=-98", *few[:2], "--json", search=search)
    assert json.loads(reached.stdout)["seed"] == 3


@pytest.mark.parametrize("venue", ["bybit", TESTNET])
def test_data_of_the_testnet_are_searched_only_where_the_study_says_so(
    write_run, tmp_path, venue, monkeypatch
):
    with CatalogWriter(tmp_path / "recorded") as writer:
        writer.add(replace(generate(DemoParams(days=95, perps=8)), source_venue=venue))
    study = SMALL | {"backtest": str(write_run(catalog=str(tmp_path / "recorded")))}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study))
    on_testnet = venue == TESTNET
    monkeypatch.setenv("BYBIT_OPT_TESTNET", str(on_testnet))
    assert plan(file, environment().values()).study.testnet == on_testnet
    monkeypatch.setenv("BYBIT_OPT_TESTNET", str(not on_testnet))
    with pytest.raises(InputError, match=r"study\.yaml: testnet: .* recorded on Bybit's testnet"):
        plan(file, environment().values())


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_a_sound_study(level):
    resolved = checked("backtests/studies/xs_reversal_quick.yaml", LEVELS[level])
    assert resolved.document.stages.top < resolved.document.stages.candidates


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"search": {"strategies.reversal.params.lokback": {"int": [1, 3]}}}, "lookback"),
        ({"search": {"window.end": {"choice": ["2023-03-01"]}}}, "a study varies"),
        ({"search": {"venue.fees.linear.taker": {"float": [0.0, 0.001]}}}, "would choose low"),
        ({"backtest": "nowhere.yaml"}, "there is no file nowhere.yaml"),
        *(
            ({"search": {f"strategies.reversal.params.{field}": space}}, words)
            for field, space, words in (
                ("lookback", {"float": [1.0, 20.0]}, r'lookback"\.float\[0\]: expected a whole'),
                ("lookback", {"int": [-5, -1]}, r'lookback"\.int\[0\]: .* >= 1, was -5'),
                ("lookback", {"int": [1, 2000]}, r'lookback"\.int\[1\]: .* <= 1000, was 2000'),
                ("lookback", {"choice": [2, 0]}, r'lookback"\.choice\[1\]: .* >= 1, was 0'),
                ("side", {"choice": ["long", "shrot"]}, r"choice\[1\]: must be one of .*shrot"),
                ("protection", {"choice": [None, {"stop": -1}]}, r"choice\[1\]\.stop: .* > 0"),
            )
        ),
        ({"search": {"strategies.reversal.enabled": {"int": [0, 1]}}}, "expected true or false"),
        (
            {
                "backtest": "perpdesk:runs/pairs_demo",
                "search": {"strategies.pairs.enabled": {"choice": [True, False]}},
            },
            "strategies.pairs of perpdesk:runs/pairs_demo does not rank.*stages.screen: false",
        ),
        ({"gates": {"deflated_sharpe": 1.5}}, "gates.deflated_sharpe"),
        ({"until": "sharp>=1"}, "until"),
        ({"folds": {"method": "combinatorial", "groups": 3, "tested": 3}}, "tested 3 of 3 groups"),
    ],
)
def test_a_wrong_study_is_named_by_file_line_and_field(optimize, changes, words):
    with pytest.raises(DocumentErrors, match=words) as wrong:
        optimize(**changes)
    assert "study.yaml:" in str(wrong.value)


def test_a_window_that_ends_within_a_day_would_test_what_it_trained_on(optimize, write_run):
    halved = write_run("halved", window={"start": "2023-02-01", "end": "2023-03-31 12:00"})
    with pytest.raises(InputError, match=r"window\.end: a study judges whole UTC days"):
        optimize(backtest=str(halved), hold_out=0.0)


def test_a_search_of_which_nothing_is_sound_says_why(optimize):
    with pytest.raises(InputError, match=r"no candidate is sound.*fraction"):
        optimize(search={"strategies.reversal.params.fraction": {"choice": [0.6, 0.7]}})


def test_a_shipped_backtest_is_extended_by_its_name(tmp_path):
    reversal = "perpdesk:runs/xs_reversal_demo"
    study = Study(name="x", backtest=reversal, search={LOOKBACK: {"int": [1, 3]}})
    found = Found(study, None, Span(0, 1), None, [], [{LOOKBACK: 2}], best=0)
    assert yaml.safe_load(overlay(found, tmp_path))["extends"] == reversal


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_no_worker_hears_ctrl_c_but_from_its_study(write_run):
    with workers(load(write_run()), 2, 4096) as pool:
        eventually(lambda: pool.submit(Trials.made_of) and len(pool.pids()) == 2, "two workers")
        for pid in pool.pids():
            status = Path(f"/proc/{pid}/status").read_text()
            blocked = int(re.search(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)[1], 16)
            assert blocked >> (signal.SIGINT - 1) & 1


def test_workers_that_are_killed_end_a_study_in_words(write_run):
    def kill_one():
        with workers(load(write_run()), 1, 4096) as pool:
            pool.submit(Trials.made_of).result()
            psutil.Process(pool.pids()[0]).kill()
            pool.submit(Trials.made_of).result()

    with pytest.raises(DeskError, match="for lack of memory"):
        kill_one()


def test_a_window_too_short_for_its_tests_is_refused_before_anything_runs(optimize):
    with pytest.raises(InputError, match=r"study.yaml: hold-out: 60 days of a window of 59 days"):
        optimize(folds={})
