"""A study on a Dask cluster: a real scheduler, two worker processes, and one of them killed."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from distributed import Client

from backtests.optimize.trials import Trials
from backtests.optimize.workers import workers
from backtests.studies.trial_ledger import TrialLedger
from config.errors import DeskError
from config.load import load
from tests.backtests.optimize.test_study import LOOKBACK, ROOT, SMALL
from tests.conftest import written
from tests.waiting import eventually

MB = 10_000
ALL_RUN = {"stages": {"screen": False}, "search": {LOOKBACK: {"int": [1, 8]}}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder in which the workers are started."""
    return tmp_path_factory.mktemp("machine")


def readme(begin, address=""):
    """Return the README's command that begins so, with another address, as this Python runs it."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(begin))
    program, *words = line.replace("tcp://scheduler:8786", address).split()
    return [sys.executable, *{"dask": ["-m", "dask"], "perpdesk": ["perpdesk.py"]}[program], *words]


def dask(home, line, *words, env=None):
    with (home / "log").open("a") as log:
        line = [*line, *words, "--no-dashboard"]
        return subprocess.Popen(line, cwd=home, stdout=log, stderr=log, env=env)


def ended(*processes):
    """End processes and all below them."""
    below = [psutil.Process(p.pid).children(recursive=True) for p in processes if p.poll() is None]
    for process in (*processes, *(child for children in below for child in children)):
        process.kill()
    for process in processes:
        process.wait()


@contextmanager
def scheduled(home):
    """Run a scheduler; yield its address."""
    file = home / "scheduler.json"
    local = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
    process = dask(home, readme("dask scheduler"), *local)
    try:
        # It is there before it is written.
        eventually(
            lambda: file.exists() and file.read_text().endswith("}"), (home / "log").read_text
        )
        yield json.loads(file.read_text())["address"]
    finally:
        ended(process)


@pytest.fixture(scope="module")
def address(home):
    """A scheduler's address, with two workers of one thread each."""
    with scheduled(home) as found:
        line, env = readme("dask worker", found), os.environ | {"PYTHONPATH": str(ROOT)}
        two = [dask(home, line, "--nthreads", "1", env=env) for _ in range(2)]
        try:
            joined(found, 2)
            yield found
        finally:
            ended(*two)


def joined(address, count):
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=120)


def optimized(folder, backtest, line, **changes):
    """Begin the README's command on a study in a folder of its own."""
    folder.mkdir()
    (folder / "study.yaml").write_text(
        yaml.safe_dump(SMALL | {"backtest": str(backtest)} | changes)
    )
    line[line.index("backtests/studies/xs_reversal_quick.yaml")] = str(folder / "study.yaml")
    env = os.environ | {"PERPDESK_TRIALS": str(folder / "trials.sqlite")}
    line += ["--out", str(folder / "out")]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(line, cwd=ROOT, env=env, stdout=log, stderr=log)


def outcome(folder):
    """Return best.json, all trials, and the ledger with the returns of each trial."""
    rows = pq.read_table(folder / "out" / "trials.parquet").to_pylist()
    with TrialLedger(folder / "trials.sqlite") as ledger:
        found = sorted(
            json.dumps((t.candidate, t.state, t.figures, ledger.returns(t.number).tolist()))
            for t in ledger.trials("small_study")
        )
    return json.loads((folder / "out" / "best.json").read_text()), rows, found


@pytest.mark.slow
def test_a_cluster_of_which_a_worker_is_killed_finds_what_one_machine_finds(
    address, write_run, tmp_path
):
    backtest = write_run()
    line = readme("perpdesk optimize", address)
    process = optimized(tmp_path / "cluster", backtest, list(line), **ALL_RUN)
    with (
        TrialLedger(tmp_path / "cluster" / "trials.sqlite") as ledger,
        Client(address, set_as_default=False) as client,
    ):
        pids = client.run(os.getpid)

        def busy():
            states = [trial.state for trial in ledger.trials("small_study")]
            begun = [where for where, keys in client.processing().items() if keys]
            return "done" in states and "running" in states and begun

        killed = eventually(busy, (tmp_path / "cluster" / "log").read_text)[0]
        os.kill(pids[killed], 9)
        assert process.wait(240) == 0, (tmp_path / "cluster" / "log").read_text()
        assert killed not in client.scheduler_info(-1)["workers"]
        client.wait_for_workers(2, timeout=120)
    line[line.index("--cluster") :] = ["--workers", "1"]
    local = optimized(tmp_path / "local", backtest, line, **ALL_RUN)
    assert local.wait(240) == 0
    assert outcome(tmp_path / "cluster") == outcome(tmp_path / "local")


