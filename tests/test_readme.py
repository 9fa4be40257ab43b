"""The README: its documents, its strategy and every command in it are run as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.providers.demo import DemoParams, generate
from catalog.writer import CatalogWriter

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for kind, text in BLOCKS
    if kind == "console"
    for line in text.splitlines()
    if line.startswith("$ ")
]
PERPDESK = [command for command in COMMANDS if command.startswith("perpdesk")]
MAKE = [command for command in COMMANDS if command.startswith("make")]
SHORT = ("window.start=2023-02-01", "window.end=2023-03-01")
"""Commands on the two-year demo run here on a month of it."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with the README's files added and a short demo catalog."""
    root = tmp_path_factory.mktemp("readme") / "perpdesk"
    skip = shutil.ignore_patterns("__pycache__", "data", "results", ".*")
    for room in ("config", "catalog", "strategies", "actors", "backtests", "live_nodes"):
        shutil.copytree(PROJECT / room, root / room, ignore=skip)
    shutil.copy(PROJECT / "perpdesk.py", root)
    for kind, text in BLOCKS:
        named = re.match(r"# (\S+\.(?:py|yaml))\n", text)
        if kind in ("python", "yaml") and named:
            file = root / named[1]
            assert not file.exists(), f"the README's {named[1]} stands in the project already"
            file.write_text(text, encoding="utf-8")
    with CatalogWriter(root / "catalog" / "data" / "demo") as writer:
        writer.add(generate(DemoParams(days=150, perps=12)))
    return root


def perpdesk(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, str(root / "perpdesk.py"), *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_readme_shows_commands_documents_and_a_strategy() -> None:
    assert len(PERPDESK) >= 15
    assert {"make demo", "make test"} <= set(MAKE)
    assert {kind for kind, _ in BLOCKS} >= {"console", "python", "yaml"}


def test_every_perpdesk_command_of_the_readme_works(clone: Path) -> None:
    for command in PERPDESK:
        arguments = shlex.split(command)[1:]
        if arguments[0] in ("validate", "backtest", "screen") and "xs_reversal_demo" in command:
            arguments += [item for value in SHORT for item in ("--set", value)]
        if arguments[:2] == ["catalog", "demo"]:
            arguments[-1] = "catalog/data/another"
        done = perpdesk(clone, *arguments)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("command", MAKE)
def test_every_make_target_of_the_readme_exists(command: str) -> None:
    done = subprocess.run(
        ["make", "-n", *shlex.split(command)[1:]],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readmes_strategy_trades(clone: Path) -> None:
    done = perpdesk(clone, "backtest", "backtests/runs/my_idea.yaml", "--json")
    assert done.returncode == 0, done.stderr
    import json

    summary = json.loads(done.stdout)
    assert summary["name"] == "my_idea"
    assert summary["fills"] > 50


def test_a_typo_in_the_readmes_setup_is_named_by_its_line(clone: Path) -> None:
    setup = clone / "config" / "setups" / "my_idea.yaml"
    text = setup.read_text(encoding="utf-8")
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "lookback" in row)
    setup.write_text(text.replace("lookback", "lokback"), encoding="utf-8")
    try:
        done = perpdesk(clone, "backtest", "backtests/runs/my_idea.yaml")
    finally:
        setup.write_text(text, encoding="utf-8")
    assert done.returncode == 2
    assert f"my_idea.yaml:{line}:" in done.stderr
    assert "did you mean lookback?" in done.stderr
    assert "Traceback" not in done.stderr
