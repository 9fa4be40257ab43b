"""Studies in the background: only one whose process lives is called running."""

import fcntl
import os
import subprocess
import sys
import threading

import psutil
import pytest

from backtests.optimize import running
from backtests.optimize.commands import follow
from config.errors import DeskError, GateRefused, InputError
from tests.waiting import eventually

HOLD = """
import sys, time
from pathlib import Path
from backtests.optimize import running
from backtests.optimize.commands import follow
with running.held(Path(sys.argv[1]), ["optimize", "a study.yaml"]) as progress:
    progress.tell("full", 3, 12, "best sharpe 1.50")
    time.sleep(600)
"""


@pytest.fixture
def study(tmp_path):
    """Yield the folder and the process of a study that runs."""
    folder = tmp_path / "mine"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)]) as process:
        try:
            eventually(lambda: (folder / running.STATE).exists() and said(folder)["done"] == 3)
            yield folder, process
        finally:
            process.kill()


def said(folder):
    (one,) = running.listed(folder.parent)
    return one


def test_a_study_that_runs_is_listed_with_its_progress_and_holds_its_folder(study):
    folder, process = study
    one = said(folder)
    assert (one["state"], one["process"]) == ("running", process.pid)
    assert (one["stage"], one["done"], one["total"], one["best"]) == (
        *("full", 3, 12),
        "best sharpe 1.50",
    )
    with pytest.raises(DeskError, match="this study is running"), running.held(folder, []):
        pass


def test_a_study_that_starts_while_others_look_is_not_called_running(tmp_path):
    with (tmp_path / running.LOCK).open("w") as looks:
        fcntl.flock(looks, fcntl.LOCK_SH)  # as `holder` for an instant
        release = threading.Timer(0.03, fcntl.flock, (looks, fcntl.LOCK_UN))
        release.start()
        with running.held(tmp_path, []):
            assert running.holder(tmp_path) == os.getpid()
        release.join()


def test_a_killed_study_is_not_called_running_and_its_folder_is_free(study):
    folder, process = study
    process.kill()
    process.wait()
    assert (said(folder)["state"], said(folder)["process"]) == ("stopped", None)
    assert not running.stop(folder)
    with running.held(folder, []) as progress:
        progress.tell("full", 1, 1, "")
        assert said(folder)["process"] == os.getpid()
    assert said(folder)["state"] == "accepted"


def test_a_stopped_study_ends_and_is_known_by_the_command_that_goes_on_with_it(study):
    folder, process = study
    assert running.stop(folder)
    assert process.wait(30) < 0
    assert said(folder)["state"] == "stopped"
    assert said(folder)["words"] == ["optimize", "a study.yaml"]


def test_a_killed_study_is_no_success_to_who_follows_it(tmp_path):
    running.Progress(tmp_path, ["optimize", "study.yaml"])
    with pytest.raises(DeskError, match="is stopped"):
        follow(str(tmp_path))


def test_a_refused_study_says_why_to_who_follows_it(tmp_path):
    with pytest.raises(GateRefused), running.held(tmp_path, []):
        raise GateRefused("the Sharpe")
    last = running.follow(tmp_path, lambda news: None)
    assert (last["state"], last["why"]) == ("refused", "the Sharpe")


def test_an_unknown_study_is_named_with_those_there_are(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with running.held(tmp_path / name, []):
            pass
    with pytest.raises(InputError, match=r"three: no such study; there are: .*one, .*two"):
        running.folder_of("three", tmp_path)


def test_a_detached_study_that_does_not_come_up_says_why(tmp_path):
    with pytest.raises(DeskError, match=r"ended with 2: .*nowhere\.yaml"):
        running.detach(["optimize", "nowhere.yaml"], tmp_path)


@pytest.mark.slow
def test_a_detached_study_outlives_its_command_stops_and_goes_on(write_run, tmp_path):
    study, folder = tmp_path / "study.yaml", tmp_path / "out"
    study.write_text(
        f"kind: study\nname: small\nbacktest: {write_run()}\nhold_out: 0.0\n"
        "search: {strategies.reversal.params.lookback: {int: [1, 9]}}\n"
        "stages: {screen: false}\n"
        "folds: {train_days: 14, test_days: 14, min_test_days: 10}\n"
        "gates: {sharpe: -99, deflated_sharpe: 0, overfitting: 1, max_drawdown: 1, trades: 0}\n"
    )
    environment = os.environ | {"PERPDESK_TRIALS": str(tmp_path / "trials.sqlite")}

    def perpdesk(*words):
        line = [sys.executable, "-m", "perpdesk", *words]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    begin = ("optimize", str(study), "--out", str(folder), "--workers", "1", "--detach")
    perpdesk(*begin)
    pid = eventually(lambda: running.holder(folder))
    eventually(lambda: running.described(folder)["done"] >= 2, deadline=300)
    assert os.getsid(pid) != os.getsid(0)
    workers = psutil.Process(pid).children(recursive=True)
    assert f"perpdesk optimize {study}" in perpdesk("studies", "stop", str(folder))
    assert not psutil.wait_procs(workers, timeout=60)[1]
    perpdesk(*begin)
    followed = perpdesk("studies", "follow", str(folder))
    assert followed.endswith(f"{folder}: accepted\n")
    assert (folder / "best.yaml").exists()
    assert '"known_before": 0,' not in (folder / "best.json").read_text()
