"""Commands of a node whose own classes can't be imported, or whose document is refused by now."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from actors.desk.guard_state import READINGS
from config.errors import DocumentErrors, InputError
from config.load import load
from live_nodes.local.folder import node_to_stop, state_folder, written_node
from live_nodes.local.mailbox import pending
from live_nodes.local.releases import RUNS
from live_nodes.node.guard_status import of_guard
from live_nodes.operate.risk_status import unit_of
from perpdesk import build_app
from strategies.state import MemoryState
from tests.actors.tiny_guards import Loss, LossGuard, Table
from tests.live_nodes.documents import GUARDED, daily, node_file, node_values
from tests.live_nodes.reports.journals import two_days

OWN = "own_code_of_a_trader"
SLEEP_S = 30


@pytest.fixture(
    params=[
        'import sys\nsys.exit("set MY_MODEL_PATH")\n',
        "raise KeyboardInterrupt\n",
        "def x(:\n",
        f"import time\ntime.sleep({SLEEP_S})\n",
    ],
    ids=["exits", "interrupts", "is no Python", "sleeps"],
)
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / f"{OWN}.py").write_text(request.param, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = node_file(
        tmp_path,
        environment="paper",
        state=str(tmp_path / "state"),
        allow=[OWN],
        strategies={"mine": {"use": f"{OWN}:Mine", "params": {"fast": 3}}},
        actors={"limit": {"use": f"{OWN}:Limit"}, "daily": daily()},
    )
    two_days(state_folder(written_node(file)))
    return file


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(build_app(), [*map(str, words)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output + str(done.exception or "")


def test_what_watches_and_stops_a_node_needs_none_of_the_traders_code(
    node: Path, tmp_path: Path
) -> None:
    began, state = time.monotonic(), state_folder(written_node(node))
    assert "mine" in run("status", node)
    assert "limit" in run("risk", "status", node)
    assert "reads the halt" in run("risk", "halt", node, "--reason", "odd fills")
    assert "flat after" in run("risk", "flatten", node, "--reason", "a test")
    assert [request.command for request in pending(state)] == ["halt", "flatten"]
    run("risk", "release", node, "operator", "--reason", "seen")
    assert pending(state) == []
    assert "net +9.58 USDT" in run("report", node, "--day", "2024-10-05", "--no-send")
    assert "mine" in run("report", node, "--from", "2024-10-04", "--to", "2024-10-06")
    assert "not alive" in run("alive", node, code=1)
    assert "no chain yet" in run("audit", "verify", node, code=1)
    run("export", node)
    run("backup", node)
    assert "no exchange runs" in run("exchange", node, "--stop")
    assert "none needed" in run("keys", "check", node)
    assert "perpdesk-mine.service" in run("install", "systemd", node, "--to", tmp_path / "units")
    assert OWN not in sys.modules
    assert time.monotonic() - began < SLEEP_S


def test_what_ran_is_the_same_without_its_classes(tmp_path: Path) -> None:
    ran = load(GUARDED)
    (tmp_path / RUNS).write_text(ran.to_yaml(), encoding="utf-8")
    found = load(tmp_path / RUNS, imports=False)
    assert (found.config_hash, found.to_yaml()) == (ran.config_hash, ran.to_yaml())


class Counting(LossGuard):
    unit = "coins"


class OwnGuard(Loss):
    runs = Counting


def test_a_guards_unit_is_kept_with_its_readings() -> None:
    store = MemoryState()
    Table(OwnGuard(store=store)).look("1000")
    [found] = of_guard("loss", None, store.values[READINGS])
    assert unit_of(found) == "coins"


# A document that is refused ----------------------------------------------------------------------

PERCENT: dict[str, object] = {"expected": {"fees": {"linear": {"maker": 0.02, "taker": 0.055}}}}
OLDER = PERCENT | {"gone": 1, "risk": {"external": "all", "deadline": 0}, "gates": {"gone": 2}}
"""What an older version accepted, and its run kept."""


class Ran:
    """A node that ran on paper, and is stopped by now; `copy` is what its run used."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.values = node_values(environment="paper", state=str(folder / "state"))
        self.values |= {"account": {"name": "anna", "keys": keys("OLD")}}
        self.file = node_file(folder, **self.values)
        self.folder = state_folder(written_node(self.file))
        two_days(self.folder)
        self.copy = self.folder / RUNS
        self.copy.write_text(yaml.safe_dump(self.values | changes), encoding="utf-8")
        self.said: list[str] = []

    def edit(self, changes: dict[str, object], change: Callable[[str], str] = str) -> None:
        text = yaml.safe_dump(self.values | changes, sort_keys=False)
        self.file.write_text(change(text), encoding="utf-8")

    def account(self, *settings: str) -> str:
        """Return the name of the key that a stop of the node uses."""
        found = node_to_stop(self.file, settings, self.said.append)
        assert state_folder(found) == self.folder
        assert found.account.keys is not None
        return found.account.keys.api_key_env