def waiting(_trials: Trials, folder: Path) -> int:
    """Leave a file in the folder, and wait until it is allowed to end."""
    (folder / f"{uuid4()}.begun").touch()
    eventually((folder / "go").exists)
    return 7


def killed_once(_trials: Trials, flag: Path) -> str:
    """Be killed the first time, as by the system for lack of memory."""
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), 9)
    return "done"


def twice(_trials: Trials, number: int) -> int:
    return 2 * number


@pytest.mark.slow
def test_a_process_that_is_killed_or_idle_is_begun_again_and_a_study_leaves_none(
    address, write_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("backtests.optimize.cluster.IDLE_S", 1.0)
    with Client(address, set_as_default=False) as client:
        here = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
        with workers(load(write_run()), address, MB) as pool:
            assert pool.submit(killed_once, tmp_path / "flag").result() == "done"
            eventually(lambda: not any(worker.children() for worker in here), "their end")
            assert list(pool.map(twice, (2, -3, 4), chunksize=2)) == [4, -6, 8]
            pool.submit(waiting, tmp_path)
            eventually(lambda: list(tmp_path.glob("*.begun")), "one that runs on")
        below = [process for worker in here for process in worker.children()]
        assert not psutil.wait_procs(below, timeout=30)[1]


def test_what_a_killed_worker_ran_is_run_elsewhere_and_a_trial_is_the_local_one(
    address, write_run, tmp_path
):
    base = load(write_run())
    with (
        Client(address, set_as_default=False) as client,
        workers(base, address, MB) as pool,
    ):
        there, here = (
            pool.submit(Trials.full, {LOOKBACK: 2}),
            Trials(base).full({LOOKBACK: 2}),
        )
        assert there.result().figures == here.figures
        assert there.result().returns.tolist() == here.returns.tolist()
        pids = client.run(os.getpid)
        both = [pool.submit(waiting, tmp_path) for _ in range(2)]
        eventually(lambda: len(list(tmp_path.glob("*.begun"))) == 2, "two begun")
        os.kill(next(iter(pids.values())), 9)
        eventually(lambda: next(iter(pids)) not in client.scheduler_info(-1)["workers"], "its end")
        (tmp_path / "go").touch()
        assert [found.result() for found in both] == [7, 7]
        assert len(list(tmp_path.glob("*.begun"))) == 3
        client.wait_for_workers(2, timeout=120)


@pytest.mark.slow
def test_workers_of_other_code_or_data_are_refused(
    address, home, write_run, demo_market, tmp_path, monkeypatch
):
    base = load(write_run())
    with monkeypatch.context() as other:
        other.setattr("backtests.optimize.identity.code", lambda: "another")
        refused(base, address, r"^worker tcp.*: a worker process has another code than")
    written(tmp_path / "data", demo_market)
    monkeypatch.chdir(tmp_path)
    base = load(write_run(catalog="data"))
    refused(base, address, r"^worker tcp.*/data: no catalog here")
    written(home / "data", demo_market, tables=dict(list(demo_market.tables.items())[:-1]))
    refused(base, address, r"^worker tcp.*: a worker process has another data than")


def refused(base, address, words):
    with pytest.raises(DeskError, match=words), workers(base, address, MB):
        pass


def test_a_cluster_without_scheduler_workers_or_perpdesk_is_named(tmp_path, write_run, monkeypatch):
    base = load(write_run())
    monkeypatch.setattr("backtests.optimize.cluster.CONNECT_S", 1)
    refused(base, "tcp://127.0.0.1:1", r"--cluster tcp://127\.0\.0\.1:1: no scheduler answers")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with scheduled(tmp_path) as found:
        refused(base, found, "it has no workers: start `dask worker")
        line = readme("dask worker", found)
        strange = dask(tmp_path, line[: line.index("--preload")], "--no-nanny")
        try:
            joined(found, 1)
            refused(base, found, "No module named 'backtests': start it with --preload perpdesk")
        finally:
            ended(strange)
