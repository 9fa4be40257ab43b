"""The README and the pages beside the code: their documents, strategies and commands are run.

Nodes on practice trade on an exchange that the first of them starts. What needs Bybit is run
without keys, which a node asks for before any address: options and document are checked, then it is
refused.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import typer.main
import yaml

from backtests.optimize import running
from catalog.providers.demo import DemoParams, generate
from catalog.providers.demo_books import BookParams
from catalog.providers.demo_books import generate as generate_books
from catalog.storage.writer import CatalogWriter
from config.components import shipped_addresses
from config.documents.deploy import Deploy
from config.validate import checked
from live_nodes.deploy.rules import GUARD
from live_nodes.local.mailbox import OPERATOR
from live_nodes.local.practice_process import running_exchange, stop_exchange
from perpdesk import build_app
from tests.live_nodes.deploy.studies import study_folder
from tests.live_nodes.documents import node_of

PROJECT = Path(__file__).resolve().parents[1]
PAGES = {
    name: (PROJECT / name).read_text(encoding="utf-8")
    for name in (
        *("README.md", "config/CONCEPTS.md", "config/MIGRATING.md"),
        *("live_nodes/RUNBOOK.md", "strategies/TEN_MINUTES.md"),
    )
}
README = "\n".join(PAGES.values())
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for kind, text in BLOCKS
    if kind == "console"
    for line in text.splitlines()
    if line.startswith("$ ")
]
SECTIONS = {
    section.splitlines()[0]: [
        line.removeprefix("$ ") for line in section.splitlines() if line.startswith("$ perpdesk")
    ]
    for section in README.split("\n## ")
    if "\n$ perpdesk" in section
}
"""The commands under each heading, in the page's order: later ones need what earlier ones made."""
TRADES = "Trade it live"
OWN, TEN = "A project of your own", "From nothing to practice"
FOLDERS = {OWN: "my_desk", TEN: "ten_minutes"}
"""Sections that make a project, and then work in it."""
RECORDS = "Record order books"
DEPLOYS = "Deploy what a study found, and undo it"
LIVE = (TRADES, *FOLDERS, RECORDS, "What stops trading, and how to resume", "What stands")
SLOW = ("Train when to trade the basis",)
PERPDESK = [command for command in COMMANDS if command.startswith("perpdesk")]
MAKE = [command for command in COMMANDS if command.startswith("make")]
BYBIT = [command for command in PERPDESK if "_testnet" in command]
OTHERS = [
    command for command in COMMANDS if not command.startswith(("perpdesk", "make", "source", "cd"))
]
AT_ONCE = "strategies.{}.params.execution.tactic=taker"
"""Nodes do not wait here for better prices."""
SHORT = ("window.start=2023-02-01", "window.end=2023-03-01")
"""Commands on the two-year demo run here on a month of it."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a copy of the project with the README's files added and a short demo catalog."""
    root = tmp_path_factory.mktemp("readme") / "perpdesk"
    skip = shutil.ignore_patterns("__pycache__", "data", "state", ".*")
    for room in ("config", "catalog", "strategies", "actors", "backtests", "live_nodes"):
        shutil.copytree(PROJECT / room, root / room, ignore=skip)
    for file in ("perpdesk.py", ".env.example"):
        shutil.copy(PROJECT / file, root)
    for kind, text in BLOCKS:
        named = re.match(r"# (\S+\.(?:py|yaml))\n", text)
        if kind in ("python", "yaml") and named:
            file = root / named[1]
            assert not file.exists(), f"the README's {named[1]} stands in the project already"
            file.write_text(text, encoding="utf-8")
    with CatalogWriter(root / "catalog" / "data" / "demo") as writer:
        writer.add(generate(DemoParams(days=150, perps=12)))
    yield root
    for study in (root / "results" / "studies").glob("*"):
        running.stop(study)
    for exchange in (root / "live_nodes" / "state").glob("*/practice/exchange"):
        stop_exchange(exchange)