def keys(name: str) -> dict[str, str]:
    return {"api_key_env": f"{name}_KEY", "api_secret_env": f"{name}_SECRET"}


def no_yaml(text: str) -> str:
    return text.replace("allow:", "description: [never closed\nallow:")


@pytest.mark.parametrize(
    ("kept", "edited", "change", "error"),
    [
        (OLDER, OLDER, str, "expected.fees.linear.maker"),
        ({}, {"risk": {"deadline": 0}}, str, "risk.deadline"),
        ({}, {"risk": {"external": "every"}}, str, "risk.external"),
        ({}, {"stop_dedline": 9}, str, "stop_dedline"),
        ({}, {"account": {"nmae": "anna"}}, str, "account.n"),
        ({}, {}, no_yaml, "node.yaml:"),
    ],
    ids=["older", "out of range", "no choice", "unknown", "account", "no YAML"],
)
def test_what_stops_a_node_goes_on_with_what_it_ran(
    tmp_path: Path, kept: dict[str, object], edited: dict[str, object],
    change: Callable[[str], str], error: str,
) -> None:  # fmt: skip
    ran = Ran(tmp_path, **kept)
    ran.edit(edited, change)
    for words in (
        ["status", ran.file],
        ["risk", "status", ran.file],
        ["risk", "halt", ran.file, "--reason", "odd fills"],
        ["risk", "flatten", ran.file, "--reason", "a test"],
    ):
        [line] = [one for one in run(*words).splitlines() if str(ran.copy) in one]
        assert line.startswith(f"{ran.file}:")
        assert error in line
    assert "mine is not alive" in run("alive", ran.file, code=1)
    assert [request.command for request in pending(ran.folder)] == ["halt", "flatten"]
    assert error in run("live", ran.file, code=1)
    assert error in run("risk", "release", ran.file, "operator", "--reason", "seen", code=1)
    assert ran.account() == "OLD_KEY"
    # Of what it ran, the rest is as it was.
    external = "all" if kept else "universe"
    assert node_to_stop(ran.file, (), print).risk.external == external


def test_a_parent_that_is_no_yaml_any_more_stops_nothing_from_being_stopped(
    tmp_path: Path,
) -> None:
    ran = Ran(tmp_path)
    parent = ran.file.rename(tmp_path / "parent.yaml")
    parent.write_text(no_yaml(parent.read_text()).replace("paper", "practice"))
    ran.file.write_text("kind: node\nextends: parent.yaml\nenvironment: paper\n")
    assert ran.account() == "OLD_KEY"
    assert ran.said[0].startswith(f"{parent}:")


def test_a_node_is_stopped_at_the_account_of_its_last_run(tmp_path: Path) -> None:
    ran = Ran(tmp_path)
    assert (ran.account(), ran.said) == ("OLD_KEY", [])
    other: dict[str, object] = {"account": {"name": "anna", "keys": keys("NEW")}}
    for changes in ({}, PERCENT):
        ran.edit(other | changes)
        assert ran.account() == "OLD_KEY"
        assert str(ran.copy) in ran.said[-1]
    assert "account" in ran.said[0]
    new = [f"account.keys.{key}={name}" for key, name in keys("NEW").items()]
    assert ran.account(*new) == "NEW_KEY"
    ran.copy.unlink()
    ran.edit(other)
    assert ran.account() == "NEW_KEY"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("environment: paper", "environment: papr"),
        lambda text: text.replace("environment", "enviroment"),
        lambda text: text.replace("environment: paper", "environment paper"),
        lambda text: no_yaml(text).replace("name: mine", "name: [mine"),
        lambda text: no_yaml(text) + "environment: testnet\n",
        lambda text: no_yaml(text).replace("state:", "state: ["),
        lambda text: text.replace("kind: node", "extends: gone.yaml\nkind: node"),
    ],
)
def test_which_node_it_is_is_never_guessed(tmp_path: Path, change: Callable[[str], str]) -> None:
    ran = Ran(tmp_path)
    ran.edit({}, change)
    with pytest.raises(DocumentErrors):
        ran.account()


def test_without_a_copy_the_document_is_an_error_that_says_so(tmp_path: Path) -> None:
    ran = Ran(tmp_path)
    ran.copy.unlink()
    ran.edit(PERCENT)
    with pytest.raises(InputError, match=rf"linear.maker(.|\n)*{RUNS}"):
        ran.account()


@pytest.mark.parametrize("changes", [{"account": {"name": "anna", "gone": 1}}, {"tag": "N"}])
def test_whose_money_it_is_is_never_guessed(tmp_path: Path, changes: dict[str, object]) -> None:
    ran = Ran(tmp_path, **changes)
    ran.edit(changes)
    with pytest.raises(InputError, match=next(iter(changes))):
        ran.account()
