"""A built wheel in a fresh environment, and a project of one's own in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import perpdesk
from config.schema import FOLDER

PROJECT = Path(__file__).resolve().parents[1]
ROOMS = ("config", "catalog", "strategies", "actors", "backtests", "live_nodes")
Run = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the project: building leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    skip = shutil.ignore_patterns("__pycache__", "data", "state")
    for room in ROOMS:
        shutil.copytree(PROJECT / room, folder / "source" / room, ignore=skip)
    for name in ("perpdesk.py", "setup.py", "pyproject.toml", "README.md", "requirements.in"):
        shutil.copy(PROJECT / name, folder / "source")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "-q")
    pip = [sys.executable, "-m", "pip", "wheel", *offline, "-w", str(folder)]
    subprocess.run([*pip, str(folder / "source")], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Install the wheel beside other people's `config` and `actors`; return how to run it."""
    home = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "env"], check=True)
    python = home / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], check=True)
    (site,) = (home / "env" / "lib").glob("python*/site-packages")
    # The dependencies, but not this checkout: files of other folders' .pth are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    for name in ("config", "actors"):
        (site / f"{name}.py").write_text("raise RuntimeError('of other people')\n")
    desk = home / "desk"
    desk.mkdir()

    def run(*words: str) -> str:
        hidden = ("PYTHONPATH", "VIRTUAL_ENV")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        command = [str(python.with_name("perpdesk")), *words]
        done = subprocess.run(
            command, cwd=desk, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run("init")
    run("catalog", "demo", "--days", "160", "--perps", "8")
    return run


def test_the_wheel_holds_every_file_and_puts_two_names_at_the_top(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in packed if ".dist-info" not in name}
    assert tops == {"perpdesk.py", "perpdesk_packages"}
    here = {
        f"perpdesk_packages/{file.relative_to(PROJECT)}"
        for room in ROOMS
        for file in (PROJECT / room).rglob("*")
        if file.is_file()
        and not {"__pycache__", "data", "state"} & set(file.relative_to(PROJECT).parts)
    }
    assert here - packed == set()


def test_a_new_project_is_sound(run: Run) -> None:
    documents = ("setups/my_idea.yaml", "backtests/my_idea.yaml", "nodes/practice.yaml")
    assert [f"{name}: well" in run("validate", *documents) for name in documents] == [True] * 3
    assert "lookback: a whole number >= 2" in run("describe", "my_idea:MyIdea")


def test_the_projects_backtest_runs_a_strategy_of_its_own(run: Run) -> None:
    summary = json.loads(run("backtest", "backtests/my_idea.yaml", "--json"))
    assert summary["name"] == "my_idea"
    assert summary["fills"] > 50


@pytest.mark.live
def test_the_projects_node_trades_on_practice_and_passes_its_drill(run: Run) -> None:
    taker = "strategies.myidea.params.execution.tactic=taker"
    try:
        run("live", "nodes/practice.yaml", "--run-once", "--force", "--set", taker)
        status = json.loads(run("status", "nodes/practice.yaml", "--json"))
        assert status["positions"]
        assert run("audit", "verify", "nodes/practice.yaml")
        drilled = run("risk", "drill", "nodes/practice.yaml", "--guard", "daily", "--json")
        assert {row["world"] for row in json.loads(drilled)["rows"]} == {"backtest", "practice"}
    finally:
        run("exchange", "nodes/practice.yaml", "--stop")


def test_the_template_says_what_the_checkout_says() -> None:
    template = PROJECT / "config" / "project_template"
    assert (template / ".env.example.txt").read_text() == (PROJECT / ".env.example").read_text()
    assert len(list(FOLDER.glob("*.json"))) >= 6
    heading = (PROJECT / "CHANGELOG.md").read_text().split("\n## ")[1]
    assert heading.startswith(perpdesk.VERSION)