def perpdesk(root: Path, *arguments: str, below: str = ".") -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BYBIT")}
    environment["PYTHONPATH"] = str(root)
    return subprocess.run(
        [sys.executable, str(root / "perpdesk.py"), *arguments],
        cwd=root / below,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_readme_shows_commands_documents_and_a_strategy() -> None:
    assert len(PERPDESK) >= 15
    assert {*LIVE, *SLOW} < SECTIONS.keys()
    assert {"make demo", "make test", "make test-live"} <= set(MAKE)
    assert {kind for kind, _ in BLOCKS} >= {"console", "python", "yaml"}


def test_every_command_stands_under_a_heading() -> None:
    assert [command for commands in SECTIONS.values() for command in commands] == PERPDESK


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(
            name, marks=[pytest.mark.live] * (name in LIVE) + [pytest.mark.slow] * (name in SLOW)
        )
        for name in SECTIONS
    ],
)
def test_every_perpdesk_command_of_the_readme_works(clone: Path, section: str) -> None:
    if section == RECORDS:
        recorded_before(clone)
    if section == DEPLOYS:
        found = {"strategies.reversal.params.lookback": 3}
        tested = {"reversal": {"use": "strategies.xs_reversal:XSReversal"}}
        study = clone / "results" / "studies" / "xs_reversal_quick"
        study_folder(study, parameters=found, strategies=tested)
    for command in SECTIONS[section]:
        if command in BYBIT:
            continue
        arguments = shlex.split(command)[1:]
        if arguments[0] == "live":
            arguments += ["--set", AT_ONCE.format("myidea" if section in FOLDERS else "reversal")]
        if arguments[0] in ("validate", "backtest", "screen") and "xs_reversal_demo" in command:
            arguments += [item for value in SHORT for item in ("--set", value)]
        if arguments[:2] == ["catalog", "demo"] and section in FOLDERS:
            arguments += ["--days", "160", "--perps", "8"]
        elif arguments[:2] == ["catalog", "demo"] and "--basis" not in arguments:
            arguments[-1] = "catalog/data/another"
        if section == TRADES and "--stop" in arguments:
            assert running_exchange(exchange_of(clone)) is not None, "its node's outlives it"
        if arguments[0] == "record":
            arguments[-1] = "5s"
        if arguments[0] == "optimize":
            arguments += ["--set", f"backtest={short(clone)}", "--set", "folds.train_days=30"]
            arguments += ["--set", "folds.test_days=30", "--set", "folds.min_test_days=20"]
        below = "." if arguments[0] == "init" else FOLDERS.get(section, ".")
        done = perpdesk(clone, *arguments, below=below)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    if section == TRADES:
        what_its_node_did_is_there(clone)


def test_the_readmes_gates_of_a_deployment_are_the_defaults() -> None:
    (text,) = [text for kind, text in BLOCKS if kind == "yaml" and text.startswith("deploy:")]
    assert Deploy.model_validate(yaml.safe_load(text)["deploy"]) == Deploy()


def test_the_alerts_shown_are_sound() -> None:
    (text,) = [text for kind, text in BLOCKS if kind == "yaml" and text.startswith("alerts:")]
    alerts = node_of(alerts=yaml.safe_load(text)["alerts"]).alerts
    assert alerts is not None
    assert list(alerts.channels) == ["chat", "mail", "phone"]


def short(clone: Path) -> str:
    """Return a backtest of four months of the demo, for studies."""
    file = clone / "backtests" / "runs" / "short.yaml"
    text = "extends: xs_reversal_demo.yaml\nkind: backtest\nname: short\n"
    file.write_text(f"{text}window: {{start: 2023-01-15, end: 2023-05-15}}\n", encoding="utf-8")
    return "backtests/runs/short.yaml"


