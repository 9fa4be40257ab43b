"""Trial ledger: a candidate counts once, kills lose and double nothing, one hold-out."""

import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path

import psycopg
import pytest

from backtests.studies.trial_ledger import DataSet, TrialLedger, ledger_path
from config.errors import DeskError, GateRefused, InputError
from tests.postgres import ENCODED, PASSWORD, new_database, postgres_server

YEAR = DataSet("abc", 1_000, 2_000)


@pytest.fixture(scope="module")
def server():
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where a ledger is kept: a file, and an empty database of a real PostgreSQL."""
    if request.param == "sqlite":
        return tmp_path / "studies" / "trials.db"
    return new_database(request.getfixturevalue("server"))


@pytest.fixture
def ledger(place):
    with TrialLedger(place, clock_ns=lambda: 7 * 10**18) as found:
        yield found


def test_a_trial_begins_ends_and_is_known_when_it_begins_again(ledger):
    first = ledger.begin("s", YEAR, "a", {"lookback": 3})
    assert (first.state, first.parameters, first.figures) == ("running", {"lookback": 3}, {})
    ledger.finish(first.number, {"sharpe": 1.5, "calmar": float("nan")})
    again = ledger.begin("another", YEAR, "a", {"lookback": 3})
    assert again == first._replace(state="done", figures={"sharpe": 1.5, "calmar": None})
    assert [trial.number for trial in ledger.trials("s")] == [first.number]
    assert ledger.trials("another") == []


def test_pruned_failed_and_killed_trials_count_and_the_last_two_are_run_again(ledger):
    pruned, failed, killed = (ledger.begin("s", YEAR, name, {}) for name in "pfk")
    ledger.prune(pruned.number, "lookback must be below 9")
    ledger.fail(failed.number, "no memory")
    states = [ledger.begin("s", YEAR, name, {})[3:] for name in "pfk"]
    assert states == [
        ("pruned", {}, "lookback must be below 9"),
        ("running", {}, ""),
        ("running", {}, ""),
    ]
    assert killed.number == ledger.begin("s", YEAR, "k", {}).number
    assert ledger.count(YEAR) == 3
    assert len(ledger.sharpes(YEAR)) == 0


def test_a_refused_trial_is_none_until_it_runs_and_takes_back_nothing_that_ran(ledger):
    """What never ran has seen nothing of the data; the second ran once, before it was refused."""
    refused, ran = (ledger.begin("s", YEAR, name, {}) for name in "rd")
    ledger.finish(ran.number, {"sharpe": 1.5})
    for trial in (refused, ran):
        ledger.refuse(trial.number, "no 4h candles")
    assert ledger.count(YEAR) == 1
    assert ledger.sharpes(YEAR).tolist() == [1.5]
    again = ledger.begin("s", YEAR, "r", {})
    assert (again.number, again.state) == (refused.number, "running")
    assert ledger.count(YEAR) == 2


def test_draws_that_an_earlier_version_counted_although_refused_count_no_longer(ledger):
    """It wrote each as pruned in the stage of the screen, and nothing else so."""
    ledger.prune(ledger.begin("s", YEAR, "r", {}, "screen").number, "lookback must be below 9")
    ledger.prune(ledger.begin("s", YEAR, "s", {}).number, "stopped after 30 days")
    assert ledger.count(YEAR) == 1


def test_stages_and_overlapping_windows_of_a_candidate_count_once_and_other_data_not_at_all(ledger):
    ledger.record("s", YEAR, "screen", [(c, {}, {"sharpe": i}) for i, c in enumerate("abc")])
    ledger.finish(ledger.begin("s", YEAR, "b", {}).number, {"sharpe": 5.0})
    ledger.begin("s", YEAR._replace(start_ns=1_999, end_ns=3_000), "d", {})
    ledger.begin("s", YEAR._replace(start_ns=2_000, end_ns=3_000), "after", {})
    ledger.begin("s", YEAR._replace(name="other"), "elsewhere", {})
    assert ledger.count(YEAR) == 4
    assert ledger.sharpes(YEAR).tolist() == [0.0, 5.0, 2.0]
    ledger.record("s", YEAR, "screen", [("a", {}, {"sharpe": None})])
    assert ledger.count(YEAR) == 4


def test_a_project_that_moves_keeps_its_trials(tmp_path):
    for home in ("one", "two"):
        with TrialLedger(tmp_path / home / "results" / "trials.db") as ledger:
            data = ledger.data_set(tmp_path / home / "catalog", 1_000, 2_000)
            ledger.begin("s", data, home, {})
            seen = ledger.count(data)
        if home == "one":
            (tmp_path / "one").rename(tmp_path / "two")
    assert seen == 2


def test_many_trials_are_written_all_or_none(ledger):
    def broken():
        yield "a", {}, {"sharpe": 1.0}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.record("s", YEAR, "screen", broken())
    assert ledger.count(YEAR) == 0


def test_a_hold_out_is_opened_once_and_again_only_for_the_same_candidate(ledger):
    ledger.open_hold_out("s", YEAR, "best")
    ledger.open_hold_out("s", YEAR, "best")
    with pytest.raises(GateRefused, match="study s opened it on 2191-10-27"):
        ledger.open_hold_out("t", YEAR._replace(start_ns=1_500), "second best")
    ledger.open_hold_out("t", YEAR._replace(start_ns=2_000, end_ns=3_000), "second best")


def trying(place: Path | str, first: int, killed: bool) -> None:
    with TrialLedger(place) as ledger:
        for number in range(first, first + 20):
            trial = ledger.begin("s", YEAR, str(number), {"lookback": number})
            if killed and number == first + 10:
                os.kill(os.getpid(), signal.SIGKILL)
            ledger.finish(trial.number, {"sharpe": float(number)})


def test_processes_write_at_once_and_a_killed_one_loses_only_the_trial_that_it_ran(place):
    spawn = multiprocessing.get_context("spawn")
    work = [(0, False), (10, False), (30, True)]
    processes = [spawn.Process(target=trying, args=(place, *each)) for each in work]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, -signal.SIGKILL]
    with TrialLedger(place) as ledger:
        assert ledger.count(YEAR) == 41
        assert sorted(ledger.sharpes(YEAR)) == list(range(40))
        running = [trial.candidate for trial in ledger.trials("s") if trial.state == "running"]
        assert running == ["40"]
    trying(place, 30, killed=False)
    with TrialLedger(place) as ledger:
        assert sorted(ledger.sharpes(YEAR)) == list(range(50))


def test_a_newer_ledger_one_that_is_none_and_an_unknown_trial_are_refused(ledger, place, tmp_path):
    with pytest.raises(ValueError, match="has none of that number"):
        ledger.finish(9, {})
    if isinstance(place, Path):
        with sqlite3.connect(place) as newer:
            newer.execute("PRAGMA user_version = 2")
    else:
        with psycopg.connect(place) as newer:
            newer.execute("INSERT INTO ledger_version VALUES (2)")
    newer.close()
    with pytest.raises(DeskError, match="newer perpdesk"):
        TrialLedger(place)
    (tmp_path / "text.db").write_text("no database, but long enough to look like one" * 9)
    with pytest.raises(DeskError, match="the trial ledger can't be used: file is not a database"):
        TrialLedger(tmp_path / "text.db")


@pytest.mark.parametrize(
    ("password", "kind", "words"),
    [
        ("wrong", DeskError, "password authentication failed"),
        *((PASSWORD[:end], InputError, "PERPDESK_TRIALS: not a URL") for end in (8, 9, 10, 11, 12)),
        ("s3cret@home", InputError, "in a password write @ as %40"),
        ("a%zz", InputError, "not a URL"),
    ],
)
def test_a_password_is_in_no_error(server, monkeypatch, password, kind, words):
    monkeypatch.setenv("PERPDESK_TRIALS", f"{server.replace(ENCODED, password)}trials")
    with pytest.raises(kind, match=words) as refused:
        TrialLedger(ledger_path())
    assert not any(part in str(refused.value) for part in (password, "s3cret", "home"))


@pytest.mark.parametrize(
    "named",
    ["mysql://me:s3cret@db/trials", "Postgresql:me:s3cret@db/trials", "host=db password=s3cret"],
)
def test_a_ledger_of_another_kind_is_refused_without_its_password(monkeypatch, named):
    monkeypatch.setenv("PERPDESK_TRIALS", named)
    with pytest.raises(InputError, match=r"begins with postgresql://$"):
        ledger_path()


def test_machines_with_the_same_project_name_its_catalogs_alike(server, tmp_path, monkeypatch):
    with TrialLedger(new_database(server)) as ledger:
        for home in ("one", "two"):
            (tmp_path / home).mkdir()
            monkeypatch.chdir(tmp_path / home)
            ledger.begin("s", ledger.data_set(Path("catalog/data"), 1_000, 2_000), home, {})
            shared = ledger.data_set(tmp_path / "shared", 1_000, 2_000)
        assert ledger.count(DataSet("catalog/data", 1_000, 2_000)) == 2
    assert shared.name == str(tmp_path / "shared")