def recorded_before(clone: Path) -> None:
    """Let the README's recording, five seconds here, follow one of six minutes, without candles."""
    with CatalogWriter(clone / "catalog" / "data" / "recorded") as writer:
        for part in generate_books(BookParams(hours=0.1))[0]:
            ticks = {key: table for key, table in part.tables.items() if not key[1]}
            writer.add(replace(part, tables=ticks))


def exchange_of(clone: Path) -> Path:
    return clone / "live_nodes" / "state" / "mine" / "practice" / "exchange"


def what_its_node_did_is_there(clone: Path) -> None:
    done = perpdesk(clone, "status", "live_nodes/nodes/mine.yaml", "--json")
    status = json.loads(done.stdout)
    assert status["state"] == "stopped"
    assert status["run"]["dry_run"] is False
    wanted = {t["instrument"]: t["target"] for t in status["last_decision"]["targets"]}
    held = {row["instrument"]: row["quantity"] for row in status["positions"]}
    assert held
    assert {name: Decimal(quantity) for name, quantity in held.items()} == {
        name: Decimal(quantity) for name, quantity in wanted.items() if Decimal(quantity)
    }
    # The last of the commands stopped the exchange.
    folder = exchange_of(clone)
    assert (folder / "exchange.db").exists()
    assert running_exchange(folder) is None


@pytest.mark.live
def test_the_steps_to_bybit_ask_for_keys_before_anything_leaves(clone: Path) -> None:
    assert len(BYBIT) >= 3
    for command in BYBIT:
        done = perpdesk(clone, *shlex.split(command)[1:])
        assert done.returncode == 3, f"{command}\n{done.stdout}\n{done.stderr}"
        told = " ".join((done.stdout + done.stderr).split())
        assert "BYBIT_TESTNET_API_KEY" in told
        assert "http" not in told


@pytest.mark.live
def test_the_readmes_nodes_differ_by_one_word(clone: Path) -> None:
    node = "live_nodes/nodes/mine.yaml"
    for place in ("paper", "demo", "testnet", "mainnet"):
        document = checked(clone / node, (f"environment={place}",)).document
        assert document.environment == place
    done = perpdesk(clone, "live", node, "--set", "environment=mainnet")
    assert done.returncode == 3
    assert "confirm: mainnet" in done.stderr


def test_the_other_commands_work(clone: Path) -> None:
    for command in OTHERS:
        subprocess.run(["sh", "-ec", command], cwd=clone, check=True)
    assert (clone / ".env").stat().st_mode & 0o777 == 0o600


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


def test_the_runbook_has_a_page_for_every_verdict() -> None:
    headings = set(re.findall(r"^## (.+)$", PAGES["live_nodes/RUNBOOK.md"], re.MULTILINE))
    uses = [use for use in shipped_addresses() if use.startswith("actors.guards.")]
    assert {use.partition(":")[2] for use in uses} <= headings
    code = (PROJECT / "live_nodes" / "node" / "watch_rules.py").read_text(encoding="utf-8")
    causes = {f"node.{cause}" for cause in re.findall(r"_halt\(\"(\w+)\"", code)}
    assert causes | {GUARD, OPERATOR} <= headings
    assert {"node.links", "node.sweep"} <= causes


def test_every_command_that_a_sentence_names_is_there() -> None:
    commands = typer.main.get_command(build_app()).commands  # type: ignore[attr-defined]
    for words in re.findall(r"`perpdesk ([a-z]\w*(?: [a-z]\w*)?)", README):
        first, _, second = words.partition(" ")
        assert first in commands, words
        inner = getattr(commands[first], "commands", {})
        assert not inner or second in inner or not second or first == "dashboard", words


def test_what_the_page_about_migrating_maps_to_are_fields() -> None:
    fields = set(re.findall(r"^\| `(\w+)` \|", (PROJECT / "config/FIELDS.md").read_text(), re.M))
    rows = re.findall(r"^\| `.*? \| (.*?) \|", PAGES["config/MIGRATING.md"], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 30
    assert named <= fields
